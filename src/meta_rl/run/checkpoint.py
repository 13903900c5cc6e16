"""Checkpoints: what they hold beyond the weights, and reading them without trusting them."""

import errno
import io
import pickle
import re
import sys
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from lightning.fabric.plugins.io.torch_io import TorchCheckpointIO

from meta_rl.algorithms import PolicyConfig
from meta_rl.errors import UserError
from meta_rl.run.files import write_atomically
from meta_rl.run.plain import flatten, portable
from meta_rl.run.training_state import flaw, is_sound, of_one_type

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


class DamagedError(UserError):
    """A checkpoint that is missing, or not what train.py wrote, so that an earlier one may take its place."""


class AtomicCheckpointIO(TorchCheckpointIO):
    """Writes beside the final name, not in the system's temporary folder; reads what was checked."""

    def save_checkpoint(self, checkpoint: dict[str, Any], path: Any, storage_options: Any = None) -> None:
        write_atomically(Path(path), serialise(checkpoint))

    def load_checkpoint(self, path: Any, *_: Any, **__: Any) -> dict[str, Any]:
        return _read(Path(path))  # torch.load reads a file otherwise where its archive is damaged


def serialise(content: dict[str, Any]) -> memoryview:
    """What torch.save writes. In memory, since it does not tell why a file cannot be written."""
    buffer = io.BytesIO()
    torch.save(content, buffer)
    return buffer.getbuffer()


def load_checkpoint(path: str | Path) -> dict[str, Any]:
    """Read a checkpoint of train.py without running any code that the file may carry.

    `checkpoint["meta_rl"]["config"]` rebuilds learner and data module with
    `meta_rl.run.config.instantiate`; `checkpoint["state_dict"]` holds the learner's tensors.

    Raises:
        UserError: if the file is missing, damaged, written by something else, or unsafe.
    """
    try:
        checkpoint = _read(Path(path))
    except OSError as error:
        kind = DamagedError if error.errno in (errno.ENOENT, errno.EIO) else UserError  # the file, or access
        raise kind(f"checkpoint {path}: {error.strerror}; checkpoints are in runs/NAME/checkpoints") from None
    except MemoryError:
        raise UserError(f"checkpoint {path}: not enough memory to read it") from None
    except pickle.UnpicklingError as error:
        code = re.search(r"GLOBAL ([\w.]+)", str(error))
        if code:
            reason = f"refused, it would run code ({code[1]})"
            raise UserError(f"checkpoint {path}: {reason}; give another file") from None
        raise DamagedError(f"checkpoint {path}: not a checkpoint of train.py; give another file") from None
    except Exception:  # a damaged archive fails in many ways: RuntimeError, EOFError, KeyError, ...
        raise DamagedError(
            f"checkpoint {path}: truncated or damaged; use an earlier one, or start anew"
        ) from None
    if not _matches(checkpoint, STRUCTURE):
        raise DamagedError(f"checkpoint {path}: not written by train.py of meta_rl; give another file")
    if checkpoint[KEY]["version"] > VERSION:
        raise UserError(f"checkpoint {path}: written by a newer meta_rl; update this one")
    for name, value in checkpoint["state_dict"].items():
        if not is_sound(name, value):
            raise DamagedError(f"checkpoint {path}: {name} is not what a learner stores; give another file")
        if not torch.isfinite(value).all():
            raise DamagedError(f"checkpoint {path}: {name} is not finite; use an earlier one, or start anew")
    if not of_one_type(checkpoint["state_dict"]):
        raise DamagedError(f"checkpoint {path}: its weights are of several types; give another file")
    return checkpoint


def load_newest(files: Sequence[Path]) -> tuple[Path, dict[str, Any]]:
    """The first of `files`, newest first, that is whole. Says on stderr which ones are not.

    Raises:
        UserError: if none is whole, or if it is unsafe or from a newer version.
    """
    damage: list[str] = []
    for file in files:
        try:
            checkpoint = load_checkpoint(file)
        except DamagedError as error:
            if len(files) == 1:
                raise
            damage.append(str(error).partition(";")[0])
            continue
        if damage:
            print(f"{'; '.join(damage)}; going on from {file}", file=sys.stderr)
        return file, checkpoint
    raise DamagedError(f"{'; '.join(damage)}; give another --ckpt_path, or start anew with another --name")


def check_resumable(checkpoint: dict[str, Any], config: dict[str, Any], path: Path, max_steps: int) -> None:
    """Raise a UserError unless a run with `config` can go on from `checkpoint`."""
    if not _matches(checkpoint, TRAINING):
        raise UserError(f"checkpoint {path}: holds no state of a training; give another file")
    if place := flaw(checkpoint):
        raise UserError(f"checkpoint {path}: {place} is not the state of a training; give another file")
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


def _read(path: Path) -> Any:
    """The content, if every byte of it is as it was written.

    torch.load compares no checksums, and leaves a tensor whose entry in the archive's directory is damaged
    uninitialised. So it gets a clean copy of what `zipfile` has read, which compares them.
    """
    content, clean = io.BytesIO(path.read_bytes()), io.BytesIO()
    if content.getbuffer()[:2] != b"PK":
        return torch.load(content, map_location="cpu", weights_only=True)
    with zipfile.ZipFile(content) as archive, zipfile.ZipFile(clean, "w") as copy:
        for member in archive.infolist():
            copy.writestr(member.filename, archive.read(member))
    clean.seek(0)
    return torch.load(clean, map_location="cpu", weights_only=True)


def _matches(tree: Any, structure: Any) -> bool:
    """Whether `tree` has the keys of `structure`, with values of the types there."""
    if not isinstance(structure, dict):
        return isinstance(tree, structure)
    return isinstance(tree, dict) and all(k in tree and _matches(tree[k], s) for k, s in structure.items())


def _fixed(config: dict[str, Any]) -> dict[str, Any]:
    """What a run has to keep, since it decides what the weights mean: learner, environment and policy."""
    model = config["model"]
    policy = vars(PolicyConfig()) | (model.get("init_args", {}).get("policy") or {})
    for initial in ("init_std", "output_gain"):
        del policy[initial]  # the weights have taken its place
    kept = {"class_path": model["class_path"], "init_args": {"policy": policy}}
    return flatten({"model": kept, "data": {"env": portable(config)["data"]["env"]}})
