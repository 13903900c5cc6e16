"""TensorBoard beside W&B: event files in the run's directory with the numbers of metrics.csv."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from lightning.pytorch.loggers import WandbLogger

from meta_rl.run import session, tensorboard


def scalars(folder: Path, name: str) -> dict[int, float]:
    """What the event files of a folder hold under a name, by step."""
    events = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    reader = events.EventAccumulator(str(folder))
    reader.Reload()
    return {event.step: event.value for event in reader.Scalars(name)}


@pytest.mark.parametrize("how", ["tensorboard", "TensorBoardLogger", "yaml"])
def test_events_hold_the_metrics(lab: Any, how: str) -> None:
    pytest.importorskip("tensorboard")
    if how == "yaml":
        logger = {"class_path": "meta_rl.run.tensorboard.TensorBoard"}
        assert lab.train(trainer={"max_steps": 3, "logger": logger}) == 0
    else:
        assert lab.train(f"--trainer.logger={how}") == 0
    for name in ("return_pre", "return_post", "kl"):
        expected = {int(row["step"]): float(row[name]) for row in lab.metrics()}
        assert scalars(lab.runs / "tiny/tensorboard", name) == pytest.approx(expected, rel=1e-6)
    assert not (lab.path / "lightning_logs").exists()


def test_lightnings_own_goes_where_it_is_told(lab: Any) -> None:
    pytest.importorskip("tensorboard")
    words = ["--trainer.logger=TensorBoardLogger", "--trainer.logger.save_dir=elsewhere"]
    assert lab.train(*words) == 0
    assert len(scalars(lab.path / "elsewhere/lightning_logs/version_0", "return_post")) == 3


def test_a_resumed_run_goes_on(lab: Any) -> None:
    pytest.importorskip("tensorboard")
    assert lab.train("--trainer.logger=tensorboard") == 0
    assert lab.train("--trainer.logger=tensorboard", "--ckpt_path=last", "--trainer.max_steps=5") == 0
    assert sorted(scalars(lab.runs / "tiny/tensorboard", "return_post")) == [1, 2, 3, 4, 5]


def test_wandb_records_the_run_as_well(lab: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("tensorboard")
    record = WandbLogger(experiment=object())  # type: ignore[arg-type]
    logged: list[float] = []
    monkeypatch.setattr(record, "log_metrics", lambda row, step: logged.append(row["return_post"]))
    monkeypatch.setattr(session.tracking, "start", lambda *_: [record])
    monkeypatch.setattr(session.tracking, "finish", lambda *_: None)
    monkeypatch.setattr(session.tracking, "places", lambda *_: [])
    assert lab.train("--trainer.logger=tensorboard") == 0
    assert len(logged) == 3
    assert len(scalars(lab.runs / "tiny/tensorboard", "return_post")) == 3


def test_the_missing_package_is_named(refused: Callable[..., str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tensorboard, "find_spec", lambda _: None)
    message = refused("--trainer.logger=tensorboard")
    assert (
        message
        == "trainer.logger: there is no tensorboard; install it with: pip install 'meta_rl[tensorboard]'"
    )
