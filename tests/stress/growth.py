"""Trains for long, and watches whether memory, threads, open files or processes grow meanwhile.

    python tests/stress/growth.py --config conf/maml_point_mass.yaml -- --data.meta_batch_size=5

What follows `--` are options of train.py. After a tenth of the iterations memory may grow by less than 2 %,
and the numbers of threads, files and processes not at all. The run must end well and leave no process. W&B's
process is listed beside it. Prints a table, and exits with 1 if something failed. Linux only.
"""

import argparse
import math
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from scipy import stats
from watched_run import Launch, command, iterations, marked, quiet_end, sample, write

WARM_UP = 0.1  # share of the iterations
SECONDS = 1.0  # between two samples


def growth(config: Path, steps: int, overrides: Sequence[str], folder: Path) -> dict[str, Any]:
    """Train for `steps` iterations; the summary, with all samples."""
    run = folder / "runs" / "growth"
    words = ["--name=growth", f"--trainer.max_steps={steps}", *overrides]
    launch = Launch.of(command(config, *words), folder)
    samples: list[dict[str, float]] = []
    try:
        while launch.process.poll() is None:
            samples += _samples(launch, run)
            time.sleep(SECONDS)
    finally:
        left = launch.left()
        quiet_end(launch)
    return {
        "config": config.name,
        "overrides": list(overrides),
        "iterations": iterations(run),
        "exit_code": launch.process.returncode,
        "left": len(left),
        "stderr": launch.stderr.read_text()[-2000:],
        "train.py": summary([s for s in samples if s["own"]], steps),
        "wandb": summary([s for s in samples if not s["own"]], steps),
        "samples": samples,
    }


def _samples(launch: Launch, run: Path) -> list[dict[str, float]]:
    """One of train.py, and one of all that it has started."""
    step, own = iterations(run), sample(launch.process.pid)
    pids = [pid for pid in marked(launch.mark) if pid != launch.process.pid]
    others = [s for pid in pids if (s := sample(pid))]
    found = [{"own": 1, "step": step, "children": len(pids), **own._asdict()}] if own else []
    if others:
        total = np.sum(others, axis=0)
        both = zip(("rss_mb", "threads", "files"), total.tolist(), strict=True)
        found.append({"own": 0, "step": step, "children": len(pids), **dict(both)})
    return found


def summary(samples: list[dict[str, float]], steps: int) -> dict[str, float]:
    """After the warm-up: the growth of memory in %, and by how much the counts have changed."""
    late = [s for s in samples if WARM_UP * steps <= s["step"] < steps]
    if len(late) < 20:
        return {"samples": len(late)}
    step, rss = (np.array([s[key] for s in late]) for key in ("step", "rss_mb"))
    fit: Any = stats.theilslopes(rss, step)
    tenth = math.ceil(len(late) / 10)
    first, last = np.median(rss[:tenth]), np.median(rss[-tenth:])  # the allocator's noise is as large
    result = {
        "samples": len(late),
        "rss_mb": float(np.median(rss)),
        "theil_sen_percent": 100 * fit.slope * float(np.ptp(step)) / float(np.median(rss)),
        "tenths_percent": 100 * (float(last) / float(first) - 1),
    }
    for key in ("threads", "files", "children"):
        values = [s[key] for s in late]
        result[key] = max(values)
        result[f"{key}_growth"] = float(np.median(values[-tenth:]) - np.median(values[:tenth]))
    return result


def table(result: dict[str, Any]) -> str:
    """Two lines, for train.py and for W&B's process."""
    lines = ["process       RSS MB  slope %  tenths %  threads    files  children"]
    for name in ("train.py", "wandb"):
        s = result[name]
        if "rss_mb" not in s:
            lines.append(f"{name:12} {s['samples']} samples: too few")
            continue
        counts = "".join(f"{s[k]:6.0f}{s[f'{k}_growth']:+3.0f}" for k in ("threads", "files", "children"))
        lines.append(
            f"{name:12} {s['rss_mb']:7.1f}  {s['theil_sen_percent']:7.2f}  {s['tenths_percent']:8.2f}{counts}"
        )
    codes = f"exit code {result['exit_code']}, {result['left']} processes left"
    return "\n".join([*lines, f"{result['iterations']} iterations of {result['config']}, {codes}"])


def passed(result: dict[str, Any]) -> bool:
    """Memory grows by less than 2 %, nothing else grows, and nothing is left."""
    own = result["train.py"]
    flat = own.get("theil_sen_percent", math.inf) < 2 and own["tenths_percent"] < 2
    same = all(own[f"{key}_growth"] <= 0 for key in ("threads", "files", "children")) if flat else False
    return flat and same and result["exit_code"] == 0 and not result["left"]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--config", type=Path, required=True)
    parser.add_argument("--iterations", type=int, default=2000)
    parser.add_argument("--output", type=Path, help="JSON with everything")
    parser.add_argument("overrides", nargs="*", help="options of train.py, behind --")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="growth-") as folder:
        result = growth(args.config, args.iterations, args.overrides, Path(folder))
    write(args.output, result)
    print(table(result))
    return int(not passed(result))


if __name__ == "__main__":
    sys.exit(main())
