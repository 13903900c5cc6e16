"""Where a run stops, and that it goes on from there, whichever limit it has."""

import json
from collections.abc import Callable
from typing import Any

import pytest

INTERRUPTED = {
    "class_path": "plugins.Interrupted",
    "init_args": {"policy": {"hidden_sizes": [4]}},
}  # in the 2nd
EPOCHS = ("--trainer.max_steps=-1", "--trainer.max_epochs=1", "--trainer.limit_train_batches=6")


@pytest.mark.parametrize("limit", [EPOCHS, ("--trainer.max_steps=6", "--trainer.min_steps=5")])
def test_a_signal_stops_before_any_limit_and_the_run_goes_on(lab: Any, limit: tuple[str, ...]) -> None:
    assert lab.train(*limit, "--checkpoint_every=100", model=INTERRUPTED) == 130  # saved when it ends
    assert lab.checkpoint()["global_step"] == 2
    assert lab.train(*limit, "--ckpt_path=last", model=INTERRUPTED) == 0
    assert lab.train("--trainer.max_steps=6", "--name=whole") == 0
    lab.assert_same("tiny", "whole")


@pytest.mark.parametrize(
    ("limits", "steps"),
    [
        ({"max_steps": -1, "max_epochs": 2}, 200),
        ({"max_steps": 150, "max_epochs": 2}, 150),
        ({"max_steps": 250, "max_epochs": 2, "limit_train_batches": 0.25}, 50),
        ({"max_steps": -1}, -1),
    ],
)
def test_an_epoch_is_a_number_of_iterations(lab: Any, limits: dict[str, Any], steps: int) -> None:
    from meta_rl.run.config import MetaCLI

    trainer = MetaCLI([f"--config={lab.write(trainer=limits)}"]).make_trainer([], lab.path)
    assert (trainer.max_steps, trainer.max_epochs) == (steps, -1)


def test_time_that_is_used_up_is_a_limit_as_any_other(
    lab: Any, refused: Callable[..., str], capsys: pytest.CaptureFixture[str]
) -> None:
    limit = ("--trainer.max_steps=-1", "--trainer.max_time=00:00:00:01")
    assert lab.train(*limit) == 0
    done = lab.checkpoint()["global_step"]
    assert f"is at iteration {done} and trainer.max_time: nothing is left" in refused(
        *limit, "--ckpt_path=last"
    )
    assert lab.train(*limit, "--ckpt_path=auto") == 0
    assert f"finished already, {done} iterations" in capsys.readouterr().out
    more = f"--trainer.max_steps={done + 1}"
    assert lab.train(more, "--trainer.max_time=00:01:00:00", "--ckpt_path=last") == 0


def test_a_signal_just_before_the_records_are_completed_does_not_lose_them(
    lab: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def leave(*_: Any) -> None:
        raise SystemExit(143)

    monkeypatch.setattr("meta_rl.run.session.handling", leave)
    with pytest.raises(SystemExit):
        lab.train()
    (start,) = json.loads((lab.runs / "tiny/run.json").read_text())["starts"]
    assert start["outcome"] == "done"
