"""``wasserscore``: the console entry point; importing the commands registers them.

Nothing heavy is imported here: a command imports the experiment room when it runs, so that
``--help`` answers at once.
"""

import os

from wasserscore.cli import runs, studies, two_files  # noqa: F401  (in the order of --help)
from wasserscore.cli.app import app as app


def main() -> None:
    """Run the command line."""
    # Threads that wait for work must not spin: beside one other busy process, spinning made
    # training ten times slower on two cores. Read when torch loads, so set before.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    app()
