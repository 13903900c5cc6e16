"""A task given by the names of its columns becomes a row, or is refused."""

from types import MappingProxyType
from typing import Any

import numpy as np
import pytest
from gymnasium.spaces import Box

from meta_rl.envs import ConstantReward


class Family(ConstantReward):
    task_parameters = ("side", "speed")
    task_defaults = MappingProxyType({"speed": 0.5})
    task_choices = MappingProxyType({"side": (-0.1, 0.1)})

    def __init__(self) -> None:
        super().__init__()
        self.task_space = Box(np.float32([-0.1, 0.0]), np.float32([0.1, 0.7]))


@pytest.mark.parametrize(
    ("task", "row"),
    [
        ({"speed": 0.25, "side": 0.1}, [0.1, 0.25]),
        ({"side": " -0.1"}, [-0.1, 0.5]),
        ({"side": np.float32(0.1), "speed": np.float32(0.7)}, [0.1, 0.7]),  # as tasks are drawn
    ],
)
def test_a_task_becomes_a_row(task: dict[str, Any], row: list[float]) -> None:
    assert Family().task_row(task) == pytest.approx(row)


@pytest.mark.parametrize(
    ("task", "complaint"),
    [
        ({"speed": 0.5}, "column side is missing; the tasks have side, speed"),
        ({"side": 0.1, "mass": 1}, "unknown column 'mass'; the tasks have side, speed"),
        ({"side": "left"}, "side: 'left' is not a number"),
        ({"side": None}, "side: None is not a number"),
        ({"side": 0.05}, "side: 0.05 is none of -0.1, 0.1"),
        ({"side": 0.1, "speed": "0.8"}, "speed: 0.8 is outside [0, 0.7]"),
        ({"side": 0.1, "speed": float("nan")}, "speed: nan is outside [0, 0.7]"),
    ],
)
def test_what_is_no_task_is_refused(task: dict[str, Any], complaint: str) -> None:
    with pytest.raises(ValueError) as error:  # noqa: PT011 (all of the message is compared)
        Family().task_row(task)
    assert str(error.value) == complaint
