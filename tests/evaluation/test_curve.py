"""Adaptation curves against hand-worked numbers, and their independence of what is evaluated beside them."""

import math
from pathlib import Path

import pytest
import torch
from torch import Tensor

from meta_rl.advantages import AdvantageEstimator
from meta_rl.envs import (
    ActionReward,
    AntDirection,
    Bandit,
    BatchedEnv,
    ConstantReward,
    PointMass,
    PointMassSparse,
)
from meta_rl.errors import NonFiniteError
from meta_rl.evaluation import curve as evaluation
from meta_rl.evaluation.curve import (
    TaskChoice,
    adapt_policy,
    adaptation_curve,
    adaptation_frame,
    evaluation_tasks,
    tasks_to_test,
)
from meta_rl.inner import InnerLoop
from meta_rl.policy import GaussianMLP, PolicyConfig, repeat
from meta_rl.randomness import Phase, TaskStreams, generator
from meta_rl.rollout import Sampler


def linear_policy(size: int = 1) -> GaussianMLP:
    return GaussianMLP(size, size, PolicyConfig([]), torch.Generator().manual_seed(0))


def curve(
    env: BatchedEnv, tasks: Tensor, rates: list[float], steps: int = 1, episodes: int = 10, seed: int = 0
) -> Tensor:
    policy = linear_policy(env.action_space.shape[0])
    inner = InnerLoop(policy, rates)
    return adaptation_curve(policy, inner, env, tasks, steps, episodes, AdvantageEstimator(), seed)


def test_one_step_on_the_bandit_is_the_exact_policy_gradient_step() -> None:
    # Action e ~ N(0, 1), reward -(e - m)^2, normalised advantage A = (1 - e^2 + 2 m e) / sqrt(2 + 4 m^2): the
    # mean moves by rate * E[A e] = rate * 2 m / sqrt(2 + 4 m^2), and log_std by
    # rate * E[A (e^2 - 1)] = -rate * 2 / sqrt(2 + 4 m^2).
    target, rate = 0.8, 0.5
    scale = 2 * rate / math.sqrt(2 + 4 * target**2)
    after = -((scale * target - target) ** 2) - math.exp(-scale) ** 2
    returns = curve(Bandit(), torch.tensor([[target]]), [rate], episodes=40_000)
    assert returns.shape == (1, 2, 40_000)
    assert returns[0, 0].mean() == pytest.approx(-(target**2) - 1, abs=0.03)
    assert returns[0, 1].mean() == pytest.approx(after, abs=0.03)


def test_return_without_a_gradient_is_the_horizon() -> None:
    returns = curve(ConstantReward(horizon=7), torch.zeros(3, 1), [0.1], steps=2)
    assert returns.equal(torch.full((3, 3, 10), 7.0))


def test_a_list_gives_one_rate_a_step_and_the_last_serves_later_ones() -> None:
    env, tasks = ActionReward(), torch.tensor([[0.9]])
    means = curve(env, tasks, [1e-9, 0.5], steps=3, episodes=2000).mean(-1)[0].tolist()
    assert means[1] == pytest.approx(means[0], rel=0.05)
    assert means[2] > means[1] + 1
    assert means[3] > means[2] + 1


def test_a_task_does_not_depend_on_the_others() -> None:
    env = ActionReward()
    one = curve(env, torch.tensor([[0.5], [-0.3]]), [0.1], steps=3)
    other = curve(env, torch.tensor([[-1.0], [-0.3]]), [0.1], steps=3)
    assert one[1].equal(other[1])
    assert not one[0].equal(other[0])


def test_adapted_parameters_do_not_depend_on_the_other_tasks() -> None:
    env, policy, tasks = PointMass(horizon=20), GaussianMLP(2, 2, PolicyConfig([8])), torch.rand(2, 4) - 0.5
    params = repeat(dict(policy.named_parameters()), 2)
    sampler = Sampler(env, 5, AdvantageEstimator())
    samples = sampler.collect(policy, params, tasks, TaskStreams(0)).samples
    inner = InnerLoop(policy, 0.5)
    together = inner.step(inner.start(params), samples).params
    second = {name: value[1:] for name, value in params.items()}
    alone = inner.step(inner.start(second), type(samples)(*(x[1:] for x in samples))).params
    for name in params:
        torch.testing.assert_close(together[name][1:], alone[name])


def test_evaluation_leaves_the_policy_and_the_next_call_alone() -> None:
    env, tasks, policy = ActionReward(), torch.tensor([[0.5], [-0.5]]), linear_policy()
    before = {name: value.clone() for name, value in policy.state_dict().items()}
    inner = InnerLoop(policy, 0.5)
    arguments = (policy, inner, env, tasks, 2, 10, AdvantageEstimator())
    first, again, other = (adaptation_curve(*arguments, seed) for seed in (0, 0, 1))
    assert all(value.equal(before[name]) for name, value in policy.state_dict().items())
    assert all(p.grad is None for p in policy.parameters())
    assert first.equal(again)
    assert not first.equal(other)


