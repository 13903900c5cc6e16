"""The documentation: examples run as they are printed, links lead somewhere, nothing goes unexplained."""

import math
import pydoc
import re
import shlex
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import yaml

from meta_rl.evaluation import command as evaluate_cli
from meta_rl.report import command as report_cli
from meta_rl.run import command as cli
from meta_rl.run.config import read_config
from meta_rl.sweep import command as sweep_cli
from meta_rl.sweep.file import read_sweep

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
PAGES = [*sorted(DOCS.rglob("*.md")), *sorted(ROOT.glob("*.md")), *sorted(ROOT.glob("results/**/*.md"))]
CODE = re.compile(r"^```(\w*)\n(.*?)^```$", re.DOTALL | re.MULTILINE)
LINK = re.compile(r"\[[^\[\]]*\]\(([^)\s#]*)(?:#([^)\s]+))?\)")
SMALL = ["--trainer.max_steps=2", "--data.meta_batch_size=2", "--data.fast_batch_size=2"]
FEW = ["--num_tasks=2", "--episodes=2", "--gradient_steps=1"]


def blocks(page: str, language: str) -> list[str]:
    """The code blocks of a page in one language."""
    return re.findall(rf"^```{language}\n(.+?)^```$", (DOCS / page).read_text(), re.DOTALL | re.MULTILINE)


def save(folder: Path, page: str, example: int = 0, code: int = 0) -> None:
    """Write a Python and a YAML block of the page to the files that their first lines name."""
    for text in (blocks(page, "python")[code], blocks(page, "yaml")[example]):
        (folder / text.splitlines()[0].removeprefix("# ")).write_text(text)


