"""Scripts under ``torchrun`` with two processes, as a user starts them."""

import os
import subprocess
import sys
import textwrap
from pathlib import Path

import torch
from safetensors.torch import load_file

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


TORCHRUN = ("torch.distributed.run", "--standalone", "--nproc_per_node", "2")


def launch(
    *arguments: object, fails: bool = False, by: tuple[str, ...] = TORCHRUN
) -> subprocess.CompletedProcess[str]:
    """Start two processes on this machine with one thread each, and wait for their end."""
    source = str(Path(wasserscore.__file__).parents[1])
    paths = [source, str(Path(__file__).parents[1]), os.environ.get("PYTHONPATH", "")]
    command = [sys.executable, "-m", *by, *map(str, arguments)]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": os.pathsep.join(paths),
             "COLUMNS": "100", "PYTHONFAULTHANDLER": "1"},
    ) as process:  # fmt: skip
        try:
            out, errors = process.communicate(timeout=200)
        finally:
            process.terminate()  # it ends its workers, which a kill would leave behind
    assert (process.returncode != 0) == fails, errors
    return subprocess.CompletedProcess(command, process.returncode, out, errors)


def torchrun(script: str, folder: Path, by: tuple[str, ...] = TORCHRUN) -> None:
    """Run a script on two ranks; it may ``keep(name=tensor)`` into ``folder/RANK.safetensors``."""
    path = folder / "script.py"
    path.write_text(textwrap.dedent(PREAMBLE) + textwrap.dedent(script))
    launch(path, folder, by=by)


def kept_alike(folder: Path) -> dict[str, torch.Tensor]:
    """What both ranks have kept, the same bits on each."""
    zero, one = (load_file(folder / f"{r}.safetensors") for r in (0, 1))
    assert zero.keys() == one.keys()
    assert all(torch.equal(zero[name], one[name]) for name in zero)
    return zero
