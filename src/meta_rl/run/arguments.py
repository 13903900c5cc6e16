"""Command lines before they are parsed, and what the smaller ones share.

Imports nothing heavy, so that a mistyped file name fails before torch is loaded.
"""

import argparse
import re
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import NoReturn

from meta_rl.errors import UserError
from meta_rl.run.files import read_yaml
from meta_rl.run.plain import at_home
from meta_rl.run.shipped import find_config

TENSORBOARD = "meta_rl.run.tensorboard.TensorBoard"
SHORT = ("tensorboard", "TensorBoard", "TensorBoardLogger")  # for that class, where it gets no arguments


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


def path(text: str) -> Path:
    """The type of an argument that is a path, also one that begins with `~/`."""
    return Path(text).expanduser()


def is_config(path: Path) -> bool:
    """Whether a path is that of a YAML file rather than of a checkpoint or a run."""
    return path.suffix in (".yaml", ".yml")


def is_question(arg: str) -> bool:
    """Whether a normalised argument asks for help or for the configuration instead of a run."""
    key = arg.partition("=")[0]
    return key in ("-h", "--help", "--print_config") or key.endswith(".help")


def normalise(argv: Sequence[str]) -> list[str]:
    """Bring every spelling of an option into the form `--key=value`, the config files first and by path.

    W&B's agent writes `key=value` for `${args_no_hyphens}`, "None" for null, and sorts the options, which
    would put some in front of the config file that they are to override.

    Raises:
        UserError: for an option without a value, and for a configuration that is unknown.

    >>> normalise(["model.inner_lr=None", "--config", "a.yaml"])
    ['--config=a.yaml', '--model.inner_lr=null']
    """
    tokens, configs, options = list(argv), [], []
    while tokens:
        token = tokens.pop(0)
        token = "--config" if token == "-c" else token
        if re.match(r"[A-Za-z_][\w.]*\+?=", token):
            token = "--" + token
        if token.startswith("--") and "=" not in token and token not in ("--help", "--print_config"):
            if tokens and not tokens[0].startswith("--"):
                token = f"{token}={tokens.pop(0)}"
            elif not is_question(token):
                raise UserError(f"{token} needs a value: {token}=...")
        key, equals, value = token.partition("=")
        value = "null" if value == "None" else at_home(value)
        if key == "--config":
            configs.append(f"{key}={find_config(value)}")
        else:
            options.append(key + equals + value)
    if not any(option.startswith("--trainer.logger.") for option in options):
        names = {f"--trainer.logger={name}": f"--trainer.logger={TENSORBOARD}" for name in SHORT}
        options = [names.get(option, option) for option in options]
    return configs + options


def config_files(args: Iterable[str]) -> list[Path]:
    """The files named by normalised arguments; one that holds no experiment raises a UserError."""
    files = [Path(a.partition("=")[2]) for a in args if a.startswith("--config=")]
    for file in files:
        content = read_yaml(file, "config", "conf", "model, data and trainer")
        data = content.get("data")
        if isinstance(data, dict) and "seed" in data:  # which the parser would pass over
            raise UserError(f"{file}: data.seed follows seed_everything; remove it")
    return files
