"""sweep.py: processes, restarts, failures, signals."""

import json
import os
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from meta_rl.run.directory import RunDirectory
from meta_rl.sweep.board import Board
from meta_rl.sweep.command import main
from meta_rl.sweep.local import Run

Write = Callable[..., Path]
ALL = {"seed1-rate0.1", "seed1-rate0.2", "seed2-rate0.1", "seed2-rate0.2"}


def starts(name: str, sweep: str = "sweep") -> list[dict]:
    return json.loads(Path("runs", sweep, name, "run.json").read_text())["starts"]


def runs(sweep: str = "sweep") -> set[str]:
    return {path.parent.name for path in Path("runs", sweep).glob("*/run.json")}


@pytest.mark.parametrize("jobs", [1, 3])
def test_every_point_is_a_run_of_its_own(write: Write, jobs: int, capsys: pytest.CaptureFixture[str]) -> None:
    write()
    assert main(["sweep.yaml", "--jobs", str(jobs)]) == 0
    assert runs() == ALL
    assert starts("seed2-rate0.1")[0]["command"] == (
        "python program.py --seed=2 --rate=0.1 --runs_dir=runs/sweep --name=seed2-rate0.1 --ckpt_path=auto"
    )
    output = capsys.readouterr()
    assert "4 of 4 runs finished in runs/sweep" in output.out
    assert output.out.count("return after adaptation -3.25") == 4
    assert output.err == ""


