"""Antithetic perturbations and the slope they show, against functions whose gradient is known."""

import pytest
import torch
from torch import Tensor

from helpers import bit_identical
from meta_rl.perturbations import draw_directions, perturbed, slope
from meta_rl.randomness import TaskStreams
from meta_rl.types import Params

N, H, SIGMA = 2, 3, 0.1
PARAMS = {"a": torch.tensor([[1.0, -2.0], [0.5, 3.0]]), "b": torch.tensor([4.0, 5.0])}  # [N, 2] and [N]


def coordinates(size: int) -> Tensor:
    """All coordinate directions, of the mean square that normal ones have: [N, size, size]."""
    return (size**0.5 * torch.eye(size)).expand(N, size, size)


def rows(params: Params) -> Tensor:
    """The perturbed parameters of every task as vectors [N, 2 H, 3]."""
    flat = torch.cat([x.reshape(len(x), -1) for x in params.values()], 1)
    return flat.view(N, -1, flat.shape[1])


def as_directions(x: Tensor) -> Params:
    return {"a": x[..., :2], "b": x[..., 2]}


def test_pairs_stand_side_by_side_task_by_task() -> None:
    directions = draw_directions(TaskStreams(0), PARAMS, H)
    found = perturbed(PARAMS, directions, SIGMA)
    assert found["a"].shape == (N * 2 * H, 2)
    assert found["b"].shape == (N * 2 * H,)
    for name, theta in PARAMS.items():
        for i in range(N):
            for h in range(H):
                shift = SIGMA * directions[name][i, h]
                at = 2 * H * i + 2 * h
                torch.testing.assert_close(found[name][at], theta[i] + shift)
                torch.testing.assert_close(found[name][at + 1], theta[i] - shift)


def test_the_slope_of_a_quadratic_is_its_gradient_along_all_coordinates() -> None:
    # F = c x + x A x / 2 with the gradient c + A x: the quadratic part in g cancels, whatever sigma.
    c, a = torch.tensor([1.0, -2.0, 0.5]), torch.tensor([[2.0, 1.0, 0.0], [1.0, -3.0, 0.5], [0.0, 0.5, 1.0]])
    directions = as_directions(coordinates(3))
    for sigma in (0.1, 2.0):
        x = rows(perturbed(PARAMS, directions, sigma))
        fitness = x @ c + 0.5 * ((x @ a) * x).sum(-1)
        found = slope(fitness, directions, sigma)
        theta = torch.cat([PARAMS["a"], PARAMS["b"][:, None]], 1)
        expected = c + theta @ a
        torch.testing.assert_close(found["a"], expected[:, :2], rtol=1e-4, atol=1e-4)
        torch.testing.assert_close(found["b"], expected[:, 2], rtol=1e-4, atol=1e-4)


def test_what_is_even_cancels_in_every_pair() -> None:
    directions = draw_directions(TaskStreams(0), PARAMS, H)
    fitness = torch.tensor([[3.0, 3.0, -1.0, -1.0, 7.0, 7.0], [2.0, 2.0, 0.0, 0.0, 5.0, 5.0]])
    assert all(not x.any() for x in slope(fitness, directions, SIGMA).values())


def test_in_expectation_the_slope_of_a_linear_fitness_is_its_gradient() -> None:
    c = torch.tensor([1.0, -2.0, 0.5])
    directions = draw_directions(TaskStreams(0), PARAMS, 40_000)
    found = slope(rows(perturbed(PARAMS, directions, SIGMA)) @ c, directions, SIGMA)
    assert found["a"].flatten().tolist() == pytest.approx([1.0, -2.0] * N, abs=0.06)
    assert found["b"].tolist() == pytest.approx([0.5] * N, abs=0.06)


def test_directions_depend_on_the_tasks_streams_alone() -> None:
    whole = draw_directions(TaskStreams(1, 2, 3), PARAMS, H)
    assert bit_identical(whole, draw_directions(TaskStreams(1, 2, 3), PARAMS, H))
    second = {name: value[1:] for name, value in PARAMS.items()}
    share = draw_directions(TaskStreams(1, 2, 3, first=1), second, H)
    assert bit_identical(share, {name: value[1:] for name, value in whole.items()})
    streams = TaskStreams(1, 2, 3)
    first, following = (draw_directions(streams, PARAMS, H)["a"] for _ in range(2))
    assert first.equal(whole["a"])
    assert not first.equal(following)
