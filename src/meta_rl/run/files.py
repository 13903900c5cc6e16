"""Files: written so that a full disk or a kill leaves the old content or the new, never half; YAML read."""

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, BinaryIO

import yaml

from meta_rl.errors import UserError, one_line

SUFFIX = ".tmp"  # of files that are not whole yet


class WriteError(UserError):
    """A file cannot be written: the disk is full or read-only, or it failed. Says which file and why."""


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Raise a WriteError that names `path` where the operating system refuses to write."""
    try:
        yield
    except OSError as error:
        raise WriteError(f"cannot write {path}: {error.strerror or error}") from error


def write_atomically(path: Path, content: bytes) -> None:
    """Replace `path` as a whole, and not before the new content is safe on the disk."""
    temporary = path.with_name(path.name + SUFFIX)
    with writing(path):
        path.parent.mkdir(exist_ok=True)
        try:
            with temporary.open("wb") as stream:
                _fill(stream, content)
                stream.flush()
                os.fsync(stream.fileno())
            temporary.replace(path)
        except OSError:
            temporary.unlink(missing_ok=True)
            raise
    with suppress(OSError):  # some file systems cannot
        sync(path.parent)


def sync(path: Path) -> None:
    """Wait until a file's content, or a directory's names, would survive a loss of power."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _fill(stream: BinaryIO, content: bytes) -> None:
    stream.write(content)


def read_yaml(file: Path, kind: str, folder: str, keys: str) -> dict[str, Any]:
    """The mapping in a YAML file, with one line for whatever is wrong with it.

    Args:
        file: The file to read.
        kind: What the file should be, such as `config`; it begins the message about a file that is not there.
        folder: Where files of this kind are shipped, which the same message names.
        keys: Some keys that such a file has, named when it holds no mapping.

    Raises:
        UserError: if the file cannot be read, is no YAML, or holds no mapping.
    """
    try:
        content = yaml.safe_load(file.read_text("utf-8"))
    except OSError as error:
        shipped = f"shipped ones are in {folder}/"
        raise UserError(f"{kind} file {str(file)!r}: {error.strerror}; {shipped}") from None
    except (yaml.YAMLError, ValueError, RecursionError) as error:  # ValueError: of no text file, too
        mark = getattr(error, "problem_mark", None)
        line = f":{mark.line + 1}" if mark else ""
        raise UserError(f"{file}{line}: YAML syntax: {one_line(getattr(error, 'problem', error))}") from None
    if not isinstance(content, dict):
        raise UserError(f"{file}: expected keys such as {keys}, found {content!r:.60}")
    return content
