"""meta_rl's names: lazy, and every policy that comes with the package loads by its own."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import meta_rl
from meta_rl.errors import UserError


def test_importing_the_package_loads_no_torch() -> None:
    program = "import sys, meta_rl; print(*(n in sys.modules for n in ('torch', 'numpy', 'meta_rl.api')))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False"] * 3


def test_every_public_name_is_there() -> None:
    for name in meta_rl.__all__:
        assert name in dir(meta_rl)
        assert getattr(meta_rl, name).__name__ == name
    with pytest.raises(AttributeError, match="'meta_rl' has no attribute 'laod'"):
        _ = meta_rl.laod  # type: ignore[attr-defined]


@pytest.mark.parametrize("name", [name for name in meta_rl.pretrained() if "-seed" in name])
def test_every_pretrained_policy_loads(name: str) -> None:
    trained = meta_rl.load(name)
    assert trained.iteration > 0
    assert trained.algorithm.lower() == name.partition("_")[0]


def test_a_name_without_a_seed_means_the_best_one() -> None:
    known = meta_rl.pretrained()
    assert known["maml_ant_dir"] == known["maml_ant_dir-seed3"]
    assert known["fomaml_ant_dir"] == known["fomaml_ant_dir-seed103"]
    assert {name.partition("-")[0] for name in known} <= set(known)


def test_a_path_wins_over_a_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    shutil.copy(meta_rl.pretrained()["reptile_point_mass"], "maml_point_mass")
    assert meta_rl.load("maml_point_mass").algorithm == "Reptile"


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("maml_ant_dirs", "no path and no pretrained policy: 'maml_ant_dirs'; did you mean maml_ant_dir?"),
        ("zzz", "'zzz'; meta_rl.pretrained"),
        ("runs/zzz", "run runs/zzz: not found"),
    ],
)
def test_what_is_not_there_is_refused(source: str, message: str) -> None:
    with pytest.raises(UserError) as error:
        meta_rl.load(source)
    assert message in str(error.value)
