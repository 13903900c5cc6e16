"""The page as text: complete, self-contained, and safe whatever the names. test_browser.py looks at it."""

import base64
import hashlib
import json
import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pandas as pd
import pytest
import samples

from meta_rl.report import page
from meta_rl.report.files import Report
from meta_rl.report.page import write_page


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
    wanted = [report.title, *report.findings, *report.notes, *report.skipped, *report.summary.columns]
    wanted += [verdict.sentence for verdict in report.verdicts] + [c.caption for c in report.charts]
    for run in report.runs:
        wanted += [
            "torch 2.13.0, numpy 2.4.6",
            run.name,
            run.config,
            *run.commands,
            *run.facts,
            *run.facts.values(),
        ]
    assert [part for part in wanted if part not in elements.text] == []
    assert len([tag for tag, _ in elements.tags if tag == "details"]) == len(report.runs)


def test_hostile_names_make_no_element(text: str, elements: Elements) -> None:
    assert len(elements.scripts) == len(samples.report().charts) + 1
    assert "<script>alert" not in text
    cost = json.loads(elements.scripts[3])
    assert samples.HOSTILE in [entry["name"] for entry in cost[0]]


def test_only_the_pages_own_script_may_run(text: str, elements: Elements) -> None:
    own = base64.b64encode(hashlib.sha256(elements.scripts[-1].encode()).digest()).decode()
    policy = next(a["content"] for _, a in elements.tags if a.get("http-equiv") == "Content-Security-Policy")
    assert policy is not None
    assert f"script-src 'sha256-{own}';" in policy
    assert policy.startswith("default-src 'none'")


def test_nothing_is_fetched_from_elsewhere(text: str, elements: Elements) -> None:
    links = [a[key] or "" for _, a in elements.tags for key in ("src", "href", "xlink:href") if key in a]
    assert len(links) > 30
    assert all(re.match(r"#|data:|figures/|data/", link) for link in links)
    assert "http:" not in text
    assert "https:" not in text
    assert "@import" not in text


def test_downloads_of_each_chart(elements: Elements) -> None:
    links = [a["href"] for tag, a in elements.tags if tag == "a" and "download" in a]
    expected = [f"figures/{c.key}.{s}" for c in samples.report().charts for s in ("png", "pdf")]
    assert sorted(filter(None, links)) == sorted(
        expected + [f"data/{c.key}.csv" for c in samples.report().charts]
    )


def test_ids_are_unique_and_references_lead_somewhere(text: str, elements: Elements) -> None:
    ids = [a["id"] for tag, a in elements.tags if a.get("id") and tag not in ("path", "clippath")]
    assert len(ids) == len(set(ids))
    everything = {a.get("id") for _, a in elements.tags}
    targets = [a["href"] for tag, a in elements.tags if tag == "a" and (a.get("href") or "").startswith("#")]
    targets += re.findall(r'xlink:href="(#[^"]+)"', text) + re.findall(r"url\((#[^)]+)\)", text)
    assert {str(target)[1:] for target in targets} <= everything


def test_panels_have_a_text_alternative(elements: Elements) -> None:
    labels = [
        a.get("aria-label") or "" for tag, a in elements.tags if tag == "svg" and a.get("role") == "img"
    ]
    assert len(labels) == len(set(labels)) == 8
    assert labels[0] == (
        "Return after adaptation to new tasks: Navigation from the origin (1 of 2). mean episode return "
        "against gradient steps of MAML, FOMAML, Reptile, pretrained, oracle, MAML, published"
    )


def test_the_same_report_is_the_same_page(tmp_path: Path) -> None:
    report = replace(samples.report(), charts=(samples.final(), samples.cost()))
    assert written(report, tmp_path / "a") == written(report, tmp_path / "b")


def test_a_page_of_many_runs_is_small(text: str, tmp_path: Path) -> None:
    assert len(text) < 700_000
    many = written(Report("", (), samples.report().summary, (), (), samples.report(112).runs), tmp_path)
    assert len(many) < 500_000


def test_an_empty_report_is_a_page(tmp_path: Path) -> None:
    found = Elements(written(Report("Nothing", (), pd.DataFrame(), (), (), ()), tmp_path))
    assert [a["href"] for tag, a in found.tags if tag == "a"] == ["#content", "#findings"]


@pytest.mark.parametrize("embedded", [True, False])
def test_videos_are_in_the_page_or_beside_it(
    embedded: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(page, "MOST_EMBEDDED", 20 if embedded else 19)
    videos = [tmp_path / run / "task-0.mp4" for run in ("first run", "second")]
    for i, video in enumerate(videos):
        video.parent.mkdir()
        video.write_bytes(bytes([i]) * 10)
    report = Report("", (), pd.DataFrame(), (), (), (), videos=tuple(videos))
    found = Elements(written(report, tmp_path / "out"))
    players = [a for tag, a in found.tags if tag == "video"]
    assert all("controls" in a and "muted" in a for a in players)
    sources = [a["src"] or "" for a in players]
    if embedded:
        assert [base64.b64decode(s.removeprefix("data:video/mp4;base64,")) for s in sources] == [
            video.read_bytes() for video in videos
        ]
        assert not (tmp_path / "out" / "videos").exists()
    else:
        assert sources == ["videos/01-task-0.mp4", "videos/02-task-0.mp4"]
        kept = tuple(tmp_path / "out" / source for source in sources)
        again = Elements(written(replace(report, videos=kept), tmp_path / "out"))
        assert [a["src"] for tag, a in again.tags if tag == "video"] == sources
        assert len(list((tmp_path / "out" / "videos").iterdir())) == 2
        assert [(tmp_path / "out" / s).read_bytes() for s in sources] == [v.read_bytes() for v in videos]
