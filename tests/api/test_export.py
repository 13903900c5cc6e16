"""ONNX: another runtime acts as the policy does, with normaliser, scaling and discrete actions inside."""

from pathlib import Path

import numpy as np
import pytest
from environments import Point, Switches

import meta_rl
from meta_rl.api import adapted
from meta_rl.errors import UserError


@pytest.mark.parametrize("kind", ["own", "discrete", "normalised"])
def test_onnxruntime_acts_as_torch_does(
    kind: str, trained: meta_rl.Trained, discrete: meta_rl.Trained, tmp_path: Path
) -> None:
    pytest.importorskip("onnxscript")
    runtime = pytest.importorskip("onnxruntime")
    if kind == "own":
        policy, size = trained.adapt(Point(), episodes=2), 2
    elif kind == "discrete":
        policy, size = discrete.adapt(Switches(), gradient_steps=0), 4
    else:
        ant = meta_rl.load("maml_ant_dir")
        assert ant.loaded.learner.policy.normalizer is not None
        policy, size = ant.adapt({"direction": 1.0}, gradient_steps=0), ant.env.observation_space.shape[0]
    session = runtime.InferenceSession(policy.to_onnx(tmp_path / "policy.onnx"))
    for batch in (1, 64):
        observations = np.random.default_rng(0).normal(0.2, 0.5, (batch, size)).astype(np.float32)
        (actions,) = session.run(None, {"observation": observations})
        expected = policy.act(observations, deterministic=True)
        assert actions.shape[0] == batch
        assert actions.reshape(expected.shape) == pytest.approx(expected, abs=1e-5)
        assert batch == 1 or len(np.unique(np.round(actions, 3))) > 1


def test_the_missing_package_is_named(
    trained: meta_rl.Trained, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(adapted, "find_spec", lambda _: None)
    policy = trained.adapt([0.1, 0.1, 0.0, 0.0], gradient_steps=0)
    with pytest.raises(UserError, match=r"pip install 'meta_rl\[onnx\]'"):
        policy.to_onnx(tmp_path / "policy.onnx")
