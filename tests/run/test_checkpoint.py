"""Resuming is exact, and checkpoints are read without trust."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from meta_rl.errors import UserError
from meta_rl.run.checkpoint import load_checkpoint
from meta_rl.run.config import instantiate

SMALL = {"policy": {"hidden_sizes": [4]}}


def model(name: str, **arguments: Any) -> dict[str, Any]:
    return {"class_path": f"meta_rl.algorithms.{name}", "init_args": {**SMALL, **arguments}}


MODELS = {
    "MAML": model("MAML", num_inner_steps=2),
    "FOMAML": model("FOMAML"),
    "FOMAML with Adam": model("FOMAML", outer_optimizer="adam", inner_optimizer="adam"),
    "FOMAML with statistics": model("FOMAML", policy=SMALL["policy"] | {"normalize_observations": True}),
    "FOMAML with PPO": model("FOMAML", outer_optimizer="ppo", inner_loss="ratio"),
    "Meta-SGD": model("MetaSGD"),
    "Reptile": model("Reptile", num_inner_steps=2),
    "ES-MAML": model("ESMAML", perturbations=2),
    "ES-MAML by ES": model("ESMAML", perturbations=2, adaptation="es"),
    "Oracle": model("Oracle"),
}


@pytest.mark.parametrize("name", MODELS)
def test_a_resumed_run_equals_one_that_never_stopped(lab: Any, name: str) -> None:
    spec, at = MODELS[name], list(MODELS).index(name)
    interruption = 2 + at % 2  # at a regular checkpoint, and at one made for the end
    assert lab.train("--name=whole", "--trainer.max_steps=5", model=spec) == 0
    assert lab.train("--name=parts", f"--trainer.max_steps={interruption}", model=spec) == 0
    assert lab.train("--name=parts", "--trainer.max_steps=5", "--ckpt_path=last", model=spec) == 0

    lab.assert_same("whole", "parts")
    for file in ("last.ckpt", "best.ckpt"):
        whole, parts = (lab.checkpoint(run, file) for run in ("whole", "parts"))
        assert whole["global_step"] == parts["global_step"]
        assert whole["callbacks"] == parts["callbacks"]


def test_an_earlier_checkpoint_abandons_the_rows_after_it(lab: Any) -> None:
    assert lab.train("--trainer.max_steps=4", "--checkpoint_every=100") == 0
    whole = lab.metrics()
    assert lab.train("--name=short", "--trainer.max_steps=2") == 0
    early = lab.runs / "tiny/checkpoints/early.ckpt"
    (lab.runs / "short/checkpoints/last.ckpt").rename(early)
    assert lab.train(f"--ckpt_path={early}", "--trainer.max_steps=4") == 0
    assert lab.metrics() == whole


@pytest.mark.parametrize("best_step", [1, 3])
def test_an_earlier_checkpoint_abandons_a_best_one_after_it(lab: Any, best_step: int) -> None:
    assert lab.train("--trainer.max_steps=2") == 0
    folder = lab.runs / "tiny/checkpoints"
    best, early = folder / "best.ckpt", folder / "early.ckpt"
    (folder / "last.ckpt").rename(early)
    unbeatable = {**lab.checkpoint(file="best.ckpt"), "global_step": best_step}
    torch.save(unbeatable, best)
    content = torch.load(early, weights_only=True)
    content["callbacks"]["Checkpointing"]["best_return"] = 1e9
    torch.save(content, early)
    before = best.read_bytes()
    assert lab.train(f"--ckpt_path={early}") == 0
    assert (best.read_bytes() == before) == (best_step == 1)


def test_a_changed_rate_counts_after_resuming(lab: Any) -> None:
    assert lab.train("--model.max_kl=0.01") == 0
    assert lab.train("--model.max_kl=0.001", "--ckpt_path=last", "--trainer.max_steps=5") == 0
    assert lab.checkpoint()["optimizer_states"][0]["param_groups"][0]["max_kl"] == 0.001
    assert all(float(row["kl"]) <= 0.001 for row in lab.metrics()[3:])


def test_a_checkpoint_is_all_that_evaluation_needs(lab: Any) -> None:
    lab.finished()
    checkpoint = load_checkpoint(lab.runs / "tiny/checkpoints/last.ckpt")
    learner, datamodule = instantiate(checkpoint["meta_rl"]["config"])
    learner.build(datamodule.env, datamodule.seed)
    learner.load_state_dict(checkpoint["state_dict"])
    assert datamodule.env.horizon == 5
    assert datamodule.seed == 1


class Malicious:
    def __reduce__(self) -> Any:
        return os.mkdir, ("owned",)


def bad_checkpoint(lab: Any, kind: str) -> Path:
    file = lab.path / f"{kind}.ckpt"
    if kind == "malicious":
        torch.save({"state_dict": Malicious(), "global_step": 1, "meta_rl": {}}, file)
    elif kind == "foreign":
        torch.save({"weights": torch.ones(2)}, file)
    elif kind == "text":
        file.write_text("not a checkpoint\n")
    elif kind == "empty":
        file.touch()
    elif kind == "truncated":
        whole = (lab.shared / "checkpoints/last.ckpt").read_bytes()
        file.write_bytes(whole[: len(whole) // 2])
    elif kind == "directory":
        file.mkdir()
    return file


REASONS = {
    "malicious": "refused, it would run code",
    "foreign": "not written by train.py",
    "text": "not a checkpoint of train.py",
    "empty": "truncated or damaged",
    "truncated": "truncated or damaged",
    "directory": "Is a directory",
    "missing": "No such file",
}


@pytest.mark.parametrize(("kind", "reason"), REASONS.items())
def test_a_bad_checkpoint_is_one_line(lab: Any, refused: Callable[..., str], kind: str, reason: str) -> None:
    file = bad_checkpoint(lab, kind)
    line = refused(f"--ckpt_path={file}")
    assert str(file) in line
    assert reason in line
    assert not Path("owned").exists()
    with pytest.raises(UserError, match=reason):
        load_checkpoint(file)
    assert not Path("owned").exists()


OTHERS = {
    "data.env.horizon=6": "data.env.init_args.horizon=5, not 6",
    "data.env.class_path=plugins.Line": "data.env.class_path=meta_rl.envs.PointMass, not plugins.Line",
    "model.class_path=meta_rl.algorithms.MAML": "model.class_path=meta_rl.algorithms.FOMAML, not",
    "model.policy.hidden_sizes=[5]": "model.init_args.policy.hidden_sizes=[4], not [5]",
    "model.policy.nonlinearity=tanh": "model.init_args.policy.nonlinearity=relu, not tanh",
    "model.policy.min_std=0.1": "model.init_args.policy.min_std=1e-06, not 0.1",
    "model.policy=null": "model.init_args.policy.hidden_sizes=[4], not [100, 100]",
    "trainer.max_steps=3": "at iteration 3 and trainer.max_steps=3: nothing is left to train",
}


@pytest.mark.parametrize(("override", "reason"), OTHERS.items())
def test_a_checkpoint_of_something_else_is_one_line(
    lab: Any, refused: Callable[..., str], override: str, reason: str
) -> None:
    lab.finished()
    line = refused("--trainer.max_steps=9", "--ckpt_path=last", override)
    assert "runs/tiny/checkpoints/last.ckpt" in line
    assert reason in line


def test_a_checkpoint_without_some_weights_is_one_line(lab: Any, refused: Callable[..., str]) -> None:
    lab.finished()
    content = lab.checkpoint()
    del content["state_dict"]["policy.log_std"]
    torch.save(content, lab.runs / "tiny/checkpoints/last.ckpt")
    line = refused("--trainer.max_steps=9", "--ckpt_path=last")
    assert "last.ckpt does not fit model.init_args and data.env: Missing key" in line


def test_how_the_weights_began_may_change(lab: Any) -> None:
    lab.finished()
    began = ("--model.policy.init_std=2", "--model.policy.output_gain=0.1")
    assert lab.train("--trainer.max_steps=4", "--ckpt_path=last", *began) == 0


def test_last_where_there_is_none(refused: Callable[..., str]) -> None:
    line = refused("--ckpt_path=last")
    assert "there is no runs/tiny/checkpoints/last.ckpt" in line
