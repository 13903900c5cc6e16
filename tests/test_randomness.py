"""Streams: what they depend on, and what they do not."""

import torch
from torch import Tensor

from meta_rl.randomness import Phase, TaskStreams


def numbers(streams: TaskStreams, tasks: int) -> Tensor:
    return streams.draw(tasks, lambda g: torch.rand(3, 2, generator=g))


def test_a_share_of_the_tasks_draws_what_all_of_them_would() -> None:
    whole = numbers(TaskStreams(1, 5, Phase.QUERY), 6)
    shares = [numbers(TaskStreams(1, 5, Phase.QUERY, first), 2) for first in (0, 2, 4)]
    assert torch.cat(shares).equal(whole)


def test_streams_go_on_and_start_anew_with_a_new_object() -> None:
    streams = TaskStreams(1)
    first, second = numbers(streams, 2), numbers(streams, 3)
    assert not first.equal(second[:2])
    assert numbers(TaskStreams(1), 2).equal(first)
    assert numbers(TaskStreams(1), 3)[2].equal(second[2])  # a task that joins later begins its own stream


def test_every_task_and_purpose_has_numbers_of_its_own() -> None:
    purposes = [(1, 0, 0), (2, 0, 0), (1, 1, 0), (1, 0, 1)]
    drawn = {tuple(row.flatten().tolist()) for p in purposes for row in numbers(TaskStreams(*p), 4)}
    assert len(drawn) == 16


def test_tasks_that_are_alike_draw_the_same_numbers() -> None:
    whole = numbers(TaskStreams(1, alike=2), 6)
    assert whole[::2].equal(whole[1::2])
    assert whole[::2].equal(numbers(TaskStreams(1), 3))
    assert numbers(TaskStreams(1, first=2, alike=2), 4).equal(whole[2:])
    assert numbers(TaskStreams(1, alike=2).part(slice(3, 6)), 3).equal(whole[3:])
