"""The script that completes `meta-rl` in a shell: programs, options, and values where they are few."""

import sys
from collections.abc import Sequence
from importlib import import_module
from importlib.util import find_spec

OPTION = "--print_completion"
SHELLS = ("bash", "zsh", "tcsh")
MISSING = "completion needs shtab; install it with: pip install 'meta_rl[completion]'"


def main(words: Sequence[str], modules: dict[str, str]) -> int:
    """Print the script for the shell in `--print_completion=SHELL`; the exit code.

    Args:
        words: The command line.
        modules: The programs, each with its module, whose `make_parser()` knows the options; that of `train`
            is elsewhere, since it loads torch.
    """
    shell = words[0].partition("=")[2] or "".join(words[1:2])
    problem = MISSING if find_spec("shtab") is None else ""
    if shell not in SHELLS:
        problem = f"{OPTION}: expected {', '.join(SHELLS)}, got {shell!r}"
    if problem:
        print(f"error: {problem}", file=sys.stderr)
        return 2
    print(script(shell, modules))
    return 0


def script(shell: str, modules: dict[str, str]) -> str:
    """The script, by jsonargparse's support for shtab, which knows the types of all keys of `train`."""
    import jsonargparse

    from meta_rl.run.config import make_parser
    from meta_rl.run.program import COMMAND

    parser = jsonargparse.ArgumentParser(prog=COMMAND)
    programs = parser.add_subcommands()
    for name, module in modules.items():
        if name == "train":
            programs.add_subcommand(name, make_parser())
            continue
        plain = import_module(module).make_parser()
        programs.add_subcommand(name, jsonargparse.ArgumentParser(parents=[plain], add_help=False))
    return parser.get_completion_script(f"shtab-{shell}")
