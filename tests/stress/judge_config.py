"""What may become of a configuration that is wrong: an error of one line, or a run of just what it says."""

import datetime
from pathlib import Path
from typing import Any

import yaml
from forked_start import SECONDS, Finding, Outcome, clear, finite, left, resolved, start, work
from omegaconf import OmegaConf

LARGE = 2e5  # environment steps of an iteration: more may take its time


def check(content: bytes, mutation: str, folder: Path) -> tuple[str, Finding | None]:
    """Train with a file; how that ended, and what is wrong with it if anything is."""
    file = folder / "mutated.yaml"
    folder.mkdir(parents=True)
    file.write_bytes(content)
    outcome = start(["--config=mutated.yaml"], folder)
    kind, problem = judge(outcome, content, folder)
    finding = (
        Finding(content.decode(errors="replace")[:1500], mutation, problem, vars(outcome))
        if problem
        else None
    )
    clear(folder)
    return kind, finding


def judge(outcome: Outcome, content: bytes, folder: Path) -> tuple[str, str]:
    """The kind of outcome, and what is wrong with it."""
    if outcome.code is None:
        going = any(folder.rglob("metrics.csv")) or work(_load(content)) > LARGE
        return ("long", "") if going else ("hang", f"no iteration within {SECONDS:.0f} s")
    if "Traceback" in outcome.err or outcome.code not in (0, 1, 2):
        return "crash", f"exit code {outcome.code} with a traceback"
    remains = left(folder, {folder / "mutated.yaml"})
    if outcome.code == 2:
        wrong = "" if outcome.refused() else "not one line"
        return "refused", wrong or (f"left {remains}" if remains else "")
    if outcome.code == 1:
        return "not finite", "" if outcome.diverged() else "exit code 1"
    return "trained", _silently_wrong(content, folder)


def _load(content: bytes) -> Any:
    try:
        return OmegaConf.to_container(OmegaConf.create(yaml.safe_load(content)), resolve=True)
    except Exception:
        try:
            return yaml.safe_load(content)
        except Exception:
            return {}


def _silently_wrong(content: bytes, folder: Path) -> str:
    """What a run that ended well has not done as it was asked to."""
    runs = [file.parents[1] for file in folder.rglob("last.ckpt")]
    if len(runs) != 1:
        return f"{len(runs)} runs"
    if not finite(runs[0] / "checkpoints" / "last.ckpt"):
        return "parameters are not finite"
    differing = unlike(_load(content), resolved(runs[0]))
    return f"not as asked: {differing}" if differing else ""


def unlike(asked: Any, got: Any, place: str = "") -> list[str]:
    """Where the resolved configuration is not what was asked for."""
    if asked == {} and got == "missing":  # asks for nothing
        return []
    if isinstance(asked, dict):
        if not isinstance(got, dict):
            return [f"{place} {asked!r:.80} -> {got!r:.80}"]
        return [d for k, v in asked.items() for d in unlike(v, got.get(k, "missing"), f"{place}.{k}")]
    if isinstance(asked, list):
        same = isinstance(got, list) and len(asked) == len(got)
        return [d for a, g in zip(asked, got, strict=True) for d in unlike(a, g, place)] if same else [place]
    return [] if _same(asked, got) or place == ".ckpt_path" else [f"{place} {asked!r:.80} -> {got!r:.80}"]


def _same(asked: Any, got: Any) -> bool:
    if isinstance(asked, str) and not isinstance(got, str):  # a text that the parser reads
        try:
            value = float(asked) if _number(asked) else yaml.safe_load(asked)
        except yaml.YAMLError:
            return False
        return not isinstance(value, str) and _same(value, got)
    if isinstance(asked, bool) or isinstance(got, bool) or asked is None or got is None:
        return asked is got
    if isinstance(asked, str):
        return asked == got or asked.rpartition(".")[2] == got.rpartition(".")[2] or asked.strip() == got
    if isinstance(asked, datetime.date):
        return str(asked) == got
    return asked == got or asked != asked


def _number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
