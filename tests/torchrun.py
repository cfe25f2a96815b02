"""Scripts under ``torchrun`` with two processes, as a user starts them."""

import os
import subprocess
import sys
import textwrap
from pathlib import Path

import wasserscore

PREAMBLE = """
    import sys
    from pathlib import Path
    import torch
    from safetensors.torch import save_file
    from wasserscore.core.distributed import alone, rank, world
    folder = Path(sys.argv[1])
    assert world() == 2, f"two processes are wanted, not {world()}"

    def keep(**tensors):
        whole = {name: x.detach().contiguous() for name, x in tensors.items()}
        save_file(whole, folder / f"{rank()}.safetensors")
"""


def launch(arguments: list[str]) -> list[str]:
    """The command line that starts two processes on this machine."""
    return [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2",
            *arguments]  # fmt: skip


def environment() -> dict[str, str]:
    """One thread each, and the package that is tested."""
    source = str(Path(wasserscore.__file__).parents[1])
    paths = [source, str(Path(__file__).parents[1]), os.environ.get("PYTHONPATH", "")]
    return {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": os.pathsep.join(paths)}


def torchrun(script: str, folder: Path, *, fails: bool = False) -> subprocess.CompletedProcess:
    """Run a script on two ranks; it may ``keep(name=tensor)`` into ``folder/RANK.safetensors``."""
    path = folder / "script.py"
    path.write_text(textwrap.dedent(PREAMBLE) + textwrap.dedent(script))
    done = subprocess.run(
        launch([str(path), str(folder)]), env=environment(), capture_output=True, text=True,
        timeout=250, check=False,
    )  # fmt: skip
    assert (done.returncode != 0) == fails, done.stderr
    return done
