"""Writing files so that a full disk or a kill at any moment leaves the old content or the new, never half."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from meta_rl.errors import UserError

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


def write_atomically(path: Path, content: bytes | memoryview) -> None:
    """Replace `path` as a whole, and not before the new content is safe on the disk."""
    with _replacing(path) as temporary, temporary.open("wb") as stream:
        _fill(stream, content)
        stream.flush()
        os.fsync(stream.fileno())


def link(source: Path, path: Path) -> None:
    """Make `path` the same file as `source`, as a whole; a copy where there are no hard links."""
    with _replacing(path) as temporary:
        try:
            os.link(source, temporary)
        except OSError:
            shutil.copyfile(source, temporary)
            sync(temporary)


def sync(path: Path) -> None:
    """Wait until a file's content, or a directory's names, would survive a loss of power."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def remove_leftovers(*folders: Path) -> None:
    """Remove the files that a killed process was writing."""
    for folder in folders:
        for file in folder.glob(f"*{SUFFIX}"):
            with suppress(OSError):  # what cannot be removed is in nobody's way
                file.unlink()


@contextmanager
def _replacing(path: Path) -> Iterator[Path]:
    """The name of a file beside `path` that takes its place in the end. Nothing is left of a failure."""
    temporary = path.with_name(path.name + SUFFIX)
    with writing(path):
        path.parent.mkdir(exist_ok=True)
        temporary.unlink(missing_ok=True)
        try:
            yield temporary
            temporary.replace(path)
            with suppress(OSError):  # some file systems cannot
                sync(path.parent)
        finally:  # a rename between two names of one file does nothing
            with suppress(OSError):
                temporary.unlink(missing_ok=True)


def _fill(stream: BinaryIO, content: bytes | memoryview) -> None:
    stream.write(content)
