"""The sentences on numbers that need words."""

from pathlib import Path

import pandas as pd
from directories import by_method, config, metrics, write_run, write_study

from meta_rl.report.build import build
from meta_rl.report.tables import findings

NAMES = ["method", "gradient_steps", "mean_return", "standard_error", "tasks"]


def test_the_cost_of_each_method_beside_maml(tmp_path: Path) -> None:
    groups = by_method(write_study(tmp_path, ["MAML", "Reptile", "FOMAML"]))
    assert findings(groups, None) == [
        "An iteration of FOMAML takes 3.00 times as long as one of MAML.",
        "An iteration of Reptile takes 2.00 times as long as one of MAML.",
    ]


def test_findings_beside_published(tmp_path: Path) -> None:
    groups = by_method(write_study(tmp_path, ["MAML"]))
    published = pd.DataFrame([("maml", 0, 1.0, 0.1, 40), ("maml", 1, 9.5, 0.1, 40)], columns=NAMES)
    assert findings(groups, published) == ["After one gradient step MAML has 10.85; published: 9.5."]


def test_findings_on_the_second_order_term(tmp_path: Path) -> None:
    norms = [0.9] * 18 + [0.5, 0.7]
    table = metrics(20, second_order_norm=norms, second_order_cosine=0.75)
    write_run(tmp_path / "a", config(max_steps=20), table)
    (sentence,) = findings(by_method(tmp_path), None)
    assert "the second-order term is 0.6 times as long as the whole" in sentence
    assert sentence.endswith("with and without it is 0.750 (1 seed).")


def test_a_single_seed_is_said_once(tmp_path: Path) -> None:
    report = build([write_study(tmp_path / "one", seeds=1)], "evaluation", {})
    expected = "A single seed shows no spread and has no interval over seeds: MAML, FOMAML."
    assert [note for note in report.notes if "seed" in note] == [expected]
    assert not any("seed" in text for text in (*report.findings, *(v.remark for v in report.verdicts)))
    report = build([write_study(tmp_path / "two")], "evaluation", {})
    assert not any("single seed" in note for note in report.notes)
