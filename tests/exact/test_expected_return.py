"""Expected returns and derivatives: by hand, by all trajectories, by sampling, by finite differences."""

from itertools import product

import pytest
import torch
from small import close, differences, random_tables, random_theta, within
from torch import Tensor
from torch.func import vmap
from torch.nn.functional import logsigmoid

from meta_rl.envs import TabularMDP
from meta_rl.envs.tabular_mdp import Tables, Vary, categorical
from meta_rl.exact.returns import ExpectedReturn, expected_return, softmax_policy
from meta_rl.randomness import TaskStreams


def two_states() -> Tables:
    """Starts in state 0; action a leads to state a. Rewards 0 and 1 in state 0, 2 and 3 in state 1."""
    initial = torch.tensor([1.0, 0.0], dtype=torch.float64)
    transitions = torch.eye(2, dtype=torch.float64).expand(2, 2, 2)  # [S, A, S]
    return Tables(initial, transitions, torch.tensor([[0.0, 1.0], [2.0, 3.0]], dtype=torch.float64))


def of_logits(theta: Tensor) -> Tensor:
    """Action 1 with probability p_s = sigmoid(theta_s) in state s."""
    return torch.stack([logsigmoid(-theta), logsigmoid(theta)], -1)


def test_two_states_by_hand() -> None:
    """Two steps: J = p_0 + gamma ((1 - p_0) p_0 + p_0 (2 + p_1)), at p_0 = p_1 = 1/2 with p' = p (1 - p)."""
    objective, zero = ExpectedReturn(two_states(), of_logits, 2), torch.zeros(2, dtype=torch.float64)
    assert objective(zero).item() == pytest.approx(2.0)
    assert ExpectedReturn(two_states(), of_logits, 2, gamma=0.5)(zero).item() == pytest.approx(1.25)
    assert ExpectedReturn(two_states(), of_logits, 1)(zero).item() == pytest.approx(0.5)
    # dJ/dp_0 = 4 - 2 p_0 + p_1 = 3.5 and dJ/dp_1 = p_0, times p' = 1/4
    close(objective.gradient(zero), torch.tensor([0.875, 0.125], dtype=torch.float64))
    # p'' = p' (1 - 2 p) = 0, so only -2 p'^2 and p'^2 are left
    close(objective.hessian(zero), torch.tensor([[-0.125, 0.0625], [0.0625, 0.0]], dtype=torch.float64))


@pytest.mark.parametrize("gamma", [1.0, 0.8])
def test_all_trajectories_one_by_one(gamma: float) -> None:
    tables, theta = random_tables(3, 2), random_theta(6)
    policy = softmax_policy(3, 2)(theta).exp()
    expected = 0.0
    for trajectory in product(range(3), range(2), repeat=3):
        states, actions = trajectory[::2], trajectory[1::2]
        probability, total = tables.initial[states[0]].item(), 0.0
        for t, (s, a) in enumerate(zip(states, actions, strict=True)):
            probability *= policy[s, a].item()
            total += gamma**t * tables.rewards[s, a].item()
            if t < 2:
                probability *= tables.transitions[s, a, states[t + 1]].item()
        expected += probability * total
    objective = ExpectedReturn(tables, softmax_policy(3, 2), 3, gamma)
    assert objective(theta).item() == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("vary", ["rewards", "transitions"])
def test_the_mean_return_of_episodes(vary: Vary) -> None:
    env = TabularMDP(4, 3, horizon=6, vary=vary)
    tasks = env.sample_tasks(3, torch.Generator().manual_seed(0)).double()
    log_policy = softmax_policy(4, 3)(random_theta(12))
    stream = torch.Generator().manual_seed(1)
    observation, returns = env.reset(tasks, 4000, TaskStreams(0)), torch.zeros(3, 4000)
    for _ in range(env.horizon):
        uniform = torch.rand(3, 4000, generator=stream, dtype=torch.float64)
        actions = categorical(log_policy.exp()[observation.argmax(-1)], uniform)
        observation, rewards, _ = env.step(actions[..., None])
        returns = returns + rewards
    expected = vmap(lambda tables: expected_return(log_policy, tables, env.horizon))(env.mdp(tasks))
    within(returns.mean(1), expected, returns.std(1) / 4000**0.5)


@pytest.mark.parametrize("gamma", [1.0, 0.8])
def test_derivatives_by_finite_differences(gamma: float) -> None:
    objective, theta = ExpectedReturn(random_tables(3, 2), softmax_policy(3, 2), 4, gamma), random_theta(6)
    close(objective.gradient(theta), differences(objective, theta))
    close(objective.hessian(theta), differences(objective.gradient, theta))
    assert objective.gradient(theta).abs().max() > 0.1
    assert objective.hessian(theta).abs().max() > 0.1


def test_vmap_over_tasks_is_one_by_one() -> None:
    env = TabularMDP(3, 2, vary="transitions")
    tasks = env.sample_tasks(4, torch.Generator().manual_seed(0)).double()
    policy, theta = softmax_policy(3, 2), random_theta(6)
    tables = env.mdp(tasks)
    together = vmap(lambda tables: ExpectedReturn(tables, policy, 5).hessian(theta))(tables)
    for i in range(4):
        close(together[i], ExpectedReturn(tables.task(i), policy, 5).hessian(theta), 1e-12)


def test_float32_stays_float32() -> None:
    tables = Tables(*(x.float() for x in random_tables(3, 2)))
    assert ExpectedReturn(tables, softmax_policy(3, 2), 3).hessian(torch.zeros(6)).dtype == torch.float32


@pytest.mark.parametrize(("key", "value"), [("horizon", 0), ("gamma", 1.1), ("gamma", -0.1)])
def test_impossible_values(key: str, value: float) -> None:
    with pytest.raises(ValueError, match=f"^{key} must"):
        ExpectedReturn(two_states(), of_logits, **{"horizon": 2, key: value})
