"""meta_rl.train: the run of the command, from Python."""

import json
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

import meta_rl
from meta_rl.errors import UserError
from meta_rl.run import command

SMALL: dict[str, Any] = {"data": {"meta_batch_size": 2, "fast_batch_size": 2}}


def test_it_is_what_the_command_does(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    trained = meta_rl.train("fomaml_point_mass", name="a", trainer={"max_steps": 2}, **SMALL)
    assert (trained.label, trained.iteration, trained.algorithm) == ("a", 2, "FOMAML")
    words = ["--name=b", "--trainer.max_steps=2", "--data.meta_batch_size=2", "--data.fast_batch_size=2"]
    assert command.main(["--config=fomaml_point_mass", *words]) == 0
    states = [
        torch.load(f"runs/{name}/checkpoints/last.ckpt", weights_only=True)["state_dict"] for name in "ab"
    ]
    assert all(torch.equal(value, states[1][name]) for name, value in states[0].items())


def test_values_keep_their_types_and_the_run_says_how_to_repeat_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    before = sys.argv
    model = {"inner_lr": [0.5, 0.25], "num_inner_steps": 2, "policy": {"normalize_observations": True}}
    keys = {"trainer.max_steps": 1, "data.env.horizon": 5, "data.gamma": 1e-5, "ckpt_path": None}
    trained = meta_rl.train("fomaml_point_mass", model=model, name="x", **SMALL, **keys)
    given = trained.config["model"]["init_args"]
    assert (given["inner_lr"], given["policy"]["normalize_observations"]) == ([0.5, 0.25], True)
    assert (trained.env.horizon, trained.config["data"]["gamma"]) == (5, 1e-5)
    record = json.loads(Path("runs/x/run.json").read_text())["starts"][0]
    assert record["command"].startswith(
        "meta-rl train --config=fomaml_point_mass '--model.inner_lr=[0.5, 0.25]'"
    )
    assert sys.argv == before


def test_mistakes_and_failures_are_exceptions(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match=r"unknown key trainer.max_step; did you mean trainer.max_steps?"):
        meta_rl.train("fomaml_point_mass", trainer={"max_step": 1})
    with pytest.raises(UserError, match="did you mean maml_ant_dir"):
        meta_rl.train("maml_ant_dirr")
    for code, error in ((1, RuntimeError), (143, KeyboardInterrupt)):
        monkeypatch.setattr(
            "meta_rl.api.training.start", lambda *_, code=code, **__: (code, RunDirectoryStub(tmp_path))
        )
        with pytest.raises(error):
            meta_rl.train("fomaml_point_mass")
    assert not (tmp_path / "runs").exists()


class RunDirectoryStub:
    def __init__(self, path: Path) -> None:
        self.path = path
