"""Normalised scores, verdicts, and the sentences made of them."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from directories import config, metrics, untrained, write_evaluation, write_run, write_study

from meta_rl.report.build import build
from meta_rl.report.collect import collect
from meta_rl.report.findings import find
from meta_rl.report.groups import Group, group_runs
from meta_rl.report.model import Verdict
from meta_rl.report.published import Published, find_published
from meta_rl.report.scale import Scale, find_scale, judge, scores

NAMES = ["method", "gradient_steps", "mean_return", "standard_error", "tasks"]
PUBLISHED = pd.DataFrame([("oracle", 0, -2.0, 0.1, 40), ("random", 0, -82.0, 1.0, 40)], columns=NAMES)


def by_method(root: Path) -> dict[str, Group]:
    return {group.method: group for group in group_runs(collect([root], "evaluation")[0])}


def test_the_scale_of_the_runs(tmp_path: Path) -> None:
    write_evaluation(tmp_path / "random", [[-90.0, 5.0], [-70.0, 5.0]], untrained())
    write_evaluation(write_run(tmp_path / "oracle", config("Oracle")) / "evaluation", [[-3.0], [-1.0]])
    scale, sentence = find_scale(by_method(tmp_path), Published(PUBLISHED))
    assert scale == Scale(-80, -2, "of these runs")
    assert "(-80), 1 that of the oracle (-2), of these runs" in sentence


def test_the_published_scale(tmp_path: Path) -> None:
    groups = by_method(write_study(tmp_path))
    assert find_scale(groups, Published(PUBLISHED))[0] == Scale(-82, -2, "published")


def test_no_scale(tmp_path: Path) -> None:
    write_evaluation(tmp_path / "random", [[5.0]], untrained())
    scale, sentence = find_scale(by_method(tmp_path), Published())
    assert scale is None
    assert sentence.endswith("an evaluated oracle is missing among the runs.")
    write_evaluation(write_run(tmp_path / "oracle", config("Oracle")) / "evaluation", [[4.0]])
    scale, sentence = find_scale(by_method(tmp_path), Published(PUBLISHED))
    assert scale is None
    assert sentence.endswith("the oracle is no better than random.")


def test_scores_after_one_step(tmp_path: Path) -> None:
    groups = by_method(write_study(tmp_path))
    found = scores(groups, Scale(0.0, 20.0, ""))
    assert found["MAML"] == pytest.approx(np.array([[9.9, 10.9, 11.9], [9.8, 10.8, 11.8]]) / 20)
    assert scores(groups, None)["FOMAML"][1].tolist() == pytest.approx([19.8, 20.8, 21.8])


def test_verdicts_are_about_what_adapts() -> None:
    stream = np.random.default_rng(0)
    samples = {name: stream.normal(0.9, 0.001, (5, 3)) for name in ("MAML", "FOMAML", "oracle", "random")}
    (verdict,) = judge(samples, Scale(0, 1, ""), "")
    assert (verdict.method, verdict.reference, verdict.word) == ("FOMAML", "MAML", "equivalent")
    assert "5 % of the range from random to oracle" in verdict.sentence
    (verdict,) = judge(samples, None, "No margin.")
    assert verdict.word == "undecided"
    assert verdict.sentence == "It is undecided how FOMAML compares with MAML: no margin."
    del samples["MAML"]
    assert judge(samples, None, "No margin.") == ()


def test_findings_begin_with_fomaml_and_its_cost(tmp_path: Path) -> None:
    groups = by_method(write_study(tmp_path, ["MAML", "Reptile", "FOMAML"]))
    verdicts = judge(scores(groups, Scale(0, 20, "")), Scale(0, 20, ""), "")
    sentences = find(groups, {1: verdicts}, None)
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
    sentences = find(groups, {1: (verdict,), 3: (verdict,)}, None)
    assert sentences[0].startswith("After one gradient step, it is undecided. An iteration of FOMAML takes")
    assert sentences[1] == "After 3 gradient steps, it is undecided."


def test_findings_beside_published(tmp_path: Path) -> None:
    groups = by_method(write_study(tmp_path, ["MAML"]))
    published = pd.DataFrame([("maml", 0, 1.0, 0.1, 40), ("maml", 1, 9.5, 0.1, 40)], columns=NAMES)
    assert find(groups, {}, published)[-1] == "After one gradient step MAML has 10.85; published: 9.5."


def test_findings_on_the_second_order_term(tmp_path: Path) -> None:
    norms = [0.9] * 18 + [0.5, 0.7]
    table = metrics(20, second_order_norm=norms, second_order_cosine=0.75)
    write_run(tmp_path / "a", config(max_steps=20), table)
    sentence, _ = find(by_method(tmp_path), {}, None)
    assert "the second-order term is 0.6 times as long as the whole" in sentence
    assert sentence.endswith("with and without it is 0.750 (1 seed).")


def test_there_is_always_a_sentence(tmp_path: Path) -> None:
    write_run(tmp_path / "a", config())
    assert find(by_method(tmp_path), {}, None) == ["MAML ends its training with a return of 2.50 (1 seed)."]


def test_published_results_of_the_family(tmp_path: Path) -> None:
    comparable = write_run(tmp_path / "a", config(horizon=100))
    write_evaluation(comparable / "evaluation", [[1.0], [2.0]])
    (run,), _ = collect([comparable], "evaluation")
    found = find_published(run)
    assert found.unadapted("oracle") == -2.29
    assert found.unadapted("nobody") is None
    run.env["init_args"]["horizon"] = 5
    assert find_published(run).returns is None
    run.env["init_args"]["nonsense"] = 5
    assert "published results left out, the task family fails: " in find_published(run).problem
    run.env["class_path"] = "os.system"
    assert find_published(run).problem == ""


def test_a_verdict_at_each_setting(tmp_path: Path) -> None:
    stream = np.random.default_rng(1)
    for method in ("MAML", "FOMAML"):
        for rate in (0.1, 0.5):
            for seed in (1, 2, 3):
                loss = 30 * (method == "FOMAML" and rate == 0.5)
                run = write_run(
                    tmp_path / f"{method}-{rate}-{seed}", config(method, seed, inner_lr=rate, horizon=100)
                )
                write_evaluation(run / "evaluation", [[-40.0, x - loss] for x in stream.normal(-12, 0.2, 3)])
    report = build([tmp_path], "evaluation", {})
    words = dict(zip(report.summary["method"], report.summary["beside MAML"], strict=True))
    assert words == {
        "MAML, inner_lr 0.1": "",
        "MAML, inner_lr 0.5": "",
        "FOMAML, inner_lr 0.1": "equivalent",
        "FOMAML, inner_lr 0.5": "worse",
    }
    assert [verdict.word for verdict in report.verdicts] == ["worse"]  # 0.5 is the upper median
    assert "Where no ablation is shown, the runs are those with inner_lr 0.5." in report.notes
