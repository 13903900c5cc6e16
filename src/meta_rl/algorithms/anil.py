"""ANIL, almost no inner loop (Raghu et al. 2020): adaptation moves the last layer alone."""

from typing import Any

from meta_rl.algorithms.maml import MAML


class ANIL(MAML):
    """MAML whose inner loop adapts only some layers, by default the last one; the outer step moves all.

    Args:
        adapted_layers: Which linear layers adapt, from 1 at the input, or from -1 at the output. The standard
            deviation of a Gaussian policy adapts besides, unless `adapt_log_std` is false.
        first_order: Whether the Jacobian of the inner loop is taken for the identity, as FOMAML does.
        **kwargs: Those of `MAML`.
    """

    def __init__(
        self, adapted_layers: list[int] | None = None, first_order: bool = False, **kwargs: Any
    ) -> None:
        super().__init__(adapted_layers=[-1] if adapted_layers is None else adapted_layers, **kwargs)
        self.first_order = first_order
