"""The evidence as tables, and its verdicts as results/evidence/PROTOCOL.md has fixed them.

    python results/evidence.py      from results/evidence/runs, where results/collect.sh keeps the runs

evidence/runs.csv      one row per evaluated run: returns, score, experience and time
evidence/verdicts.csv  one row per family and look that is reached
evidence/README.md     the table of runs in it
"""

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import yaml

from meta_rl.evaluation.equivalence import Comparison, compare, seeds_needed
from meta_rl.evaluation.published import published_returns
from meta_rl.evaluation.scores import ScoreRange
from meta_rl.evaluation.statistics import summarise_adaptation
from meta_rl.report.runs import timed
from meta_rl.run.directory import ADAPTATION, CONFIG, EVALUATION, METRICS, RECORD
from meta_rl.run.record import read_starts

EVIDENCE = Path(__file__).parent / "evidence"
FAMILIES = ("ant_dir", "ant_vel", "cheetah_dir", "cheetah_vel")
METHODS = ("maml", "fomaml", "reptile", "pretrained", "oracle")  # in the order of the table
NAMES = {"maml": "MAML", "fomaml": "FOMAML", "reptile": "Reptile"}
MARGIN = 0.10
LOOKS = {0.02: range(11, 15), 0.03: range(11, 19)}  # by level, the seeds that both methods have done
REACHED, SMOOTHED = 0.8, 10  # a score, and the iterations of the mean that first reaches it


def runs_table(folder: Path) -> pd.DataFrame:
    """A row for each run in the sweeps' folders that has been evaluated, or has failed."""
    found = [row_of(run) for run in sorted(folder.glob("evidence_*/*-*"))]
    table = pd.DataFrame([row for row in found if row])
    place = {"family": FAMILIES.index, "method": METHODS.index, "seed": int}
    return table.sort_values([*place], key=lambda column: column.map(place[str(column.name)]), kind="stable")


def row_of(run: Path) -> dict[str, Any]:
    """What runs.csv says of a run, {} if it is not finished. A failed one without an evaluation scores 0."""
    starts, evaluation = read_starts(run / RECORD), run / EVALUATION / ADAPTATION
    *before, last = [start["outcome"] for start in starts]
    if "failed" in before:
        sys.exit(f"error: {run}: went on after it had failed, against the protocol; restore it from git")
    if not (evaluation.exists() or last == "failed"):
        return {}
    config = yaml.safe_load((run / CONFIG).read_text())
    method, family = config["name"].split("-")[-1].split("_", 1)
    ends = ScoreRange.published(published_returns(family))
    metrics = timed(pd.read_csv(run / f"{METRICS}.gz"))
    row: dict[str, Any] = {
        "family": family,
        "method": method,
        "seed": config["seed_everything"],
        "commit": starts[0]["commit"],
        "iterations": len(metrics),
        "million_steps": metrics["million_steps"].iloc[-1],
        "hours": metrics["minutes"].iloc[-1] / 60,
        "score": 0.0,
    }
    if method in ("maml", "fomaml"):  # measured every tenth iteration
        row |= {name: metrics[name].mean() for name in ("second_order_norm", "second_order_cosine")}
    if evaluation.exists():
        returns = summarise_adaptation(pd.read_csv(evaluation))
        row["score"] = float(ends.normalise(np.asarray(returns["mean"], float))[min(1, len(returns) - 1)])
        row |= {f"return_{step}": value for step, value in returns["mean"].items()}
        row |= {f"half_width_{step}": value for step, value in returns["half_width"].items()}
    smooth = ends.normalise(metrics["return_post"].rolling(SMOOTHED).mean().to_numpy(float))
    if (reached := np.flatnonzero(smooth >= REACHED)).size:  # else the run is censored
        first = metrics.iloc[reached[0]]
        row |= {f"iterations_to_{REACHED}": int(reached[0]) + 1}
        row |= {f"million_steps_to_{REACHED}": first["million_steps"]}
        row |= {f"hours_to_{REACHED}": first["minutes"] / 60}
    return row


