"""Meta-SGD (Li et al. 2017): the rates of the inner loop are learned along with the initialisation."""

from typing import Any

from meta_rl.algorithms.maml import MAML
from meta_rl.envs import BatchedEnv
from meta_rl.rates import LearnedRates


class MetaSGD(MAML):
    """MAML with a learned factor on the inner rate for every parameter:

        phi = theta - inner_lr * factor * grad L(theta)

    The factors, 1 at first, are meta-parameters as theta is; the paper's alpha is inner_lr * factor. They may
    become negative. `inner_lr` keeps its meaning, also at the test.

    Args:
        first_order: Whether grad L(theta) is taken for a constant: the identity for theta as in FOMAML, and
            still the exact derivative by the factors.
        **kwargs: Those of `MAML`.
    """

    def __init__(self, first_order: bool = False, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.first_order = first_order

    def build(self, env: BatchedEnv, seed: int) -> None:
        super().build(env, seed)
        self.policy.rates = LearnedRates(self.policy)
