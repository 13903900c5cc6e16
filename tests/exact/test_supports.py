"""Supports: all of them and their probabilities, sampled ones, and REINFORCE's estimate on them."""

import pytest
import torch
from small import close, differences, random_tables, random_theta
from torch.func import grad, jacrev, vmap

from meta_rl.exact.returns import ExpectedReturn, softmax_policy
from meta_rl.exact.supports import (
    Support,
    all_supports,
    log_likelihood,
    log_probability,
    reinforce,
    sample_supports,
)

TABLES = random_tables(2, 2)
POLICY = softmax_policy(2, 2)
THETA = random_theta(4)


def test_all_histories_are_listed_once() -> None:
    histories = all_supports(TABLES, 2, 1)
    assert histories.states.shape == (16, 1, 2)
    assert (
        len({(*s.flatten().tolist(), *a.flatten().tolist()) for s, a, _ in zip(*histories, strict=True)})
        == 16
    )
    assert torch.equal(histories.rewards, TABLES.rewards[histories.states, histories.actions])
    assert all_supports(TABLES, 2, 2).states.shape == (256, 2, 2)


def test_too_many_are_refused() -> None:
    with pytest.raises(ValueError, match=r"^episodes: 4\^\(6 \* 2\) supports are too many"):
        all_supports(TABLES, 6, 2)


def test_a_probability_by_hand() -> None:
    log_policy = POLICY(THETA)
    support = Support(torch.tensor([[0, 1], [1, 1]]), torch.tensor([[1, 0], [0, 1]]), torch.zeros(2, 2))
    p, moves, policy = TABLES.initial, TABLES.transitions, log_policy.exp()
    actions = policy[0, 1] * policy[1, 0] * policy[1, 0] * policy[1, 1]
    expected = p[0] * moves[0, 1, 1] * p[1] * moves[1, 0, 1] * actions
    close(log_probability(log_policy, TABLES, support).exp(), expected)
    close(log_likelihood(log_policy, support).exp(), actions)


@pytest.mark.parametrize("episodes", [1, 2])
def test_probabilities_add_up_and_the_score_has_mean_0(episodes: int) -> None:
    supports = all_supports(TABLES, 2, episodes)
    probabilities = vmap(lambda support: log_probability(POLICY(THETA), TABLES, support).exp())(supports)
    close(probabilities.sum(), torch.ones((), dtype=torch.float64))
    scores = vmap(lambda support: grad(lambda theta: log_likelihood(POLICY(theta), support))(THETA))(supports)
    close(probabilities @ scores, torch.zeros(4, dtype=torch.float64))
    assert scores.abs().max() > 0.5


@pytest.mark.parametrize("episodes", [1, 2])
def test_reinforce_is_unbiased_and_its_derivative_is_not(episodes: int) -> None:
    supports, estimate = all_supports(TABLES, 2, episodes), reinforce(POLICY)
    probabilities = vmap(lambda support: log_probability(POLICY(THETA), TABLES, support).exp())(supports)
    objective = ExpectedReturn(TABLES, POLICY, 2)
    close(probabilities @ vmap(lambda support: estimate(THETA, support))(supports), objective.gradient(THETA))
    slopes = vmap(lambda support: jacrev(estimate)(THETA, support))(supports)
    mean = torch.einsum("m,mij->ij", probabilities, slopes)
    assert (mean - objective.hessian(THETA)).abs().max() > 0.1


@pytest.mark.parametrize("gamma", [1.0, 0.5])
def test_reinforce_step_by_step(gamma: float) -> None:
    stream = torch.Generator().manual_seed(0)
    support = sample_supports(POLICY(THETA), TABLES, 5, 3, 1, stream)
    support = Support(*(x[0] for x in support))
    expected = torch.zeros(4, dtype=torch.float64)
    for states, actions, rewards in zip(*support, strict=True):
        for t in range(5):
            to_go = sum(gamma ** (u - t) * rewards[u] for u in range(t, 5))
            score = differences(lambda theta, s=states[t], a=actions[t]: POLICY(theta)[s, a], THETA)
            expected = expected + to_go * score / 3
    close(reinforce(POLICY, gamma)(THETA, support), expected)
    slope = jacrev(reinforce(POLICY, gamma))(THETA, support)
    close(slope, differences(lambda theta: reinforce(POLICY, gamma)(theta, support), THETA))


def test_sampled_histories_have_their_frequencies() -> None:
    sampled = sample_supports(POLICY(THETA), TABLES, 2, 3, 10000, torch.Generator().manual_seed(0))
    assert sampled.states.shape == sampled.actions.shape == sampled.rewards.shape == (10000, 3, 2)
    assert sampled.states.dtype == sampled.actions.dtype == torch.int64
    assert torch.equal(sampled.rewards, TABLES.rewards[sampled.states, sampled.actions])
    steps = 2 * sampled.states + sampled.actions
    codes = (4 * steps[..., 0] + steps[..., 1]).flatten()  # in the order in which histories are listed
    frequencies = torch.bincount(codes, minlength=16) / 30000
    histories = all_supports(TABLES, 2, 1)
    expected = vmap(lambda support: log_probability(POLICY(THETA), TABLES, support).exp())(histories)
    assert ((frequencies - expected).abs() < 4 * (expected * (1 - expected) / 30000).sqrt()).all()
    pairs = steps[:, :2, 0]  # episodes of a support are independent of each other
    joint = torch.bincount(4 * pairs[:, 0] + pairs[:, 1], minlength=16).reshape(4, 4) / 10000
    marginal = expected.reshape(4, 4).sum(1)
    product = marginal[:, None] * marginal
    assert ((joint - product).abs() < 4 * (product * (1 - product) / 10000).sqrt()).all()
