"""Checkpoints: what they hold beyond the weights, and reading them without trusting them."""

import pickle
import re
from pathlib import Path
from typing import Any

import torch

from meta_rl.algorithms import PolicyConfig
from meta_rl.errors import UserError
from meta_rl.experiment.plain import flatten, portable

KEY = "meta_rl"
VERSION = 1  # of what is stored under KEY
SPEC = {"class_path": str}
STRUCTURE = {  # what every reader of a checkpoint relies on
    "global_step": int,
    "state_dict": dict,
    KEY: {
        "version": int,
        "config": {"name": str, "seed_everything": int, "model": SPEC, "data": {"env": SPEC}},
    },
}
TRAINING = {"loops": dict, "callbacks": dict, "optimizer_states": list, "lr_schedulers": list}  # to go on


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
    if not _matches(checkpoint, STRUCTURE):
        raise UserError(f"checkpoint {path}: not written by train.py of meta_rl; give another file")
    if checkpoint[KEY]["version"] > VERSION:
        raise UserError(f"checkpoint {path}: written by a newer meta_rl; update this one")
    return checkpoint


def check_resumable(checkpoint: dict[str, Any], config: dict[str, Any], path: Path, max_steps: int) -> None:
    """Raise a UserError unless a run with `config` can go on from `checkpoint`."""
    if not _matches(checkpoint, TRAINING):
        raise UserError(f"checkpoint {path}: holds no state of a training; give another file")
    saved = _fixed(checkpoint[KEY]["config"])
    for key, value in _fixed(config).items():
        if key in saved and saved[key] != value:
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


def _matches(tree: Any, structure: Any) -> bool:
    """Whether `tree` has the keys of `structure`, with values of the types there."""
    if not isinstance(structure, dict):
        return isinstance(tree, structure)
    return isinstance(tree, dict) and all(k in tree and _matches(tree[k], s) for k, s in structure.items())


def _fixed(config: dict[str, Any]) -> dict[str, Any]:
    """What a run has to keep, since it decides what the weights mean: learner, environment and policy."""
    model = config["model"]
    policy = vars(PolicyConfig()) | (model.get("init_args", {}).get("policy") or {})
    del policy["init_std"]  # the weights have taken its place
    kept = {"class_path": model["class_path"], "init_args": {"policy": policy}}
    return flatten({"model": kept, "data": {"env": portable(config)["data"]["env"]}})
