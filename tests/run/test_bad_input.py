"""Whatever is wrong with the input: one line that names it and the remedy, exit code 2, nothing touched."""

from collections.abc import Callable
from typing import Any

import pytest

from meta_rl.run.command import main

OVERRIDES = {
    # unknown keys
    "--foo=3": "unknown key foo",
    "--trainer.max_step=3": "unknown key trainer.max_step; did you mean trainer.max_steps?",
    "--data.metabatch_size=3": "unknown key data.metabatch_size; did you mean data.meta_batch_size?",
    "--model.inner_rl=0.2": "unknown key model.inner_rl; did you mean model.inner_lr?",
    "--model.init_args.inner_rl=0.2": "unknown key model.inner_rl; did you mean model.inner_lr?",
    "--model.policy.hidden=[3]": "unknown key model.policy.hidden; did you mean model.policy.hidden_sizes?",
    "--data.env.horzon=3": "unknown key data.env.horzon; did you mean data.env.horizon?",
    "--data.env.zzz=3": "unknown key data.env.zzz; data.env accepts sample_start, horizon, goal_radius",
    "--modle.inner_lr=3": "unknown key modle.inner_lr; did you mean model?",
    "--nmae=x": "unknown key nmae; did you mean name?",
    "stray": "unknown key stray",
    # wrong types
    "--model.inner_lr=fast": "Expected a float; Expected a list; Given value: fast",
    "--model.inner_lr=null": "model.inner_lr: Expected a float; ",
    "--model.policy.hidden_sizes=[a]": "model.policy.hidden_sizes: Expected a int. Got value: a",
    "--model.outer_optimizer=sgd": "Expected a Literal['trpo', 'ppo', 'adam']. Got value: sgd",
    "--model.inner_optimizer_args={momentum:0.9}": "model.inner_optimizer_args: Expected a dict; ",
    "--data.gamma=null": "data.gamma: Expected a float. Got value: None",
    "--data.env.horizon=long": "data.env.horizon: Expected a int. Got value: long",
    "--seed_everything=1.5": "seed_everything: Not of type Seed",
    "--trainer=3": "trainer: Unable to load config",
    "--model.inner_lr": "--model.inner_lr needs a value",
    # impossible values
    "--model.inner_lr=-1": "model.inner_lr must be positive",
    "--model.policy.init_std=0": "model.policy.init_std must be",
    "--model.max_kl=0": "model.max_kl must be positive",
    "--model.outer_epochs=0": "model.outer_epochs must be at least 1, got 0",
    "--model.clip=1": "model.clip must lie in (0, 1), got 1",
    "--model.kl_target=0": "model.kl_target must be positive",
    "--model.adapted_layers=[4]": "model.adapted_layers must lie in 1 to 2 or -2 to -1",
    "--model.inner_loss=dise": "'ratio', 'dice', 'tmaml', 'loaded_dice']. Got value: dise",
    "--model.dice_lambda=1.5": "model.dice_lambda must lie in [0, 1], got 1.5",
    "--model.inner_optimizer_args.speed=1": "model.inner_optimizer_args {",
    "--data.meta_batch_size=0": "data.meta_batch_size must be at least 1 task, got 0",
    "--data.fast_batch_size=-3": "data.fast_batch_size must be at least 1 episode, got -3",
    "--data.gamma=2": "data.gamma must lie in (0, 1], got 2",
    "--data.env.horizon=0": "data.env.horizon must be at least 1 step, got 0",
    "--seed_everything=-1": "seed_everything: Not of type Seed: -1 does not conform to",
    "--checkpoint_every=0": "checkpoint_every: Not of type PositiveInt: 0 does not",
    "--keep_checkpoints=0": "keep_checkpoints: Not of type PositiveInt: 0 does not",
    "--trainer.max_steps=-5": "trainer: ",
    "--trainer.max_steps=0": "trainer: nothing was trained; check trainer.max_steps",
    "--trainer.accelerator=quantum": "trainer: ",
    "--trainer.devices=many": "trainer: ",
    "--trainer.enable_checkpointing=false": "trainer.enable_checkpointing: a run has checkpoints",
    "--trainer.precision=bf16-true": "trainer.precision: expected 32-true or 64-true, got bf16-true",
    "--trainer.precision=16-mixed": "trainer.precision: expected 32-true or 64-true, got ",
    "--trainer.gradient_clip_val=1": "trainer: ",
    "--trainer.accumulate_grad_batches=2": "trainer: ",
    "--trainer.limit_train_batches=0": "trainer: nothing was trained",
    "--trainer.max_epochs=0": "trainer: nothing was trained",
    "--trainer.max_time=00:00:00:00": "trainer: nothing was trained",
    "--trainer.logger=CSVLogger": "trainer.logger: the following arguments are required: save_dir",
    # the seed has one name
    "--data.seed=3": "seed_everything",
    # classes
    "--model.class_path=meta_rl.algorithms.MALM": "model: module 'meta_rl.algorithms' has no attribute",
    "--model.class_path=nosuch.MAML": "model: No module named 'nosuch'; put its directory on PYTHONPATH",
    "--model.class_path=meta_rl.algorithms.MetaLearner": "MetaLearner has nothing to train",
    "--model.class_path=torch.nn.Linear": "torch.nn.Linear does not correspond to a subclass of MetaLearner",
    "--model.class_path=plugins.NOT_A_LEARNER": "model",
    "--data.env.class_path=plugins.Unfinished": "data.env: Expected an instantiatable class, but plugins",
    "--data.env=nothing": "data.env: Expected a path but nothing",
    # files
    "--config=nope.yaml": "config file 'nope.yaml': No such file",
    "--config=maml_ant_dirr": "no shipped configuration; did you mean maml_ant_dir?",
    "--config=zebra": "no shipped configuration; see train --list",
    "--config=.": "config file '.': Is a directory",
    "--ckpt_path=nope.ckpt": "checkpoint nope.ckpt: No such file",
    "--runs_dir=/proc/nowhere": "choose another --runs_dir",
}


