"""Discrete actions against torch.distributions, derivatives and frequencies (Gaussian: test_policy)."""

import torch
from torch import Tensor
from torch.distributions import kl_divergence

from meta_rl.distributions import Categorical, Gaussian


def random_logits(seed: int = 0) -> Tensor:
    return torch.randn(5, 3, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def test_categorical_agrees_with_torch() -> None:
    ours, theirs = Categorical(random_logits()), torch.distributions.Categorical(logits=random_logits())
    other, others = Categorical(random_logits(1)), torch.distributions.Categorical(logits=random_logits(1))
    actions = torch.tensor([0, 2, 1, 1, 0])
    torch.testing.assert_close(ours.log_prob(actions[:, None]), theirs.log_prob(actions))
    torch.testing.assert_close(ours.kl(other), kl_divergence(theirs, others))
    torch.testing.assert_close(ours.entropy(), theirs.entropy())


def test_categorical_by_hand() -> None:
    certain = Categorical(torch.tensor([0.0, 0.0, 2.0]).log())  # p = 0, 0, 1
    assert float(certain.log_prob(torch.tensor([2]))) == 0
    p = Categorical(torch.tensor([1.0, 3.0]).log())  # p = 1/4, 3/4
    image = p.fisher(Categorical(torch.tensor([1.0, 0.0]))).logits
    torch.testing.assert_close(image, torch.tensor([3 / 16, -3 / 16]))  # p0 (1 - p0), -p0 p1


def test_fisher_is_the_hessian_of_the_kl() -> None:
    old = Categorical(random_logits()[0])
    hessian = torch.autograd.functional.hessian(lambda x: old.kl(Categorical(x)), old.logits)
    products = [old.fisher(Categorical(v)).logits for v in torch.eye(3, dtype=torch.float64)]
    torch.testing.assert_close(torch.stack(products), hessian)


def test_samples_have_the_probabilities() -> None:
    stream = torch.Generator().manual_seed(2)
    p = Categorical(torch.tensor([0.5, 0.3, 0.2]).log().expand(20_000, 3))
    actions = p.sample(p.noise(20_000, 3, generator=stream))
    assert actions.shape == (20_000, 1)
    assert actions.dtype == torch.int64
    frequencies = torch.bincount(actions[:, 0], minlength=3) / 20_000
    torch.testing.assert_close(frequencies, p.logits[0].exp(), rtol=0, atol=0.015)  # 4 standard errors


def test_gaussian_noise_becomes_actions() -> None:
    g = Gaussian(torch.tensor([1.0, -1.0]), torch.tensor([0.0, 2.0]).exp().log())
    torch.testing.assert_close(g.sample(torch.tensor([2.0, 0.0])), torch.tensor([3.0, -1.0]))
