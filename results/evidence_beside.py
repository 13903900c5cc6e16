"""What the protocol of the evidence reports beside its verdicts; it decides nothing.

    python results/evidence_beside.py      after results/evidence.py

evidence/differences.csv  FOMAML's score minus MAML's on two scales, after each gradient step, with intervals
evidence/to_2.csv         the same of returns on ant_vel's goals up to 2 m/s, the MAML paper's range
evidence/experience.csv   environment steps and hours until a score of 0.8 while training
evidence/savings.csv      how many times as much of both MAML takes as FOMAML
evidence/second_order.csv size of the second-order term in MAML's training beside who wins
evidence/README.md        these tables in it

Hours are iterations times the seconds of an iteration on an idle core (evidence/costs.csv, made by
results/evidence_costs.sh), since the runs themselves trained beside other work.
"""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from evidence import EVIDENCE, NAMES, REACHED, markdown, put_into_readme

from meta_rl.evaluation.published import published_returns
from meta_rl.evaluation.scores import ScoreRange
from meta_rl.evaluation.statistics import over_seeds, summarise_adaptation
from meta_rl.run.directory import ADAPTATION

STEPS = (1, 2, 3)
RANDOM = "evidence_random"  # the folder of the random policies, beside those of the sweeps
TO_2 = "evaluation-to-2"  # where a run on ant_vel keeps its evaluation on those goals
BOTH = ("maml", "fomaml")


def differences_table(runs: pd.DataFrame, folder: Path) -> pd.DataFrame:
    """FOMAML's mean score minus MAML's, for the scales and gradient steps that the families' runs allow."""
    rows = []
    for family, own in runs.groupby("family", sort=False):
        if min((own["method"] == method).sum() for method in BOTH) < 2:
            continue
        for scale, ends in scales(own, str(family), folder).items():
            for step in STEPS:
                maml, fomaml = (scores_after(own, method, step, ends) for method in BOTH)
                rows.append({"family": family, "scale": scale, "step": step, **compared(maml, fomaml)})
    return pd.DataFrame(rows)


def compared(maml: np.ndarray, fomaml: np.ndarray) -> dict[str, float]:
    """Both means over seeds, and FOMAML's minus MAML's with a 95 % interval."""
    found = over_seeds(lead, fomaml, maml)
    numbers = {"seeds_maml": len(maml), "seeds_fomaml": len(fomaml)}
    numbers |= {"maml": maml.mean(), "fomaml": fomaml.mean(), "difference": float(found.value)}
    return numbers | {"low": float(found.low), "high": float(found.high)}


def to_2_table(folder: Path) -> pd.DataFrame:
    """Returns on the goals of tasks/ant_vel_to_2.csv, if two seeds of both methods have them."""
    maml, fomaml = (to_2_returns(folder, method) for method in BOTH)
    if min(len(maml), len(fomaml)) < 2:
        return pd.DataFrame()
    return pd.DataFrame([{"step": step, **compared(maml[:, step], fomaml[:, step])} for step in STEPS])


def to_2_returns(folder: Path, method: str) -> np.ndarray:
    """Mean returns [seeds, steps + 1] of a method on those goals, before adaptation and after each step."""
    files = sorted(folder.glob(f"evidence_*/*-{method}_ant_vel/{TO_2}/{ADAPTATION}"))
    return np.array([summarise_adaptation(pd.read_csv(file))["mean"] for file in files], float)


def scales(own: pd.DataFrame, family: str, folder: Path) -> dict[str, ScoreRange]:
    """The published scale, and that of our own random policy and oracle once both are evaluated."""
    found = {"published": ScoreRange.published(published_returns(family))}
    oracle = own.loc[own["method"] == "oracle", "return_0"]
    random = folder / RANDOM / f"random_{family}" / ADAPTATION
    if len(oracle) and random.exists():
        unadapted = summarise_adaptation(pd.read_csv(random)).loc[0, "mean"]
        found["own"] = ScoreRange(float(np.asarray(unadapted)), float(oracle.mean()))
    return found


