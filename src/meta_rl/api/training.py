"""meta_rl.train: a run as `meta-rl train` makes it, from Python."""

import json
from pathlib import Path
from typing import Any

from meta_rl.api.load import load
from meta_rl.api.trained import Trained
from meta_rl.run.arguments import config_files, normalise
from meta_rl.run.plain import flatten
from meta_rl.run.program import COMMAND, as_typed
from meta_rl.run.session import train as start


def train(config: str | Path, **overrides: Any) -> Trained:
    """Train as a configuration says, in a run directory; progress is printed.

        meta_rl.train("fomaml_point_mass", name="short", trainer={"max_steps": 20})

    Args:
        config: A YAML file, or the name of a shipped one.
        **overrides: Keys of the configuration, nested as there, or dotted: `**{"trainer.max_steps": 20}`.

    Returns:
        The policy of the last iteration.

    Raises:
        UserError: for whatever is wrong with the configuration, in one line.
        RuntimeError: if training has failed, as the printed line says.
        KeyboardInterrupt: if it was stopped by a signal; the run can be resumed.
    """
    changed = flatten(overrides)
    texts = {k: v if isinstance(v, str) else json.dumps(v, default=str) for k, v in changed.items()}
    changes = [f"--{key}={text}" for key, text in texts.items()]
    words = [f"--config={config}", *changes]
    with as_typed(COMMAND, "train", *words):
        args = normalise(words)
        files = config_files(args)
        code, directory = start(args, default_name=files[-1].stem)
    if code > 128:
        raise KeyboardInterrupt
    if code:
        raise RuntimeError(f"{directory.path}: training has failed (exit code {code})")
    return load(directory.last)