def test_more_gradient_steps_only_lengthen_the_curve() -> None:
    env, tasks = ActionReward(), torch.tensor([[0.5], [-0.5]])
    assert curve(env, tasks, [0.1], steps=3)[:, :2].equal(curve(env, tasks, [0.1], steps=1))


def test_steps_yield_the_parameters_that_collected_the_episodes() -> None:
    env, tasks, policy = ActionReward(), torch.tensor([[0.5], [-0.5]]), linear_policy()
    inner, sampler = InnerLoop(policy, [0.5, 0.25]), Sampler(env, 10, AdvantageEstimator())
    stream = TaskStreams(0, 0, Phase.EVALUATION_EPISODES)
    adapted, batches = zip(*adapt_policy(policy, inner, sampler, tasks, 2, stream), strict=True)
    params = [a.params for a in adapted]
    theta = repeat({name: p.detach() for name, p in policy.named_parameters()}, 2)
    for step in range(3):
        expected = inner.replay(theta, [b.samples for b in batches[:step]])
        for name, value in expected.items():
            assert params[step][name].shape == value.shape
            torch.testing.assert_close(params[step][name], value)
            assert not params[step][name].requires_grad
    stream = TaskStreams(0, 0, Phase.EVALUATION_EPISODES)
    for step in range(3):
        again = sampler.collect(policy, params[step], tasks, stream)
        assert again.returns.equal(batches[step].returns)
    expected = adaptation_curve(policy, inner, env, tasks, 2, 10, AdvantageEstimator(), 0)
    assert torch.stack([b.returns for b in batches], 1).equal(expected)


def test_a_file_replaces_the_drawn_tasks(tmp_path: Path) -> None:
    (tmp_path / "tasks.csv").write_text("target\n0.5\n")
    assert tasks_to_test(Bandit(), TaskChoice(file=tmp_path / "tasks.csv"), seed=0).tolist() == [[0.5]]
    assert tasks_to_test(Bandit(), TaskChoice(40), seed=3).equal(evaluation_tasks(Bandit(), 40, seed=3))


def test_a_task_is_evaluated_alike_among_any_others() -> None:
    env, tasks, policy = ActionReward(), torch.linspace(-1, 1, 5)[:, None], linear_policy()
    inner = InnerLoop(policy, 0.5)
    all_of_them, some = (
        adaptation_curve(policy, inner, env, t, 2, 10, AdvantageEstimator(), 0) for t in (tasks, tasks[:2])
    )
    torch.testing.assert_close(all_of_them[:2], some)


def test_chunks_are_evaluated_one_by_one(monkeypatch: pytest.MonkeyPatch) -> None:
    env, tasks = ActionReward(horizon=5), torch.linspace(-1, 1, 5)[:, None]
    monkeypatch.setattr(evaluation, "STATES_AT_ONCE", 2 * 10 * 5)
    returns = curve(env, tasks, [0.1])
    assert returns.shape == (5, 2, 10)
    assert returns[:2].equal(curve(env, tasks[:2], [0.1]))
    assert not returns[2:4].equal(curve(env, tasks[2:4], [0.1]))  # chunks do not share their noise


def test_evaluated_tasks_are_not_those_of_training() -> None:
    env = PointMass()
    unseen = evaluation_tasks(env, 40, seed=1)
    assert unseen.equal(evaluation_tasks(env, 40, seed=1))
    assert not unseen.equal(evaluation_tasks(env, 40, seed=2))
    for iteration in range(100):
        tasks = env.sample_tasks(40, generator(1, iteration, Phase.TASKS))
        assert not (unseen[:, None] == tasks).all(-1).any()


def test_of_a_family_with_few_tasks_all_are_dealt_out_evenly() -> None:
    env = AntDirection()
    assert evaluation_tasks(env, 40, seed=0).flatten().tolist() == [-1, 1] * 20
    assert evaluation_tasks(env, 3, seed=0).flatten().tolist() == [-1, 1, -1]
    assert len(evaluation_tasks(env, 1, seed=0)) == 1
    corners = evaluation_tasks(PointMassSparse(), 40, seed=0)
    assert corners.unique(dim=0, return_counts=True)[1].tolist() == [10] * 4
    assert len(evaluation_tasks(PointMassSparse(), 3, seed=0)) == 3


def test_divergence_is_an_error() -> None:
    with pytest.raises(NonFiniteError):
        curve(ActionReward(), torch.tensor([[0.5]]), [1e38], steps=3)


def test_frame_has_a_row_for_each_task_and_step() -> None:
    returns = torch.tensor([[[1.0, 3.0], [5.0, 5.0]], [[0.0, 0.0], [2.0, 4.0]]])
    frame = adaptation_frame(ActionReward(), torch.tensor([[0.5], [-0.25]]), returns)
    columns = ["task", "target", "gradient_step", "return_mean", "return_std", "episodes"]
    assert list(frame.columns) == columns
    assert frame.to_numpy().tolist() == [
        [0, 0.5, 0, 2, 1, 2],
        [0, 0.5, 1, 5, 0, 2],
        [1, -0.25, 0, 0, 0, 2],
        [1, -0.25, 1, 3, 1, 2],
    ]
