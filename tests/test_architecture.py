"""The house: a room imports only what docs/architecture.md allows it."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "src/meta_rl"
GROUND = {"errors", "randomness", "ranks", "threads"}
ROW = re.compile(r"^\| `(\w+)` \|.*\| ([\w, ]*)\|$", re.MULTILINE)
ALLOWED = {
    room: {name.strip() for name in names.split(",") if name.strip()}
    for room, names in ROW.findall((ROOT / "docs/architecture.md").read_text())
}
ROOMS = sorted({file.relative_to(PACKAGE).parts[0].removesuffix(".py") for file in PACKAGE.rglob("*.py")})


def imported(file: Path) -> Iterator[str]:
    """The rooms that a file imports from, at its top or later."""
    for node in ast.walk(ast.parse(file.read_text())):
        names = []
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "meta_rl":
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        elif isinstance(node, ast.Import):
            names = [alias.name for alias in node.names if alias.name.startswith("meta_rl.")]
        yield from (name.split(".")[1] for name in names)


@pytest.mark.parametrize("room", [room for room in ROOMS if room != "__init__"])
def test_a_room_imports_what_it_may(room: str) -> None:
    file = PACKAGE / f"{room}.py"
    files = [file] if file.exists() else sorted((PACKAGE / room).rglob("*.py"))
    allowed = GROUND if room in GROUND else GROUND | ALLOWED[room] | {room}
    for file in files:
        assert set(imported(file)) <= allowed, file


def test_imports_go_downwards() -> None:
    """No room is reached from itself."""
    below = {room: set(names) for room, names in ALLOWED.items()}
    while below:
        lowest = {room for room, names in below.items() if not names & set(below)}
        assert lowest, below
        below = {room: names for room, names in below.items() if room not in lowest}