def scores_after(own: pd.DataFrame, method: str, step: int, ends: ScoreRange) -> np.ndarray:
    """Scores [seeds] of a method after a gradient step; 0 for a failed run, as the protocol says."""
    returns = own.loc[own["method"] == method, f"return_{step}"].to_numpy(float)
    return np.nan_to_num(ends.normalise(returns), nan=0.0)


def lead(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """The difference of two means."""
    return a.mean() - b.mean()


def experience_table(runs: pd.DataFrame, costs: pd.DataFrame) -> pd.DataFrame:
    """How many seeds reach the score, and their median with the range; empty where the run is censored."""
    rows = []
    for (family, method), own in runs[runs["method"].isin(BOTH)].groupby(["family", "method"], sort=False):
        steps = own[f"million_steps_to_{REACHED}"]
        seconds = seconds_of(str(family), str(method), costs)
        hours = own[f"iterations_to_{REACHED}"] * seconds / 3600
        row: dict[str, Any] = {"family": family, "method": method, "seeds": len(own)}
        row |= {"reached": steps.notna().sum(), "share": steps.notna().mean()}
        row |= {"million_steps": median(steps), "fewest": steps.min(), "most": censored(steps).max()}
        rows.append({**row, "seconds_an_iteration": seconds, "hours": median(hours)})
    return pd.DataFrame(rows).replace(np.inf, np.nan)


def censored(column: pd.Series) -> pd.Series:
    """Runs that never reach the score take longer than all that do."""
    return column.fillna(np.inf)


def median(column: pd.Series) -> float:
    """The median, infinite if half of the runs or more are censored."""
    return float(censored(column).median())


def seconds_of(family: str, method: str, costs: pd.DataFrame) -> float:
    """Median seconds of an iteration on an idle core; NaN if it is not measured."""
    return float(costs.query("family == @family and method == @method")["seconds"].median())


def savings_table(runs: pd.DataFrame, costs: pd.DataFrame) -> pd.DataFrame:
    """Ratios MAML : FOMAML of geometric means over seeds, 95 % intervals, if every run reaches the score."""
    rows = []
    for family, own in runs.groupby("family", sort=False):
        steps = [own.loc[own["method"] == method, f"million_steps_to_{REACHED}"] for method in BOTH]
        if min(map(len, steps)) < 2 or any(column.isna().any() for column in steps):
            continue
        logs = [np.log(column.to_numpy(float)) for column in steps]
        found = over_seeds(lead, *logs)
        price = seconds_of(str(family), "maml", costs) / seconds_of(str(family), "fomaml", costs)
        ratio = {key: float(np.exp(getattr(found, key))) for key in ("value", "low", "high")}
        row: dict[str, Any] = {"family": family, "seeds_maml": len(logs[0]), "seeds_fomaml": len(logs[1])}
        row |= {f"steps_{key}": value for key, value in ratio.items()} | {"iteration": price}
        rows.append(row | {f"hours_{key}": value * price for key, value in ratio.items()})
    return pd.DataFrame(rows)


def second_order_table(runs: pd.DataFrame) -> pd.DataFrame:
    """Of each family: means of the term's size and of the cosine in MAML's training, and FOMAML's lead."""
    rows = []
    for family, own in runs.groupby("family", sort=False):
        maml, fomaml = (own[own["method"] == method] for method in BOTH)
        row = {"family": family, "seeds_maml": len(maml), "seeds_fomaml": len(fomaml)}
        row |= {name: maml[name].mean() for name in ("second_order_norm", "second_order_cosine")}
        # Among MAML's own seeds: does a seed with a longer term score less?
        row["correlation"] = maml["second_order_norm"].corr(maml["score"]) if len(maml) > 2 else np.nan
        rows.append({**row, "difference": fomaml["score"].mean() - maml["score"].mean()})
    return pd.DataFrame(rows).sort_values("second_order_norm", kind="stable")


def with_interval(value: float, low: float, high: float, form: str) -> str:
    """A number and its interval in a format such as "+.2f"."""
    return f"{value:{form}} ({low:{form}} to {high:{form}})"


def experience_markdown(experience: pd.DataFrame, savings: pd.DataFrame) -> str:
    """Both tables as the README shows them."""
    head = "family | method | seeds that reach it | million steps, median | range | s an iteration | hours"
    rows = []
    for row in experience.to_dict("records"):
        most = "never" if np.isnan(row["most"]) else f"{row['most']:.1f}"
        cells = [row["family"], NAMES[row["method"]], f"{row['reached']} of {row['seeds']}"]
        cells += [f"{row['million_steps']:.1f}", f"{row['fewest']:.1f} to {most}"]
        rows.append([*cells, f"{row['seconds_an_iteration']:.2f}", f"{row['hours']:.2f}"])
    found = markdown(head, rows)
    ratios = []
    for row in savings.to_dict("records"):
        steps, hours = (
            with_interval(*(row[f"{of}_{part}"] for part in ("value", "low", "high")), ".2f")
            for of in ("steps", "hours")
        )
        ratios.append([row["family"], steps, f"{row['iteration']:.2f}", hours])
    head = "MAML takes, times as much as FOMAML | steps | an iteration | hours"
    return f"{found}\n\n{markdown(head, ratios)}" if ratios else found


def differences_markdown(differences: pd.DataFrame) -> str:
    """The differences as the README shows them."""
    table = []
    for (family, scale), rows in differences.groupby(["family", "scale"], sort=False):
        seeds = "{seeds_maml}, {seeds_fomaml}".format(**rows.iloc[0])
        cells = [with_interval(r["difference"], r["low"], r["high"], "+.2f") for _, r in rows.iterrows()]
        table.append([str(family), str(scale), seeds, *cells])
    return markdown("family | scale | seeds | after 1 step | 2 | 3", table)


def to_2_markdown(table: pd.DataFrame) -> str:
    """The returns on goals up to 2 m/s as the README shows them."""
    rows = []
    for row in table.to_dict("records"):
        cells = [str(row["step"]), f"{row['seeds_maml']}, {row['seeds_fomaml']}"]
        cells += [f"{row[method]:.0f}" for method in BOTH]
        rows.append([*cells, with_interval(row["difference"], row["low"], row["high"], "+.0f")])
    return markdown("gradient steps | seeds | MAML | FOMAML | FOMAML's minus MAML's", rows)


def second_order_markdown(table: pd.DataFrame) -> str:
    """The second-order term as the README shows it, shortest first."""
    head = "family | seeds | size of the term | cosine | FOMAML's lead | correlation of size and score"
    rows = []
    for row in table.to_dict("records"):
        cells = [row["family"], f"{row['seeds_maml']}, {row['seeds_fomaml']}"]
        cells += [f"{row['second_order_norm']:.2f}", f"{row['second_order_cosine']:.2f}"]
        rows.append([*cells, f"{row['difference']:+.2f}", f"{row['correlation']:+.2f}"])
    return markdown(head, rows)


def main() -> None:
    runs, file = pd.read_csv(EVIDENCE / "runs.csv"), EVIDENCE / "costs.csv"
    costs = pd.read_csv(file) if file.exists() else pd.DataFrame(columns=["family", "method", "seconds"])
    tables = {
        "differences": differences_table(runs, EVIDENCE / "runs"),
        "to_2": to_2_table(EVIDENCE / "runs"),
        "experience": experience_table(runs, costs),
        "savings": savings_table(runs, costs),
        "second_order": second_order_table(runs),
    }
    for name, table in tables.items():
        if len(table):
            table.to_csv(EVIDENCE / f"{name}.csv", index=False, float_format="%.5g")
    put_into_readme("experience", experience_markdown(tables["experience"], tables["savings"]))
    put_into_readme("second order", second_order_markdown(tables["second_order"]))
    if len(tables["differences"]):
        put_into_readme("differences", differences_markdown(tables["differences"]))
    if len(tables["to_2"]):
        put_into_readme("goals to 2", to_2_markdown(tables["to_2"]))
    print(*(table.to_string(index=False) for table in tables.values()), sep="\n\n")


if __name__ == "__main__":
    main()
