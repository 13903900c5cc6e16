"""Files that are broken at random, a selection of `tests/stress/fuzz.py`, and whatever that has found."""

# pyright: reportMissingImports=false

import copy
import io
import math
import random
import signal
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml

from meta_rl.errors import UserError
from meta_rl.evaluation.loaded import load_trained
from meta_rl.run import plain
from meta_rl.run.checkpoint import AtomicCheckpointIO, check_resumable, load_checkpoint
from meta_rl.run.signals import to_the_end

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "tests" / "stress"))

import forked_start  # noqa: E402
import judge_checkpoint  # noqa: E402
import judge_config  # noqa: E402
import mutate_checkpoint  # noqa: E402
import mutate_config  # noqa: E402
import watched_run  # noqa: E402

LAUGHS = mutate_config.LAUGHS + "x: *l9\n"


@pytest.fixture(scope="module")
def subject(tmp_path_factory: pytest.TempPathFactory) -> Iterator[judge_checkpoint.Subject]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("WANDB_MODE", "disabled")
        yield judge_checkpoint.Subject.make(tmp_path_factory.mktemp("fuzz") / "subject")


def test_mutated_configurations_end_in_one_line_or_train_as_asked(tmp_path: Path) -> None:
    files = mutate_config.shipped()
    kinds: Counter[str] = Counter()
    for number in range(32):
        r = random.Random(f"test {number}")
        content, mutation = mutate_config.mutate(r, r.choice(files))
        kind, finding = judge_config.check(content, mutation, tmp_path / str(number))
        assert finding is None, finding
        kinds[kind] += 1
    assert kinds["refused"] > 10
    assert kinds["trained"] > 2


def test_mutated_checkpoints_are_refused_or_change_nothing(subject: judge_checkpoint.Subject) -> None:
    kinds: Counter[str] = Counter()
    for number in range(8):
        kind, findings = judge_checkpoint.check(random.Random(f"test {number}"), subject, str(number))
        assert not findings, findings
        kinds[kind] += 1
    assert any("refused" in kind for kind in kinds)
    assert any("harmless" in kind for kind in kinds)


@pytest.mark.parametrize(
    ("text", "expected"),
    {
        "a: &a {b: *a}\n": ":1: YAML syntax: its aliases expand without end",
        LAUGHS: ":6: YAML syntax: its aliases expand without end",
        "a:\n  b: 1\n  c: 2\n  b: 3\n": ":4: YAML syntax: b is there twice",
        "a: \x07\n": ": YAML syntax: unacceptable character #x0007: special characters are not allowed in",
    }.items(),
    ids=["an alias of itself", "a billion laughs", "a key twice", "a control character"],
)
def test_yaml_that_nobody_means(tmp_path: Path, text: str, expected: str) -> None:
    file = tmp_path / "a.yaml"
    file.write_text(text)
    with pytest.raises(UserError) as caught:
        plain.read_yaml(file, "config", "conf", "model")
    assert f"{file}{expected}" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_aliases_and_merged_keys_stay_allowed(tmp_path: Path) -> None:
    file = tmp_path / "a.yaml"
    file.write_text("a: &a {b: 1, c: 2}\nd: {<<: *a, c: 3}\ne: [*a, *a]\n")
    content = plain.read_yaml(file, "config", "conf", "model")
    assert content["d"] == {"b": 1, "c": 3}
    assert content["e"] == [content["a"]] * 2


NULLS = {
    "trainer.max_steps": ("trainer", "max_steps"),
    "model.policy.nonlinearity": ("policy", "nonlinearity"),
}


@pytest.mark.parametrize(("key", "place"), NULLS.items())
def test_a_null_that_no_constructor_takes(tmp_path: Path, key: str, place: tuple[str, str]) -> None:
    config = copy.deepcopy(judge_checkpoint.EXPERIMENT)
    holder = config["model"]["init_args"] if place[0] == "policy" else config
    holder[place[0]] = {**holder[place[0]], place[1]: None}
    assert refused(tmp_path, config) == f"error: {key} must not be null\n"


