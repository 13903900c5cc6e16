"""Files: written so that a full disk or a kill leaves the old content or the new, never half; YAML read."""

import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, BinaryIO

import yaml

from meta_rl.errors import UserError, one_line

SUFFIX = ".tmp"  # of files that are not whole yet
MERGE = "tag:yaml.org,2002:merge"  # of the key <<


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


class Loader(yaml.SafeLoader):
    """Refuses a key that is there twice, of which the last value would count without a word."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen = set()
        for key, _ in node.value:
            name = (key.tag, str(key.value))
            if name in seen and key.tag != MERGE:
                raise yaml.MarkedYAMLError(problem=f"{key.value} is there twice", problem_mark=key.start_mark)
            seen.add(name)
        return super().construct_mapping(node, deep)


def read_yaml(file: Path, kind: str, folder: str, keys: str) -> dict[str, Any]:
    """The mapping in a YAML file, with one line for whatever is wrong with it.

    Args:
        file: The file to read.
        kind: What the file should be, such as `config`; it begins the message about a file that is not there.
        folder: Where files of this kind are shipped, which the same message names.
        keys: Some keys that such a file has, named when it holds no mapping.

    Raises:
        UserError: if the file cannot be read, is no YAML, has a key twice, or holds no mapping.
    """
    try:
        content = yaml.load(file.read_text(), Loader)
        json.dumps(content, default=str, skipkeys=True)  # a ValueError where an alias holds itself
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "not a text file"
        raise UserError(f"{kind} file {str(file)!r}: {reason}; shipped ones are in {folder}/") from None
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = f":{mark.line + 1}" if mark else ""
        raise UserError(f"{file}{line}: YAML syntax: {one_line(getattr(error, 'problem', error))}") from None
    except (ValueError, RecursionError) as error:
        raise UserError(f"{file}: {one_line(error)}") from None
    if not isinstance(content, dict):
        raise UserError(f"{file}: expected keys such as {keys}, found {content!r:.60}")
    return content
