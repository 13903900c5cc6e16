"""A report of each family of the evidence, with a film, from the runs that git keeps.

    python results/evidence_reports.py [FAMILY ...]      after results/evidence.py and evidence_beside.py

results/FAMILY/report.json, data/ and videos/; `results/redraw.sh` makes the pages from them.
"""

import shutil
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

import pandas as pd
from evidence import EVIDENCE, FAMILIES, MARGIN

from meta_rl.evaluation.command import main as evaluate
from meta_rl.report.command import main as report

FILMS = {
    "ant_dir": ("direction", (1.0, -1.0)),  # the parameter of a task, and the tasks of the film
    "ant_vel": ("goal_velocity", (0.5, 2.5)),
    "cheetah_dir": ("direction", (1.0, -1.0)),
    "cheetah_vel": ("goal_velocity", (0.3, 1.7)),
}
FILMED = "evidence_1_maml_fomaml/seed11-fomaml"


def abstract(family: str, verdicts: pd.DataFrame, differences: pd.DataFrame) -> str:
    """The paragraph on top of a family's page: the protocol's verdict, or what there is before it."""
    rule = "By the protocol fixed before the runs (results/evidence/PROTOCOL.md)"
    looks = verdicts[verdicts["family"] == family]
    if len(looks):
        look = looks.iloc[-1]
        lead = f"{look['difference']:+.2f} ({look['low']:+.2f} to {look['high']:+.2f})"
        seeds = f"with {look['seeds']} seeds of each method"
        return (
            f"{rule}, {seeds}, FOMAML against MAML after one gradient step: {look['verdict']}. "
            f"FOMAML's mean score minus MAML's is {lead}, and the margin is {MARGIN:g}."
        )
    text = f"{rule} there is no verdict before four seeds of each method."
    found = differences.query("family == @family and scale == 'published' and step == 1")
    for _, row in found.iterrows():
        text += (
            f" So far FOMAML's score minus MAML's is {row['difference']:+.2f} after one gradient step, with "
        )
        text += f"{row['seeds_fomaml']} and {row['seeds_maml']} seeds."
    return text


def film(family: str, runs: Path) -> None:
    """Film FOMAML's first seed on two tasks, before and after a gradient step, into its evaluation, once."""
    parameter, values = FILMS[family]
    run = runs / f"{FILMED}_{family}"
    for earlier in (EVIDENCE.parent / family / "videos").glob(f"*-{run.name}"):
        shutil.copytree(earlier, run / "evaluation/video")
        return
    tasks, output = runs / "tasks.csv", runs / f"film_{family}"
    tasks.write_text("\n".join([parameter, *map(str, values)]) + "\n")
    options = ["--gradient_steps", "1", "--episodes", "40", "--video", str(len(values))]
    files = {"checkpoint": run / "checkpoints/last.ckpt", "tasks": tasks, "output": output}
    if evaluate([*options, *(f"--{name}={file}" for name, file in files.items())]):
        sys.exit(f"error: {run}: no film")
    (output / "video").rename(run / "evaluation/video")


def main() -> None:
    none = pd.DataFrame(columns=["family", "scale", "step"])
    verdicts, differences = (
        pd.read_csv(file) if (file := EVIDENCE / f"{name}.csv").exists() else none
        for name in ("verdicts", "differences")
    )
    with TemporaryDirectory() as folder:
        runs = Path(folder)
        for sweep in sorted((EVIDENCE / "runs").glob("evidence_[0-9]*")):
            command = [EVIDENCE.parent / "collect.sh", "--restore", runs / sweep.name, sweep]
            subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        for family in sys.argv[1:] or FAMILIES:
            film(family, runs)
            done = sorted(path.parents[1] for path in runs.glob(f"*/*_{family}/evaluation/adaptation.csv"))
            random = EVIDENCE / f"runs/evidence_random/random_{family}"
            text = abstract(family, verdicts, differences)
            options = ["--margin", f"{MARGIN:g}", "--abstract", text]
            if report([*map(str, [*done, random]), *options, "--output", str(EVIDENCE.parent / family)]):
                sys.exit(f"error: {family}: no report")


if __name__ == "__main__":
    main()
