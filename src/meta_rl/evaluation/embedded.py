"""The configuration inside a checkpoint: it comes from elsewhere, and may name classes but nothing else."""

import re
from typing import Any

from meta_rl.errors import UserError

KEYS = {"name", "seed_everything", "model", "data"}  # what train.py keeps
CLASSES = re.compile(r"model|data\.env(\.init_args\.env)*")  # where it names one: also in wrapped families


def check_embedded(config: dict[str, Any]) -> None:
    """Check that building learner and task family of `config` builds just these.

    The parser makes sure that the classes are learners and task families. What it would let pass is refused
    here: an argument that takes any function would also take an object of any class, and a reference such as
    ${oc.env:KEY} would read the environment.

    Raises:
        UserError: if train.py does not write such a configuration.
    """
    unknown = sorted(map(repr, set(config) - KEYS))
    if unknown:
        raise UserError(
            f"its config holds {unknown[0]:.60}, which train.py does not write; give another file"
        )
    try:
        for key in ("model", "data"):
            _check(key, config[key], ours=True)
        _check("name", config["name"], ours=True)
    except RecursionError:
        raise UserError("its config is nested without end; give another file") from None


def _check(place: str, value: Any, ours: bool) -> None:
    """Walk through a value at `place`; `ours` if it belongs to a class of this package."""
    if isinstance(value, str) and "${" in value:
        raise UserError(f"{place} in its config is a reference, which train.py resolves; give another file")
    if isinstance(value, list | tuple):
        for i, item in enumerate(value):
            _check(f"{place}[{i}]", item, ours)
    if not isinstance(value, dict):
        return
    if "class_path" in value:
        if ours and not CLASSES.fullmatch(place):
            raise UserError(f"{place} in its config names a class where none belongs; give another file")
        ours = str(value["class_path"]).startswith("meta_rl.")  # those of others have arguments of their own
    for key, item in value.items():
        _check(f"{place}.{key}", item, ours)