@pytest.mark.parametrize(("override", "expected"), OVERRIDES.items())
def test_a_bad_override(refused: Callable[..., str], override: str, expected: str) -> None:
    assert expected in refused(override)


ENV = "meta_rl.envs.PointMass"
MAML = "meta_rl.algorithms.MAML"
ES_MAML = "meta_rl.algorithms.ESMAML"
CONFIGS: dict[str, tuple[dict[str, Any], str]] = {
    "unknown key": ({"modle": 3}, "unknown key modle; did you mean model?"),
    "unknown group key": ({"trainer": {"max_step": 3}}, "did you mean trainer.max_steps?"),
    "unknown argument": (
        {"model": {"class_path": MAML, "init_args": {"max_lk": 1.0}}},
        "unknown key model.max_lk; did you mean model.max_kl?",
    ),
    "arguments beside class_path": (
        {"model": {"class_path": MAML, "inner_lr": 1.0}},
        "model: put the arguments of class_path under init_args",
    ),
    "environment's arguments beside class_path": (
        {"data": {"env": {"class_path": ENV, "horizon": 3}}},
        "give a class_path, and its arguments under init_args",
    ),
    **{
        f"{number} perturbations": (
            {"model": {"class_path": ES_MAML, "init_args": {"perturbations": number}}},
            f"model.perturbations come in pairs: must be even and at least 2, got {number}",
        )
        for number in (0, 3)
    },
    "a pair of episodes is missing": (
        {
            "model": {"class_path": ES_MAML, "init_args": {"adaptation": "es"}},
            "data": {"env": {"class_path": ENV}, "fast_batch_size": 3},
        },
        "data.fast_batch_size (--episodes of evaluate.py): adaptation by ES takes episodes in pairs, got 3",
    ),
    "wrong type": (
        {"model": {"class_path": MAML, "init_args": {"cg_iters": "ten"}}},
        "model.cg_iters: Expected a int. Got value: ten",
    ),
    "a number for the trainer": ({"trainer": 3}, "trainer: expected keys such as max_steps, got 3"),
    "rates in variances of discrete actions": (
        {
            "model": {"class_path": MAML, "init_args": {"scale_by_variance": True}},
            "data": {"env": {"class_path": "meta_rl.envs.TabularMDP"}},
        },
        "model.scale_by_variance: CategoricalMLP has no method variance",
    ),
    "a family that cannot be": (
        {"data": {"env": {"class_path": "meta_rl.envs.TabularMDP", "init_args": {"vary": "goals"}}}},
        "data.env.vary",
    ),
    "no model": ({"model": None}, "the following arguments are required: model"),
    "no environment": ({"data": {"gamma": 0.9}}, "the following arguments are required: data.env"),
    "a number for a model": ({"model": 3}, "model: Not a valid subclass of MetaLearner; give a class_path"),
    "a list for data": ({"data": [1]}, "data"),
    "the seed twice": ({"data": {"env": {"class_path": ENV}, "seed": 3}}, "seed_everything"),
    "a reference to nowhere": ({"name": "${nope.x}"}, "nope.x"),
}


