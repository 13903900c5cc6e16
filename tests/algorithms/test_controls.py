"""The baselines through a real trainer: pooled TRPO, an oracle that sees the task, and no training at all."""

import math
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.distributions import kl_divergence
from torch.func import functional_call

from helpers import (
    bit_identical,
    final_state,
    fit,
    flatten,
    make_data,
    make_samples,
    normal,
    record_logs,
    record_phases,
    resumed,
    shared,
    theta_of,
    unflatten,
    valid,
)
from meta_rl.algorithms import MAML, MetaLearner, Oracle, PolicyConfig, Pretrained, Random
from meta_rl.data import RolloutDataModule
from meta_rl.envs import ActionReward, BatchedEnv
from meta_rl.envs.observe_task import ObserveTask
from meta_rl.errors import NonFiniteError, UserError
from meta_rl.inner import InnerLoop
from meta_rl.objective import MetaObjective
from meta_rl.policy import GaussianMLP
from meta_rl.randomness import Phase
from meta_rl.trust_region import Outcome
from meta_rl.types import MetaBatch, Samples

POLICY = PolicyConfig(hidden_sizes=[8], nonlinearity="tanh")
TRAINED = pytest.mark.parametrize("algorithm", [Pretrained, Oracle])
QUERY = make_samples(4, (10, 3, 12))


def make(algorithm: type[Pretrained], **arguments: Any) -> Any:
    return algorithm(**{"policy": POLICY, **arguments})


def mean(records: list[dict[str, float]], name: str) -> float:
    return sum(record[name] for record in records) / len(records)


def as_one_task(samples: Samples) -> Samples:
    """The valid states of all tasks as those of a single one."""
    parts = zip(*(valid(samples, i) for i in range(len(samples.mask))), strict=True)
    observations, actions, advantages = (torch.cat(part)[None] for part in parts)
    others = (x[samples.mask > 0][None] for x in (samples.log_probs, samples.values, samples.episodes))
    return Samples(observations, actions, advantages, torch.ones_like(advantages), *others)


def objective_of(policy: GaussianMLP, query: Samples, **arguments: Any) -> MetaObjective:
    inner, adapted = InnerLoop(policy, 0.1), shared(policy, len(query.mask))
    return MetaObjective(policy, inner, [], adapted, query, first_order=True, **arguments)


def everything(objective: MetaObjective, policy: GaussianMLP) -> list[Tensor]:
    """Loss, gradient and Fisher matrix at theta; loss and KL elsewhere."""
    theta = theta_of(policy)
    loss, gradient = objective.gradient(theta)
    eye = torch.eye(flatten(theta).numel()).double()
    fisher = torch.stack([objective.fisher_product(v) for v in eye])
    elsewhere = objective.evaluate({name: p + 0.05 for name, p in theta.items()})
    assert elsewhere[1] > 1e-3
    return [loss, *gradient, fisher, *elsewhere]


@pytest.mark.parametrize("states", [1, 10_000])
def test_pooled_objective_is_that_of_one_big_task(policy: GaussianMLP, states: int) -> None:
    pooled = objective_of(policy, QUERY, pooled=True, states_per_chunk=states)
    one = objective_of(policy, as_one_task(QUERY))
    torch.testing.assert_close(everything(pooled, policy), everything(one, policy), rtol=1e-9, atol=1e-12)
    by_task = objective_of(policy, QUERY)
    assert not torch.allclose(everything(by_task, policy)[1], everything(one, policy)[1], rtol=1e-3)


def test_pooled_objective_against_plain_trpo(policy: GaussianMLP) -> None:
    """Every valid state of every task with the same weight, written out."""
    theta = theta_of(policy)
    observations, actions, advantages = (x[0] for x in as_one_task(QUERY)[:3])
    old = normal(policy, theta, observations)

    def loss_and_kl(vector: Tensor) -> tuple[Tensor, Tensor]:
        new = normal(policy, unflatten(vector, theta), observations)
        ratio = (new.log_prob(actions) - old.log_prob(actions)).sum(-1).exp()
        return -(ratio * advantages).mean(), kl_divergence(old, new).sum(-1).mean()

    start = flatten(theta).requires_grad_()
    (gradient,) = torch.autograd.grad(loss_and_kl(start)[0], start)
    hessian = torch.autograd.functional.hessian(lambda x: loss_and_kl(x)[1], start.detach())
    loss, *grads, fisher, after, kl = everything(objective_of(policy, QUERY, pooled=True), policy)
    torch.testing.assert_close(loss, loss_and_kl(start)[0].detach())
    torch.testing.assert_close(torch.cat([g.flatten() for g in grads]), gradient)
    torch.testing.assert_close(fisher, hessian)  # pyright: ignore[reportArgumentType]
    torch.testing.assert_close((after, kl), loss_and_kl(start.detach() + 0.05))


