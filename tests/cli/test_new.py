"""meta-rl new: the folder that it writes trains, is evaluated and passes its own test at once."""

import subprocess
import sys
from pathlib import Path

import pytest

from meta_rl.cli.main import main


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.path", [*sys.path])
    assert main(["new", "reach-2"]) == 0
    return tmp_path / "reach-2"


def meta_rl(folder: Path, *words: str) -> str:
    program = [sys.executable, "-m", *words]
    done = subprocess.run(program, cwd=folder, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr + done.stdout
    return done.stdout


def test_it_trains_at_once_and_is_evaluated(folder: Path) -> None:
    assert {file.name for file in folder.iterdir()} == {
        "README.md",
        "my_tasks.py",
        "reach-2.yaml",
        "test_reach-2.py",
    }
    assert not [file for file in folder.iterdir() if "NAME" in file.read_text()]
    words = ["meta_rl.cli", "train", "--config", "reach-2.yaml", "--trainer.max_steps=1"]
    assert "FOMAML on Line" in meta_rl(folder, *words)
    checkpoint = "runs/reach-2/checkpoints/last.ckpt"
    few = ["--num_tasks=2", "--episodes=2", "--gradient_steps=1"]
    assert "2 tasks" in meta_rl(folder, "meta_rl.cli", "evaluate", "--checkpoint", checkpoint, *few)


def test_its_own_tests_pass(folder: Path) -> None:
    assert "2 passed" in meta_rl(folder, "pytest", "-p", "no:cacheprovider")


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("reach-2", "reach-2 exists already; choose another name"),
        ("../x", "name '../x': expected letters, digits, _ and -, and a letter first"),
        ("2d", "name '2d': expected letters"),
    ],
)
def test_a_bad_name_is_refused(
    folder: Path, name: str, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    before = {file: file.read_text() for file in folder.iterdir()}
    assert main(["new", name]) == 2
    assert capsys.readouterr().err.startswith(f"error: {message}")
    assert {file: file.read_text() for file in folder.iterdir()} == before
    assert [path.name for path in folder.parent.iterdir()] == ["reach-2"]
