"""The files around the package: citation, checks of pull requests, container. They say what is so."""

import re
import subprocess
import sys
import tomllib
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest
import yaml
from packaging.utils import canonicalize_name

import meta_rl
from helpers import pins

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


def test_there_is_one_version() -> None:
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    assert meta_rl.__version__ == PROJECT["version"] == citation["version"]


def test_the_citation_has_what_version_1_2_0_requires() -> None:
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    assert citation["cff-version"] == "1.2.0"
    assert all(citation[key] for key in ("message", "title", "authors"))
    assert citation["license"] == PROJECT["license"]
    known = {"name"}, {"family-names", "given-names"}
    for entry in (citation, *citation["references"]):
        assert entry["type"] in ("software", "article", "conference-paper")
        assert all(set(author) in known for author in entry["authors"])


def test_pull_requests_are_checked_by_the_script_on_every_supported_python() -> None:
    workflow = yaml.safe_load((ROOT / ".github/workflows/ci.yml").read_text())
    job = workflow["jobs"]["run"]
    assert job["steps"][-1]["run"] == ".ci/run"
    assert (ROOT / ".ci/run").stat().st_mode & 0o111
    versions = job["strategy"]["matrix"]["python"]
    assert versions[0] == PROJECT["requires-python"].removeprefix(">=")
    assert {"pull_request", "push"} <= set(workflow[True])  # YAML takes `on` for true


def test_the_image_starts_the_command_and_copies_what_it_installs() -> None:
    text = (ROOT / "Dockerfile").read_text()
    assert f'ENTRYPOINT ["{next(iter(PROJECT["scripts"]))}"]' in text
    python = re.search(r"^FROM python:(3\.\d+)-slim$", text, re.MULTILINE)
    assert python
    workflow = yaml.safe_load((ROOT / ".github/workflows/ci.yml").read_text())
    assert python[1] in workflow["jobs"]["run"]["strategy"]["matrix"]["python"]
    assert re.search(r"^torch==", (ROOT / "requirements.txt").read_text(), re.MULTILINE)  # which it looks for
    ignored = (ROOT / ".dockerignore").read_text().split()
    assert not {"src", "conf", "results", "requirements.txt", "setup.py"} & set(ignored)


@pytest.mark.parametrize("extra", ["completion", "hub", "onnx", "tensorboard"])
def test_every_extra_is_named_where_it_is_missed(extra: str) -> None:
    assert extra in PROJECT["optional-dependencies"]
    texts = [file.read_text() for file in (ROOT / "src").rglob("*.py")]
    assert any(f"pip install 'meta_rl[{extra}]'" in text for text in texts)
    assert f"`{extra}`" in (ROOT / "docs/guide/install.md").read_text()


BARE = """
import sys
from packaging.utils import canonicalize_name

class Without:
    def __init__(self, finder):
        self.finder = finder

    def find_spec(self, name, *where):
        return None if name.partition(".")[0] in {missing} else self.finder.find_spec(name, *where)

    def find_distributions(self, *context):
        found = getattr(self.finder, "find_distributions", lambda *_: ())(*context)
        return [one for one in found if canonicalize_name(one.name) in {pinned}]

    def __getattr__(self, name):
        return getattr(self.finder, name)

sys.meta_path[:] = map(Without, sys.meta_path)
from meta_rl.evaluation.command import main as evaluate
from meta_rl.report.command import main as report
from meta_rl.run.command import main as train

assert train([*{small}, "--runs_dir={runs}", "--name=x"]) == 0
assert evaluate(["--checkpoint={runs}/x/checkpoints/last.ckpt", "--num_tasks=2", "--episodes=2"]) == 0
assert report(["{runs}", "--output={runs}/report"]) == 0
"""


def test_the_programs_need_nothing_but_the_first_requirements(tmp_path: Path) -> None:
    pinned = {*pins("requirements.txt"), "meta-rl"}
    modules = {name: set(map(canonicalize_name, own)) for name, own in packages_distributions().items()}
    missing = {name for name, own in modules.items() if not own & pinned}
    assert {"matplotlib", "pytest"} <= missing
    small = ["--config=conf/fomaml_point_mass.yaml", "--trainer.max_steps=1"]
    small += ["--data.meta_batch_size=2", "--data.fast_batch_size=2"]
    program = BARE.format(missing=missing, pinned=pinned, small=small, runs=tmp_path)
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
