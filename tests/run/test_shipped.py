"""Shipped configurations are found by name, everywhere a YAML file is taken; a file of that path wins."""

import subprocess
import sys
from pathlib import Path

import pytest

from meta_rl.errors import UserError
from meta_rl.evaluation import command as evaluate_cli
from meta_rl.run import command as train_cli
from meta_rl.run.arguments import normalise
from meta_rl.run.shipped import configs, find_config

CONF = Path(__file__).parents[2] / "conf"


@pytest.mark.parametrize("text", ["maml_ant_dir", "maml_ant_dir.yaml", "conf/maml_ant_dir.yaml"])
def test_a_name_means_the_shipped_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "maml_ant_dir").mkdir()  # a run's folder, say: no file
    assert find_config(text) == CONF / "maml_ant_dir.yaml"
    assert find_config("paper/maml_ant_dir") == CONF / "paper/maml_ant_dir.yaml"
    assert normalise(["--config", text]) == [f"--config={CONF}/maml_ant_dir.yaml"]
    Path(text).parent.mkdir(exist_ok=True)
    if text != "maml_ant_dir":
        Path(text).write_text("")
        assert find_config(text) == Path(text)


def test_an_unknown_name_is_refused_with_the_nearest() -> None:
    with pytest.raises(UserError, match=r"'reptile_antdir': .* did you mean reptile_ant_dir"):
        find_config("reptile_antdir")


def test_the_list_names_every_file_with_method_and_family(capsys: pytest.CaptureFixture[str]) -> None:
    assert train_cli.main(["--list"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == list(configs())
    assert len(lines) == len(list(CONF.rglob("*.yaml")))
    assert "FOMAML on PointMass" in next(line for line in lines if line.startswith("fomaml_point_mass"))


def test_policies_to_evaluate_are_found_by_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    few = ["--num_tasks=2", "--episodes=2", "--output=out"]
    assert evaluate_cli.main(["--config", "random_point_mass", *few]) == 0
    assert evaluate_cli.main(["--compare", "random_point_mass", *few]) == 0
    assert {file.name for file in Path("out").glob("*.csv")} > {"adaptation.csv", "comparison.csv"}


def test_a_sweep_without_a_script_starts_the_installed_program(tmp_path: Path) -> None:
    (tmp_path / "small.yaml").write_text(
        "program: train.py\n"
        "method: grid\n"
        "parameters: {seed_everything: {values: [1]}, trainer.max_steps: {value: 1}}\n"
        "command: ['${interpreter}', '${program}', --config=conf/fomaml_point_mass.yaml,\n"
        "          --data.meta_batch_size=2, --data.fast_batch_size=2, '${args}']\n"
    )
    for state in ("1 of 1 runs finished", "1 finished already"):
        done = subprocess.run(
            [sys.executable, "-m", "meta_rl.cli", "sweep", "small.yaml"],
            cwd=tmp_path,
            capture_output=True,
            text=True,
        )
        assert (done.returncode, done.stderr) == (0, "")
        assert state in done.stdout
