"""What a run leaves behind, and what later starts do to it."""

import shutil
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from meta_rl.run.callbacks import MetricsFile
from meta_rl.run.command import main
from meta_rl.run.directory import RunDirectory

COLUMNS = {"step", "return_pre", "return_post", "kl", "env_steps"}
CLOCK = {"env_steps_per_s", "time_sampling", "time_update"}


def files(lab: Any, name: str = "tiny") -> list[str]:
    folder = lab.runs / name
    return sorted(str(p.relative_to(folder)) for p in folder.rglob("*") if p.is_file())


def test_a_run_leaves_config_metrics_and_checkpoints(lab: Any) -> None:
    lab.finished()
    assert files(lab) == [
        "checkpoints/best.ckpt",
        "checkpoints/last.ckpt",
        "checkpoints/step-2.ckpt",
        "checkpoints/step-3.ckpt",
        "config.yaml",
        "metrics.csv",
        "run.json",
    ]
    rows = lab.metrics()
    assert [row["step"] for row in rows] == ["1", "2", "3"]
    assert rows[0].keys() >= COLUMNS
    header = (lab.runs / "tiny/metrics.csv").read_text().splitlines()[0].split(",")
    assert set(header) >= COLUMNS | CLOCK
    assert lab.checkpoint()["global_step"] == 3


def test_best_is_the_iteration_of_the_highest_return(lab: Any) -> None:
    assert lab.train("trainer.max_steps=6") == 0
    returns = [float(row["return_post"]) for row in lab.metrics()]
    assert lab.checkpoint(file="best.ckpt")["global_step"] == 1 + returns.index(max(returns))


def test_the_resolved_config_starts_the_same_run_again(lab: Any) -> None:
    assert lab.train("--model.inner_lr=0.3", "--name=first") == 0
    assert main([f"--config={lab.runs}/first/config.yaml", "--name=second"]) == 0
    assert lab.metrics("second") == lab.metrics("first")


def test_a_metric_of_every_other_iteration_is_empty_in_between(lab: Any) -> None:
    assert lab.train("trainer.max_steps=4", model={"class_path": "plugins.Still"}) == 0
    assert [row["even"] for row in lab.metrics()] == ["0", "", "2", ""]


def test_a_second_start_leaves_the_first_alone(lab: Any, refused: Callable[..., str]) -> None:
    lab.finished()
    line = refused()
    assert line.startswith("runs/tiny holds a run already")
    assert "--ckpt_path last" in line
    assert "--name" in line


def test_every_start_keeps_its_config(lab: Any) -> None:
    lab.finished()
    assert lab.train("--ckpt_path=last", "--trainer.max_steps=4") == 0
    assert lab.train("--ckpt_path=last", "--trainer.max_steps=5") == 0
    assert [f for f in files(lab) if "config" in f] == ["config-1.yaml", "config-2.yaml", "config.yaml"]


@pytest.mark.parametrize(
    ("class_path", "code"),
    [("plugins.Interrupted", 130), ("plugins.Terminated", 143), ("plugins.HungUp", 129)],
)
@pytest.mark.usefixtures("no_nohup")
def test_a_signal_ends_the_iteration_and_the_run_can_go_on(
    lab: Any, class_path: str, code: int, capsys: pytest.CaptureFixture[str]
) -> None:
    handlers = [signal.getsignal(s) for s in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)]
    model = {"class_path": class_path, "init_args": {"policy": {"hidden_sizes": [4]}}}
    assert lab.train("--trainer.max_steps=5", "--checkpoint_every=100", model=model) == code
    assert (
        "resume with: python train.py --config runs/tiny/config.yaml --ckpt_path last"
        in capsys.readouterr().out
    )
    assert lab.checkpoint()["global_step"] == 2
    assert len(lab.metrics()) == 2
    assert [signal.getsignal(s) for s in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)] == handlers

    assert lab.train("--trainer.max_steps=5", "--ckpt_path=last", model=model) == 0
    assert [row["step"] for row in lab.metrics()] == ["1", "2", "3", "4", "5"]


