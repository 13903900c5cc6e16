"""A checkpoint that is wrong: seeded changes of its bytes, or of what is stored in it."""

import copy
import io
import math
import random
from collections.abc import Callable
from typing import Any

import torch

Tree = dict[str, Any]
LEAVES: list[Any] = [
    None, True, 0, 1, -1, 7, 2**70, 0.5, math.nan, math.inf, "x", "", [], {}, [1], {"a": 1}, torch.ones(2),
]  # fmt: skip
TENSORS: dict[str, Callable[[torch.Tensor], Any]] = {
    "transposed": lambda t: t.t() if t.dim() == 2 else t[None],
    "shorter": lambda t: t[:-1] if t.dim() else t[None],
    "empty": lambda t: t.flatten()[:0],
    "double": lambda t: t.double(),
    "half": lambda t: t.half(),
    "whole numbers": lambda t: t.long() + 1,
    "complex": lambda t: t.to(torch.complex64),
    "truth values": lambda t: t != 0,
    "nan": lambda t: torch.full_like(t, math.nan) if t.is_floating_point() else t.float() * math.nan,
    "inf": lambda t: torch.full_like(t, math.inf) if t.is_floating_point() else t.float() + math.inf,
    "sparse": lambda t: t.to_sparse() if t.dim() else None,
    "a list": lambda t: t.tolist(),
    "a parameter": lambda t: torch.nn.Parameter(t) if t.is_floating_point() else None,
    "on meta": lambda t: t.to("meta"),
    "strided": lambda t: t.expand(3, *t.shape)[0],
}


def places(tree: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Paths to everything below the root."""
    items = (
        tree.items() if isinstance(tree, dict) else enumerate(tree) if isinstance(tree, list | tuple) else ()
    )
    return [p for key, value in items for p in [(*path, key), *places(value, (*path, key))]]


def at(tree: Any, path: tuple[Any, ...]) -> Any:
    for key in path:
        tree = tree[key]
    return tree


def put(tree: Any, path: tuple[Any, ...], value: Any) -> None:
    """Replace a value; tuples on the way become lists."""
    holder = at(tree, path[:-1])
    if isinstance(holder, tuple):
        put(tree, path[:-1], [value if i == path[-1] else v for i, v in enumerate(holder)])
    else:
        holder[path[-1]] = value


def mutate(r: random.Random, content: bytes, stranger: Tree) -> tuple[bytes, str, bool]:
    """The bytes of a changed checkpoint, what has changed, and whether it is another valid one."""
    if r.random() < 0.25:
        return *_bytes(r, content), False
    tree = torch.load(io.BytesIO(content), weights_only=True)
    other = True
    words = []
    for _ in range(r.choice([1, 1, 2])):
        what, valid = _change(r, tree, stranger)
        other &= valid
        words.append(what)
    buffer = io.BytesIO()
    torch.save(tree, buffer)
    return buffer.getvalue(), "; ".join(words), other


def _bytes(r: random.Random, content: bytes) -> tuple[bytes, str]:
    changed, kind = bytearray(content), r.choice(["flip", "flip", "cut", "append", "zeros"])
    place = r.randrange(len(content))
    if kind == "flip":
        changed[place] ^= 1 << r.randrange(8)
    elif kind == "cut":
        del changed[place:]
    elif kind == "append":
        changed += r.randbytes(20)
    else:
        changed[place : place + 64] = bytes(len(changed[place : place + 64]))
    return bytes(changed), f"bytes: {kind} at {place}"


def _change(r: random.Random, tree: Tree, stranger: Tree) -> tuple[str, bool]:
    """Change one thing; says which, and whether the result is another valid checkpoint."""
    tops = [key for key in tree if key not in ("pytorch-lightning_version", "hparams_name")]
    top = r.choice(tops)
    path = r.choice([p for p in places(tree) if p[0] == top])
    value, kind = at(tree, path), r.choice(["delete", "leaf", "leaf", "stranger", "add", "step"])
    name = ".".join(map(str, path))
    if isinstance(value, torch.Tensor) and kind != "stranger":
        kind, new = r.choice([(k, n) for k, f in TENSORS.items() if (n := f(value.clone())) is not None])
        put(tree, path, new)
        return f"{name} is {kind}", same(value, new)
    if kind == "stranger":
        try:
            put(tree, path, copy.deepcopy(at(stranger, path)))
        except (KeyError, IndexError):
            return "nothing", True
        return f"{name} of another run", True
    if kind == "delete":
        holder = at(tree, path[:-1])
        if isinstance(holder, dict):
            del holder[path[-1]]
        return f"{name} is missing", False
    if kind == "add" and isinstance(value, dict):
        value["unknown"] = r.choice(LEAVES)
        return f"{name}.unknown={value['unknown']!r}", True
    if kind == "step":
        tree["global_step"] = r.choice([-1, 0, 1, 4, 2**40])
        return f"global_step={tree['global_step']}", False
    new = r.choice(LEAVES)
    put(tree, path, new)
    return f"{name}={new!r}, was {value!r:.60}", plausible(value, new)


def same(old: torch.Tensor, new: Any) -> bool:
    """Whether a tensor has kept its type and shape, and is finite."""
    right = isinstance(new, torch.Tensor) and (old.dtype, old.shape) == (new.dtype, new.shape)
    return right and not new.is_meta and bool(torch.isfinite(new.to_dense()).all())


def plausible(old: Any, new: Any) -> bool:
    """Whether a value is as good as the one before: a number for a number, a text for a text."""
    return (type(old) is type(new) or (type(old), type(new)) == (float, int)) and (
        not isinstance(new, float) or math.isfinite(new)
    )
