"""Configurations broken at random, a selection of `tests/stress/fuzz.py`, and what that has found."""

# pyright: reportMissingImports=false

import copy
import random
import signal
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml

from meta_rl.errors import UserError
from meta_rl.evaluation.loaded import load_trained
from meta_rl.run.files import read_yaml
from meta_rl.run.signals import handling

TESTS = Path(__file__).parent
sys.path.insert(0, str(TESTS / "stress"))

import forked_start  # noqa: E402
import judge_checkpoint  # noqa: E402
import judge_config  # noqa: E402
import mutate_config  # noqa: E402


def test_mutated_configurations_end_in_one_line_or_train_as_asked(tmp_path: Path) -> None:
    files = mutate_config.shipped()
    kinds: Counter[str] = Counter()
    for number in range(16):
        r = random.Random(f"test {number}")
        content, mutation = mutate_config.mutate(r, r.choice(files))
        if b"&l0" in content or b"&a {b: *a}" in content:  # aliases without end, which nobody means
            continue
        kind, finding = judge_config.check(content, mutation, tmp_path / str(number))
        assert finding is None, finding
        kinds[kind] += 1
    assert kinds["refused"] > 5
    assert kinds["trained"]


def test_a_control_character_in_yaml(tmp_path: Path) -> None:
    file = tmp_path / "a.yaml"
    file.write_text("a: \x07\n")
    with pytest.raises(UserError) as caught:
        read_yaml(file, "config", "conf", "model")
    assert f"{file}: YAML syntax: unacceptable character #x0007" in str(caught.value)
    assert "\n" not in str(caught.value)


NULLS = {
    "trainer.max_steps: Expected a": ("trainer", "max_steps"),
    "model.policy.nonlinearity: Expected a": ("policy", "nonlinearity"),
}


@pytest.mark.parametrize(("line", "place"), NULLS.items())
def test_a_null_that_no_constructor_takes(tmp_path: Path, line: str, place: tuple[str, str]) -> None:
    config = copy.deepcopy(judge_checkpoint.EXPERIMENT)
    holder = config["model"]["init_args"] if place[0] == "policy" else config
    holder[place[0]] = {**holder[place[0]], place[1]: None}
    assert refused(tmp_path, config).startswith(f"error: {line}")


UNFIT = {
    "seed_everything: Not of type Seed: 4294967296": {"seed_everything": 2**32},
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


def test_a_null_in_the_configuration_of_a_checkpoint(tmp_path: Path) -> None:
    content = torch.load(TESTS / "fixtures/finished/checkpoints/last.ckpt", weights_only=True)
    content["meta_rl"]["config"]["data"]["gae_lambda"] = None
    torch.save(content, tmp_path / "x.ckpt")
    with pytest.raises(UserError, match=r"x.ckpt: data.gae_lambda: Expected a .* None"):
        load_trained(tmp_path / "x.ckpt")


def test_sigterm_waits_for_the_records_of_a_run_that_ends() -> None:
    before = signal.getsignal(signal.SIGTERM)
    with handling(signal.SIG_IGN, signal.SIGINT):
        signal.raise_signal(signal.SIGTERM)
    assert signal.getsignal(signal.SIGTERM) is before