def test_thinned_states_stand_for_all_of_their_task(policy: GaussianMLP) -> None:
    whole, thinned = (objective_of(policy, QUERY, pooled=True, fisher_fraction=f) for f in (1.0, 0.25))
    for a, b in zip(thinned.gradient(theta_of(policy)), whole.gradient(theta_of(policy)), strict=True):
        torch.testing.assert_close(a, b)
    (part,) = thinned._linearisations
    assert (part.by_mean[..., 0] > 0).sum(1).tolist() == [3, 3, 3]
    weights = part.by_log_std[:, 0] / 2  # the Fisher information of log_std is 2
    torch.testing.assert_close(weights / 3, torch.tensor([10.0, 3.0, 12.0]).double() / 25)


class Agreed(ActionReward):
    """All tasks have the same target."""

    def sample_tasks(self, n: int, generator: torch.Generator) -> Tensor:
        return torch.full((n, 1), 0.7)


@pytest.mark.parametrize("outer", [{}, {"outer_optimizer": "adam", "outer_lr": 0.03}], ids=["trpo", "adam"])
def test_pretraining_solves_tasks_that_agree(outer: dict) -> None:
    learner = make(Pretrained, **outer)
    records = record_logs(learner)
    fit(learner, RolloutDataModule(Agreed(horizon=3), meta_batch_size=10, fast_batch_size=20), 25)
    assert mean(records[:3], "return_pre") < -3  # per step: the variance 1 and the target's square 0.5
    assert mean(records[-3:], "return_pre") > -1.2


def test_the_oracle_goes_far_beyond_a_policy_that_does_not_see_the_task() -> None:
    best_blind = -2 / 3  # two steps; the variance of the target, uniform in [-1, 1], is 1/3
    returns = {}
    for algorithm in (Pretrained, Oracle):
        learner = make(algorithm, max_kl=0.03)
        records = record_logs(learner)
        fit(learner, RolloutDataModule(ActionReward(horizon=2), meta_batch_size=20, fast_batch_size=20), 30)
        returns[algorithm] = mean(records[-10:], "return_post")
    assert returns[Pretrained] < 0.6 * best_blind  # a few iterations' tasks are a sample
    assert returns[Oracle] > 0.1 * best_blind


class Spy(Pretrained):
    """Keeps its batch and its objective."""

    def training_step(self, batch: MetaBatch, batch_idx: int) -> None:
        self.seen = batch
        super().training_step(batch, batch_idx)

    def objective(self, *args: Any, **kwargs: Any) -> MetaObjective:
        self.sought = super().objective(*args, **kwargs)
        return self.sought


