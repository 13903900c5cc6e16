"""How this process was started, by a script of a checkout or the installed command, and how to repeat it."""

import atexit
import os
import signal
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import NoReturn

COMMAND = "meta-rl"
MODULE = "meta_rl.cli"  # the same as a module: `python -m meta_rl.cli`


def installed() -> bool:
    """Whether this is the command `meta-rl`, and not a script such as train.py."""
    path = Path(sys.argv[0])
    return path.name == COMMAND or path.parts[-2:] == ("cli", "__main__.py")


def typed() -> list[str]:
    """The whole command line, as a user would type it."""
    return [COMMAND, *sys.argv[1:]] if installed() else ["python", *sys.argv]


def again() -> list[str]:
    """What Python has to be given to start the same once more, also where there is no script."""
    if installed():
        return ["-m", MODULE, *sys.argv[1:]]
    return sys.argv if Path(sys.argv[0]).is_file() else ["-m", MODULE, "train", *sys.argv[1:]]


@contextmanager
def as_typed(*words: str) -> Iterator[None]:
    """What runs inside is as if a program, `meta-rl` or a script, had been started with these words."""
    before: Sequence[str] = sys.argv
    sys.argv = [*words]
    try:
        yield
    finally:
        sys.argv = [*before]


def sibling(name: str) -> list[str]:
    """The words that start one of the programs: train, evaluate, sweep or report."""
    return [COMMAND, name] if installed() else ["python", f"{name}.py"]


def usage(name: str) -> str:
    """The same, as the first words of its help."""
    return f"{COMMAND} {name}" if installed() else f"{name}.py"


def end(code: int) -> NoReturn:
    """End the program, which has nothing left that a signal could stop.

    A rank does not wait for Python to be taken down: threads of its process group that are still there then
    may abort it.
    """
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    distributed = sys.modules.get("torch.distributed")
    if distributed and distributed.is_available() and distributed.is_initialized():
        atexit._run_exitfuncs()
        for stream in (sys.stdout, sys.stderr):
            with suppress(OSError):
                stream.flush()
        os._exit(code)
    sys.exit(code)
