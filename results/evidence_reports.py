"""A report of each family of the evidence, with a film, from the runs that git keeps.

    python results/evidence_reports.py [FAMILY ...]      after results/evidence.py and evidence_beside.py

results/FAMILY/report.json, data/ and videos/; `results/redraw.sh` makes the pages from them.
"""

import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

import pandas as pd
from evidence import EVIDENCE, FAMILIES, MARGIN

from meta_rl.evaluation.command import main as evaluate
from meta_rl.report.command import main as report

TITLES = {
    "ant_dir": ("direction", (1.0, -1.0)),  # the parameter of a task, and the tasks of the film
    "ant_vel": ("goal_velocity", (0.5, 2.5)),
    "cheetah_dir": ("direction", (1.0, -1.0)),
    "cheetah_vel": ("goal_velocity", (0.3, 1.7)),
}
FILMED = "evidence_1_maml_fomaml/seed11-fomaml"


def abstract(family: str, verdicts: pd.DataFrame, differences: pd.DataFrame) -> str:
    """The paragraph on top of a family's page: the protocol's verdict, or what there is before it."""
    question = "What does first order lose after one gradient step? By the protocol fixed before the runs "
    question += "(results/evidence/PROTOCOL.md), "
    own = verdicts[verdicts["family"] == family] if len(verdicts) else verdicts
    if len(own):
        look = own.iloc[-1]
        sign = f"{look['difference']:+.2f} ({look['low']:+.2f} to {look['high']:+.2f})"
        text = f"with {look['seeds']} seeds of each method: {look['verdict']}. FOMAML's score minus MAML's is {sign}; "
        return f"{question}{text}equivalence was to lie within {MARGIN:g}."
    text = f"{question}there is no verdict before four seeds of each method."
    found = differences.query("family == @family and scale == 'published' and step == 1")
    for _, row in found.iterrows():
        seeds = f"{row['seeds_maml']} and {row['seeds_fomaml']} seeds"
        text += f" So far FOMAML's score minus MAML's is {row['difference']:+.2f}, with {seeds}."
    return text


def film(family: str, runs: Path) -> None:
    """Film FOMAML's first seed on two tasks, before and after a gradient step, into its evaluation."""
    parameter, values = TITLES[family]
    run = runs / f"{FILMED}_{family}"
    tasks, output = runs / "tasks.csv", runs / "film"
    tasks.write_text("\n".join([parameter, *map(str, values)]) + "\n")
    options = ["--gradient_steps", "1", "--episodes", "40", "--video", str(len(values))]
    where = ["--checkpoint", str(run / "checkpoints/last.ckpt"), "--tasks", str(tasks), "--output", str(output)]
    if evaluate([*where, *options]):
        sys.exit(f"error: {run}: no film")
    (output / "video").rename(run / "evaluation/video")


def main() -> None:
    verdicts, differences = (
        pd.read_csv(file) if (file := EVIDENCE / f"{name}.csv").exists() else pd.DataFrame()
        for name in ("verdicts", "differences")
    )
    for family in sys.argv[1:] or FAMILIES:
        with TemporaryDirectory() as folder:
            runs = Path(folder)
            for sweep in sorted((EVIDENCE / "runs").glob("evidence_[0-9]*")):
                command = [EVIDENCE.parent / "collect.sh", "--restore", runs / sweep.name, sweep]
                subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
            film(family, runs)
            done = sorted(path.parents[1] for path in runs.glob(f"*/*_{family}/evaluation/adaptation.csv"))
            random = EVIDENCE / f"runs/evidence_random/random_{family}"
            text = abstract(family, verdicts, differences)
            options = ["--margin", f"{MARGIN:g}", "--abstract", text, "--output", str(EVIDENCE.parent / family)]
            if report([*map(str, [*done, random]), *options]):
                sys.exit(f"error: {family}: no report")


if __name__ == "__main__":
    main()
