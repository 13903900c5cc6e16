"""The page as text: complete, self-contained, and safe whatever the names. test_browser.py runs it."""

import base64
import hashlib
import json
import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pytest
import samples

from meta_rl.report.files import Report
from meta_rl.report.page import library, number, write_page


class Elements(HTMLParser):
    """Tags with their attributes, and the text of each script."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.scripts: list[str] = []
        self.text = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag == "script":
            self.scripts.append("")

    def handle_data(self, data: str) -> None:
        self.text += data
        if self.cdata_elem == "script":
            self.scripts[-1] += data


def written(report: Report, folder: Path) -> str:
    write_page(report, folder)
    return (folder / "index.html").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def text(tmp_path_factory: pytest.TempPathFactory) -> str:
    return written(samples.report(), tmp_path_factory.mktemp("page"))


@pytest.fixture(scope="module")
def elements(text: str) -> Elements:
    return Elements(text)


def test_everything_of_the_report_is_there(elements: Elements) -> None:
    report = samples.report()
    wanted = [report.title, *report.notes, *report.skipped, *report.summary.columns]
    wanted += [v.remark for v in report.verdicts] + [v.word for v in report.verdicts]
    wanted += [chart.caption for chart in report.charts]
    for run in report.runs:
        wanted += ["torch 2.13.0, numpy 2.4.6", run.name, run.config, *run.commands]
        wanted += [*run.facts, *run.facts.values()]
    assert [part for part in wanted if part not in elements.text] == []
    details = [tag for tag, _ in elements.tags if tag == "details"]
    assert len(details) == len(report.runs) + len(report.charts)


def test_the_configuration_of_an_experiment_is_there_once(tmp_path: Path) -> None:
    first, second, other = (replace(samples.run(i), config=f"number: {i}") for i in (1, 4, 2))
    second = replace(second, facts={**first.facts, "seed": "4"})
    text = written(Report("", runs=(first, second, other)), tmp_path)
    assert re.findall(r"number: \d", text) == ["number: 1", "number: 2"]
    assert f"that of {first.name} but for seed and name" in text


def test_the_order_is_verdicts_adaptation_table_figures_runs(text: str) -> None:
    places = [text.index(mark) for mark in ('class="verdicts"', 'id="figure-adaptation"', 'id="summary"')]
    places += [text.index(mark) for mark in ('id="figure-learning"', 'id="runs"', 'id="skipped"')]
    assert places == sorted(places)


def test_a_verdict_has_a_word_numbers_and_a_drawing(text: str, elements: Elements) -> None:
    assert re.findall(r'class="badge (\w+)">\1<', text) == ["worse", "equivalent", "better", "undecided"]
    assert "+0.010 (-0.020 to +0.040)" in elements.text
    plots = [a for tag, a in elements.tags if tag == "svg"]
    assert [plot["class"] for plot in plots] == ["forest worse", "forest equivalent", "forest better"]
    low, _, width, _ = map(float, (plots[0]["viewbox"] or "").split())
    assert (-low, width) == pytest.approx((1.05 * 0.08, 2.1 * 0.08))  # 0.08 is as far as an interval goes
    lines = [a["d"] for tag, a in elements.tags if tag == "path"]
    assert lines[-4:] == ["M0-1V1", "M-0.02 0H0.08", "M-0.01 0H0.06", "M0.02 0h0"]


def test_every_value_of_a_figure_is_in_its_table(text: str) -> None:
    table = text[text.index("<caption>Navigation") :].split("</table>")[0]
    rows = [re.split("<t[hd][^>]*>", row)[1:] for row in table.split("<tr>")[1:]]
    first, *values = [[cell.strip() for cell in row] for row in rows]
    first = [re.sub("<.*", "", cell).strip() for cell in first]
    assert first == ["", "gradient steps", "mean episode return", "95 % from", "to", ""]
    assert len(values) == 4 * 4 + 1 + 4
    assert values[3] == ["MAML", "3", "-9.25", "-10.75", "-7.75", "5 seeds"]
    assert values[16] == ["oracle", "", "-2.3", "-3.1", "-1.5", ""]
    numbers = [number(x) for x in (12345.6, float("nan"), "name", 0.000123456)]
    assert numbers == ["12,346", "", "name", "0.0001235"]


def test_hostile_names_make_no_element(text: str, elements: Elements) -> None:
    assert len(elements.scripts) == len(samples.report().charts) + 2
    assert "<script>alert" not in text
    data = json.loads(elements.scripts[3])["datasets"]
    assert samples.HOSTILE in {row["series"] for rows in data.values() for row in rows}


def test_only_the_pages_own_scripts_may_run(text: str, elements: Elements) -> None:
    own = [base64.b64encode(hashlib.sha256(s.encode()).digest()).decode() for s in elements.scripts[-2:]]
    policy = next(a["content"] for _, a in elements.tags if a.get("http-equiv") == "Content-Security-Policy")
    assert policy is not None
    assert f"script-src 'sha256-{own[0]}' 'sha256-{own[1]}' ;" in policy
    assert policy.startswith("default-src 'none'")
    assert "unsafe-eval" not in policy


def test_nothing_is_fetched_from_elsewhere(text: str, elements: Elements) -> None:
    links = [a[key] or "" for _, a in elements.tags for key in ("src", "href", "xlink:href") if key in a]
    assert len(links) > 30
    assert all(re.match(r"#|data:|figures/|data/", link) for link in links)
    own = "".join(text.split(script)[0] for script in [library()])
    assert not re.search(r"https?:(?!//vega.github.io/schema)", own)
    assert "@import" not in own


def test_downloads_of_each_chart(elements: Elements) -> None:
    links = [a["href"] for tag, a in elements.tags if tag == "a" and "download" in a]
    expected = [f"figures/{c.key}.{s}" for c in samples.report().charts for s in ("png", "svg", "pdf")]
    assert sorted(filter(None, links)) == sorted(
        expected + [f"data/{c.key}.csv" for c in samples.report().charts]
    )


def test_ids_are_unique_and_references_lead_somewhere(elements: Elements) -> None:
    ids = [a["id"] for _, a in elements.tags if a.get("id")]
    assert len(ids) == len(set(ids))
    targets = [a["href"] for tag, a in elements.tags if tag == "a" and (a.get("href") or "").startswith("#")]
    targets += [f"#{a['data-of']}" for _, a in elements.tags if "data-of" in a]
    assert {str(target)[1:] for target in targets} <= set(ids)


def test_figures_need_no_script(elements: Elements) -> None:
    tags = [tag for tag, _ in elements.tags]
    images = [a for tag, a in elements.tags if tag == "img"]
    assert tags.count("noscript") == len(images) == len(samples.report().charts)
    assert [image["src"] for image in images] == [f"figures/{c.key}.svg" for c in samples.report().charts]
    assert len({image["alt"] for image in images}) == len(images)


def test_the_same_report_is_the_same_page(tmp_path: Path) -> None:
    report = replace(samples.report(), charts=(samples.final(), samples.cost()))
    assert written(report, tmp_path / "a") == written(report, tmp_path / "b")


def test_a_page_is_small(text: str, tmp_path: Path) -> None:
    assert len(text.encode()) < 3_000_000  # with 9000 rows of values
    report = Report("", summary=samples.report().summary, runs=samples.report(112).runs)
    assert len(written(report, tmp_path)) < 500_000


def test_an_empty_report_is_a_page(tmp_path: Path) -> None:
    found = Elements(written(Report("Nothing"), tmp_path))
    assert [a["href"] for tag, a in found.tags if tag == "a"] == ["#content"]
    assert found.scripts == []


def test_the_first_film_follows_the_adaptation(tmp_path: Path) -> None:
    films = (tmp_path / "videos" / "1-a" / "task 0.mp4", tmp_path / "videos" / "2-b" / "task-0.mp4")
    report = Report("", charts=(samples.adaptation(), samples.cost()), videos=films)
    text = written(report, tmp_path)
    players = [a for tag, a in Elements(text).tags if tag == "video"]
    assert all("controls" in a and "muted" in a for a in players)
    assert [a["src"] for a in players] == ["videos/1-a/task%200.mp4", "videos/2-b/task-0.mp4"]
    places = [text.index(mark) for mark in ('id="figure-adaptation"', "1-a", 'id="figure-cost"', "2-b")]
    assert places == sorted(places)
