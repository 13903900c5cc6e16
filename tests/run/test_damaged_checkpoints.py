"""A damaged checkpoint is refused, and an earlier one takes its place; the last ones are kept for that."""

import io
import random
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from meta_rl.errors import UserError
from meta_rl.run.checkpoint import TRAILER, load_checkpoint, serialise

FOLDER = Path("runs/tiny/checkpoints")
LONG = "--trainer.max_steps=5"


def damage(file: Path) -> None:
    """In a new file: others may share the old one."""
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.unlink()
    file.write_bytes(content)


@pytest.fixture(scope="module", params=["now", "before there was a checksum"])
def whole(request: pytest.FixtureRequest) -> bytes:
    """A checkpoint in all that its readers look at, with tensors that fill more than a page."""
    spec = {"class_path": "x"}
    config = {"name": "x", "seed_everything": 1, "model": spec, "data": {"env": spec}}
    buffer = io.BytesIO()
    tensors = {"weight": torch.arange(2000.0), "bias": torch.ones(3)}
    content = {"global_step": 3, "state_dict": tensors, "meta_rl": {"version": 1, "config": config}}
    if request.param == "now":
        return serialise(content)
    torch.save(content, buffer)
    return buffer.getvalue()


def read(file: Path, content: bytes) -> dict[str, torch.Tensor] | str:
    """The tensors of a checkpoint, or the error."""
    file.write_bytes(content)
    try:
        return load_checkpoint(file)["state_dict"]
    except UserError as error:
        return str(error)


