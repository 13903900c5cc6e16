"""Lightning without what it imports and no run needs: half of the time from command to first iteration.

`import lightning.pytorch` loads torch.compile's machinery, to know its modules by their type, and
torchmetrics, which loads SciPy's signal processing to rename a window and Matplotlib to draw. For the time
of that import their names stand for placeholders. Whoever imports them afterwards gets the real ones.
"""

import sys
from types import FunctionType, ModuleType
from typing import Any

NOT_NEEDED = (
    "matplotlib",
    "matplotlib.axes",
    "matplotlib.pyplot",
    "scipy.signal",
    "torch._dynamo",
)


class _AnyType(type):
    """Of a class that is its own attributes, and as a decorator leaves a function as it is."""

    def __getattr__(cls, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return cls

    def __call__(cls, *args: Any, **kwargs: Any) -> Any:
        return args[0] if args and isinstance(args[0], FunctionType) else cls


class _Anything(metaclass=_AnyType): ...


class _Placeholder(ModuleType):
    def __getattr__(self, name: str) -> Any:
        return getattr(_Anything, name)


def import_lightning() -> None:
    """Import Lightning quickly; where it is loaded already, as in a notebook, nothing happens."""
    if "lightning" in sys.modules:
        return
    import torch

    hidden = [name for name in NOT_NEEDED if name not in sys.modules]
    for name in hidden:
        sys.modules[name] = _Placeholder(name)
    try:
        import lightning.pytorch  # noqa: F401
    except Exception:  # a version that needs more of them is imported as usual, by whoever needs it
        for name in [*sys.modules]:
            if name.partition(".")[0] in ("lightning", "torchmetrics"):
                del sys.modules[name]
    finally:
        for name in hidden:
            del sys.modules[name]
    # Optimizers would load torch.compile's machinery at their first use, to be left out of compiled code.
    # They look for what they made of a method before, and take that instead.
    for method in vars(torch.optim.Optimizer).values():
        plain = getattr(method, "__wrapped__", None)
        if plain is not None:
            setattr(plain, "__dynamo_disable", plain)
