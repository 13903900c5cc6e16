"""One process or several: the same tasks, the same numbers, the same parameters."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

import rank_worker
from meta_rl import ranks, threads


@pytest.fixture(scope="module")
def alone() -> dict[str, Any]:
    threads.use(1)
    return rank_worker.train_all(1, rank_worker.CASES)


@pytest.fixture(scope="module")
def ranks_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the ranks of every size have written."""
    folder = tmp_path_factory.mktemp("ranks")
    subprocess.run([sys.executable, rank_worker.__file__, str(folder)], check=True, timeout=300)
    return folder


@pytest.fixture(scope="module", params=rank_worker.SIZES)
def together(request: pytest.FixtureRequest, ranks_folder: Path) -> list[dict[str, Any]]:
    """What every rank has found."""
    return [torch.load(ranks_folder / f"{rank}-of-{request.param}.pt") for rank in range(request.param)]


@pytest.mark.parametrize(
    ("together", "case"),
    [(size, case) for size, cases in rank_worker.SIZES.items() for case in cases],
    indirect=["together"],
)
def test_any_number_of_processes_gives_the_same_bits(
    alone: dict[str, Any], together: list[dict[str, Any]], case: str
) -> None:
    for results in (rank["results"] for rank in together):
        for (theta, logged), (expected, numbers) in zip(results[case], alone[case], strict=True):
            assert theta.equal(expected)
            assert logged == numbers


def test_all_ranks_end_with_the_same_bits(together: list[dict[str, Any]]) -> None:
    first, *others = ([theta for runs in rank["results"].values() for theta, _ in runs] for rank in together)
    for other in others:
        assert all(x.equal(y) for x, y in zip(first, other, strict=True))


def test_an_iteration_sends_a_few_vectors_of_the_size_of_the_policy(
    alone: dict[str, Any], together: list[dict[str, Any]]
) -> None:
    parameters, chunks = len(alone["FOMAML"][0][0]), len(ranks.chunks(8, 30, 8192))
    for sent in (rank["sent"] for rank in together):
        # Of each chunk: its gradient, ten Fisher products, and the gradient that tells what the second order
        # contributes, in float64. Then numbers: losses, KLs and metrics.
        vectors = 8 * parameters * (1 + 10 + 1) * chunks // len(together)
        assert 0 <= sent["all_gather"] - vectors < 2000
        assert sent["all_reduce"] < 100


def test_alone_there_is_nothing_to_gather() -> None:
    x = torch.arange(6.0).reshape(3, 2)
    assert (ranks.size(), ranks.index()) == (1, 0)
    assert ranks.highest(x).equal(x)
    assert ranks.gather(x).equal(x)
    assert ranks.total(list(x)).tolist() == ranks.sum_over_tasks(x).tolist() == [6, 9]


@pytest.mark.parametrize(
    ("tasks", "states", "lengths"),
    [
        (40, 2000, [2] * 20),
        (40, 30, [10] * 4),
        (10, 4000, [1] * 10),
        (7, 10, [7]),
        (20, 2000, [1] * 20),
        (3, 9000, [1] * 3),
    ],
)
def test_chunks(tasks: int, states: int, lengths: list[int]) -> None:
    chunks = ranks.chunks(tasks, states, 8192)
    assert [part.stop - part.start for part in chunks] == lengths
    assert [i for part in chunks for i in range(tasks)[part]] == list(range(tasks))


@pytest.mark.parametrize("tasks", [8, 40])
def test_chunks_of_several_ranks_are_those_of_one(tasks: int, monkeypatch: pytest.MonkeyPatch) -> None:
    for states in (1, 100, 2000, 4000):
        (length,) = {part.stop - part.start for part in ranks.chunks(tasks, states, 8192)}
        for size in (2, 4):
            monkeypatch.setattr(ranks, "size", lambda size=size: size)
            assert {part.stop - part.start for part in ranks.chunks(tasks // size, states, 8192)} == {length}
        monkeypatch.undo()
