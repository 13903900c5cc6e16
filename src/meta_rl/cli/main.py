"""meta-rl: which program the command line means. Imports nothing heavy."""

import sys
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from typing import NoReturn

import meta_rl
from meta_rl import threads
from meta_rl.cli import completion
from meta_rl.run import streams
from meta_rl.run.program import COMMAND, end
from meta_rl.run.shipped import nearest

# Each of these modules has a `main(argv)` that returns an exit code.
PROGRAMS = {
    "train": ("meta_rl.run.command", "meta-train a policy; --list shows the shipped configurations"),
    "evaluate": ("meta_rl.evaluation.command", "adapt trained policies to unseen tasks"),
    "sweep": ("meta_rl.sweep.command", "run many settings and seeds"),
    "report": ("meta_rl.report.command", "figures, statistics and a page from runs"),
    "new": ("meta_rl.cli.new", "write a small experiment of your own to start from"),
}
USAGE = "\n".join(
    [
        f"usage: {COMMAND} PROGRAM ...",
        "",
        *(f"  {name:9} {purpose}" for name, (_, purpose) in PROGRAMS.items()),
        "",
        f"{COMMAND} PROGRAM --help tells more; {COMMAND} --version;",
        f"{COMMAND} {completion.OPTION}=bash prints a script that completes these words and their options.",
    ]
)


def main(argv: Sequence[str] | None = None) -> int:
    """Run one of the programs; its exit code, 2 for one that does not exist.

    Args:
        argv: The words after `meta-rl`; None for those of this process.
    """
    if argv is None:
        streams.prepare()
    words = list(sys.argv[1:] if argv is None else argv)
    name = words[0] if words else "--help"
    if name in ("-h", "--help"):
        print(USAGE)
        return 0
    if name == "--version":
        print(COMMAND, meta_rl.__version__)
        return 0
    threads.configure()  # before torch is imported, which the programs do
    if name.startswith(completion.OPTION):
        return completion.main(words, {name: module for name, (module, _) in PROGRAMS.items()})
    if name not in PROGRAMS:
        remedy = nearest(name, PROGRAMS) or f"there are {', '.join(PROGRAMS)}"
        print(f"error: unknown program {name!r}; {remedy}", file=sys.stderr)
        return 2
    # A user's classes are found where the command is typed, as `python train.py` finds those beside it. At
    # the end, so that nothing there takes the place of what is installed.
    here = str(Path.cwd())
    if here not in sys.path:
        sys.path.append(here)
    return import_module(PROGRAMS[name][0]).main(words[1:])


def script() -> NoReturn:
    """What the installed command calls."""
    end(main())
