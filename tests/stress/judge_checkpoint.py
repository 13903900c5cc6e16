"""What may become of a damaged checkpoint: it is refused, or training and evaluation keep their numbers."""

import random
from dataclasses import dataclass
from pathlib import Path

import yaml
from forked_start import Finding, Outcome, clear, finite, left, start
from mutate_checkpoint import mutate
from watched_run import differences

EXPERIMENT = {
    "seed_everything": 1,
    "checkpoint_every": 1,
    "model": {
        "class_path": "meta_rl.algorithms.FOMAML",
        "init_args": {"inner_lr": 0.1, "outer_optimizer": "adam", "policy": {"hidden_sizes": [4]}},
    },
    "data": {
        "env": {"class_path": "meta_rl.envs.PointMass", "init_args": {"horizon": 5}},
        "meta_batch_size": 2,
        "fast_batch_size": 2,
    },
    "trainer": {"max_steps": 3},
}


@dataclass
class Subject:
    """A run with its checkpoint, and the numbers that it leads to."""

    folder: Path
    content: bytes
    evaluation: str = ""

    @classmethod
    def make(cls, folder: Path) -> "Subject":
        folder.mkdir(parents=True)
        (folder / "a.yaml").write_text(yaml.safe_dump(EXPERIMENT))
        outcome = start(["--config=a.yaml", "--name=a"], folder)
        assert outcome.code == 0, outcome
        subject = cls(folder, (folder / "runs/a/checkpoints/last.ckpt").read_bytes())
        case = subject.case("reference", subject.content)
        assert train(case).code == 0
        assert evaluate(case).code == 0
        subject.evaluation = (case / "out" / "adaptation.csv").read_text()
        return subject

    def case(self, name: str, content: bytes) -> Path:
        """A folder with the configuration and a checkpoint."""
        folder = self.folder / name
        folder.mkdir()
        (folder / "a.yaml").write_text(yaml.safe_dump(EXPERIMENT))
        (folder / "x.ckpt").write_bytes(content)
        return folder


def train(folder: Path) -> Outcome:
    return start(["--config=a.yaml", "--name=on", "--ckpt_path=x.ckpt", "--trainer.max_steps=5"], folder)


def evaluate(folder: Path) -> Outcome:
    words = ["--checkpoint", "x.ckpt", "--num_tasks=2", "--episodes=2", "--gradient_steps=1", "--output=out"]
    return start(words, folder, "evaluate.py")


def check(r: random.Random, subject: Subject, name: str) -> tuple[str, list[Finding]]:
    """Train and evaluate with a changed checkpoint; how both ended, and what is wrong with that."""
    content, what = mutate(r, subject.content)
    folder = subject.case(name, content)
    known = set(folder.iterdir())
    kinds, findings = [], []
    for program, call in (("train", train), ("evaluate", evaluate)):
        outcome = call(folder)
        kind, problem = judge(program, outcome, folder, subject)
        kind, problem = (
            (kind, f"left {rest}") if kind == "refused" and (rest := left(folder, known)) else (kind, problem)
        )
        findings += [Finding(name, what, f"{program}: {problem}", vars(outcome))] if problem else []
        clear(folder / "runs")
        clear(folder / "out")
        kinds.append(kind)
    clear(folder)
    return " / ".join(kinds), findings


def judge(program: str, outcome: Outcome, folder: Path, subject: Subject) -> tuple[str, str]:
    """The kind of outcome, and what is wrong with it."""
    if outcome.code is None:
        return "hang", "no end"
    if "Traceback" in outcome.err or outcome.code not in (0, 1, 2):
        return "crash", f"exit code {outcome.code} with a traceback"
    if outcome.code == 1:
        return "failed", "exit code 1"
    if outcome.code == 2:
        return (
            "refused",
            "" if outcome.refused() and "x.ckpt" in outcome.err else "not one line with the file",
        )
    if program == "train":
        run, reference = folder / "runs" / "on", subject.folder / "reference" / "runs" / "on"
        found = differences(run, reference)
        found += [] if finite(run / "checkpoints" / "last.ckpt") else ["not finite"]
    else:
        found = (
            []
            if (folder / "out" / "adaptation.csv").read_text() == subject.evaluation
            else ["adaptation.csv"]
        )
    return ("wrong", f"silently different: {found}") if found else ("harmless", "")
