"""Distributions over actions: what a policy's outputs mean, for continuous and for discrete actions."""

import math
from typing import NamedTuple

import torch
from torch import Tensor


class Gaussian(NamedTuple):
    """A diagonal Gaussian over actions for every state. `log_std` broadcasts against `mean`."""

    mean: Tensor  # [..., A]
    log_std: Tensor  # [..., A]

    def log_prob(self, actions: Tensor) -> Tensor:
        """log N(actions; mean, std^2), summed over the action components: [...]."""
        z = (actions - self.mean) * torch.exp(-self.log_std)
        return (-0.5 * z.square() - self.log_std - 0.5 * math.log(2 * math.pi)).sum(-1)

    def kl(self, other: "Gaussian") -> Tensor:
        """KL(self || other), summed over the action components: [...]."""
        ratio = torch.exp(2 * (self.log_std - other.log_std))
        shift = ((self.mean - other.mean) * torch.exp(-other.log_std)).square()
        return (0.5 * (ratio + shift - 1) + other.log_std - self.log_std).sum(-1)

    def entropy(self) -> Tensor:
        """Differential entropy in nats, summed over the action components: [...]."""
        return (self.log_std + 0.5 * math.log(2 * math.pi * math.e)).sum(-1)

    def fisher(self, tangent: "Gaussian") -> "Gaussian":
        """The Fisher matrix, in the coordinates (mean, log_std), times a tangent: diag(std^-2, 2)."""
        return Gaussian(tangent.mean * torch.exp(-2 * self.log_std), 2 * tangent.log_std)

    def sample(self, noise: Tensor) -> Tensor:
        """Actions [..., A] from standard normal noise [..., A]."""
        return self.mean + self.log_std.exp() * noise

    def expanded(self) -> "Gaussian":
        """The same with a `log_std` for every state."""
        return Gaussian(self.mean, self.log_std.expand_as(self.mean))

    @staticmethod
    def noise(*shape: int, generator: torch.Generator) -> Tensor:
        """What `sample` needs: [*shape]."""
        return torch.randn(*shape, generator=generator)


class Categorical(NamedTuple):
    """Probabilities of A discrete actions for every state: the softmax of `logits`."""

    logits: Tensor  # [..., A]

    def log_prob(self, actions: Tensor) -> Tensor:
        """log p of actions [..., 1], which are indices (int64): [...]."""
        return self.logits.log_softmax(-1).gather(-1, actions).squeeze(-1)

    def kl(self, other: "Categorical") -> Tensor:
        """KL(self || other): [...]."""
        ours = self.logits.log_softmax(-1)
        return (ours.exp() * (ours - other.logits.log_softmax(-1))).sum(-1)

    def entropy(self) -> Tensor:
        """Entropy in nats: [...]."""
        log_p = self.logits.log_softmax(-1)
        return -(log_p.exp() * log_p).sum(-1)

    def fisher(self, tangent: "Categorical") -> "Categorical":
        """The Fisher matrix of the logits, diag(p) - p p^T, times a tangent."""
        p = self.logits.softmax(-1)
        image = p * tangent.logits
        return Categorical(image - p * image.sum(-1, keepdim=True))

    def sample(self, noise: Tensor) -> Tensor:
        """Actions [..., 1] from Gumbel noise [..., A]: the largest sum is at i with probability p_i."""
        return (self.logits + noise).argmax(-1, keepdim=True)

    def expanded(self) -> "Categorical":
        """The same: there is nothing that states share."""
        return self

    @staticmethod
    def noise(*shape: int, generator: torch.Generator) -> Tensor:
        """What `sample` needs: standard Gumbel numbers [*shape]."""
        return -torch.empty(*shape).exponential_(generator=generator).log()


Distribution = Gaussian | Categorical
