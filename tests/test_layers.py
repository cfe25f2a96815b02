"""Imports point to lower floors only; rooms on one floor never see each other."""

import ast
from pathlib import Path

import wasserscore

ROOT = Path(wasserscore.__file__).parent
FLOORS = [
    {"core"},
    {"data", "dynamics", "kernel", "network"},
    {"process", "distance"},
    {"score"},
    {"training"},
    {"sampling", "flow", "proximal"},
    {"certificate"},
    {"planner", "audit"},
    {"report"},
    {"experiment"},
    {"cli"},
]
FLOOR = {room: floor for floor, rooms in enumerate(FLOORS) for room in rooms}


def imports(path: Path):
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: imports are absolute"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def violations(path: Path, room: str) -> list[str]:
    rooms = (name.split(".")[1:] for name in imports(path) if name.split(".")[0] == "wasserscore")
    seen = [parts[0] for parts in rooms if parts and parts[0] != "__version__"]
    return [other for other in seen if other != room and not FLOOR.get(other, 99) < FLOOR[room]]


def test_every_room_has_a_floor():
    rooms = {path.name for path in ROOT.iterdir() if path.is_dir() and path.name != "__pycache__"}
    assert rooms <= FLOOR.keys()


def test_imports_point_down():
    bad = [
        f"{path.relative_to(ROOT)} imports {other}"
        for path in ROOT.rglob("*.py")
        if path.parent != ROOT
        for other in violations(path, path.relative_to(ROOT).parts[0])
    ]
    assert not bad


def test_an_upward_import_is_caught(tmp_path):
    path = tmp_path / "bad.py"
    path.write_text("from wasserscore.sampling import sample\nimport wasserscore.core.random\n")
    assert violations(path, "score") == ["sampling"]
