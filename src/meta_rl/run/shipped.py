"""What comes with the package, in a wheel as in a checkout: configurations by name, and did-you-mean."""

import difflib
from collections.abc import Iterable
from pathlib import Path

import yaml

from meta_rl.errors import UserError

PACKAGE = Path(__file__).parents[1]
CHECKOUT = PACKAGE.parents[1]  # has the folders themselves, which a wheel has inside the package


def folder(name: str, checkout: str) -> Path:
    """The package's folder `name`, which a checkout has at `checkout`."""
    inside = PACKAGE / name
    return inside if inside.is_dir() else CHECKOUT / checkout


def configs() -> dict[str, Path]:
    """The shipped configurations by name: `maml_ant_dir`, `paper/maml_ant_dir`, ..."""
    root = folder("conf", "conf")
    return {str(file.relative_to(root).with_suffix("")): file for file in sorted(root.rglob("*.yaml"))}


def find_config(text: str | Path) -> Path:
    """A configuration by its path, or a shipped one by its name; a file of that path wins.

    The path of a checkout, `conf/NAME.yaml`, means the shipped one where there is no such file.

    Raises:
        UserError: for a name, without an ending, that is neither.
    """
    path = Path(text)
    known, name = configs(), path.as_posix().removeprefix("conf/").removesuffix(".yaml")
    if not path.is_file() and name in known:
        return known[name]
    if path.suffix or path.exists():  # what is wrong with a path says whoever reads it
        return path
    remedy = nearest(name, known) or "see train --list"
    raise UserError(f"config {str(text)!r}: no such file, and no shipped configuration; {remedy}")


def nearest(name: str, known: Iterable[str]) -> str:
    """`did you mean X?` for the name most like the unknown one; empty if there is none."""
    near = difflib.get_close_matches(name, known, 1)
    return f"did you mean {near[0]}?" if near else ""


def listing() -> str:
    """A line for each shipped configuration: its name, method and task family."""
    known = configs()
    width = max(map(len, known))
    lines = []
    for name, file in known.items():
        content = yaml.load(file.read_text(), getattr(yaml, "CSafeLoader", yaml.SafeLoader))
        classes = content["model"]["class_path"], content["data"]["env"]["class_path"]
        method, family = (path.rpartition(".")[2] for path in classes)
        lines.append(f"{name:{width}}  {method} on {family}")
    return "\n".join(lines)
