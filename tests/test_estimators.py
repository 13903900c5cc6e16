"""The inner losses' derivatives against those of the expected return, over all episodes there are."""

from collections.abc import Callable
from functools import partial

import pytest
import torch
from torch import Tensor
from torch.func import grad, hessian, vmap

from meta_rl.distributions import Categorical
from meta_rl.envs import TabularMDP
from meta_rl.exact.returns import ExpectedReturn, softmax_policy
from meta_rl.exact.supports import Support, all_supports, log_probability
from meta_rl.losses import dice_loss, loaded_dice_loss, ratio_loss, reinforce_loss, tmaml_loss
from meta_rl.types import Samples

S, A = 2, 2
LOSSES = {
    "reinforce": reinforce_loss,
    "ratio": ratio_loss,
    "dice": dice_loss,
    "tmaml": tmaml_loss,
    **{f"loaded_dice {x}": partial(loaded_dice_loss, dice_lambda=x) for x in (0.0, 0.5, 1.0)},
}
UNBIASED = {"dice", "tmaml", "loaded_dice 1.0"}
THETA = torch.tensor([0.3, -0.8, 1.1, 0.2], dtype=torch.float64)
LEVEL = torch.tensor([[0.7, -1.3], [0.2, 2.0], [-0.4, 1.0]], dtype=torch.float64)  # b(s) of every step


def as_samples(theta: Tensor, episode: Support, baseline: Tensor) -> Samples:
    """One episode that was sampled at `theta`, with returns to go minus b(s) as advantages."""
    states, actions, rewards = (x.flatten() for x in episode)
    to_go = rewards.flip(0).cumsum(0).flip(0)
    values = baseline[torch.arange(len(states)), states]
    log_probs = theta.reshape(S, A).log_softmax(-1)[states, actions]
    where = states[:, None].double(), actions[:, None]
    return Samples(
        *where, to_go - values, torch.ones_like(to_go), log_probs, values, torch.zeros_like(states)
    )


def estimate(derivative: Callable, loss: Callable[..., Tensor], episode: Support, baseline: Tensor) -> Tensor:
    """A derivative, at THETA, of minus the loss times the horizon: the sum over steps, uphill."""
    samples = as_samples(THETA, episode, baseline)

    def surrogate(theta: Tensor) -> Tensor:
        logits = theta.reshape(S, A)[samples.observations[:, 0].long()]
        return -loss(Categorical(logits), samples) * len(samples.mask)

    return derivative(surrogate)(THETA)


def expectation(
    derivative: Callable, loss: Callable[..., Tensor], horizon: int, scale: float = 1.0
) -> tuple[Tensor, Tensor]:
    """The expected estimate over all episodes at THETA, and the derivative of the expected return."""
    env = TabularMDP(S, A, horizon, mdp_seed=3)
    tables = env.mdp(env.sample_tasks(1, torch.Generator().manual_seed(1)).double()).task(0)
    policy = softmax_policy(S, A)
    episodes = all_supports(tables, horizon, 1)

    def weighted(episode: Support) -> Tensor:
        weight = log_probability(policy(THETA), tables, episode).exp()
        return weight * estimate(derivative, loss, episode, scale * LEVEL[:horizon])

    return vmap(weighted)(episodes).sum(0), derivative(ExpectedReturn(tables, policy, horizon))(THETA)


