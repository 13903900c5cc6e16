"""meta-rl new NAME: a folder with a task family, its configuration and its test, to change into one's own."""

import argparse
import re
import sys
from collections.abc import Sequence
from pathlib import Path

from meta_rl.errors import UserError
from meta_rl.run.arguments import Parser

TEMPLATES = Path(__file__).parent / "experiment"  # NAME in a file's name or text is replaced


def main(argv: Sequence[str] | None = None) -> int:
    """Write the folder as the command line says.

    Returns:
        0 when done, 2 for a name that does not do or a folder that is there already.
    """
    try:
        folder = write(make_parser().parse_args(argv).name)
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    print(f"wrote {folder}/; train with: cd {folder} && meta-rl train --config {folder}.yaml")
    return 0


def write(name: str) -> Path:
    """Write the experiment `name` to a folder of that name here.

    Raises:
        UserError: if the name is no word, or the folder exists or cannot be made.
    """
    if not re.fullmatch(r"[A-Za-z][\w-]*", name, re.ASCII):
        raise UserError(f"name {name!r}: expected letters, digits, _ and -, and a letter first")
    folder = Path(name)
    try:
        folder.mkdir()
    except FileExistsError:
        raise UserError(f"{folder} exists already; choose another name") from None
    except OSError as error:
        raise UserError(f"{folder}: {error.strerror}; choose another directory") from None
    for template in sorted(TEMPLATES.glob("*.txt")):
        text = template.read_text(encoding="utf-8").replace("NAME", name)
        (folder / template.stem.replace("NAME", name)).write_text(text, encoding="utf-8")
    return folder


def make_parser() -> argparse.ArgumentParser:
    """What `meta-rl new` understands."""
    parser = Parser(
        prog="meta-rl new",
        description="Write a folder with a task family of your own, its configuration and its test.",
        allow_abbrev=False,
    )
    parser.add_argument("name", metavar="NAME", help="Of the folder, and of the experiment.")
    return parser
