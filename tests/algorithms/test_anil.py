"""ANIL: which layers adapt, and which learn."""

from typing import Any

import pytest
import torch

from helpers import LENGTHS, fit, make_data, make_policy, make_samples, record_logs, shared
from meta_rl.algorithms import ANIL, PolicyConfig
from meta_rl.data import RolloutDataModule
from meta_rl.envs import Bandit, PointMass
from meta_rl.inner import InnerLoop

POLICY = PolicyConfig(hidden_sizes=[8], nonlinearity="tanh")


@pytest.mark.parametrize(
    ("layers", "still"),
    [
        (None, set()),
        ([-1], {"mean.0.weight", "mean.0.bias"}),
        ([2], {"mean.0.weight", "mean.0.bias"}),
        ([1], {"mean.2.weight", "mean.2.bias"}),
        ([1, -1], set()),
    ],
)
def test_only_these_layers_adapt(layers: list[int] | None, still: set[str]) -> None:
    policy = make_policy()
    before = shared(policy)
    after = InnerLoop(policy, 0.3, adapted_layers=layers).replay(before, [make_samples(1, LENGTHS)])
    assert {name for name in before if torch.equal(before[name], after[name])} == still


def make(**arguments: Any) -> ANIL:
    return ANIL(**{"inner_lr": 0.3, "policy": POLICY, "curvature_every_n_steps": 0, **arguments})


@pytest.mark.parametrize("first_order", [False, True])
def test_learns_to_adapt(first_order: bool) -> None:
    learner = make(first_order=first_order)
    records = record_logs(learner)
    fit(learner, RolloutDataModule(Bandit(), meta_batch_size=20, fast_batch_size=20), 30)
    returns = [sum(r[name] for r in records[-3:]) / 3 for name in ("return_pre", "return_post")]
    assert returns[1] > returns[0] + 0.1
    assert returns[1] > sum(r["return_post"] for r in records[:3]) / 3 + 0.1


def test_the_outer_step_moves_all_layers() -> None:
    learner = make()
    data = RolloutDataModule(PointMass(horizon=5), meta_batch_size=4, fast_batch_size=4)
    learner.build(data.env, data.seed)
    before = {name: p.clone() for name, p in learner.theta().items()}
    fit(learner, data, 2)
    assert not any(torch.equal(before[name], p) for name, p in learner.theta().items())


def test_the_last_layer_adapts_by_default() -> None:
    learner = make()
    data = make_data()
    learner.build(data.env, data.seed)
    assert learner.inner.at_test()._frozen == {"mean.0.weight", "mean.0.bias"}
