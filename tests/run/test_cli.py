"""The command line: spellings of overrides, plug-ins, names, help."""

import signal
from pathlib import Path
from typing import Any

import pytest
import yaml

from meta_rl.run.arguments import is_question, normalise
from meta_rl.run.command import main
from meta_rl.run.config import instantiate, read_config
from meta_rl.run.plain import at_home

CONF = Path(__file__).parents[2] / "conf"
CONFIGS = sorted(CONF.glob("**/*.yaml"))


@pytest.mark.parametrize(
    ("argv", "expected"),
    [
        (["--config", "a.yaml"], ["--config=a.yaml"]),
        (["-c", "a.yaml", "--x=1"], ["--config=a.yaml", "--x=1"]),
        (["model.inner_lr=0.2", "config=a.yaml"], ["--config=a.yaml", "--model.inner_lr=0.2"]),
        (["--model.inner_lr", "-1"], ["--model.inner_lr=-1"]),
        (["--ckpt_path", "a=b.ckpt", "--help"], ["--ckpt_path=a=b.ckpt", "--help"]),
        (["--model.policy=None", "data.x=None"], ["--model.policy=null", "--data.x=null"]),
        (["--help", "--print_config", "stray"], ["--help", "--print_config", "stray"]),
    ],
)
def test_every_spelling_becomes_one(argv: list[str], expected: list[str]) -> None:
    assert normalise(argv) == expected


def test_only_a_key_asks_for_help() -> None:
    assert is_question("--model.help=MAML")
    assert not is_question("--name=x.help")


@pytest.mark.parametrize(
    "override",
    [
        "--model.inner_lr=0.7",
        "model.inner_lr=0.7",
        "--model.init_args.inner_lr=0.7",
        "model.init_args.inner_lr=0.7",
    ],
)
def test_overrides_reach_the_model_and_interpolations(lab: Any, override: str) -> None:
    file = lab.write(name="rate${model.init_args.inner_lr}")
    config = read_config(file, [override])
    assert config["model"]["init_args"]["inner_lr"] == 0.7
    assert config["name"] == "rate0.7"


@pytest.mark.parametrize("override", ["--data.env.horizon=7", "data.env.init_args.horizon=7"])
def test_overrides_reach_the_environment(lab: Any, override: str) -> None:
    _, datamodule = instantiate(read_config(lab.write(), [override, "data.meta_batch_size=3"]))
    assert datamodule.env.horizon == 7
    assert datamodule.meta_batch_size == 3


def test_null_of_wandb_is_null(lab: Any) -> None:
    assert read_config(lab.write(), ["model.policy=None"])["model"]["init_args"]["policy"] is None


def test_the_seed_reaches_the_data_module(lab: Any) -> None:
    assert instantiate(read_config(lab.write(seed_everything=7)))[1].seed == 7


def test_a_list_of_rates_and_a_small_number_in_exponent_form(lab: Any) -> None:
    config = read_config(lab.write(), ["--model.inner_lr=[0.5,0.25]", "--model.cg_damping=1e-4"])
    assert config["model"]["init_args"]["inner_lr"] == [0.5, 0.25]
    assert config["model"]["init_args"]["cg_damping"] == 1e-4


@pytest.mark.parametrize("file", CONFIGS, ids=lambda file: f"{file.parent.name}/{file.stem}")
def test_every_shipped_config_builds(file: Path) -> None:
    config = read_config(file)
    assert config["name"] == (f"paper_{file.stem}" if file.parent.name == "paper" else file.stem)
    learner, datamodule = instantiate(config)
    learner.build(datamodule.env, datamodule.seed)


def test_every_method_has_a_config_for_every_task_family_of_the_paper() -> None:
    methods = ("maml", "fomaml", "reptile", "pretrained", "oracle", "random")
    for folder, families in (
        (CONF, ("point_mass", "ant_dir", "ant_vel", "cheetah_dir", "cheetah_vel")),
        (CONF / "paper", ("ant_dir", "ant_vel", "cheetah_dir", "cheetah_vel")),
    ):
        assert {f"{m}_{f}" for m in methods for f in families} <= {
            file.stem for file in folder.glob("*.yaml")
        }


@pytest.mark.parametrize(("method", "rate"), [("pretrained", 0.2), ("random", 1.0), ("maml", 0.1)])
def test_baselines_have_their_published_rates(method: str, rate: float) -> None:
    for family in ("ant_dir", "ant_vel"):
        learner, _ = instantiate(read_config(CONF / "paper" / f"{method}_{family}.yaml"))
        assert learner.inner_arguments["inner_lr"] == rate


def test_user_classes_plug_in_from_yaml_alone(lab: Any) -> None:
    model = {"class_path": "plugins.Still", "init_args": {"count_by": 5}}
    data = {"env": {"class_path": "plugins.Line"}, "meta_batch_size": 2, "fast_batch_size": 2}
    assert lab.train("--data.env.horizon=2", model=model, data=data) == 0
    assert lab.checkpoint()["state_dict"]["count"] == 15
    assert [row["count"] for row in lab.metrics()] == ["5", "10", "15"]
    config = lab.checkpoint()["meta_rl"]["config"]
    assert config["data"]["env"] == {"class_path": "plugins.Line", "init_args": {"horizon": 2}}


