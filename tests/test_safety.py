"""No code of ours can run a stranger's code, or touch the global random state."""

import ast
from pathlib import Path

import pytest

import wasserscore

ROOT = Path(wasserscore.__file__).parent
MODULES = {"pickle", "cPickle", "dill", "cloudpickle", "joblib", "shelve", "marshal", "yaml"}
CALLS = {
    "eval", "exec", "compile", "__import__",
    "torch.load", "torch.hub.load", "torch.save", "torch.jit.load",
    "os.system", "os.popen",
    "torch.manual_seed", "torch.seed", "torch.cuda.manual_seed", "torch.cuda.manual_seed_all",
    "torch.random.manual_seed", "random.seed",
    "np.random.seed", "numpy.random.seed", "np.random.set_state", "numpy.random.set_state",
}  # fmt: skip
FLAGS = {"shell", "allow_pickle"}


def dotted(node: ast.AST) -> str:
    """``a.b.c`` of a chain of names, empty for anything else."""
    if isinstance(node, ast.Name):
        return node.id
    front = dotted(node.value) if isinstance(node, ast.Attribute) else ""
    return f"{front}.{node.attr}" if front else ""


def violations(source: str) -> list[str]:
    found = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found += [a.name for a in node.names if a.name.split(".")[0] in MODULES]
        elif isinstance(node, ast.ImportFrom):
            module = node.module or ""
            names = [f"{module}.{alias.name}" for alias in node.names]
            found += [n for n in names if module.split(".")[0] in MODULES or n in CALLS]
        elif isinstance(node, ast.Call):
            found += [name for name in [dotted(node.func)] if name in CALLS]
            found += [
                keyword.arg
                for keyword in node.keywords
                if keyword.arg in FLAGS
                and not (isinstance(keyword.value, ast.Constant) and keyword.value.value is False)
            ]
    return found


def test_the_package_is_safe():
    bad = {
        str(path.relative_to(ROOT)): found
        for path in sorted(ROOT.rglob("*.py"))
        if (found := violations(path.read_text()))
    }
    assert not bad


@pytest.mark.parametrize(
    "source",
    [
        "import pickle",
        "import yaml",
        "from pickle import loads",
        "from joblib import load",
        "import dill as d",
        "eval('1')",
        "exec(text)",
        "torch.load(path)",
        "torch.load(path, weights_only=True)",
        "from torch import load",
        "torch.manual_seed(0)",
        "from torch import manual_seed",
        "np.random.seed(0)",
        "numpy.random.seed(seed)",
        "subprocess.run(text, shell=True)",
        "subprocess.run(text, shell=flag)",
        "np.load(path, allow_pickle=True)",
        "os.system('ls')",
        "def f():\n    __import__('os')",
    ],
)
def test_each_danger_is_seen(source):
    assert violations(source)


@pytest.mark.parametrize(
    "source",
    [
        "np.load(path, allow_pickle=False)",
        "generator.manual_seed(0)",
        "torch.Generator().manual_seed(0)",
        "network.eval()",
        "re.compile('x')",
        "safetensors.torch.load(data)",
        "subprocess.run([a, b], shell=False)",
        "json.loads(text)",
    ],
)
def test_safe_relatives_pass(source):
    assert not violations(source)
