"""What pip installs: everything of the package, and configurations and policies from outside src/."""

import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
BUILD = "from setuptools import build_meta; print(build_meta.build_wheel('wheels'))"


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with what a wheel of this checkout unpacks to."""
    source, target = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("installed")
    for file in ("pyproject.toml", "setup.py", "README.md", "LICENSE"):
        shutil.copy(ROOT / file, source)
    ignore = shutil.ignore_patterns("__pycache__", "*.egg-info")
    for folder in (
        "src",
        "conf",
        *(f"results/{n}/checkpoints" for n in ("ant_dir", "ant_vel", "point_mass")),
    ):
        shutil.copytree(ROOT / folder, source / folder, ignore=ignore)
    done = subprocess.run([sys.executable, "-c", BUILD], cwd=source, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    (wheel,) = (source / "wheels").glob("*.whl")
    assert wheel.stat().st_size < 3e6
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(target)
    return target


def start(installed: Path, folder: Path, *words: str) -> str:
    """Run Python in `folder` with the unpacked wheel, and not the checkout, on its path; the output."""
    environment = {**os.environ, "PYTHONPATH": str(installed), "WANDB_MODE": "disabled"}
    done = subprocess.run(
        [sys.executable, *words], cwd=folder, env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_wheel_holds_every_file(installed: Path) -> None:
    there = {file.relative_to(installed / "meta_rl") for file in (installed / "meta_rl").rglob("*")}
    package = ROOT / "src/meta_rl"
    files = {file.relative_to(package) for file in package.rglob("*") if file.is_file()}
    assert {file for file in files if file.suffix != ".pyc"} <= there
    conf = {Path("conf") / file.relative_to(ROOT / "conf") for file in (ROOT / "conf").rglob("*.yaml")}
    assert conf <= there
    assert Path("pretrained/point_mass/maml-origin05-seed1.ckpt") in there


def test_the_command_is_declared(installed: Path) -> None:
    (declared,) = installed.glob("*.dist-info/entry_points.txt")
    assert declared.read_text().split() == ["[console_scripts]", "meta-rl", "=", "meta_rl.cli.main:script"]


def test_it_trains_a_shipped_configuration_in_an_empty_folder(installed: Path, tmp_path: Path) -> None:
    small = ["--trainer.max_steps=1", "--data.meta_batch_size=2", "--data.fast_batch_size=2"]
    assert start(installed, tmp_path, "-c", "import meta_rl; print(meta_rl.__file__)").startswith(
        str(installed)
    )
    assert "maml_ant_dir " in start(installed, tmp_path, "-m", "meta_rl.cli", "train", "--list")
    start(installed, tmp_path, "-m", "meta_rl.cli", "train", "--config", "fomaml_point_mass", *small)
    assert (tmp_path / "runs/fomaml_point_mass/checkpoints/last.ckpt").exists()


def test_trained_policies_are_in_it(installed: Path, tmp_path: Path) -> None:
    assert "FOMAML on PointMass" in start(
        installed, tmp_path, "-c", "import meta_rl; print(meta_rl.load('fomaml_point_mass'))"
    )
