"""Points of a sweep, their commands and names."""

import math
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from meta_rl.sweep.file import read_sweep
from meta_rl.sweep.parameters import draw
from meta_rl.sweep.points import command, names, points

Write = Callable[..., Path]


def test_a_grid_varies_its_first_parameter_slowest(write: Write) -> None:
    parameters = {"a": {"values": [1, 2]}, "b": {"value": "x"}, "c": {"values": [None, True, 0.5]}}
    grid = points(read_sweep(write(parameters=parameters)), None)
    assert [(p["a"], p["b"], p["c"]) for p in grid] == [
        (a, "x", c) for a in (1, 2) for c in (None, True, 0.5)
    ]
    assert points(read_sweep(write(parameters=parameters)), 2) == grid[:2]
    assert points(read_sweep(write(parameters=parameters, run_cap=3)), None) == grid[:3]


def test_a_grid_takes_whole_numbers_from_min_to_max(write: Write) -> None:
    sweep = read_sweep(write(parameters={"a": {"min": 1, "max": 3}}))
    assert [p["a"] for p in points(sweep, None)] == [1, 2, 3]
    assert names(sweep, points(sweep, None)) == ["a1", "a2", "a3"]


def test_a_random_search_is_a_function_of_its_parameters(write: Write) -> None:
    parameters = {"a": {"min": 0.0, "max": 1.0}, "b": {"values": [1, 2, 3]}}
    sweep = read_sweep(write(method="random", parameters=parameters))
    first = points(sweep, 5)
    assert points(sweep, 8)[:5] == first  # a larger count adds to them
    assert len({p["a"] for p in first}) == 5
    assert len(points(sweep, None)) == 10
    other = read_sweep(write(method="random", parameters=parameters | {"b": {"values": [1, 2]}}))
    assert points(other, 5)[0]["a"] != first[0]["a"]


@pytest.mark.parametrize(
    ("parameter", "low", "high", "mean", "kind"),
    [
        ({"min": 1, "max": 3}, 1, 3, 2, int),
        ({"min": 1.0, "max": 3.0}, 1, 3, 2, float),
        ({"distribution": "q_uniform", "min": 0, "max": 10, "q": 5}, 0, 10, 5, int),
        (
            {"distribution": "log_uniform_values", "min": 0.01, "max": 1.0},
            0.01,
            1,
            0.99 / math.log(100),
            float,
        ),
        ({"distribution": "log_uniform", "min": 0.0, "max": 1.0}, 1, math.e, math.e - 1, float),
        (
            {"distribution": "q_log_uniform_values", "min": 1, "max": 100, "q": 1},
            1,
            100,
            99 / math.log(100),
            int,
        ),
        ({"distribution": "normal", "mu": 2.0, "sigma": 0.5}, -9, 9, 2, float),
        ({"distribution": "q_normal", "mu": 2.0, "sigma": 3.0, "q": 0.5}, -30, 30, 2, float),
        ({"values": [0, 10], "probabilities": [0.8, 0.2]}, 0, 10, 2, int),
    ],
)
def test_distributions_have_their_range_and_mean(
    parameter: dict[str, Any], low: float, high: float, mean: float, kind: type
) -> None:
    rng = np.random.default_rng(0)
    values = [draw(parameter, rng) for _ in range(4000)]
    assert all(type(value) is kind for value in values)  # NumPy's would print as np.float64(...)
    assert low <= min(values) < mean < max(values) <= high
    error = 5 * np.std(values) / math.sqrt(len(values))
    assert np.mean(values) == pytest.approx(mean, abs=error)
    if "q" in parameter:
        assert all((value / parameter["q"]).is_integer() for value in map(float, values))


@pytest.mark.parametrize(
    ("macro", "expected"),
    [
        ("${args}", ["--a.b=1", "--c=None", "--d=[0.5, 0.25]"]),
        ("${args_no_hyphens}", ["a.b=1", "c=None", "d=[0.5, 0.25]"]),
    ],
)
def test_commands_are_those_of_the_agent(write: Write, macro: str, expected: list[str]) -> None:
    from wandb.sdk.launch.sweeps.utils import create_sweep_command_args

    parameters = {"a.b": {"value": 1}, "c": {"value": None}, "d": {"value": [0.5, 0.25]}}
    words = ["${env}", "${interpreter}", "${program}", "--config=x.yaml", macro]
    sweep = read_sweep(write(parameters=parameters, command=words))
    (point,) = points(sweep, None)
    assert command(sweep, point) == [
        "/usr/bin/env",
        sys.executable,
        "program.py",
        "--config=x.yaml",
        *expected,
    ]
    theirs = create_sweep_command_args({"args": {k: {"value": v} for k, v in point.items()}})
    assert theirs[macro[2:-1]] == expected


def test_names_say_what_varies(write: Write) -> None:
    parameters = {
        "model.class_path": {"values": ["meta_rl.algorithms.MAML", "my.FOMAML"]},
        "config": {"values": ["conf/a.yaml"]},
        "seed_everything": {"values": [1, 2]},
        "model.inner_lr": {"values": [0.1, [0.5, 0.25]]},
    }
    sweep = read_sweep(write(parameters=parameters))
    labels = names(sweep, points(sweep, None))
    assert labels[0] == "MAML-seed1-inner_lr0.1"
    assert labels[-1] == "FOMAML-seed2-inner_lr_0.5_0.25"
    assert len(set(labels)) == 8
    assert names(sweep, points(sweep, 1)) == labels[:1]  # whatever --count is


def test_names_of_random_points_are_numbered(write: Write) -> None:
    sweep = read_sweep(write(method="random", parameters={"a": {"values": [1, 2]}, "b": {"value": 3}}))
    labels = names(sweep, points(sweep, 12))
    assert [label[:5] for label in labels] == [f"{i:03}-a" for i in range(12)]


def test_a_name_too_long_for_a_directory_becomes_a_number(write: Write) -> None:
    sweep = read_sweep(write(parameters={"a": {"values": ["x" * 300, "y"]}}))
    labels = names(sweep, points(sweep, None))
    assert len(labels[0]) == 12
    assert labels[1] == "ay"
