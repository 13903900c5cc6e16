"""meta-rl: the right program gets the rest of the line, and speaks of itself by the command's name."""

import json
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from meta_rl.cli.main import PROGRAMS, main
from meta_rl.run.program import again, typed

SMALL = ["--trainer.max_steps=1", "--data.meta_batch_size=2", "--data.fast_batch_size=2"]


@pytest.fixture
def meta_rl(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.path", [*sys.path])
    monkeypatch.setattr("sys.argv", ["/some/bin/meta-rl", "train", "--config", "fomaml_point_mass"])
    return tmp_path


def test_help_names_every_program(capsys: pytest.CaptureFixture[str]) -> None:
    for words in ([], ["--help"]):
        assert main(words) == 0
        text = capsys.readouterr().out
        assert all(f"\n  {name} " in text for name in PROGRAMS)
    assert main(["--version"]) == 0
    assert capsys.readouterr().out == "meta-rl 0.1.0\n"


@pytest.mark.parametrize("name", list(PROGRAMS))
def test_every_program_has_help_under_its_own_name(
    meta_rl: Path, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        main([name, "--help"])
    assert f"usage: meta-rl {name}" in capsys.readouterr().out


def test_an_unknown_program_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["evalute"]) == 2
    assert capsys.readouterr().err == "error: unknown program 'evalute'; did you mean evaluate?\n"


def test_a_run_records_the_command_and_says_how_to_go_on_by_it(
    meta_rl: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["train", "--config", "fomaml_point_mass", *SMALL]) == 0
    assert "meta-rl evaluate --checkpoint runs/" in capsys.readouterr().out
    start = json.loads(Path("runs/fomaml_point_mass/run.json").read_text())["starts"][0]
    assert start["command"] == "meta-rl train --config fomaml_point_mass"
    assert main(["train", "--config", "random_point_mass"]) == 2
    assert "evaluate it with: meta-rl evaluate --config" in capsys.readouterr().err


def test_another_process_can_repeat_the_command(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.argv", ["/some/bin/meta-rl", "train", "--name", "a b"])
    assert again() == ["-m", "meta_rl.cli", "train", "--name", "a b"]
    assert shlex.join(typed()) == "meta-rl train --name 'a b'"
    monkeypatch.setattr("sys.argv", ["/package/meta_rl/cli/__main__.py", "train"])
    assert again() == ["-m", "meta_rl.cli", "train"]
    monkeypatch.setattr("sys.argv", ["train.py", "--name=x"])
    assert again() == ["train.py", "--name=x"]
    assert typed() == ["python", "train.py", "--name=x"]


def test_classes_beside_the_user_are_found(meta_rl: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (meta_rl / "my_hidden_tasks.py").write_text(
        "from meta_rl.envs import PointMass\nclass Mine(PointMass): ...\n"
    )
    own = "--data.env.class_path=my_hidden_tasks.Mine"
    assert main(["train", "--config", "fomaml_point_mass", *SMALL, own]) == 0
    assert "FOMAML on Mine" in capsys.readouterr().out


def test_it_starts_several_processes_of_itself(tmp_path: Path) -> None:
    words = ["train", "--config", "fomaml_point_mass", *SMALL, "--trainer.devices=2"]
    program = [sys.executable, "-m", "meta_rl.cli", *words]
    done = subprocess.run(program, cwd=tmp_path, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    record = json.loads((tmp_path / "runs/fomaml_point_mass/run.json").read_text())["starts"][0]
    assert record["command"] == shlex.join(["meta-rl", *words])
    assert record["machine"]["device"].startswith("2 processes")
