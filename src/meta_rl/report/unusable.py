"""Why something in a run directory cannot be used: the report says so and goes on."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import yaml

from meta_rl.errors import UserError, one_line


class Unusable(Exception):
    """The message is the reason, in one line."""


class Skipped(list[str]):
    """A line for everything that the report goes without."""

    def add(self, path: Path, why: object) -> None:
        """Say why `path` is not in the report."""
        self.append(f"skipped {path}: {why}")


@contextmanager
def reading(name: str) -> Iterator[None]:
    """Whatever is wrong inside with the file `name` becomes an Unusable."""
    try:
        yield
    except UserError:
        raise Unusable(f"damaged: {name}") from None
    except (OSError, ValueError, TypeError, LookupError, AttributeError, yaml.YAMLError) as error:
        # LookupError and AttributeError: the file is well formed, but not what it should be.
        detail = one_line(f"{type(error).__name__}: {error}")
        raise Unusable(f"damaged: {name} ({detail[:80]})") from None
