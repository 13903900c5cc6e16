"""One process or several: the same tasks, the same numbers, the same parameters."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

import rank_worker
from meta_rl import ranks

# Adam divides gradients of dead units, which are nothing but rounding, by 1e-8; and Pendulum's curvature, of
# observed velocities up to 8, is worse conditioned.
AMPLIFIED = {"Reptile, Adam": 1e-8, "FOMAML on Pendulum": 1e-6}


@pytest.fixture(scope="module")
def alone() -> dict[str, Any]:
    torch.set_num_threads(1)
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
def test_any_number_of_processes_gives_the_same_parameters(
    alone: dict[str, Any], together: list[dict[str, Any]], case: str
) -> None:
    for results in (rank["results"] for rank in together):
        for (theta, logged), (expected, numbers), tolerance in zip(
            results[case], alone[case], (1e-5, AMPLIFIED.get(case, 1e-10)), strict=True
        ):
            assert float((theta - expected).norm() / expected.norm()) <= tolerance
            assert logged == pytest.approx(numbers, rel=1e-5, abs=1e-7)


def test_all_ranks_end_with_the_same_bits(together: list[dict[str, Any]]) -> None:
    first, *others = ([theta for runs in rank["results"].values() for theta, _ in runs] for rank in together)
    for other in others:
        assert all(x.equal(y) for x, y in zip(first, other, strict=True))


def test_an_iteration_sends_a_few_vectors_of_the_size_of_the_policy(
    alone: dict[str, Any], together: list[dict[str, Any]]
) -> None:
    parameters = len(alone["FOMAML"][0][0])
    for sent in (rank["sent"] for rank in together):
        # Gradient, ten Fisher products, and the gradient that tells what the second order contributes, in
        # float64. Then numbers: losses, KLs and metrics.
        assert 0 <= sent["all_reduce"] - 8 * parameters * (1 + 10 + 1) < 1000
        assert sent["all_gather"] < 1000


def test_alone_there_is_nothing_to_reduce() -> None:
    x = torch.arange(3.0)
    assert (ranks.size(), ranks.index()) == (1, 0)
    for function in (ranks.total, ranks.mean, ranks.highest, ranks.gather):
        assert function(x).equal(x)
    assert ranks.means([x, x[0]])[0].equal(x)