@pytest.mark.parametrize(("changes", "expected"), CONFIGS.values(), ids=CONFIGS.keys())
def test_a_bad_config(refused: Callable[..., str], changes: dict[str, Any], expected: str) -> None:
    assert expected in refused(**changes)


TEXTS = {
    "a: [1\nb: 2\n": "bad.yaml:2: YAML syntax",
    "": "bad.yaml: expected keys",
    "- 1\n": "bad.yaml: expected keys",
    "just text\n": "bad.yaml: expected keys",
    "a: b: c\n": "bad.yaml:1: YAML syntax",
    "\tmodel: 3\n": "bad.yaml:1: YAML syntax",
}


@pytest.mark.parametrize(("text", "expected"), TEXTS.items())
def test_a_file_that_is_no_configuration(
    lab: Any, text: str, expected: str, capsys: pytest.CaptureFixture[str]
) -> None:
    (lab.path / "bad.yaml").write_text(text)
    assert main(["--config", "bad.yaml"]) == 2
    error = capsys.readouterr().err
    assert error.startswith(f"error: {expected}")
    assert error.count("\n") == 1


def test_a_method_without_training(lab: Any, refused: Callable[..., str]) -> None:
    line = refused(model={"class_path": "meta_rl.algorithms.Random"})
    assert line.startswith("Random has nothing to train")
    assert line.endswith(f"evaluate it with: python evaluate.py --config {lab.path / 'tiny.yaml'}")
    assert not lab.runs.exists()


def test_no_experiment(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 2
    assert "--config maml_point_mass, and --list" in capsys.readouterr().err


def test_a_module_with_a_failing_import(
    lab: Any, refused: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (lab.path / "half_installed.py").write_text("import nosuchthing\n")
    monkeypatch.syspath_prepend(lab.path)
    assert "No module named 'nosuchthing'" in refused("--model.class_path=half_installed.Thing")


SCHEMA = "<mujoco><worldbody>\n<bodi/>\n</worldbody></mujoco>"
MUJOCO = {
    "--data.env.preset=slow": "data.env.preset 'slow' is unknown; choose one of paper, gymnasium",
    "--data.env.timestep=0": "data.env.timestep must lie in (0, 1) seconds, got 0.0",
    "--data.env.timestep=nan": "data.env.timestep: Expected a float; ",
    "--data.env.frame_skip=0": "data.env.frame_skip must be at least 1 physics step, got 0",
    "--data.env.horizon=0": "data.env.horizon must be at least 1 step, got 0",
    "--data.env.reset_noise_scale=-1": "data.env.reset_noise_scale must lie in [0, 1), got -1.0",
    "--data.env.directions=[0.5]": "data.env.directions must be some of 1 and -1, got [0.5]",
    "--data.env.direction=[1]": "unknown key data.env.direction; did you mean data.env.directions?",
    "--data.env.num_threads=-1": "data.env.num_threads must be at least 1, or 0 for all cores, got -1",
    "--data.env.num_threads=5": "data.env.num_threads: 5 threads for 4 simulations; give at most one",
    "--data.env.xml_file=nope.xml": "data.env.xml_file nope.xml: no such file; give a path, or one of",
    "--data.env.xml_file=.": "data.env.xml_file .: no such file",
    "--data.env.xml_file=half_cheetah.xml": "half_cheetah.xml is no robot for AntDirection: its first joints",
    "--data.env.xml_file=humanoid.xml": "humanoid.xml is no robot for AntDirection: it starts at a height of",
    "--data.env.xml_file=schema.xml": "data.env.xml_file schema.xml: XML Error: Schema violation",
    "--data.env.xml_file=syntax.xml": "data.env.xml_file syntax.xml: XML parse error",
    "--data.env.xml_file=empty.xml": "data.env.xml_file empty.xml: ",
}


@pytest.mark.parametrize(("override", "expected"), MUJOCO.items())
def test_bad_physics(lab: Any, ant: Any, refused: Callable[..., str], override: str, expected: str) -> None:
    for name, text in {"schema.xml": SCHEMA, "syntax.xml": "<mujoco><worldbody>", "empty.xml": ""}.items():
        (lab.path / name).write_text(text)
    before = set(lab.path.iterdir())
    assert expected in refused(override, data=ant)
    assert {p.name for p in set(lab.path.iterdir()) - before} <= {"tiny.yaml", "runs"}