@pytest.mark.parametrize(
    ("class_path", "code"), [("plugins.InterruptedEarly", 130), ("plugins.TerminatedEarly", 143)]
)
def test_a_signal_before_training_leaves_nothing(lab: Any, class_path: str, code: int) -> None:
    handlers = [signal.getsignal(s) for s in (signal.SIGINT, signal.SIGTERM)]
    with pytest.raises(SystemExit) as exit_:
        lab.train(model={"class_path": class_path})
    assert exit_.value.code == code
    assert not (lab.runs / "tiny").exists()
    assert [signal.getsignal(s) for s in (signal.SIGINT, signal.SIGTERM)] == handlers


def test_a_finished_run_of_epochs_is_not_resumed(lab: Any, capsys: pytest.CaptureFixture[str]) -> None:
    epoch = ["--trainer.max_steps=-1", "--trainer.max_epochs=1", "--trainer.limit_train_batches=2"]
    assert lab.train(*epoch) == 0
    assert lab.train(*epoch, "--ckpt_path=last") == 2
    assert "nothing is left to train" in capsys.readouterr().err


def test_numbers_that_stop_being_finite_end_the_run(lab: Any, capsys: pytest.CaptureFixture[str]) -> None:
    model = {"class_path": "plugins.Diverging", "init_args": {"policy": {"hidden_sizes": [4]}}}
    assert lab.train("--trainer.max_steps=5", model=model) == 1
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert "loss is nan" in error
    assert "in iteration 3; see runs/tiny/nonfinite-step-3.pt" in error
    dump = torch.load(lab.runs / "tiny/nonfinite-step-3.pt", weights_only=True)
    assert dump["observations"].tolist() == [1.0, 1.0]
    assert lab.checkpoint()["global_step"] == 2


def test_a_bug_keeps_its_traceback_and_the_checkpoints(lab: Any) -> None:
    model = {"class_path": "plugins.BrokenLater", "init_args": {"policy": {"hidden_sizes": [4]}}}
    with pytest.raises(ZeroDivisionError, match="a bug"):
        lab.train("--trainer.max_steps=5", model=model)
    assert lab.checkpoint()["global_step"] == 2


def test_a_bug_in_a_constructor_keeps_its_traceback(lab: Any) -> None:
    with pytest.raises(TypeError, match=r"^a bug$"):
        lab.train(model={"class_path": "plugins.BrokenConstructor"})
    assert not lab.runs.exists()


def test_a_run_that_breaks_before_its_first_iteration_leaves_nothing(lab: Any) -> None:
    with pytest.raises(ZeroDivisionError):
        lab.train(model={"class_path": "plugins.Broken"})
    assert not (lab.runs / "tiny").exists()


def test_a_resume_that_breaks_at_once_leaves_the_run_as_it_was(lab: Any) -> None:
    model = {"class_path": "plugins.BrokenLater", "init_args": {"policy": {"hidden_sizes": [4]}}}
    assert lab.train("--trainer.max_steps=2", model=model) == 0
    with pytest.raises(ZeroDivisionError):
        lab.train("--ckpt_path=last", model=model)
    assert lab.checkpoint()["global_step"] == 2
    assert len(lab.metrics()) == 2


def test_the_checkpoint_of_another_run_starts_a_branch(lab: Any) -> None:
    assert lab.train("--name=old") == 0
    source = lab.runs / "old/checkpoints/last.ckpt"
    before = source.read_bytes()
    assert lab.train("--name=new", f"--ckpt_path={source}", "--trainer.max_steps=5") == 0
    assert [row["step"] for row in lab.metrics("new")] == ["4", "5"]
    assert lab.checkpoint("new", "best.ckpt")["global_step"] in (4, 5)
    old, new = lab.checkpoint("old"), lab.checkpoint("new")
    assert new["meta_rl"]["wandb_run_id"] != old["meta_rl"]["wandb_run_id"]
    assert source.read_bytes() == before


