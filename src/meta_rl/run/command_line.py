"""What the small command lines share: errors of one line, and whole numbers."""

import argparse
from collections.abc import Callable
from typing import NoReturn

from meta_rl.errors import UserError


class Parser(argparse.ArgumentParser):
    """Raises a UserError of one line where the base class prints its usage and exits."""

    def error(self, message: str) -> NoReturn:
        raise UserError(f"{message}; see --help")


def whole_number(least: int) -> Callable[[str], int]:
    """The type of an argument that is a whole number of at least `least`."""

    def parse(text: str) -> int:
        if not text.isascii() or not text.lstrip("-").isdigit() or int(text) < least:
            raise argparse.ArgumentTypeError(f"expected a whole number of at least {least}, got {text!r}")
        return int(text)

    return parse