UNFIT = {
    "seed_everything must lie in [0, 2^32), got 4294967296": {"seed_everything": 2**32},
    "trainer: `val_check_interval` (9) must be less": {"trainer": {"max_steps": 2, "val_check_interval": 9}},
}


@pytest.mark.parametrize(("line", "changes"), UNFIT.items())
def test_values_that_only_lightning_refuses(tmp_path: Path, line: str, changes: dict[str, Any]) -> None:
    assert refused(tmp_path, {**judge_checkpoint.EXPERIMENT, **changes}).startswith(f"error: {line}")


def refused(folder: Path, config: dict[str, Any]) -> str:
    """The line that train.py ends with."""
    (folder / "a.yaml").write_text(yaml.safe_dump(config))
    outcome = forked_start.start(["--config=a.yaml"], folder)
    assert outcome.code == 2, outcome
    assert outcome.err.count("\n") == 1, outcome
    assert forked_start.left(folder, {folder / "a.yaml"}) == []
    return outcome.err


ADAM, FIRST = ("optimizer_states", 0), ("optimizer_states", 0, "state", 1)
LOOP = ("loops", "fit_loop", "epoch_loop.batch_progress", "total", "started")
STATES: dict[str, tuple[tuple[Any, ...], Any]] = {
    "no optimizer": (ADAM, 7),
    "no rate": ((*ADAM, "param_groups", 0, "lr"), "x"),
    "a rate that is not finite": ((*ADAM, "param_groups", 0, "lr"), math.nan),
    "a switch that is a number": ((*ADAM, "param_groups", 0, "amsgrad"), 0),
    "a number that is a switch": ((*ADAM, "param_groups", 0, "weight_decay"), True),
    "a parameter without a number": ((*ADAM, "param_groups", 0, "params", 2), None),
    "moments of another shape": ((*FIRST, "exp_avg"), torch.ones(3)),
    "moments that are not finite": ((*FIRST, "exp_avg"), torch.full((4, 2), math.nan)),
    "moments of another type": ((*FIRST, "exp_avg"), torch.ones(4, 2, dtype=torch.int64)),
    "a count of steps in half precision": ((*FIRST, "step"), torch.tensor(3.0, dtype=torch.half)),
    "a count that is a tensor": (LOOP, torch.ones(2)),
    "a count below 0": (LOOP, -1),
    "another step than the loops'": (("global_step",), 1),
    "a best return that is no number": (("callbacks", "Checkpointing", "best_return"), []),
}


@pytest.mark.parametrize(("path", "value"), STATES.values(), ids=STATES.keys())
def test_a_state_that_no_training_has(
    subject: judge_checkpoint.Subject, path: tuple[Any, ...], value: Any
) -> None:
    content = torch.load(io.BytesIO(subject.content), weights_only=True)
    config = content["meta_rl"]["config"]
    check_resumable(content, config, Path("x.ckpt"), 9)
    mutate_checkpoint.put(content, path, value)
    with pytest.raises(UserError, match=r"checkpoint x.ckpt: \S+ is not the state of a training"):
        check_resumable(content, config, Path("x.ckpt"), 9)


TENSORS: dict[str, Callable[[torch.Tensor], Any]] = {
    "sparse": lambda t: t.to_sparse(),
    "whole numbers": lambda t: t.long(),
    "without content": lambda t: t.to("meta"),
    "a list": lambda t: t.tolist(),
}


@pytest.mark.parametrize("change", TENSORS.values(), ids=TENSORS.keys())
def test_weights_that_no_learner_stores(
    subject: judge_checkpoint.Subject, tmp_path: Path, change: Callable[[torch.Tensor], Any]
) -> None:
    content = torch.load(io.BytesIO(subject.content), weights_only=True)
    content["state_dict"]["policy.mean.0.weight"] = change(content["state_dict"]["policy.mean.0.weight"])
    torch.save(content, tmp_path / "x.ckpt")
    with pytest.raises(UserError, match=r"policy.mean.0.weight is not what a learner stores"):
        load_checkpoint(tmp_path / "x.ckpt")