def places(content: bytes) -> list[int]:
    """Of every kind in the archive."""
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        members, directory = archive.infolist(), archive.start_dir
    headers = [m.header_offset + n for m in members for n in (1, 20)]
    data = [m.header_offset + 64 + m.file_size // 2 for m in members]
    return [0, 1, *headers, *data, directory, directory + 10, len(content) - 22, len(content) - 1]


def test_no_truncated_checkpoint_is_read(tmp_path: Path, whole: bytes) -> None:
    file = tmp_path / "a.ckpt"
    for size in places(whole):
        result = read(file, whole[:size])
        if isinstance(result, str):
            assert result.startswith(f"checkpoint {file}: ")
        else:  # of the checksum alone; those inside of the archive are there
            assert size >= len(whole) - TRAILER


def test_a_flipped_bit_never_changes_a_value(tmp_path: Path, whole: bytes) -> None:
    generator, file = random.Random(1), tmp_path / "a.ckpt"
    expected = read(file, whole)
    assert isinstance(expected, dict)
    refused = 0
    for offset in [*places(whole), *generator.sample(range(len(whole)), 60)]:
        content = bytearray(whole)
        content[offset] ^= 1 << generator.randrange(8)
        result = read(file, bytes(content))
        if isinstance(result, str):
            assert result.startswith(f"checkpoint {file}: ")
            refused += 1
        else:
            assert all(torch.equal(result[name], value) for name, value in expected.items()), offset
    assert refused > 40


def test_a_tensor_that_is_marked_as_a_folder_keeps_its_values(tmp_path: Path, whole: bytes) -> None:
    """torch.load alone reads uninitialised memory there."""
    content, expected = bytearray(whole), read(tmp_path / "a.ckpt", whole)
    entry = whole.index(b"PK\x01\x02")
    while entry >= 0:
        content[entry + 38] |= 0x10  # external attributes of the entry in the central directory
        entry = whole.find(b"PK\x01\x02", entry + 1)
    result = read(tmp_path / "a.ckpt", bytes(content))
    assert isinstance(expected, dict)
    assert isinstance(result, str) or all(torch.equal(result[n], value) for n, value in expected.items())


@pytest.mark.parametrize(("ckpt_path", "lost"), [("last", []), ("auto", ["step-4.ckpt"])])
def test_a_damaged_last_checkpoint_is_replaced_by_the_newest_whole_one(
    lab: Any, ckpt_path: str, lost: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    every = "--checkpoint_every=1"
    assert lab.train("--name=whole", LONG, every) == 0
    assert lab.train("--trainer.max_steps=4", every) == 0
    for name in ["last.ckpt", *lost]:
        damage(FOLDER / name)
    capsys.readouterr()
    assert lab.train(f"--ckpt_path={ckpt_path}", LONG, every) == 0
    out, err = capsys.readouterr()
    source = FOLDER / ("step-3.ckpt" if lost else "step-4.ckpt")
    assert err.startswith(f"checkpoint {FOLDER}/last.ckpt: truncated or damaged")
    assert err.endswith(f"going on from {source}\n")
    assert err.count("\n") == 1
    assert all(name in err for name in lost)
    assert f"from iteration {3 if lost else 4}" in out
    lab.assert_same("tiny", "whole")


def test_a_missing_last_checkpoint_is_replaced_too(lab: Any, capsys: pytest.CaptureFixture[str]) -> None:
    lab.finished()
    (FOLDER / "last.ckpt").unlink()
    assert lab.train("--ckpt_path=auto") == 0  # finished already
    assert "last.ckpt: No such file or directory; going on from" in capsys.readouterr().err
    assert lab.checkpoint()["global_step"] == 3


@pytest.mark.parametrize("ckpt_path", ["last", "auto"])
def test_damaged_checkpoints_only_are_never_a_reason_to_start_anew(
    lab: Any, refused: Callable[..., str], ckpt_path: str
) -> None:
    lab.finished()
    for name in lab.kept() | {"last.ckpt"}:
        damage(FOLDER / name)
    line = refused(f"--ckpt_path={ckpt_path}", LONG)
    for name in ("last.ckpt", "step-3.ckpt", "step-2.ckpt"):
        assert f"{FOLDER}/{name}: truncated or damaged" in line
    (FOLDER / "step-2.ckpt").unlink()
    (FOLDER / "step-3.ckpt").unlink()
    assert "last.ckpt: truncated or damaged; use" in refused(f"--ckpt_path={ckpt_path}", LONG)


def test_a_path_means_that_file_and_no_other(lab: Any, refused: Callable[..., str]) -> None:
    lab.finished()
    damage(FOLDER / "last.ckpt")
    assert "last.ckpt: truncated or damaged" in refused(f"--ckpt_path={FOLDER}/last.ckpt", LONG)


def test_a_damaged_best_checkpoint_stops_nobody(lab: Any, capsys: pytest.CaptureFixture[str]) -> None:
    lab.finished()
    damage(FOLDER / "best.ckpt")
    assert lab.train("--ckpt_path=last", LONG) == 0
    assert "best.ckpt: truncated or damaged; removed" in capsys.readouterr().err
    assert lab.checkpoint(file="best.ckpt")["global_step"] in (4, 5)


@pytest.mark.parametrize("number", [1, 2])
def test_the_newest_checkpoints_are_kept(lab: Any, number: int) -> None:
    assert lab.train(f"--keep_checkpoints={number}", LONG, "--checkpoint_every=1") == 0
    assert lab.kept() == {f"step-{n}.ckpt" for n in range(1, 6) if n > 5 - number}
    for name in lab.kept():
        assert lab.checkpoint(file=name)["global_step"] == int(name[5:-5])
    assert (FOLDER / "last.ckpt").read_bytes() == (FOLDER / "step-5.ckpt").read_bytes()


@pytest.mark.parametrize("source", ["best.ckpt", "step-2.ckpt"])
def test_going_back_drops_the_future_before_it_writes_another(lab: Any, source: str) -> None:
    """A kill right after it must not bring the future back: `last` is the checkpoint gone back to."""
    every = "--checkpoint_every=1"
    assert lab.train("--keep_checkpoints=9", LONG, every) == 0
    torch.save(lab.checkpoint(file="step-2.ckpt"), FOLDER / "best.ckpt")
    broken = {"class_path": "plugins.BrokenLater", "init_args": {"policy": {"hidden_sizes": [4]}}}
    content = lab.checkpoint(file=source)
    content["meta_rl"]["config"]["model"] = lab.checkpoint()["meta_rl"]["config"]["model"] | {
        "class_path": "plugins.BrokenLater"
    }
    torch.save(content, FOLDER / source)
    with pytest.raises(ZeroDivisionError):
        lab.train(f"--ckpt_path={FOLDER / source}", LONG, model=broken)
    assert lab.kept() == {"step-1.ckpt", "step-2.ckpt"}
    assert lab.checkpoint()["global_step"] == 2
    assert len(lab.metrics()) == 2
