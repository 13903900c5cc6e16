"""Sweep files: what is read, and one line for what is wrong."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from meta_rl.errors import UserError
from meta_rl.run.config import read_config
from meta_rl.sweep.file import read_sweep
from meta_rl.sweep.points import command, points

ROOT = Path(__file__).parents[2]
SHIPPED = sorted((ROOT / "sweeps").glob("*.yaml"))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"method": "bayes"}, "method bayes needs W&B, .*: wandb sweep sweep.yaml"),
        ({"method": "gird"}, "method 'gird' is unknown; expected grid, random or bayes"),
        ({"method": None}, "method is missing"),
        ({"program": None}, "program is missing"),
        ({"parameters": None}, "parameters is missing"),
        ({"parameters": [1]}, r"parameters must hold keys of its own, found \[1\]"),
        ({"parameter": {}}, "unknown key 'parameter'"),
        ({"parameters": {"a": 3}}, "a needs value, values or a distribution, found 3"),
        ({"parameters": {"a": {"values": 3}}}, "a.values must be a list with something in it, got 3"),
        ({"parameters": {"a": {"values": []}}}, "a.values must be a list"),
        (
            {"parameters": {"a": {"min": 0.0, "max": 1}}},
            "a: a grid needs value or values; or set method: random",
        ),
        (
            {"parameters": {"a": {"distribution": "cauchy"}}},
            "a: distribution 'cauchy' is not supported; known",
        ),
        ({"method": "random", "parameters": {"a": {"min": 0}}}, "a: uniform needs max"),
        (
            {"method": "random", "parameters": {"a": {"min": "1e-3", "max": 1}}},
            "a.min must be a finite number, got '1e-3'",
        ),
        ({"method": "random", "parameters": {"a": {"min": 2, "max": 1}}}, "cannot draw from 2 to 1"),
        (
            {
                "method": "random",
                "parameters": {"a": {"distribution": "log_uniform_values", "min": 0, "max": 1}},
            },
            "log_uniform_values cannot draw from 0 to 1",
        ),
        (
            {"method": "random", "parameters": {"a": {"values": [1, 2], "probabilities": [0.5]}}},
            "add up to 1",
        ),
        (
            {"method": "random", "parameters": {"a": {"min": 0.0, "max": 1, "q": 0}}},
            "q and sigma must be positive",
        ),
        ({"command": ["${program}", "${args_json}"]}, r"\$\{args_json\} is not supported"),
        ({"method": "random", "parameters": {"a": {"values": [1, 2], "probabilities": 0.5}}}, "add up to 1"),
        (
            {"method": "random", "parameters": {"a": {"min": 0, "max": 1, "probabilities": [1.0]}}},
            "add up to 1",
        ),
        ({"method": "random", "parameters": {"a": {"values": None}}}, "a.values must be a list"),
        ({"method": "random", "parameters": {"a": {"distribution": [1]}}}, "is not supported; known"),
        (
            {"method": "random", "parameters": {"a": {"min": 0.0, "max": float("inf")}}},
            "must be a finite number",
        ),
        (
            {"method": "random", "parameters": {"a": {"distribution": "int_uniform", "min": 0.5, "max": 2}}},
            "cannot draw from 0.5 to 2",
        ),
        (
            {"method": "random", "parameters": {"a": {"distribution": "log_uniform", "min": 0, "max": 5000}}},
            "cannot draw from 0 to 5000",
        ),
        ({"parameters": {"a": {"value": 1, "values": [1]}}}, "a has both value and values; keep one"),
        ({"command": "python program.py"}, "command must be a list of words, got 'python program.py'"),
        ({"run_cap": True}, "run_cap must be a whole number of at least 1, got True"),
        ({"run_cap": 0}, "run_cap must be a whole number of at least 1, got 0"),
    ],
)
def test_a_wrong_file_is_one_line(write: Callable[..., Path], changes: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message) as error:
        read_sweep(write(**changes))
    assert str(error.value).startswith("sweep.yaml: ")
    assert "\n" not in str(error.value)


def test_an_unreadable_file_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"No such file.*shipped ones are in sweeps/"):
        read_sweep(tmp_path / "none.yaml")
    (tmp_path / "a.yaml").write_text("a: [1\nb: 2")
    with pytest.raises(UserError, match=r"a\.yaml:2: YAML syntax"):
        read_sweep(tmp_path / "a.yaml")
    (tmp_path / "b.yaml").write_text("just text")
    with pytest.raises(UserError, match="expected keys such as method"):
        read_sweep(tmp_path / "b.yaml")


def test_nested_parameters_get_dotted_names(write: Callable[..., Path]) -> None:
    nested = {
        "model": {"parameters": {"inner_lr": {"value": 0.1}, "policy": {"parameters": {"s": {"value": 2}}}}}
    }
    assert read_sweep(write(parameters=nested)).parameters == {
        "model.inner_lr": {"value": 0.1},
        "model.policy.s": {"value": 2},
    }


@pytest.mark.parametrize("file", SHIPPED, ids=lambda file: file.stem)
def test_every_shipped_sweep_makes_valid_runs(
    file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(ROOT)
    content = yaml.safe_load(file.read_text())
    assert content["project"] == "meta_rl"
    assert content["name"] == file.stem
    assert content["metric"] == {"name": "return_post", "goal": "maximize"}
    if content["method"] == "bayes":  # the same parameters, drawn at random, have to be right as well
        content |= {"method": "random", "run_cap": 4}
        file = tmp_path / file.name
        file.write_text(yaml.safe_dump(content, sort_keys=False))
    sweep = read_sweep(file)
    every = points(sweep, None)
    assert f"{len(every)} runs" in file.read_text() or "run_cap" in content
    seeds = sweep.parameters.get("seed_everything", {})
    assert all(isinstance(seed, int) for seed in seeds.get("values", [0]))
    # All values of every other parameter occur in these, without the tens of combinations.
    longest = max(len(p.get("values", [0])) for p in sweep.parameters.values() if p is not seeds)
    diagonal = [
        {
            name: p["values"][i % len(p["values"])] if "values" in p else point[name]
            for name, p in sweep.parameters.items()
        }
        for i, point in zip(range(longest), every, strict=False)
    ]
    for point in diagonal:
        words = [word for word in command(sweep, point)[3:] if not word.startswith("--ckpt_path")]
        files = [word.partition("=")[2] for word in words if word.startswith("--config=")]
        assert len(files) == 1
        config = read_config(files[0], [word for word in words if not word.startswith("--config=")])
        if "seed_everything" in point:
            assert config["seed_everything"] == point["seed_everything"]
