"""The page in a real browser without a network. Where there is no Chromium these tests are skipped."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest
import samples

from meta_rl.charts.looks import looks
from meta_rl.report.files import Report
from meta_rl.report.page import write_page

CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome")
pytestmark = pytest.mark.skipif(not CHROMIUM, reason="needs chromium: apt-get install chromium")
FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--host-resolver-rules=MAP * ~NOTFOUND",  # no network
    "--enable-logging=stderr",
    "--virtual-time-budget=10000",
    "--dump-dom",
)


def opened(report: Report, folder: Path, *flags: str) -> tuple[str, list[str]]:
    """The page as the browser has it when its scripts have run, and what it complains about."""
    write_page(report, folder)
    command = [str(CHROMIUM), *FLAGS, *flags, (folder / "index.html").as_uri()]
    result = subprocess.run(command, capture_output=True, text=True, timeout=300, check=True)
    return result.stdout, [line for line in result.stderr.splitlines() if ":CONSOLE" in line]


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, list[str]]:
    return opened(samples.report(), tmp_path_factory.mktemp("page"))


def drawings(text: str) -> list[str]:
    return re.findall(r'<svg [^>]*class="marks".*?</svg>', text, flags=re.DOTALL)


def test_every_figure_is_drawn_and_nothing_is_wrong(page: tuple[str, list[str]]) -> None:
    text, complaints = page
    assert complaints == []
    assert len(drawings(text)) == len(samples.report().charts)
    for chart, svg in zip(samples.report().charts[:2], drawings(text), strict=False):
        assert [name for name in looks(chart) if f">{name}</text>" not in svg] == []


def test_drawings_follow_dark_mode(page: tuple[str, list[str]], tmp_path: Path) -> None:
    report = Report("Dark", charts=(samples.cost(),))
    dark, complaints = opened(report, tmp_path, "--blink-settings=preferredColorScheme=0")
    assert complaints == []
    assert "#e4e7ea" in drawings(dark)[0]
    assert "#e4e7ea" not in drawings(page[0])[0]
    assert "#1c2024" in drawings(page[0])[0]


def test_hostile_names_stay_text(page: tuple[str, list[str]]) -> None:
    assert "&lt;script&gt;alert(1)&lt;/script&gt; &amp; $x$</text>" in page[0]
    assert "<script>alert" not in page[0]


def test_a_page_without_anything_has_no_errors(tmp_path: Path) -> None:
    assert opened(Report("Nothing"), tmp_path)[1] == []
