"""Checkpoints: what they hold beyond the weights, and reading them without trusting them."""

import pickle
import re
from pathlib import Path
from typing import Any

import torch

from meta_rl.errors import UserError

KEY = "meta_rl"
VERSION = 1  # of what is stored under KEY


def load_checkpoint(path: str | Path) -> dict[str, Any]:
    """Read a checkpoint of train.py without running any code that the file may carry.

    `checkpoint["meta_rl"]["config"]` rebuilds learner and data module with
    `meta_rl.experiment.config.instantiate`; `checkpoint["state_dict"]` holds the learner's tensors.

    Raises:
        UserError: if the file is missing, damaged, written by something else, or unsafe.
    """
    try:
        checkpoint = torch.load(path, map_location="cpu", weights_only=True)
    except OSError as error:
        raise UserError(
            f"checkpoint {path}: {error.strerror}; checkpoints are in runs/NAME/checkpoints"
        ) from None
    except pickle.UnpicklingError as error:
        code = re.search(r"GLOBAL ([\w.]+)", str(error))
        reason = f"refused, it would run code ({code[1]})" if code else "not a checkpoint of train.py"
        raise UserError(f"checkpoint {path}: {reason}; give another file") from None
    except Exception:  # a damaged archive fails in many ways: RuntimeError, EOFError, KeyError, ...
        raise UserError(
            f"checkpoint {path}: truncated or damaged; use an earlier one, or start anew"
        ) from None
    ours = checkpoint.get(KEY) if isinstance(checkpoint, dict) else None
    if not isinstance(ours, dict) or not {"version", "config"} <= ours.keys():
        raise UserError(f"checkpoint {path}: not written by train.py of meta_rl; give another file")
    if ours["version"] > VERSION:
        raise UserError(f"checkpoint {path}: written by a newer meta_rl; update this one")
    return checkpoint


def check_resumable(checkpoint: dict[str, Any], config: dict[str, Any], path: Path, max_steps: int) -> None:
    """Raise a UserError unless a run with `config` can go on from `checkpoint`."""
    saved = flatten(checkpoint[KEY]["config"])
    for key, value in flatten(config).items():
        fixed = key == "model.class_path" or key.startswith("data.env.")
        if fixed and key in saved and saved[key] != value:
            raise UserError(
                f"checkpoint {path} was trained with {key}={saved[key]}, not {value}; "
                "go on with the same value, or start a new run with another --name"
            )
    step = checkpoint["global_step"]
    if 0 <= max_steps <= step:
        raise UserError(
            f"checkpoint {path} is at iteration {step} and trainer.max_steps={max_steps}: nothing is left "
            f"to train; extend the run, for example with --trainer.max_steps={2 * step}"
        )


def flatten(tree: Any, prefix: str = "") -> dict[str, Any]:
    """Nested dicts as one, keyed by dotted names.

    >>> flatten({"data": {"env": {"horizon": 3}}})
    {'data.env.horizon': 3}
    """
    if not isinstance(tree, dict):
        return {prefix: tree}
    branches = [flatten(value, f"{prefix}.{key}" if prefix else str(key)) for key, value in tree.items()]
    return {key: value for branch in branches for key, value in branch.items()}
