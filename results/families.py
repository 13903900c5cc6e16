"""The tables of results/families/ from the runs of results/families.sh; prints that of the README.

    python results/families.py --runs runs/families

returns.csv   one row per family, method, seed and gradient step: mean return on 40 unseen tasks in the end
training.csv  one row per family, method, seed and iteration: mean returns before and after one step

Runs that are in the tables already stay there, whether their directories are at hand or not.
"""

import argparse
import re
from pathlib import Path

import pandas as pd
from axis import added

from meta_rl.evaluation.statistics import summarise_adaptation

NAMES = {"fomaml": "FOMAML", "maml": "MAML", "pretrained": "pretrained"}
KEY = ["family", "method", "seed"]


def key_of(run: Path) -> dict[str, str | int] | None:
    """Family, method and seed that a run's name tells; None for another name."""
    match = re.fullmatch(rf"({'|'.join(NAMES)})_(\w+?)(_credit)?-seed(\d+)", run.name)
    if match is None:
        return None
    method = NAMES[match[1]] + (" + sampling_credit" if match[3] else "")
    return {"family": match[2], "method": method, "seed": int(match[4])}


def returns_of(run: Path, metrics: pd.DataFrame) -> pd.DataFrame:
    """Means over tasks with half their 95 % interval, a row for each gradient step."""
    summary = summarise_adaptation(pd.read_csv(run / "evaluation/adaptation.csv")).round(2)
    seconds = (metrics["time_sampling"] + metrics["time_update"]).sum()
    facts = {
        "iterations": len(metrics),
        "million_steps": round(metrics["env_steps"].iloc[-1] / 1e6, 2),
        "gradient_step": summary.index,
        "return_mean": summary["mean"].to_numpy(),
        "half_interval": summary["half_width"].to_numpy(),
        "tasks": summary["n"].to_numpy(),
        "seconds": round(seconds),
    }
    return pd.DataFrame(facts)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--runs", type=Path, default=Path("runs/families"))
    parser.add_argument("--output", type=Path, default=Path("results/families"))
    args = parser.parse_args()
    returns, training = [], []
    for run in sorted(args.runs.iterdir()):
        key = key_of(run)
        if key is None or not (run / "evaluation/adaptation.csv").exists():
            continue
        metrics = pd.read_csv(run / "metrics.csv")
        returns.append(returns_of(run, metrics).assign(**key))
        columns = metrics[["step", "env_steps", "return_pre", "return_post"]].round(3)
        training.append(columns.rename(columns={"step": "iteration"}).assign(**key))
    table = added(args.output / "returns.csv", pd.concat(returns), [*KEY, "gradient_step"])
    added(args.output / "training.csv", pd.concat(training), [*KEY, "iteration"])
    for (family, method, seed), rows in table.groupby(KEY, sort=False):
        cells = [f"{row.return_mean:.3g} ± {row.half_interval:.2g}" for row in rows.itertuples()]
        first = rows.iloc[0]
        facts = [first["iterations"], first["million_steps"], *cells, f"{first['seconds'] / 60:.0f}"]
        print(f"| `{family}` | {method} | {seed} | {' | '.join(map(str, facts))} |")


if __name__ == "__main__":
    main()
