"""Checkpoints: what they hold beyond the weights, and reading them without trusting them.

A checkpoint is a file of torch.save with a SHA-256 of itself as the comment of its zip archive, so that any
reader of such files reads it too. It is whole if the sum is right; of files without one, as of earlier
versions, the archive's own checksums decide.
"""

import hashlib
import io
import pickle
import re
import struct
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

MARK = b"meta_rl sha256 "
TRAILER = len(MARK) + hashlib.sha256().digest_size
KEY = "meta_rl"
VERSION = 1  # of what is stored under KEY


class DamagedError(UserError):
    """A checkpoint that is missing, or not what train.py wrote, so that an earlier one may take its place."""


class AtomicCheckpointIO(TorchCheckpointIO):
    """Writes beside the final name, not in the system's temporary folder; reads what was checked."""

    def save_checkpoint(self, checkpoint: dict[str, Any], path: Any, storage_options: Any = None) -> None:
        write_atomically(Path(path), serialise(checkpoint))

    def load_checkpoint(self, path: Any, *_: Any, **__: Any) -> dict[str, Any]:
        return _read(Path(path))


def serialise(content: dict[str, Any]) -> bytes:
    """What torch.save writes, with its checksum. In memory, since torch does not tell why a write fails."""
    buffer = io.BytesIO()
    torch.save(content, buffer)
    body = buffer.getvalue()[:-2] + struct.pack("<H", TRAILER)  # a zip ends with the size of its comment
    return body + MARK + hashlib.sha256(body).digest()


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
        where = "checkpoints are in runs/NAME/checkpoints"
        raise DamagedError(f"checkpoint {path}: {error.strerror}; {where}") from None
    except pickle.UnpicklingError as error:
        code = re.search(r"GLOBAL ([\w.]+)", str(error))
        if code:
            reason = f"refused, it would run code ({code[1]})"
            raise UserError(f"checkpoint {path}: {reason}; give another file") from None
        raise DamagedError(f"checkpoint {path}: not a checkpoint of train.py; give another file") from None
    except Exception:  # a damaged archive fails in many ways: BadZipFile, RuntimeError, EOFError, ...
        raise DamagedError(
            f"checkpoint {path}: truncated or damaged; use an earlier one, or start anew"
        ) from None
    ours = isinstance(checkpoint, dict) and {KEY, "global_step", "state_dict"} <= checkpoint.keys()
    if not (ours and isinstance(checkpoint[KEY].get("config"), dict)):
        raise DamagedError(f"checkpoint {path}: not written by train.py of meta_rl; give another file")
    if checkpoint[KEY]["version"] > VERSION:
        raise UserError(f"checkpoint {path}: written by a newer meta_rl; update this one")
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


def check_resumable(checkpoint: dict[str, Any], config: dict[str, Any], path: Path) -> None:
    """Raise a UserError unless a run with `config` can have come from `checkpoint`."""
    saved = _fixed(checkpoint[KEY]["config"])
    for key, value in _fixed(config).items():
        if key in saved and saved[key] != value:
            raise UserError(
                f"checkpoint {path} was trained with {key}={saved[key]}, not {value}; "
                "go on with the same value, or start a new run with another --name"
            )


def _read(path: Path) -> Any:
    """The content, if every byte of it is as it was written."""
    content = path.read_bytes()
    body, trailer = content[:-TRAILER], content[-TRAILER:]
    if trailer.startswith(MARK):
        if trailer != MARK + hashlib.sha256(body).digest():
            raise ValueError("another checksum")
    elif content.startswith(b"PK") and zipfile.ZipFile(io.BytesIO(content)).testzip():  # torch compares none
        raise ValueError("another checksum")
    return torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)


def _fixed(config: dict[str, Any]) -> dict[str, Any]:
    """What a run has to keep, since it decides what the weights mean: learner, environment and policy."""
    model = config["model"]
    policy = vars(PolicyConfig()) | (model.get("init_args", {}).get("policy") or {})
    for initial in ("init_std", "output_gain"):
        del policy[initial]  # the weights have taken its place
    kept = {"class_path": model["class_path"], "init_args": {"policy": policy}}
    return flatten({"model": kept, "data": {"env": portable(config["data"]["env"])}})
