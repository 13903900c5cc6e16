"""The sentences on what the numbers show."""

from pathlib import Path

import pandas as pd
from directories import by_method, config, metrics, write_run, write_study

from meta_rl.report.equivalence import Verdict, judge
from meta_rl.report.normalisation import (
    ScoreRange,
    score_samples,
)
from meta_rl.report.text import findings

NAMES = ["method", "gradient_steps", "mean_return", "standard_error", "tasks"]


def test_findings_begin_with_fomaml_and_its_cost(tmp_path: Path) -> None:
    groups = by_method(write_study(tmp_path, ["MAML", "Reptile", "FOMAML"]))
    verdicts = judge(score_samples(groups, ScoreRange(0, 20, "")), True, "")
    sentences = findings(groups, {1: verdicts}, None)
    assert sentences[0].startswith("After one gradient step, FOMAML is better than MAML: ")
    assert sentences[0].endswith("An iteration of FOMAML takes 3.00 times as long as one of MAML.")
    assert sentences[1].endswith("An iteration of Reptile takes 2.00 times as long as one of MAML.")
    expected = (
        "MAML reaches a return of 1.00 on unseen tasks without adaptation, 10.85 after one gradient step"
    )
    assert sentences[2] == f"{expected} (2 seeds)."
    assert len(sentences) == 5


def test_findings_after_more_steps_repeat_no_cost(tmp_path: Path) -> None:
    groups = by_method(write_study(tmp_path))
    verdict = Verdict("FOMAML", "MAML", "undecided", "It is undecided.")
    sentences = findings(groups, {1: (verdict,), 3: (verdict,)}, None)
    assert sentences[0].startswith("After one gradient step, it is undecided. An iteration of FOMAML takes")
    assert sentences[1] == "After 3 gradient steps, it is undecided."


def test_findings_beside_published(tmp_path: Path) -> None:
    groups = by_method(write_study(tmp_path, ["MAML"]))
    published = pd.DataFrame([("maml", 0, 1.0, 0.1, 40), ("maml", 1, 9.5, 0.1, 40)], columns=NAMES)
    assert findings(groups, {}, published)[-1] == "After one gradient step MAML has 10.85; published: 9.5."


def test_findings_on_the_second_order_term(tmp_path: Path) -> None:
    norms = [0.9] * 18 + [0.5, 0.7]
    table = metrics(20, second_order_norm=norms, second_order_cosine=0.75)
    write_run(tmp_path / "a", config(max_steps=20), table)
    sentence, _ = findings(by_method(tmp_path), {}, None)
    assert "the second-order term is 0.6 times as long as the whole" in sentence
    assert sentence.endswith("with and without it is 0.750 (1 seed).")


def test_there_is_always_a_sentence(tmp_path: Path) -> None:
    write_run(tmp_path / "a", config())
    assert findings(by_method(tmp_path), {}, None) == [
        "MAML ends its training with a return of 2.50 (1 seed)."
    ]
