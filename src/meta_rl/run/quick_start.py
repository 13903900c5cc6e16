"""Lightning without what it imports and no run needs: half of the time from command to first iteration.

`import lightning.pytorch` loads torch.compile's machinery, to know its modules by their type, and
torchmetrics, which loads SciPy's signal processing to rename a window and Matplotlib to draw. For the time
of that import their names stand for placeholders. Whoever imports them afterwards gets the real ones.
"""

import sys
from unittest.mock import MagicMock

UNUSED = ("matplotlib", "matplotlib.axes", "matplotlib.pyplot", "scipy.signal")
COMPILER = "torch._dynamo"


def import_lightning() -> None:
    """Import Lightning quickly; where it is loaded already, as in a notebook, nothing happens."""
    if "lightning" in sys.modules:
        return
    import torch

    placeholders = {name: MagicMock() for name in UNUSED}
    placeholders[COMPILER] = MagicMock(
        OptimizedModule=type("OptimizedModule", (), {}),  # which Lightning asks for by `isinstance`
        disable=lambda function=None, *_, **__: function,  # a decorator
    )
    placeholders = {name: module for name, module in placeholders.items() if name not in sys.modules}
    sys.modules |= placeholders
    try:
        import lightning.pytorch  # noqa: F401
    finally:
        for name in placeholders:
            del sys.modules[name]
    # Optimizers would load the compiler at their first use, to be left out of compiled code. They look for
    # what they made of a method before, and take that instead.
    for method in vars(torch.optim.Optimizer).values():
        plain = getattr(method, "__wrapped__", None)
        if plain is not None:
            setattr(plain, "__dynamo_disable", plain)