def test_a_null_in_the_configuration_of_a_checkpoint(
    subject: judge_checkpoint.Subject, tmp_path: Path
) -> None:
    content = torch.load(io.BytesIO(subject.content), weights_only=True)
    content["meta_rl"]["config"]["data"]["gae_lambda"] = None
    torch.save(content, tmp_path / "x.ckpt")
    with pytest.raises(UserError, match=r"x.ckpt: data.gae_lambda must not be null"):
        load_trained(tmp_path / "x.ckpt")


RESTORED: dict[str, tuple[tuple[Any, ...], Any]] = {
    "moments without a count": ((*FIRST,), {"a": 1}),
    "an optimizer without a rate": (ADAM, None),
    "progress without a total": (("loops", "fit_loop", "epoch_progress"), {}),
}


@pytest.mark.parametrize(("path", "value"), RESTORED.values(), ids=RESTORED.keys())
def test_a_state_that_cannot_be_restored(
    subject: judge_checkpoint.Subject, tmp_path: Path, path: tuple[Any, ...], value: Any
) -> None:
    content = torch.load(io.BytesIO(subject.content), weights_only=True)
    if value is None:
        del content["optimizer_states"][0]["param_groups"][0]["lr"]
    else:
        mutate_checkpoint.put(content, path, value)
    torch.save(content, tmp_path / "x.ckpt")
    (tmp_path / "a.yaml").write_text((subject.folder / "a.yaml").read_text())
    arguments = ["--config=a.yaml", "--name=b", "--ckpt_path=x.ckpt", "--trainer.max_steps=9"]
    outcome = forked_start.start(arguments, tmp_path)
    assert outcome.code == 2, outcome
    assert outcome.err.startswith("error: checkpoint x.ckpt cannot be restored: KeyError"), outcome


def test_weights_of_several_types(subject: judge_checkpoint.Subject, tmp_path: Path) -> None:
    content = torch.load(io.BytesIO(subject.content), weights_only=True)
    content["state_dict"]["policy.mean.0.weight"] = content["state_dict"]["policy.mean.0.weight"].half()
    torch.save(content, tmp_path / "x.ckpt")
    with pytest.raises(UserError, match=r"x.ckpt: its weights are of several types"):
        load_checkpoint(tmp_path / "x.ckpt")


def test_training_reads_what_has_been_checked(subject: judge_checkpoint.Subject, tmp_path: Path) -> None:
    """torch.load reads uninitialised memory where an entry of the archive's directory is damaged."""
    content, file = bytearray(subject.content), tmp_path / "x.ckpt"
    entry = content.find(b"PK\x01\x02")
    while entry >= 0:
        content[entry + 38] |= 0x10  # marks it as a folder
        entry = content.find(b"PK\x01\x02", entry + 1)
    file.write_bytes(content)
    whole = torch.load(io.BytesIO(subject.content), weights_only=True)
    assert watched_run.equal(AtomicCheckpointIO().load_checkpoint(file)["state_dict"], whole["state_dict"])
    case = subject.case("folders", bytes(content))
    assert judge_checkpoint.train(case).code == 0
    name = Path("runs/on/checkpoints/last.ckpt")
    ends = [torch.load(c / name, weights_only=True) for c in (case, subject.folder / "reference")]
    assert watched_run.equal(ends[0]["state_dict"], ends[1]["state_dict"])


def test_sigterm_waits_for_the_records_of_a_run_that_ends() -> None:
    before = signal.getsignal(signal.SIGTERM)
    with to_the_end():
        signal.raise_signal(signal.SIGTERM)
    assert signal.getsignal(signal.SIGTERM) is before
