"""Another process that is at work in a folder."""

import subprocess
import sys

AT_WORK = """
import sys
from pathlib import Path
from wasserscore.core.claim import Claim
claim = Claim(Path(sys.argv[1]))
print("at work", flush=True)
sys.stdin.readline()
"""


def at_work(folder):
    """A ``Popen`` that is there; it leaves at the end of a ``with`` block."""
    process = subprocess.Popen(
        [sys.executable, "-c", AT_WORK, str(folder)],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert process.stdout.readline() == "at work\n"
    return process