def test_a_run_of_the_same_name_elsewhere_is_another_run(lab: Any, refused: Callable[..., str]) -> None:
    assert lab.train("--name=a") == 0
    elsewhere = lab.path / "elsewhere"
    assert lab.train("--name=a", f"--runs_dir={elsewhere}") == 0
    source = elsewhere / "a/checkpoints/last.ckpt"
    assert "holds a run already" in refused("--name=a", f"--ckpt_path={source}", "--trainer.max_steps=5")
    shutil.rmtree(lab.runs / "a")
    assert lab.train("--name=a", f"--ckpt_path={source}", "--trainer.max_steps=4") == 0
    ids = [torch.load(f, weights_only=True)["meta_rl"]["wandb_run_id"] for f in lab.path.rglob("last.ckpt")]
    assert len(set(ids)) == 2


def test_a_copied_directory_goes_on_as_a_run_of_its_own(lab: Any) -> None:
    assert lab.train("--name=a") == 0
    shutil.copytree(lab.runs / "a", lab.runs / "b")
    assert lab.train("--name=b", "--ckpt_path=last", "--trainer.max_steps=4") == 0
    assert lab.train("--name=b", "--ckpt_path=last", "--trainer.max_steps=5") == 0
    assert [row["step"] for row in lab.metrics("b")] == ["1", "2", "3", "4", "5"]
    assert lab.checkpoint("b")["meta_rl"]["wandb_run_id"] != lab.checkpoint("a")["meta_rl"]["wandb_run_id"]
    assert lab.checkpoint("a")["global_step"] == 3


def test_a_branch_does_not_overwrite_a_run(lab: Any, refused: Callable[..., str]) -> None:
    assert lab.train("--name=old") == 0
    assert lab.train("--name=new") == 0
    source = lab.runs / "old/checkpoints/last.ckpt"
    assert "holds a run already" in refused("--name=new", f"--ckpt_path={source}", "--trainer.max_steps=5")


@pytest.mark.parametrize("name", ["..", "a/b"])
def test_a_name_that_is_no_directory_name(name: str, refused: Callable[..., str]) -> None:
    assert "is not a directory name" in refused(f"--name={name}")


def test_metrics_drop_the_abandoned_future_and_a_torn_line(tmp_path: Path) -> None:
    file = MetricsFile(RunDirectory(tmp_path, "x").metrics)
    file.path.parent.mkdir()
    for step in (1, 2, 3):
        file.append({"step": step, "kl": 0.1 * step})
    with file.path.open("a") as stream:
        stream.write("4,0.")
    again = MetricsFile(file.path)
    again.rewind(2)
    again.append({"step": 3, "late": 7.0})
    again.append({"step": 4, "kl": float("nan")})
    assert file.path.read_text() == "step,kl,late\n1,0.1,\n2,0.2,\n3,,7\n4,nan,\n"


def test_a_run_whose_metrics_are_damaged_is_not_resumed(lab: Any, refused: Callable[..., str]) -> None:
    lab.finished()
    (lab.runs / "tiny/metrics.csv").write_text("hello\nworld\n")
    assert "runs/tiny/metrics.csv: not the metrics" in refused("--ckpt_path=last", "--trainer.max_steps=4")
    (lab.runs / "tiny/metrics.csv").unlink()
    assert lab.train("--ckpt_path=last", "--trainer.max_steps=4") == 0
    assert [row["step"] for row in lab.metrics()] == ["4"]


def test_a_first_iteration_that_is_not_finite_leaves_what_it_saw(
    lab: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    model = {"class_path": "meta_rl.algorithms.FOMAML", "init_args": {"inner_lr": 1e30}}
    assert lab.train(model=model) == 1
    assert "in iteration 1; see runs/tiny/nonfinite-step-1.pt" in capsys.readouterr().err
    assert (lab.runs / "tiny/nonfinite-step-1.pt").exists()


def test_a_saved_configuration_is_never_replaced(tmp_path: Path) -> None:
    run = RunDirectory(tmp_path, "r")
    run.make()
    for name in ("config.yaml", "config-2.yaml", "config_mine.yaml"):
        (run.path / name).write_text(name)
    assert run.save_config("new").name == "config-3.yaml"
    assert [file.name for file in run.configs()] == ["config.yaml", "config-2.yaml", "config-3.yaml"]