def test_each_of_several_tasks_of_srun_takes_its_share(write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    write()
    for name, value in {"STEP_ID": "0", "PROCID": "1", "NTASKS": "2"}.items():
        monkeypatch.setenv(f"SLURM_{name}", value)
    assert main(["sweep.yaml"]) == 0
    assert runs() == {"seed1-rate0.2", "seed2-rate0.2"}


def test_finished_runs_are_skipped_when_started_again(
    write: Write, capsys: pytest.CaptureFixture[str]
) -> None:
    write()
    assert main(["sweep.yaml", "--count", "3"]) == 0
    assert len(runs()) == 3
    assert main(["sweep.yaml"]) == 0
    assert "4 runs, 3 finished already" in capsys.readouterr().out
    assert [len(starts(name)) for name in sorted(ALL)] == [1, 1, 1, 1]


def test_runs_that_did_not_finish_go_on(write: Write) -> None:
    write()
    assert main(["sweep.yaml"]) == 0
    record = Path("runs/sweep/seed1-rate0.2/run.json")
    record.write_text(record.read_text().replace('"done"', "null"))  # as kill -9 leaves it
    assert main(["sweep.yaml"]) == 0
    assert [start["outcome"] for start in starts("seed1-rate0.2")] == [None, "done"]
    assert len(starts("seed1-rate0.1")) == 1


def test_failed_runs_are_reported_and_tried_again(write: Write, capsys: pytest.CaptureFixture[str]) -> None:
    write(parameters={"does": {"values": ["train", "fail once"]}})
    assert main(["sweep.yaml"]) == 1
    output = capsys.readouterr()
    assert "1 of 2 runs finished, 1 failed; the same command goes on" in output.out
    assert "failed: doesfail_once (exit code 1), runs/sweep/doesfail_once.log:" in output.err
    assert output.err.rstrip().endswith("    the cause")
    assert "    two" in output.err
    assert "    one" not in output.err  # the last five lines only
    assert main(["sweep.yaml"]) == 0


def test_a_sweep_whose_first_runs_are_all_refused_is_given_up(
    write: Write, capsys: pytest.CaptureFixture[str]
) -> None:
    write(parameters={"does": {"value": "refuse"}, "x": {"values": list(range(9))}})
    assert main(["sweep.yaml"]) == 1
    assert len(runs()) == 3
    assert "0 of 9 runs finished, 3 failed, 6 not done" in capsys.readouterr().out


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_stops_the_runs_and_the_sweep(
    write: Write, number: int, code: int, capsys: pytest.CaptureFixture[str]
) -> None:
    handlers = [signal.getsignal(s) for s in (signal.SIGINT, signal.SIGTERM)]
    write(
        parameters={
            "does": {"value": "interrupt the sweep"},
            "signal": {"value": int(number)},
            "x": {"values": [1, 2]},
        }
    )
    assert main(["sweep.yaml"]) == code
    assert "0 of 2 runs finished, 2 not done; the same command goes on" in capsys.readouterr().out
    assert runs() == {"x1"}
    assert [signal.getsignal(s) for s in (signal.SIGINT, signal.SIGTERM)] == handlers


def test_jobs_share_the_cores(write: Write) -> None:
    cores = len(os.sched_getaffinity(0))
    write(parameters={"x": {"values": [1, 2]}})
    assert main(["sweep.yaml", "--jobs", str(cores)]) == 0
    assert "cores 1 threads 1" in Path("runs/sweep/x1.log").read_text()
    assert main(["sweep.yaml", "--runs_dir", "one"]) == 0
    assert f"cores {cores} threads {cores}" in Path("one/sweep/x1.log").read_text()
    assert main(["sweep.yaml", "--runs_dir", "many", "--jobs", str(cores + 1)]) == 0
    assert f"cores {cores} threads 1" in Path("many/sweep/x1.log").read_text()


def test_runs_are_a_group_of_wandb_but_no_sweep_of_it(write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WANDB_SWEEP_ID", "outer")
    write("mine.yaml", parameters={"x": {"values": [1, 2]}})
    assert main(["mine.yaml"]) == 0
    assert "group mine sweep None" in Path("runs/mine/x2.log").read_text()


def test_parts_share_the_points(write: Write) -> None:
    write()
    assert main(["sweep.yaml", "--part", "1/3"]) == 0
    assert runs() == {"seed1-rate0.1", "seed2-rate0.2"}
    assert main(["sweep.yaml", "--part", "2/3"]) == 0
    assert main(["sweep.yaml", "--part", "3/3"]) == 0
    assert runs() == ALL
    assert all(len(starts(name)) == 1 for name in ALL)


def test_a_part_may_be_empty(write: Write, capsys: pytest.CaptureFixture[str]) -> None:
    write()
    assert main(["sweep.yaml", "--part", "5/8"]) == 0
    assert "0 of 0 runs finished" in capsys.readouterr().out


def test_what_another_sweep_trains_is_left_to_it(write: Write, capsys: pytest.CaptureFixture[str]) -> None:
    write()
    directory = RunDirectory("runs/sweep", "seed1-rate0.2")
    directory.make()
    try:
        assert main(["sweep.yaml"]) == 1
    finally:
        directory.release()
    assert "3 of 4 runs finished, 1 trained elsewhere" in capsys.readouterr().out
    assert runs() == ALL - {"seed1-rate0.2"}
    assert main(["sweep.yaml"]) == 0
    assert runs() == ALL


def test_the_place_of_the_runs_may_be_spelled_otherwise(write: Write, tmp_path: Path) -> None:
    write(command=["${env}", "A=1", "${interpreter}", "-u", "${program}", "${args}"])
    assert main(["sweep.yaml"]) == 0
    assert main(["sweep.yaml", "--runs_dir", str(tmp_path / "runs")]) == 0
    assert len(starts("seed1-rate0.1")) == 1


def test_the_last_lines_are_those_of_the_last_start(write: Write, capsys: pytest.CaptureFixture[str]) -> None:
    write(parameters={"does": {"values": ["fail"]}, "x": {"values": [1, 2]}})
    Path("runs/sweep").mkdir(parents=True)
    Path("runs/sweep/x1.log").write_text("an older start\n")
    write(parameters={"does": {"value": "refuse"}, "x": {"values": [1, 2]}})
    assert main(["sweep.yaml"]) == 1
    assert "group sweep" in capsys.readouterr().err
    assert Path("runs/sweep/x1.log").read_text().startswith("an older start\n")


def test_a_run_that_cannot_be_started_is_one_line(write: Write, capsys: pytest.CaptureFixture[str]) -> None:
    write(command=["no-such-program", "${program}", "${args}"])
    assert "cannot start no-such-program program.py: No such file" in refusal(capsys, "sweep.yaml")


def test_a_dry_run_starts_nothing(write: Write, capsys: pytest.CaptureFixture[str]) -> None:
    write()
    assert main(["sweep.yaml", "--dry_run"]) == 0
    assert capsys.readouterr().out.count("program.py --seed=") == 4
    assert not Path("runs").exists()


def refusal(capsys: pytest.CaptureFixture[str], *args: str) -> str:
    assert main(list(args)) == 2
    error = capsys.readouterr().err
    assert error.startswith("error: ")
    assert error.count("\n") == 1
    return error


def test_the_runs_of_another_definition_are_left_alone(
    write: Write, capsys: pytest.CaptureFixture[str]
) -> None:
    write()
    assert main(["sweep.yaml"]) == 0
    before = starts("seed1-rate0.1")
    write(command=["${interpreter}", "${program}", "--more=1", "${args}"])
    assert "runs/sweep/seed1-rate0.1: was started by another command" in refusal(capsys, "sweep.yaml")
    assert starts("seed1-rate0.1") == before


def test_bad_input_is_one_line(write: Write, capsys: pytest.CaptureFixture[str]) -> None:
    write()
    assert "sweep file 'none.yaml': No such file" in refusal(capsys, "none.yaml")
    assert "--jobs: expected a whole number of at least 1, got '0'" in refusal(
        capsys, "sweep.yaml", "--jobs", "0"
    )
    assert "--part: expected I/N such as 2/8, got '3/2'" in refusal(capsys, "sweep.yaml", "--part", "3/2")
    assert "see --help" in refusal(capsys, "sweep.yaml", "--job", "2")
    write(program="none.py")
    assert "program none.py is not here" in refusal(capsys, "sweep.yaml")
    write(parameters={"x": {"values": [1, 1]}})
    assert "two points would both be x1" in refusal(capsys, "sweep.yaml")
    assert not Path("runs").exists()


def test_what_the_running_runs_are_at_is_told(
    write: Write, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    told: list[str] = []

    def print_and_end(board: Board, running: list[Run]) -> None:
        show(board, running)
        told.append(capsys.readouterr().out)
        if "iteration 3/9" in told[-1]:
            Path("enough").touch()

    show = Board.show
    monkeypatch.setattr(Board, "show", print_and_end)
    monkeypatch.setattr("meta_rl.sweep.board.SECONDS", 0.02)
    write(parameters={"does": {"value": "take a while"}, "seed": {"values": [1]}})
    assert main(["sweep.yaml"]) == 0
    assert told[-1].endswith(": iteration 3/9  pre -1.00  post -0.50\n")