class Unequal(ActionReward):
    """Tasks differ in how much they pay and in how long they last."""

    def step(self, actions: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        observations, rewards, _ = super().step(actions)
        over = (self._target > 0).expand_as(rewards)
        return observations, rewards * 10**self._target, over


def test_training_pools_and_testing_does_not() -> None:
    learner = make(Spy, fisher_fraction=0.5)
    data = RolloutDataModule(Unequal(), meta_batch_size=4, fast_batch_size=3)
    fit(learner, data, 1)
    samples = learner.seen.support.samples
    lengths = samples.mask.sum(1)
    assert len(lengths.unique()) == 2
    torch.testing.assert_close(learner.sought.weights, lengths / lengths.mean())
    assert learner.sought.fisher_fraction == 0.5
    kept = samples.advantages[samples.mask > 0]
    assert float(kept.mean()) == pytest.approx(0, abs=1e-6)
    assert float(kept.std(correction=0)) == pytest.approx(1, abs=1e-5)
    for advantages, mask in zip(samples.advantages, samples.mask, strict=True):
        assert abs(float(advantages[mask > 0].mean())) > 0.01
    assert not data.estimator.pooled
    fit(make_maml(), data, 1)  # the same data module serves another learner
    assert not data.sampler.estimator.pooled


@pytest.mark.parametrize("pooled", [True, False])
def test_an_oracle_pools_if_it_is_told_to(pooled: bool) -> None:
    """What the pooled advantages of a task have left as a mean is what the task's own baseline takes away."""

    class SpyOracle(Oracle, Spy):
        pass

    learner = make(SpyOracle, pooled=pooled)
    data = RolloutDataModule(Unequal(), meta_batch_size=4, fast_batch_size=3)
    fit(learner, data, 1)
    samples = learner.seen.support.samples
    means = torch.stack([a[m > 0].mean() for a, m in zip(samples.advantages, samples.mask, strict=True)])
    assert (means.abs().amin() > 0.01) == pooled
    lengths = samples.mask.sum(1)
    weights = lengths / lengths.mean() if pooled else torch.ones_like(lengths)
    torch.testing.assert_close(learner.sought.weights, weights)


def make_maml() -> MAML:
    return MAML(policy=POLICY, curvature_every_n_steps=0)


def test_an_oracle_leaves_no_view_of_the_task_behind() -> None:
    data = make_data()
    oracle = make(Oracle)
    fit(oracle, data, 1)
    assert oracle.policy.mean[0].in_features == 2
    maml = make_maml()
    fit(maml, data, 1)
    assert maml.policy.mean[0].in_features == 1


def test_the_oracle_wraps_once() -> None:
    oracle = make(Oracle)
    once = oracle.environment(ActionReward())
    assert isinstance(once, ObserveTask)
    assert oracle.environment(once) is once
    oracle.build(once, 0)
    assert oracle.policy.mean[0].in_features == 2
    assert make(Pretrained).environment(once.env) is once.env


def test_the_oracle_acts_on_the_task() -> None:
    learner = make(Oracle)
    learner.build(ActionReward(), 0)
    means = functional_call(learner.policy, learner.theta(), (torch.tensor([[0.0, -1.0], [0.0, 1.0]]),)).mean
    assert float((means[0] - means[1]).abs()) > 1e-3


@TRAINED
def test_log_of_an_iteration(algorithm: type[Pretrained]) -> None:
    learner = make(algorithm, max_kl=0.005)
    records = record_logs(learner)
    fit(learner, make_data(), 4)
    assert [r["env_steps"] for r in records] == [60, 120, 180, 240]  # 3 tasks x 4 episodes x 5 steps, once
    for record in records:
        assert all(math.isfinite(value) for value in record.values())
        assert record["return_pre"] == record["return_post"]
        assert "second_order_norm" not in record
        assert "time_inner" not in record
        assert record["kl"] <= 0.005
    accepted = [r for r in records if r["outer_step_outcome"] == Outcome.ACCEPTED]
    assert accepted
    assert all(r["loss_after"] < r["loss_before"] and r["kl"] > 0 for r in accepted)


@TRAINED
def test_one_batch_of_episodes_an_iteration(algorithm: type[Pretrained]) -> None:
    data = make_data()
    streams = record_phases(data)
    fit(make(algorithm, num_inner_steps=3), data, 3)
    assert streams == [(iteration, Phase.SUPPORT) for iteration in range(3)]


@TRAINED
@pytest.mark.parametrize("announced", [True, False], ids=["interrupted", "continued"])
def test_resuming_is_bit_identical(algorithm: type[Pretrained], announced: bool, tmp_path: Any) -> None:
    through = fit(make(algorithm), make_data(), 5)
    again = resumed(lambda: make(algorithm), 2, 5, announced, tmp_path)
    assert again.global_step == 5
    assert bit_identical(final_state(through), final_state(again))


class Broken(ActionReward):
    def step(self, actions: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        observations, reward, terminated = super().step(actions)
        return observations, reward * float("nan"), terminated


@TRAINED
def test_a_reward_that_is_not_finite_stops_the_run(algorithm: type[Pretrained]) -> None:
    with pytest.raises(NonFiniteError, match="reward"):
        fit(make(algorithm), RolloutDataModule(Broken(), 2, 2), 1)


class BrokenGradient(Pretrained):
    def outer_gradient(self, *args: Any) -> Any:
        loss, gradient, numbers = super().outer_gradient(*args)
        return loss, gradient, {**numbers, "gradient_norm": math.nan}


def test_a_gradient_that_is_not_finite_stops_the_run_before_the_step() -> None:
    normalised = PolicyConfig(hidden_sizes=[8], normalize_observations=True)
    learner, data = make(BrokenGradient, policy=normalised), make_data()
    learner.build(data.env, data.seed)
    before = flatten(learner.theta()).clone()
    with pytest.raises(NonFiniteError, match="gradient_norm is nan") as caught:
        fit(learner, data, 1)
    assert flatten(learner.theta()).equal(before)
    assert set(caught.value.dump["statistics"]) == {f"normalizer.{x}" for x in ("mean", "variance", "count")}


class Taskless(ActionReward):
    def __init__(self) -> None:
        super().__init__()
        del self.task_space


def test_the_oracle_needs_a_box_of_tasks() -> None:
    with pytest.raises(UserError, match=r"Taskless.task_space must be a one-dimensional gymnasium Box"):
        make(Oracle).build(Taskless(), 0)


@pytest.mark.parametrize(("algorithm", "trainable"), [(Random, False), (Pretrained, True), (MAML, True)])
def test_only_random_has_nothing_to_train(algorithm: type[MetaLearner], trainable: bool) -> None:
    assert algorithm.trainable() == trainable


def test_random_is_the_initial_policy_of_every_method() -> None:
    env: BatchedEnv = ActionReward()
    random, maml = Random(policy=POLICY), make_maml()
    random.build(env, 3)
    maml.build(env, 3)
    assert flatten(random.theta()).equal(flatten(maml.theta()))
