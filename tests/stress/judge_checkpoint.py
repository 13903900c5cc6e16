"""What may become of a checkpoint that is wrong.

A change is harmless if training and evaluation end with the numbers of the unchanged file. Some changes make
another checkpoint that is just as valid: other finite weights, moments, rates or counts of the same types. No
reader can tell these from what was stored, so their numbers may differ. All else must be refused.
"""

import random
from dataclasses import dataclass
from pathlib import Path

import torch
import yaml
from forked_start import Finding, Outcome, clear, finite, left, start
from mutate_checkpoint import Tree, mutate
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
UNREAD = (
    ": loops",
    ": epoch",
    ": callbacks",
    ": hyper_parameters",
    ": unknown",
    ": meta_rl",
)  # not the numbers


@dataclass
class Subject:
    """A run with its checkpoint, the same of another seed, and the numbers that they lead to."""

    folder: Path
    content: bytes
    stranger: Tree
    evaluation: str = ""

    @classmethod
    def make(cls, folder: Path) -> "Subject":
        folder.mkdir(parents=True)
        (folder / "a.yaml").write_text(yaml.safe_dump(EXPERIMENT))
        for words in (["--name=a"], ["--name=b", "--seed_everything=2"]):
            outcome = start(["--config=a.yaml", *words], folder)
            assert outcome.code == 0, outcome
        last = [folder / "runs" / name / "checkpoints" / "last.ckpt" for name in "ab"]
        subject = cls(folder, last[0].read_bytes(), torch.load(last[1], weights_only=True))
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
    content, what, other = mutate(r, subject.content, subject.stranger)
    folder = subject.case(name, content)
    known = set(folder.iterdir())
    kinds, findings = [], []
    for program, call in (("train", train), ("evaluate", evaluate)):
        outcome = call(folder)
        kind, problem = judge(program, outcome, folder, subject, other)
        kind, problem = (
            (kind, f"left {rest}") if kind == "refused" and (rest := left(folder, known)) else (kind, problem)
        )
        findings += [Finding(name, what, f"{program}: {problem}", vars(outcome))] if problem else []
        clear(folder / "runs")
        clear(folder / "out")
        kinds.append(kind)
    clear(folder)
    return " / ".join(kinds), findings


def judge(program: str, outcome: Outcome, folder: Path, subject: Subject, other: bool) -> tuple[str, str]:
    """The kind of outcome, and what is wrong with it."""
    if outcome.code is None:
        return "hang", "no end"
    if "Traceback" in outcome.err or outcome.code not in (0, 1, 2):
        return "crash", f"exit code {outcome.code} with a traceback"
    if outcome.code == 1:
        return "not finite", "" if outcome.diverged() and other else "exit code 1"
    if outcome.code == 2:
        return (
            "refused",
            "" if outcome.refused() and "x.ckpt" in outcome.err else "not one line with the file",
        )
    if program == "train":
        run, reference = folder / "runs" / "on", subject.folder / "reference" / "runs" / "on"
        found = [d for d in differences(run, reference) if not d.endswith(UNREAD)]
        found += [] if finite(run / "checkpoints" / "last.ckpt") else ["not finite"]
    else:
        found = (
            []
            if (folder / "out" / "adaptation.csv").read_text() == subject.evaluation
            else ["adaptation.csv"]
        )
    if not found:
        return "harmless", ""
    return ("other", "") if other else ("wrong", f"silently different: {found}")