def arguments(line: str) -> list[str]:
    """What follows the script's name in a printed command."""
    return shlex.split(line, comments=True)[2:]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Where a user's files and runs are; what is imported from there is forgotten afterwards."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr("sys.argv", ["train.py"])
    for name in ("WANDB_RUN_ID", "WANDB_SWEEP_ID", "WANDB_API_KEY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("WANDB_MODE", "disabled")
    before = set(sys.modules)
    yield tmp_path
    for name in set(sys.modules) - before:
        if name.startswith("my_"):
            del sys.modules[name]


@pytest.mark.parametrize("page", ["add_a_task_family.md", "add_an_algorithm.md"])
def test_the_example_trains_and_is_evaluated_by_the_printed_commands(folder: Path, page: str) -> None:
    save(folder, page)
    train, evaluate = blocks(page, "bash")[0].splitlines()
    assert cli.main([*arguments(train), *SMALL]) == 0
    (metrics,) = folder.glob("runs/*/metrics.csv")
    assert pd.read_csv(metrics)["step"].tolist() == [1, 2]
    assert evaluate_cli.main([*arguments(evaluate), *FEW]) == 0
    assert (metrics.parent / "evaluation/adaptation.png").exists()
    if page == "add_a_task_family.md":
        (folder / "targets.csv").write_text("target\n-0.8\n0.3\n")
        tasks = blocks(page, "bash")[2].splitlines()[1]
        assert cli.main([*arguments(train), *SMALL, "--data.env.max_speed=0.2", "--name=fast"]) == 0
        assert evaluate_cli.main([*arguments(tasks), "--episodes=2", "--gradient_steps=1"]) == 0
        table = pd.read_csv(metrics.parent / "evaluation/adaptation.csv")
        assert table["target"].round(6).tolist() == [-0.8, -0.8, 0.3, 0.3]
        exec(blocks(page, "python")[1], {})


def test_the_inner_optimizer_trains_and_is_evaluated_by_the_printed_lines(folder: Path) -> None:
    page = "add_an_inner_optimizer.md"
    save(folder, page)
    train, evaluate = blocks(page, "bash")[1].splitlines()
    assert cli.main([*arguments(train), *SMALL]) == 0
    assert evaluate_cli.main([*arguments(evaluate), *FEW]) == 0


def test_the_lines_for_python_run_as_printed(folder: Path) -> None:
    pytest.importorskip("onnxscript")
    names: dict[str, Any] = {}
    for code in blocks("python.md", "python"):
        if "push_to_hub" not in code:  # which needs the network
            exec(code, names)
    assert names["policy"].returns[-1].mean() > names["policy"].returns[0].mean()
    assert (folder / "stage.onnx").exists()
    assert names["trained"].iteration == 2


def test_robots_train_and_are_evaluated_by_the_printed_commands(folder: Path) -> None:
    page = "add_a_task_family.md"
    save(folder, page, example=1, code=2)
    train, evaluate, other = blocks(page, "bash")[3].splitlines()
    for command in (train, other):
        assert cli.main([*arguments(command), *SMALL, "--data.env.horizon=5"]) == 0
    assert evaluate_cli.main([*arguments(evaluate), *FEW]) == 0
    sides = pd.read_csv(folder / "runs/ant_sideways/evaluation/adaptation.csv")["side"]
    assert set(sides) <= {-1.0, 1.0}
    assert pd.read_csv(folder / "runs/hopper/metrics.csv")["return_pre"].notna().all()


@pytest.mark.parametrize("example", [0, 1])
def test_environments_of_gymnasium_are_trained_and_evaluated_by_the_printed_commands(
    folder: Path, example: int
) -> None:
    page = "gymnasium_environments.md"
    save(folder, page, example)
    train, evaluate = blocks(page, "bash")[example].splitlines()
    assert cli.main([*arguments(train), *SMALL, "--data.env.horizon=3"]) == 0
    assert evaluate_cli.main([*arguments(evaluate), *FEW]) == 0
    assert len(list(folder.glob("runs/*/evaluation/adaptation.png"))) == 1
    parallel = ["--data.env.vectorization=async", "--data.env.num_workers=2", "--data.env.horizon=3"]
    assert cli.main([*arguments(train), *SMALL, *parallel, "--name=parallel"]) == 0
    returns = [pd.read_csv(file)["return_post"].tolist() for file in folder.glob("runs/*/metrics.csv")]
    assert returns[0] == returns[1]


def test_the_smaller_change_logs_its_columns(folder: Path) -> None:
    (folder / "my_stepwise.py").write_text(blocks("add_an_algorithm.md", "python")[1])
    (folder / "stepwise.yaml").write_text(
        "model: {class_path: my_stepwise.StepwiseMAML, init_args: {num_inner_steps: 2}}\n"
        "data: {env: {class_path: meta_rl.envs.ActionReward}}\n"
    )
    assert cli.main(["--config=stepwise.yaml", *SMALL]) == 0
    columns = set(pd.read_csv(folder / "runs/stepwise/metrics.csv"))
    assert {"return_step_0", "return_step_1", "return_step_2"} <= columns


@pytest.mark.parametrize("algorithm", ["MAML", "Reptile", "ES_MAML", "Pretrained"])
def test_every_column_of_metrics_is_explained(folder: Path, algorithm: str) -> None:
    explained = set(
        re.findall(r"`(\w+)`", "".join(re.findall(r"^\|(.+?)\|", (DOCS / "runs.md").read_text(), re.M)))
    )
    config = Path(__file__).parents[1] / f"conf/{algorithm.lower()}_point_mass.yaml"
    assert cli.main([f"--config={config}", *SMALL, "--data.env.horizon=3"]) == 0
    (metrics,) = folder.glob("runs/*/metrics.csv")
    assert set(pd.read_csv(metrics)) - explained == set()


def test_every_column_of_a_comparison_is_explained(folder: Path) -> None:
    section = (DOCS / "runs.md").read_text().partition("### Comparing methods")[2]
    explained = re.findall(r"`(\w+)`", "".join(re.findall(r"^\|(.+?)\|", section, re.M)))
    config = Path(__file__).parents[1] / "conf/random_point_mass.yaml"
    assert evaluate_cli.main(["--compare", str(config), *FEW, "--output=out"]) == 0
    assert list(pd.read_csv("out/comparison.csv")) == explained


def navigation(tree: Any) -> list[str]:
    """The files of the site's navigation."""
    if isinstance(tree, str):
        return [tree]
    branches = tree.values() if isinstance(tree, dict) else tree
    return [leaf for branch in branches for leaf in navigation(branch)]


def test_every_page_is_in_the_navigation_once() -> None:
    notebooks = [page.with_suffix(".md") for page in DOCS.glob("*.ipynb")]
    pages = [str(page.relative_to(DOCS)) for page in (*DOCS.rglob("*.md"), *notebooks)]
    results = [str(page.relative_to(ROOT)) for page in ROOT.glob("results/*/*.md")]
    found = navigation(yaml.safe_load((ROOT / "mkdocs.yml").read_text())["nav"])
    assert sorted(found) == sorted([*pages, *results, "CHANGELOG.md"])


def anchors(page: Path) -> set[str]:
    """Those that the headings of a page have both on the site and on GitHub."""
    headings = re.findall(r"^#+ (.+)$", CODE.sub("", page.read_text()), re.MULTILINE)
    plain = [re.sub(r"[^\w\s-]", "", heading).strip().lower() for heading in headings]
    return {re.sub(r"[-\s]+", "-", text) for text in plain} & {text.replace(" ", "-") for text in plain}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    for target, anchor in LINK.findall(CODE.sub("", page.read_text())):
        if ":" in target:  # another site
            continue
        file = page.parent / target if target else page
        assert file.exists(), target
        if anchor.startswith("meta_rl."):
            assert pydoc.locate(anchor), anchor
        elif anchor:
            assert anchor in anchors(file), f"{target}#{anchor}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_tests_that_are_named_exist(page: Path) -> None:
    for name, file in re.findall(r"`(test_\w+)`(?:\]\((\S+)\))?", page.read_text()):
        files = [page.parent / file] if file else ROOT.glob("tests/**/test_*.py")
        assert any(f"def {name}(" in f.read_text() for f in files), name


def commands(program: str) -> list[list[str]]:
    """The arguments of all printed commands of a program, in the pages and in README."""
    text = "".join(
        code for page in PAGES for language, code in CODE.findall(page.read_text()) if language == "bash"
    )
    parts = re.split(r"&&|\n", text.replace("\\\n", ""))
    words = (shlex.split(part.partition(f"python {program}")[2], comments=True) for part in parts)
    return [arguments for arguments in words if arguments]


@pytest.mark.parametrize(
    ("program", "main"),
    [("evaluate.py", evaluate_cli.main), ("sweep.py", sweep_cli.main), ("report.py", report_cli.main)],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_printed_options_exist(program: str, main: Any, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["--help"])
    known = set(re.findall(r"--\w+", capsys.readouterr().out))
    printed = commands(program)
    assert printed
    assert {word for arguments in printed for word in arguments if word.startswith("--")} <= known
    guide = DOCS / "guide" / program.replace(".py", ".md")
    if program != "evaluate.py":  # the guide of sweep.py names options of train.py, too
        assert set(re.findall(r"`(--\w+)[ `]", guide.read_text())) <= known


def test_printed_keys_of_train_exist(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    overrides: dict[str, list[str]] = {}
    for config, *rest in (arguments[1:] for arguments in commands("train.py") if arguments[0] == "--config"):
        if config.startswith("conf/"):
            overrides.setdefault(config, []).extend(rest)
    assert overrides
    for config, arguments in overrides.items():
        read_config(config, arguments)


def test_printed_numbers_of_processes_divide_the_tasks() -> None:
    guide = (DOCS / "guide/cluster.md").read_text().replace("\\\n", "")
    lines = re.findall(r"train\.py --config (\S+)(.*?--trainer\.devices=.*)", guide)
    assert len(lines) == 3
    for config, options in lines:
        ranks = math.prod(map(int, re.findall(r"--trainer\.(?:devices|num_nodes)=(\d+)", options)))
        assert read_config(ROOT / config)["data"]["meta_batch_size"] % ranks == 0


def test_files_that_commands_name_are_shipped() -> None:
    text = "".join(page.read_text() for page in PAGES)
    for file in set(re.findall(r"\b((?:conf|sweeps|benchmarks|tests/stress)/[\w/]+\.(?:yaml|sh|py))", text)):
        assert (ROOT / file).exists(), file


def test_the_printed_sweep_is_one(tmp_path: Path) -> None:
    (tmp_path / "sweep.yaml").write_text(blocks("guide/sweep.md", "yaml")[0])
    assert read_sweep(tmp_path / "sweep.yaml").method == "grid"


def test_every_public_module_is_in_the_api() -> None:
    text = "".join(page.read_text() for page in DOCS.glob("api/*.md"))
    listed = re.findall(r"^::: (\S+)$", text, re.MULTILINE)
    modules = (file.relative_to(ROOT / "src").with_suffix("") for file in ROOT.glob("src/meta_rl/**/*.py"))
    public = [".".join(module.parts) for module in modules if not module.stem.startswith("_")]
    times = {name: listed.count(name) + listed.count(f"{name.rpartition('.')[0]}.*") for name in public}
    assert {name: n for name, n in times.items() if n != 1} == {}, "docs/api: list each of these once"
    known = {*public, *(f"{name.rpartition('.')[0]}.*" for name in public)}
    assert set(listed) <= known
