"""The points of a sweep, the command of each, and the name of its run."""

import hashlib
import itertools
import json
import re
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from meta_rl.run.program import MODULE
from meta_rl.sweep.file import Sweep
from meta_rl.sweep.parameters import draw, grid_values

Point = Mapping[str, Any]  # by the parameter's dotted name
LONGEST_NAME = 180  # bytes; file systems allow 255
DEFAULT_COUNT = 10  # of a random search without --count and run_cap


def points(sweep: Sweep, count: int | None) -> list[Point]:
    """The first `count` points: of the grid, the first parameter varying slowest; or drawn at random.

    A random search is a function of the parameters alone: it has the same points when started again, and
    more of them with a larger count.
    """
    count = count or sweep.run_cap
    if sweep.method == "grid":
        chosen = itertools.islice(itertools.product(*map(grid_values, sweep.parameters.values())), count)
        return [dict(zip(sweep.parameters, values, strict=True)) for values in chosen]
    text = json.dumps(sweep.parameters, sort_keys=True, default=str)
    seed = int.from_bytes(hashlib.sha256(text.encode()).digest()[:8])
    sources = (np.random.default_rng([seed, i]) for i in range(count or DEFAULT_COUNT))
    # Sorted: the order of the parameters in the file changes nothing.
    return [{name: draw(p, rng) for name, p in sorted(sweep.parameters.items())} for rng in sources]


def program(sweep: Sweep) -> list[str]:
    """The script that every run starts; where there is no train.py, the installed program."""
    there = sweep.program != "train.py" or Path(sweep.program).is_file()
    return [sweep.program] if there else ["-m", MODULE, "train"]


def command(sweep: Sweep, point: Point) -> list[str]:
    """What W&B's agent would start for a point, with this Python."""
    plain = [f"{name}={value}" for name, value in point.items()]
    macros: dict[str, Sequence[str]] = {
        "${env}": ["/usr/bin/env"],
        "${interpreter}": [sys.executable],
        "${program}": program(sweep),
        "${args}": [f"--{argument}" for argument in plain],
        "${args_no_hyphens}": plain,
    }
    return [word for part in sweep.command for word in macros.get(part, [part])]


def names(sweep: Sweep, points: Sequence[Point]) -> list[str]:
    """A directory name for each point: what varies in the sweep; random points are numbered too.

    Names do not depend on how many points there are, so that a restart finds its runs.
    """
    varying = [
        name for name, p in sweep.parameters.items() if "value" not in p and len(p.get("values", [1, 2])) > 1
    ]
    found = ["-".join(_word(name, point[name]) for name in varying) for point in points]
    if sweep.method == "random":
        found = [f"{i:03}-{name}".strip("-") for i, name in enumerate(found)]
    long = [not name or len(name.encode()) > LONGEST_NAME for name in found]
    return [_digest(p) if bad else name for p, bad, name in zip(points, long, found, strict=True)]


def _word(name: str, value: Any) -> str:
    """`MAML` for a class, a file's stem, else the last part of the key and the value: `inner_lr0.1`."""
    if name.endswith("class_path"):
        return str(value).rpartition(".")[2]
    if name == "config":
        return Path(str(value)).stem
    short = {"seed_everything": "seed"}.get(name, name.rpartition(".")[2])
    number = f"{value:.6g}" if isinstance(value, float) else str(value)
    return re.sub(r"[^\w.+-]+", "_", f"{short}{number}").strip("_")


def _digest(point: Point) -> str:
    text = json.dumps(point, sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:12]
