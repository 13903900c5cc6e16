"""report.py from the command line to the page."""

import json
from pathlib import Path

import pytest
from directories import config, metrics, write_evaluation, write_run

from meta_rl.report.command import main
from meta_rl.report.files import FIGURES


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize(
    ("args", "message"),
    [
        ([], "give run directories, or --redraw with directories of reports; see --help"),
        (["a", "--redraw", "b"], "give run directories, or --redraw with directories of reports; see --help"),
        (["a", "--evaluation", "x/y"], "--evaluation: 'x/y' is not the name of a folder"),
        (["a", "--evaluation", ""], "--evaluation: '' is not the name of a folder"),
        (["a", "--margin", "0"], "--margin: 0 is not between 0 and 1, the scores of random and oracle"),
        (["a", "--margin", "nan"], "--margin: nan is not between 0 and 1, the scores of random and oracle"),
        (["a", "--colour", "red"], "unrecognized arguments: --colour red; see --help"),
        (["--redraw", "a"], "a/report.json: No such file or directory; report.py RUNS writes it"),
        (["a"], "no run to report on: skipped a: not found"),
    ],
)
def test_bad_input_is_one_line(
    here: Path, capsys: pytest.CaptureFixture[str], args: list[str], message: str
) -> None:
    assert main(args) == 2
    assert capsys.readouterr().err == f"error: {message}\n"
    assert not list(here.iterdir())


def test_an_output_that_cannot_be_written(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_run(here / "a", config())
    (here / "file").touch()
    assert main(["a", "--output", "file"]) == 2
    error = capsys.readouterr().err
    assert error == "error: cannot write file/data: Not a directory; choose another --output\n"


def test_a_page_that_cannot_be_written(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_run(here / "a", config())
    (here / "report/figures").parent.mkdir()
    (here / "report/figures").touch()
    assert main(["a"]) == 2
    error = capsys.readouterr().err
    assert error == "error: cannot write report/figures: File exists; choose another --output\n"


def test_from_runs_to_a_page_and_again(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = write_run(here / "runs" / "a", config())
    write_evaluation(run / "evaluation", [[1.0, 2.0], [3.0, 5.0]])
    write_run(here / "runs" / "b", config(seed=2), metrics(3))
    assert main(["runs"]) == 0
    output = capsys.readouterr()
    assert output.err == "skipped runs/b: partial: 3 of 4 iterations\n"
    assert output.out == "wrote report/index.html, figures: 6, runs: 1\n"
    content = json.loads((here / "report" / "report.json").read_text())
    assert content["made"]["command"] == "python report.py runs"
    assert {"python", "numpy", "scipy"} <= set(content["made"]["versions"])
    assert content["skipped"] == ["skipped runs/b: partial: 3 of 4 iterations"]
    figures = {path.name for path in (here / "report" / "figures").iterdir()}
    assert figures == {f"{key}{suffix}" for key in content["charts"] for suffix in FIGURES}

    def everything() -> dict[Path, bytes]:
        files = [path for path in (here / "report").rglob("*") if path.is_file()]
        return {path: b"" if path.suffix == ".pdf" else path.read_bytes() for path in files}

    first = everything()
    for path in [*(here / "report" / "figures").iterdir(), here / "report" / "index.html"]:
        path.unlink()
    (here / "runs").rename(here / "gone")
    assert main(["--redraw", "report"]) == 0
    assert everything() == first


def test_a_long_list_of_reasons_stays_one_line(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([f"r{i}" for i in range(5)]) == 2
    reasons = "; ".join(f"skipped r{i}: not found" for i in range(3))
    assert capsys.readouterr().err == f"error: no run to report on: {reasons}; and 2 more\n"


def test_an_abstract_and_a_margin_of_ones_own(here: Path) -> None:
    for method, level in (("MAML", 0.0), ("FOMAML", 0.07), ("Oracle", 1.0), ("Random", 0.0)):
        for seed in (1, 2, 3):
            run = write_run(here / "runs" / f"{method}-{seed}", config(method, seed))
            after = level + 0.001 * seed  # scores of FOMAML are 0.07 above those of MAML
            write_evaluation(run / "evaluation", [[level, after], [level, after]])
    for margin, word in (("0.05", "better"), ("0.1", "equivalent")):
        assert main(["runs", "--margin", margin, "--abstract", "Less <is> more."]) == 0
        content = json.loads((here / "report" / "report.json").read_text())
        (verdict,) = content["verdicts"]
        assert (verdict["word"], verdict["result"]["margin"]) == (word, float(margin))
        page = (here / "report" / "index.html").read_text()
        assert '<p class="abstract">Less &lt;is&gt; more.</p>' in page
        assert f"Within the shaded margin of {margin} differences do not matter" in page