def test_a_path_may_begin_at_home(lab: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(lab.path))
    lab.write(runs_dir="~/here", trainer={"max_steps": 1})
    assert main(["--config=~/tiny.yaml"]) == 0
    assert (
        main(
            [
                "--config=~/tiny.yaml",
                "--runs_dir=~/there",
                "--ckpt_path",
                "~/here/tiny/checkpoints/last.ckpt",
                "--trainer.max_steps=2",
            ]
        )
        == 0
    )
    assert (lab.path / "here/tiny/metrics.csv").exists()
    assert (lab.path / "there/tiny/metrics.csv").exists()
    assert not (lab.path / "~").exists()
    assert at_home({"xml": ["~/a", "~b", 3]}) == {"xml": [f"{lab.path}/a", "~b", 3]}


def test_the_run_is_named_by_option_key_or_file(lab: Any) -> None:
    assert lab.train("trainer.max_steps=1", file="stem.yaml") == 0
    assert lab.train("trainer.max_steps=1", name="key") == 0
    assert lab.train("trainer.max_steps=1", "--name", "option", name="key") == 0
    assert sorted(p.name for p in lab.runs.iterdir()) == ["key", "option", "stem"]


def test_the_console_says_what_runs_how_it_goes_and_how_to_go_on(
    lab: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    assert lab.train() == 0
    output = capsys.readouterr()
    first, *progress, last = output.out.splitlines()
    assert "FOMAML on PointMass, 2 tasks x 2 episodes" in first
    assert progress[-1].startswith("iteration 3/3  pre -")
    assert all(word in progress[-1] for word in ("post -", "kl 0.", "env steps/s", "0:00:00 left"))
    assert "rejected" not in progress[-1]
    assert "evaluate.py --checkpoint runs/tiny/checkpoints/last.ckpt" in last
    assert output.err == ""
    assert all(character.isprintable() or character == "\n" for character in output.out)


def test_a_terminal_gets_a_bar(
    lab: Any, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    assert lab.train() == 0
    assert "\r" in (output := capsys.readouterr().out)
    assert "█ iteration 3/3  pre -" in output


def test_a_later_config_file_changes_an_earlier_one(lab: Any) -> None:
    base = lab.write("base.yaml")
    (lab.path / "change.yaml").write_text("data: {meta_batch_size: 3, env: {init_args: {horizon: 9}}}")
    data = read_config(base, [f"--config={lab.path}/change.yaml"])["data"]
    assert (data["meta_batch_size"], data["fast_batch_size"], data["env"]["init_args"]["horizon"]) == (
        3,
        2,
        9,
    )


def test_a_quiet_run(lab: Any, capsys: pytest.CaptureFixture[str]) -> None:
    assert lab.train("--trainer.enable_progress_bar=false") == 0
    assert "iteration 3/3" not in capsys.readouterr().out


@pytest.mark.parametrize("question", ["--help", "--model.help=MAML", "--data.env.help=PointMass"])
def test_help_needs_no_experiment(question: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as exit_:
        main([question])
    assert exit_.value.code == 0
    text = capsys.readouterr().out
    expected = {"--help": "--data.meta_batch_size", "--model.help=MAML": "--model.max_kl"}
    assert expected.get(question, "--data.env.horizon") in text


def test_print_config_prints_and_trains_nothing(lab: Any, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as exit_:
        lab.train("--print_config")
    assert exit_.value.code == 0
    assert yaml.safe_load(capsys.readouterr().out)["data"]["meta_batch_size"] == 2
    assert not lab.runs.exists()


def test_callbacks_of_the_user_run_beside_ours(lab: Any) -> None:
    trainer = {"max_steps": 3, "callbacks": [{"class_path": "plugins.Note", "init_args": {"text": "hello"}}]}
    assert lab.train(trainer=trainer) == 0
    assert lab.checkpoint()["callbacks"]["Note"] == {"text": "hello"}
    assert len(lab.metrics()) == 3


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_before_training_leaves_nothing_behind(lab: Any, number: signal.Signals) -> None:
    handlers = [signal.getsignal(s) for s in (signal.SIGINT, signal.SIGTERM)]
    model = {"class_path": "plugins.Impatient", "init_args": {"number": int(number)}}
    with pytest.raises(SystemExit) as ended:
        lab.train(model=model)
    assert ended.value.code == 128 + number
    assert not lab.runs.exists()
    assert [signal.getsignal(s) for s in (signal.SIGINT, signal.SIGTERM)] == handlers


def test_rejected_outer_steps_are_counted_in_the_progress_line(
    lab: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    constant = {"class_path": "meta_rl.envs.probes.ConstantReward", "init_args": {"horizon": 1}}
    # A power of two of episodes: the mean of equal numbers, and so the advantage, is exact.
    assert lab.train(data={"env": constant, "meta_batch_size": 2, "fast_batch_size": 16}) == 0
    output = capsys.readouterr()
    assert "3 rejected" in output.out.splitlines()[-2]
    assert output.err == ""
