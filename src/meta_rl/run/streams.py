"""Standard output and error that end no run, whether a reader has gone or a letter has no code there."""

import errno
import io
import locale
import os
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

from meta_rl.run.files import writing

FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


class _Lossy(io.FileIO):
    """A descriptor whose text is lost once nobody can have it: a closed pipe, a terminal that has hung up."""

    def write(self, text: Any) -> int:
        try:
            return super().write(text)
        except OSError as error:
            with Path(os.devnull).open("wb") as nowhere:
                os.dup2(nowhere.fileno(), self.fileno())
            if error.errno in FULL:
                with writing(Path("standard output" if self.fileno() == 1 else "standard error")):
                    raise
            return len(text)


def prepare() -> None:
    """At a program's start: prints never fail, but for a `WriteError` of a full disk; files are UTF-8."""
    with suppress(locale.Error):
        locale.setlocale(locale.LC_CTYPE, "C.UTF-8")  # what libraries open files with
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:  # closed: else the next file would have its number, and get what is printed
            os.open(os.devnull, os.O_RDWR)
    for number, name in ((1, "stdout"), (2, "stderr")):
        stream = getattr(sys, name)
        if stream is getattr(sys, f"__{name}__"):  # nobody has redirected it
            raw = io.BufferedWriter(_Lossy(number, "w", closefd=False))
            encoding = getattr(stream, "encoding", None)
            setattr(sys, name, io.TextIOWrapper(raw, encoding, "backslashreplace", line_buffering=True))