@pytest.mark.parametrize("horizon", [1, 2, 3])
@pytest.mark.parametrize("name", LOSSES)
def test_gradients_are_unbiased(name: str, horizon: int) -> None:
    torch.testing.assert_close(*expectation(grad, LOSSES[name], horizon), rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("horizon", [1, 2, 3])
@pytest.mark.parametrize("name", LOSSES)
def test_which_hessians_are_unbiased(name: str, horizon: int) -> None:
    mean, exact = expectation(hessian, LOSSES[name], horizon)
    single = horizon == 1 and name != "reinforce"  # no action earns what a later one does
    if name in UNBIASED or single:
        torch.testing.assert_close(mean, exact, rtol=1e-10, atol=1e-12)
    else:
        assert (mean - exact).norm() > 0.02 * exact.norm()


def test_what_the_ratio_lacks_is_what_actions_do_for_later_ones() -> None:
    """With the products of the scores of different steps times the later one's advantage it is exact."""
    mean, exact = expectation(hessian, ratio_loss, 3)
    env = TabularMDP(S, A, 3, mdp_seed=3)
    tables = env.mdp(env.sample_tasks(1, torch.Generator().manual_seed(1)).double()).task(0)
    policy, missing = softmax_policy(S, A), torch.zeros_like(exact)
    episodes = all_supports(tables, 3, 1)
    for i in range(len(episodes.states)):
        episode = Support(*(x[i] for x in episodes))
        weight = log_probability(policy(THETA), tables, episode).exp()
        samples = as_samples(THETA, episode, LEVEL)
        steps = zip(episode.states[0].tolist(), episode.actions[0].tolist(), strict=True)
        scores = [grad(lambda x, s=s, a=a: policy(x)[s, a])(THETA) for s, a in steps]
        for earlier, later in ((0, 1), (0, 2), (1, 2)):
            product = torch.outer(scores[earlier], scores[later])
            missing += weight * samples.advantages[later] * (product + product.T)
    torch.testing.assert_close(mean + missing, exact)


@pytest.mark.parametrize("derivative", [grad, hessian])
def test_losses_that_are_one_and_the_same(derivative: Callable) -> None:
    env = TabularMDP(S, A, 3, mdp_seed=3)
    tables = env.mdp(torch.zeros(1, S * A).double()).task(0)
    for index in (5, 40):
        episode = Support(*(x[index] for x in all_supports(tables, 3, 1)))
        of = {name: estimate(derivative, loss, episode, LEVEL) for name, loss in LOSSES.items()}
        torch.testing.assert_close(of["loaded_dice 0.0"], of["ratio"])
        torch.testing.assert_close(of["loaded_dice 1.0"], of["tmaml"])
        plain = {name: estimate(derivative, LOSSES[name], episode, 0 * LEVEL) for name in ("dice", "tmaml")}
        torch.testing.assert_close(plain["dice"], plain["tmaml"])  # without a baseline
        if derivative is hessian:
            assert not torch.allclose(of["dice"], of["tmaml"])


def test_dice_by_hand() -> None:
    """Two episodes of 2 and 1 steps, away from the policy that sampled them, and padding."""
    ratios = torch.tensor([2.0, 3.0, 5.0, 7.0], dtype=torch.float64)
    own = Categorical(torch.stack([ratios.log(), (10 - ratios).log()], -1))
    # What is stored makes the ratios of action 0 these numbers.
    stored = own.log_prob(torch.zeros(4, 1, dtype=torch.int64)) - ratios.log()
    samples = Samples(
        observations=torch.zeros(4, 1),
        actions=torch.zeros(4, 1, dtype=torch.int64),
        advantages=torch.tensor([1.0, 10.0, 100.0, 1e6], dtype=torch.float64),
        mask=torch.tensor([1.0, 1.0, 1.0, 0.0], dtype=torch.float64),
        log_probs=stored,
        values=torch.tensor([0.5, 4.0, -3.0, 1e6], dtype=torch.float64),
        episodes=torch.tensor([0, 0, 1, 1]),
    )
    # (c_t - c_{t-1}) R_t + (1 - rho_t) b_t with c = 2, 6 | 5
    dice = (1 * 1.5 - 1 * 0.5) + (4 * 14 - 2 * 4) + (4 * 97 + 4 * 3)
    assert float(dice_loss(own, samples)) == pytest.approx(-dice / 3)
    tmaml = dice + 0 + (1 - 2) * (3 - 1) * 4 + 0
    assert float(tmaml_loss(own, samples)) == pytest.approx(-tmaml / 3)
    # v = 0, log(2) / 2 | 0
    loaded = 1 * 1 + 2**0.5 * (3 - 1) * 10 + 4 * 100
    assert float(loaded_dice_loss(own, samples, 0.5)) == pytest.approx(-loaded / 3)


def test_the_reach_of_a_ratio_ends_with_its_episode() -> None:
    """Sums with decay along 11 states of episodes with 1, 2, 3 and 5 states, against plain loops."""
    episodes = torch.tensor([0] + [1] * 2 + [2] * 3 + [3] * 5)
    log_ratio = torch.randn(11, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    logits = torch.stack([log_ratio, torch.zeros_like(log_ratio)], -1)
    actions = torch.zeros(11, 1, dtype=torch.int64)
    log_probs = Categorical(logits).log_prob(actions) - log_ratio
    expected, w = 0.0, 0.0
    for t in range(11):
        v = 0.7 * w if t and episodes[t] == episodes[t - 1] else 0.0
        w = v + float(log_ratio[t])
        expected += (torch.tensor(w).exp() - torch.tensor(v).exp()).item() * (t + 1)
    one = torch.ones(11, dtype=torch.float64)
    steps = torch.arange(1.0, 12.0, dtype=torch.float64)
    samples = Samples(steps[:, None], actions, steps, one, log_probs, 0 * one, episodes)
    assert float(loaded_dice_loss(Categorical(logits), samples, 0.7)) == pytest.approx(
        -expected / 11, rel=1e-6
    )
