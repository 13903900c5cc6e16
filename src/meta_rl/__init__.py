"""Gradient-based meta-reinforcement-learning: MAML, FOMAML and Reptile.

The names below are for use from Python. Each is loaded when it is asked for, so that importing the package
loads no torch.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from meta_rl.api.adapted import AdaptedPolicy
    from meta_rl.api.load import load
    from meta_rl.api.pretrained import pretrained
    from meta_rl.api.trained import Trained
    from meta_rl.api.training import train

__version__ = "0.1.0"
__all__ = ["AdaptedPolicy", "Trained", "load", "pretrained", "train"]

_MODULES = {
    "AdaptedPolicy": "adapted",
    "Trained": "trained",
    "load": "load",
    "pretrained": "pretrained",
    "train": "training",
}


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"meta_rl.api.{_MODULES[name]}"), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