def verdicts_table(runs: pd.DataFrame) -> pd.DataFrame:
    """A row for each family and look that is reached. A verdict of the first look stands."""
    rows = []
    for family, own in runs.groupby("family", sort=False):
        verdict = "undecided"
        for level, seeds in LOOKS.items():
            fomaml, maml = (scores(own, method, seeds) for method in ("fomaml", "maml"))
            if min(len(fomaml), len(maml)) < len(seeds):
                break
            result = compare(fomaml, maml, MARGIN, level)
            verdict = result.word if verdict == "undecided" else verdict
            rows.append({"family": family, **row_of_look(result, verdict, fomaml, maml)})
    return pd.DataFrame(rows)


def scores(runs: pd.DataFrame, method: str, seeds: range) -> np.ndarray:
    """The scores of a method's runs with these seeds, as far as they are done."""
    own = runs[(runs["method"] == method) & runs["seed"].isin(seeds)]
    return np.asarray(own["score"], float)


def row_of_look(result: Comparison, verdict: str, fomaml: np.ndarray, maml: np.ndarray) -> dict[str, Any]:
    """What verdicts.csv says of a look."""
    return {
        "seeds": result.seeds[0],
        "fomaml": fomaml.mean(),
        "maml": maml.mean(),
        "difference": result.difference,
        "low": result.inner[0],
        "high": result.inner[1],
        "low_outer": result.outer[0],
        "high_outer": result.outer[1],
        "level": result.level,
        "p": result.p,
        "verdict": verdict,
        "seeds_needed": seeds_needed(fomaml, maml, MARGIN, result.level) or "more than 1000",
    }


def as_markdown(runs: pd.DataFrame) -> str:
    """The rows of runs.csv as the README shows them."""
    head = "run | million steps | hours, one core | before | 1 | 2 | 3 | score, 1 step | million steps to 0.8"
    rows = []
    for run in runs.to_dict("records"):
        returns = [f"{run[f'return_{k}']:.0f} ± {run[f'half_width_{k}']:.0f}" for k in range(4)]
        numbers = [f"{run['million_steps']:.1f}", f"{run['hours']:.1f}", *returns, f"{run['score']:.2f}"]
        name = NAMES.get(run["method"], run["method"])
        cells = [f"{name} on {run['family']}, seed {run['seed']}", *numbers]
        cells.append(f"{run['million_steps_to_0.8']:.1f}")
        rows.append(cells)
    return markdown(head, rows)


def markdown(head: str, rows: list[list[str]]) -> str:
    """A table for the README; cells without a number are empty."""
    cells = [["" if "nan" in cell else cell for cell in row] for row in rows]
    lines = [head, *(" | ".join(row) for row in cells)]
    first, *others = [f"| {line} |" for line in lines]
    return "\n".join([first, "|" + " --- |" * len(head.split(" | ")), *others])


def put_into_readme(name: str, text: str) -> None:
    """Write a table between the README's comments `NAME: made ...` and `end of NAME`."""
    readme = EVIDENCE / "README.md"
    begin, end = f"<!-- {name}: made by results/evidence*.py -->", f"<!-- end of {name} -->"
    before, rest = readme.read_text("utf-8").split(begin)
    readme.write_text(f"{before}{begin}\n\n{text}\n\n{end}{rest.split(end)[1]}", "utf-8")


def main() -> None:
    runs = runs_table(EVIDENCE / "runs")
    runs.to_csv(EVIDENCE / "runs.csv", index=False, float_format="%.5g")
    found = verdicts_table(runs)
    if len(found):
        found.to_csv(EVIDENCE / "verdicts.csv", index=False, float_format="%.5g")
    put_into_readme("runs", as_markdown(runs))
    print(as_markdown(runs), found.to_string(index=False), sep="\n\n")


if __name__ == "__main__":
    main()
