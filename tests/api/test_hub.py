"""The Hub, with a local folder in its place: what is pushed is loaded again, and its card is one."""

import shutil
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
import yaml

import meta_rl
from meta_rl.api import hub
from meta_rl.errors import UserError

TASK = {"goal_x": 0.3, "goal_y": 0.2}


class HubError(OSError): ...


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where repositories are, instead of the Hub."""
    created: dict[str, bool] = {}

    class Api:
        def create_repo(self, repo_id: str, private: bool, exist_ok: bool) -> None:
            assert exist_ok
            created[repo_id] = private

        def upload_folder(self, repo_id: str, folder_path: str, commit_message: str) -> None:
            if repo_id not in created:
                raise HubError("404")
            shutil.copytree(folder_path, tmp_path / repo_id, dirs_exist_ok=True)

    def download(repo_id: str, filename: str, revision: str | None) -> str:
        file = tmp_path / repo_id / filename
        if not file.exists() or revision not in (None, "main"):
            raise HubError("404 Client Error:\n  not found")
        return str(file)

    errors = SimpleNamespace(HfHubHTTPError=HubError, HFValidationError=ValueError)
    stub = SimpleNamespace(HfApi=Api, hf_hub_download=download, errors=errors)
    monkeypatch.setattr(hub, "_hub", lambda: stub)
    return tmp_path


def test_what_is_pushed_is_loaded_again(place: Path, trained: meta_rl.Trained) -> None:
    curve = trained.curve(2, gradient_steps=1, episodes=2)
    assert trained.push_to_hub("me/points", curve) == "https://huggingface.co/me/points"
    for source in ("hf://me/points", "hf://me/points@main"):
        again = meta_rl.load(source)
        assert repr(again) == repr(trained)
        policies = [policy.adapt(TASK, episodes=2).actor.policy for policy in (trained, again)]
        for a, b in zip(*(policy.parameters() for policy in policies), strict=True):
            assert torch.equal(a, b)


def test_the_card_says_what_it_is(place: Path, trained: meta_rl.Trained) -> None:
    curve = trained.curve(2, gradient_steps=1, episodes=2)
    trained.push_to_hub("me/points", curve)
    _, front, text = (place / "me/points/README.md").read_text().split("---\n", 2)
    fields = yaml.safe_load(front)
    assert fields["library_name"] == "meta_rl"
    assert "license" not in fields  # the weights are their owner's
    assert {"reinforcement-learning", "fomaml", "PointMass"} <= set(fields["tags"])
    metrics = fields["model-index"][0]["results"][0]["metrics"]
    means = curve.groupby("gradient_step")["return_mean"].mean()
    assert [m["value"] for m in metrics] == pytest.approx(means.tolist(), abs=0.01)
    assert [m["type"] for m in metrics] == ["return_after_0_gradient_steps", "return_after_1_gradient_steps"]
    assert 'meta_rl.load("hf://me/points")' in text
    example = text.partition("trained.adapt(")[2].partition(")")[0]
    assert set(yaml.safe_load(example)) == set(trained.env.task_parameters)
    assert "class_path: meta_rl.algorithms.FOMAML" in text


def test_a_run_directory_is_pushed_by_its_last_checkpoint(
    place: Path, tmp_path: Path, trained: meta_rl.Trained
) -> None:
    run = tmp_path / "run"
    (run / "checkpoints").mkdir(parents=True)
    shutil.copy(trained.source, run / "checkpoints/last.ckpt")
    meta_rl.load(run).push_to_hub("me/run", trained.curve(1, gradient_steps=0, episodes=1))
    assert meta_rl.load("hf://me/run").iteration == trained.iteration


def test_a_hostile_file_is_refused_like_any_other(place: Path) -> None:
    class Attack:
        def __reduce__(self) -> Any:
            return (Path.touch, (place / "owned",))

    (place / "me/bad").mkdir(parents=True)
    torch.save({"state_dict": Attack()}, place / "me/bad/policy.ckpt")
    with pytest.raises(UserError, match="refused, it would run code"):
        meta_rl.load("hf://me/bad")
    assert not (place / "owned").exists()


def test_what_cannot_be_done_is_one_line(
    place: Path, discrete: meta_rl.Trained, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(UserError) as error:
        meta_rl.load("hf://me/nothing")
    assert str(error.value) == "hf://me/nothing: 404 Client Error: not found"
    with pytest.raises(UserError, match="is not trained; push a checkpoint"):
        discrete.push_to_hub("me/untrained", discrete.curve(1, gradient_steps=0, episodes=1))


def test_without_the_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "huggingface_hub", None)
    with pytest.raises(UserError, match=r"pip install 'meta_rl\[hub\]'"):
        meta_rl.load("hf://me/points")


def test_the_functions_of_the_hub_have_the_arguments_that_are_used() -> None:
    signature = pytest.importorskip("inspect").signature
    real = pytest.importorskip("huggingface_hub")
    pytest.importorskip("huggingface_hub.errors")
    signature(real.HfApi.create_repo).bind(None, "me/x", private=True, exist_ok=True)
    signature(real.HfApi.upload_folder).bind(None, repo_id="me/x", folder_path=".", commit_message="x")
    signature(real.hf_hub_download).bind("me/x", "policy.ckpt", revision=None)
    assert issubclass(real.errors.HFValidationError, ValueError)
    assert hub._hub().errors.HfHubHTTPError
