"""Weights & Biases without an account, a network or a question."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from lightning.pytorch.loggers import WandbLogger
from wandb.errors import AuthenticationError

from meta_rl.run import tracking
from meta_rl.run.directory import RunDirectory


@pytest.fixture
def nobody(lab: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    """A lab of a user without W&B login."""
    monkeypatch.delenv("WANDB_MODE")
    monkeypatch.setattr("wandb.login", lambda **_: False)
    return lab


def records(lab: Any) -> set[str]:
    return {p.name for p in lab.runs.glob("*/wandb/offline-run-*/*.wandb")}


def test_disabled_leaves_no_file(lab: Any) -> None:
    assert lab.train() == 0
    assert not (lab.runs / "tiny/wandb").exists()


def test_nobody_logged_in_means_offline_and_a_resumed_run_keeps_its_id(
    nobody: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    assert nobody.train("--trainer.max_steps=1") == 0
    identifier = nobody.checkpoint()["meta_rl"]["wandb_run_id"]
    assert records(nobody) == {f"run-{identifier}.wandb"}
    assert nobody.train("--trainer.max_steps=2", "--ckpt_path=last") == 0
    assert records(nobody) == {f"run-{identifier}.wandb"}
    output = capsys.readouterr()
    assert output.err == ""
    assert "wandb:" not in output.out


def test_online_without_login_is_refused(
    nobody: Any, refused: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WANDB_MODE", "online")
    line = refused()
    assert "WANDB_MODE=online: nobody is logged in" in line
    assert "wandb login" in line


def test_an_unknown_mode_is_refused(refused: Callable[..., str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WANDB_MODE", "onlin")
    assert refused() == "WANDB_MODE=onlin: expected online, offline or disabled"


@pytest.mark.parametrize(
    ("name", "value"), [("PROJECT", "a/b"), ("RUN_ID", "a/b"), ("BASE_URL", "here"), ("RESUME", "perhaps")]
)
def test_a_variable_that_wandb_refuses_is_one_line(
    nobody: Any, refused: Callable[..., str], monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    import wandb

    wandb.teardown()  # what it has read before
    monkeypatch.setenv(f"WANDB_{name}", value)
    line = refused()
    assert line.startswith("W&B: ")
    assert line.endswith("; mend its WANDB_ variable, or set WANDB_MODE=disabled")


def test_offline_is_obeyed_without_looking_for_a_login(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WANDB_MODE", "offline")
    monkeypatch.delattr("wandb.login")
    assert tracking.choose_mode() == "offline"


def test_a_login_means_online(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("wandb.login", lambda **arguments: arguments == {"prompt": False, "verify": True})
    monkeypatch.delenv("WANDB_MODE")
    assert tracking.choose_mode() == "online"


def test_an_unreachable_server_means_offline(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def unreachable(**_: Any) -> bool:
        raise AuthenticationError("no route\nto host")

    monkeypatch.setattr("wandb.login", unreachable)
    monkeypatch.delenv("WANDB_MODE")
    assert tracking.choose_mode() == "offline"
    assert capsys.readouterr().err == "W&B stays offline, `wandb sync` uploads later: no route to host\n"


def test_config_and_metrics_have_flat_names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WANDB_MODE", "offline")
    run = RunDirectory(tmp_path, "r")
    run.make()
    config = {"name": "r", "model": {"init_args": {"inner_lr": 0.1}}}
    (logger,) = tracking.start(run, "someid", config)
    try:
        assert isinstance(logger, WandbLogger)
        assert logger.experiment.id == "someid"
        assert logger.experiment.config.as_dict() == {"name": "r", "model.init_args.inner_lr": 0.1}
    finally:
        tracking.finish([logger], 0)


def test_a_sweep_gives_the_run_its_id_and_a_directory_of_its_own(
    lab: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WANDB_SWEEP_ID", "sweep")
    for identifier in ("one", "two"):
        monkeypatch.setenv("WANDB_RUN_ID", identifier)
        assert lab.train("--trainer.max_steps=1", name="exp") == 0
        assert lab.checkpoint(f"exp-{identifier}")["meta_rl"]["wandb_run_id"] == identifier


def test_wandb_can_be_turned_off_in_the_config(nobody: Any) -> None:
    assert nobody.train("--trainer.logger=false") == 0
    assert not (nobody.runs / "tiny/wandb").exists()


@pytest.mark.parametrize(
    ("sweep", "requeue", "code", "requeued"),
    [("s", "1", 143, 1), ("s", "1", 1, 0), ("", "1", 143, 0)],
)
def test_a_sweeps_run_that_was_stopped_is_given_to_an_agent_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, sweep: str, requeue: str, code: int, requeued: int
) -> None:
    monkeypatch.setenv("WANDB_MODE", "offline")
    run = RunDirectory(tmp_path, "r")
    run.make()
    (logger,) = tracking.start(run, "someid", {})
    assert isinstance(logger, WandbLogger)
    calls: list[int] = []
    monkeypatch.setattr(logger.experiment, "mark_preempting", lambda: calls.append(1))
    monkeypatch.setenv("WANDB_SWEEP_ID", sweep)
    monkeypatch.setenv("META_RL_REQUEUE", requeue)
    tracking.finish([logger], code)
    assert len(calls) == requeued
