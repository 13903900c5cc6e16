"""Discrete actions: the same algorithms, with a softmax policy."""

from typing import Any

import pytest
import torch
from gymnasium.spaces import Discrete
from torch import Tensor
from torch.func import functional_call

from helpers import LENGTHS, finite_differences, fit, flatten, theta_of, unflatten
from meta_rl.advantages import AdvantageEstimator
from meta_rl.algorithms import ESMAML, FOMAML, MAML, MetaLearner, Oracle, Pretrained, Reptile
from meta_rl.data import RolloutDataModule
from meta_rl.envs import ActionReward, GymnasiumEnv
from meta_rl.errors import NonFiniteError, UserError
from meta_rl.inner import InnerLoop
from meta_rl.objective import MetaObjective
from meta_rl.policy import CategoricalMLP, PolicyConfig, distribution, repeat
from meta_rl.randomness import TaskStreams
from meta_rl.rollout import Sampler
from meta_rl.types import Samples

SMALL = PolicyConfig([8], "tanh", output_gain=0.01)


class Sides(ActionReward):
    """Three actions, of which the first pays the target and the last one minus the target."""

    def __init__(self, horizon: int = 5) -> None:
        super().__init__(horizon)
        self.action_space = Discrete(3)

    def step(self, actions: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        assert actions.dtype == torch.int64
        return self._transition((1.0 - actions[..., 0]) * self._target)


def make_policy() -> CategoricalMLP:
    stream = torch.Generator().manual_seed(0)
    policy = CategoricalMLP(2, 3, PolicyConfig([4], "tanh"), stream).double()
    with torch.no_grad():
        for p in policy.parameters():
            p += 0.1 * torch.randn(p.shape, generator=stream, dtype=p.dtype)
    return policy


def make_samples(policy: CategoricalMLP, seed: int) -> Samples:
    stream = torch.Generator().manual_seed(seed)
    n, b = len(LENGTHS), max(LENGTHS)
    observations = torch.randn(n, b, 2, generator=stream, dtype=torch.float64)
    actions = torch.randint(3, (n, b, 1), generator=stream)
    mask = (torch.arange(b) < torch.tensor(LENGTHS)[:, None]).double()
    advantages = torch.randn(n, b, generator=stream, dtype=torch.float64) * mask
    log_probs = distribution(policy, repeat(theta_of(policy), n), observations).log_prob(actions).detach()
    values, episodes = torch.zeros_like(advantages), torch.zeros_like(actions[..., 0])
    return Samples(observations, actions, advantages, mask, log_probs, values, episodes)


def test_tasks_of_their_own_are_the_policy_with_their_parameters() -> None:
    policy = make_policy()
    params = {name: torch.randn(4, *p.shape).double() for name, p in policy.named_parameters()}
    observations = torch.randn(4, 7, 2).double()
    actual = policy.forward_tasks(params, observations).logits
    for i in range(4):
        own = {name: value[i] for name, value in params.items()}
        torch.testing.assert_close(actual[i], functional_call(policy, own, (observations[i],)).logits)


def make_objective(policy: CategoricalMLP, first_order: bool) -> MetaObjective:
    inner, support, query = InnerLoop(policy, 0.5), make_samples(policy, 1), make_samples(policy, 2)
    adapted = inner.replay(repeat(theta_of(policy), len(LENGTHS)), [support])
    adapted = {name: value.detach() for name, value in adapted.items()}
    return MetaObjective(policy, inner, [support], adapted, query, first_order)


def test_second_order_gradient_and_fisher_product() -> None:
    """Against finite differences of the objective, and the curvature of its KL."""
    policy = make_policy()
    theta, objective = theta_of(policy), make_objective(policy, first_order=False)
    gradient = torch.cat([g.reshape(-1) for g in objective.gradient(theta)[1]])

    def loss_and_kl(x: Tensor) -> Tensor:
        return torch.stack(objective.evaluate(unflatten(x, theta)))

    differences = finite_differences(loss_and_kl, flatten(theta))
    torch.testing.assert_close(gradient, differences[:, 0], rtol=1e-6, atol=1e-9)
    v = torch.randn(len(gradient), generator=torch.Generator().manual_seed(3), dtype=torch.float64)
    ahead, behind = (loss_and_kl(flatten(theta) + step * v)[1] for step in (1e-4, -1e-4))
    curvature = (ahead + behind) / 1e-8  # KL and its gradient vanish at theta
    torch.testing.assert_close(v @ objective.fisher_product(v), curvature, rtol=1e-4, atol=1e-8)


def test_first_order_gradient() -> None:
    """The mean over tasks of the gradients at the adapted parameters, by torch.distributions."""
    policy = make_policy()
    objective = make_objective(policy, first_order=True)
    gradients = []
    for i, length in enumerate(LENGTHS):
        phi = {k: v[i].clone().requires_grad_() for k, v in objective.adapted.items()}
        logits = functional_call(policy, phi, (objective.query.observations[i],)).logits
        log_probs = torch.distributions.Categorical(logits=logits).log_prob(objective.query.actions[i, :, 0])
        loss = -(log_probs * objective.query.advantages[i])[:length].mean()
        gradients.append(torch.cat([g.reshape(-1) for g in torch.autograd.grad(loss, list(phi.values()))]))
    actual = torch.cat([g.reshape(-1) for g in objective.gradient(theta_of(policy))[1]])
    torch.testing.assert_close(actual, torch.stack(gradients).mean(0))


def test_fomaml_learns_to_adapt() -> None:
    """From the middle: one step moves to the side that pays, which no single policy can."""
    learner = FOMAML(inner_lr=6.0, max_kl=0.05, policy=SMALL)
    data = RolloutDataModule(Sides(), meta_batch_size=20, fast_batch_size=10)
    trainer = fit(learner, data, 15)
    before, after = (float(trainer.callback_metrics[f"return_{phase}"]) for phase in ("pre", "post"))
    assert after > 1.5  # of 2.5, the mean of 5 |target|
    assert after > before + 1
    assert float(trainer.callback_metrics["saturation_post"]) == 0


@pytest.mark.parametrize("algorithm", [MAML, Reptile, ESMAML, Pretrained, Oracle])
def test_every_algorithm_trains(algorithm: type[MetaLearner]) -> None:
    learner = algorithm(policy=SMALL)
    fit(learner, RolloutDataModule(Sides(), meta_batch_size=4, fast_batch_size=4), 2)
    assert isinstance(learner.policy, CategoricalMLP)


@pytest.mark.parametrize("vectorization", ["sync", "vector_entry_point"])
def test_cart_pole(vectorization: Any) -> None:
    env = GymnasiumEnv("CartPole-v1", {"force_mag": (5, 15)}, horizon=30, vectorization=vectorization)
    assert env.action_space == Discrete(2)
    trainer = fit(FOMAML(policy=SMALL), RolloutDataModule(env, meta_batch_size=2, fast_batch_size=3), 2)
    assert 8 < float(trainer.callback_metrics["episode_length_pre"]) <= 30


def test_a_policy_that_is_not_finite_is_found() -> None:
    """Its actions are numbers all the same."""
    policy = CategoricalMLP(1, 3, SMALL)
    params = {name: x.detach() * float("nan") for name, x in policy.named_parameters()}
    sampler = Sampler(Sides(), 2, AdvantageEstimator())
    with pytest.raises(NonFiniteError, match="task 0, episode 0, step 0: action is not finite"):
        sampler.collect(policy, repeat(params, 2), torch.ones(2, 1), TaskStreams(0))


def test_rates_in_units_of_a_variance_are_refused() -> None:
    with pytest.raises(UserError, match=r"model\.scale_by_variance: CategoricalMLP has no"):
        MAML(scale_by_variance=True, policy=SMALL).build(Sides(), 0)
