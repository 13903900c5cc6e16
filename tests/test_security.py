"""Files from elsewhere run no code, and no key is written anywhere; docs/security.md says what is trusted."""

import copy
import json
import os
import pickle
import re
import subprocess
import sys
import tomllib
from collections.abc import Callable, Iterator
from importlib import metadata
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import torch
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from helpers import pins
from meta_rl.evaluation import command as evaluate_cli
from meta_rl.report import command as report_cli
from meta_rl.run import command as cli
from meta_rl.sweep import command as sweep_cli

ROOT = Path(__file__).parents[1]
sys.path += [str(ROOT / "tests" / "stress"), str(ROOT / "tests" / "report")]
import directories  # noqa: E402
from wandb_stand_in import StandIn, serve  # noqa: E402

OWNED = "owned"  # what an attack makes
POPEN = {"class_path": "subprocess.Popen", "init_args": {"args": ["mkdir", OWNED]}}
TINY = {
    "model": {"class_path": "meta_rl.algorithms.FOMAML", "init_args": {"policy": {"hidden_sizes": [4]}}},
    "data": {
        "env": {"class_path": "meta_rl.envs.PointMass", "init_args": {"horizon": 5}},
        "meta_batch_size": 2,
        "fast_batch_size": 2,
    },
    "trainer": {"max_steps": 2},
}

Refused = Callable[..., str]
Change = Callable[[dict[str, Any]], Any]


class Attack:
    """Runs a command when it is unpickled."""

    def __reduce__(self) -> Any:
        return os.system, (f"mkdir {OWNED}",)


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What train.py writes."""
    folder = tmp_path_factory.mktemp("trained")
    (folder / "tiny.yaml").write_text(yaml.safe_dump(TINY))
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setenv("WANDB_MODE", "disabled")
        patch.setattr("sys.argv", ["train.py"])
        assert cli.main(["--config=tiny.yaml"]) == 0
    return torch.load(folder / "runs/tiny/checkpoints/last.ckpt", weights_only=True)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The current directory, with a configuration; nothing may have been made by an attack in the end."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.argv", ["train.py"])
    Path("tiny.yaml").write_text(yaml.safe_dump(TINY))
    yield tmp_path
    assert not Path(OWNED).exists()


@pytest.fixture
def refused(folder: Path, capsys: pytest.CaptureFixture[str]) -> Refused:
    """Call an entry point: exit code 2 and one line, which is returned."""

    def call(main: Callable[[list[str]], int], *args: str) -> str:
        capsys.readouterr()
        assert main([*args]) == 2
        error = capsys.readouterr().err
        assert error.startswith("error: ")
        assert error.count("\n") == 1
        return error

    return call


def readers(file: str) -> list[tuple[Callable[[list[str]], int], list[str]]]:
    """Everything that reads a checkpoint."""
    return [
        (cli.main, ["--config=tiny.yaml", f"--ckpt_path={file}", "--name=new", "--trainer.max_steps=9"]),
        (evaluate_cli.main, ["--checkpoint", file]),
        (evaluate_cli.main, ["--compare", file, "tiny.yaml"]),
    ]


def raw_pickle(content: dict[str, Any], file: Path) -> None:
    file.write_bytes(pickle.dumps({**content, "global_step": Attack()}))


def old_archive(content: dict[str, Any], file: Path) -> None:
    torch.save({**content, "loops": Attack()}, file, _use_new_zipfile_serialization=False)


def archive(content: dict[str, Any], file: Path) -> None:
    torch.save({**content, "callbacks": {"x": Attack()}}, file)


def forbidden_global(content: dict[str, Any], file: Path) -> None:
    torch.save({**content, "lr_schedulers": [subprocess.Popen]}, file)


@pytest.mark.parametrize("write", [raw_pickle, old_archive, archive, forbidden_global])
def test_a_checkpoint_with_code_is_refused(
    refused: Refused, folder: Path, checkpoint: dict[str, Any], write: Callable[..., None]
) -> None:
    write(checkpoint, folder / "evil.ckpt")
    for main, args in readers("evil.ckpt"):
        assert "checkpoint evil.ckpt: " in refused(main, *args)


def model(**changes: Any) -> Change:
    return lambda config: config["model"].update(changes)


def argument(name: str, value: Any) -> Change:
    return lambda config: config["model"]["init_args"].update({name: value})


def family(class_path: str, **init_args: Any) -> Change:
    return lambda config: config["data"].update(env={"class_path": class_path, "init_args": init_args})


def gymnasium(**changes: Any) -> Change:
    own = {"id": "Pendulum-v1", "task_parameters": {"g": [5.0, 15.0]}, "horizon": 5}
    return family("meta_rl.envs.GymnasiumEnv", **own | changes)


def endless(config: dict[str, Any]) -> None:
    config["data"]["env"]["init_args"]["more"] = more = []
    more.append(more)


COMMAND = {"command": f"mkdir {OWNED}"}
CONFIGS: dict[str, tuple[Change, str]] = {
    "learner Popen": (model(**POPEN), "subprocess.Popen does not correspond to a subclass of MetaLearner"),
    "learner os.system": (
        model(class_path="os.system", init_args=COMMAND),
        "not correspond to a subclass of MetaLearner",
    ),
    "family Popen": (
        family("subprocess.Popen", args=["mkdir", OWNED]),
        "not correspond to a subclass of BatchedEnv",
    ),
    "family os.system": (family("os.system", **COMMAND), "not correspond to a subclass of BatchedEnv"),
    "family is a learner": (family("meta_rl.algorithms.MAML"), "not correspond to a subclass of BatchedEnv"),
    "module beside it": (model(class_path="evil_module.Learner"), "No module named 'evil_module'"),
    "id beside it": (gymnasium(id="evil_module:X-v0"), "No module named 'evil_module'"),
    "setter os.system": (gymnasium(task_setter="os.system"), "task_setter os.system: "),
    "setter object": (gymnasium(task_setter=POPEN), "names a class where none belongs"),
    "object among arguments": (gymnasium(env_kwargs={"g": POPEN}), "names a class where none belongs"),
    "object in a list": (gymnasium(env_kwargs={"g": [POPEN]}), "names a class where none belongs"),
    "optimizer argument": (
        argument("inner_optimizer_args", {"lr": POPEN}),
        "names a class where none belong",
    ),
    "policy": (argument("policy", POPEN), "names a class where none belongs"),
    "reference": (argument("inner_optimizer", "${oc.env:HOME}"), "is a reference"),
    "reference as name": (lambda config: config.update(name="${oc.env:HOME}"), "is a reference"),
    "callbacks": (lambda config: config.update(trainer={"callbacks": [POPEN]}), "its config holds 'trainer'"),
    "another file": (lambda config: config.update(config="/etc/passwd"), "its config holds 'config'"),
    "no end": (lambda config: config["data"].update(env=config["data"]), "nested without end"),
    "no end inside": (endless, "nested without end"),
}


def write_evil(folder: Path, checkpoint: dict[str, Any], change: Change) -> str:
    """A checkpoint with another configuration, and a module beside it that makes OWNED when imported."""
    content = copy.deepcopy(checkpoint)
    change(content["meta_rl"]["config"])
    torch.save(content, folder / "evil.ckpt")
    (folder / "evil_module.py").write_text(f"import os; os.mkdir({OWNED!r})")
    return "evil.ckpt"


@pytest.mark.parametrize(("change", "reason"), CONFIGS.values(), ids=CONFIGS.keys())
def test_the_configuration_in_a_checkpoint_calls_nothing(
    refused: Refused, folder: Path, checkpoint: dict[str, Any], change: Change, reason: str
) -> None:
    line = refused(evaluate_cli.main, "--checkpoint", write_evil(folder, checkpoint, change))
    assert reason in line
    assert "checkpoint evil.ckpt: " in line


def test_a_view_of_a_task_family_is_a_view_of_nothing_else(
    refused: Refused, folder: Path, checkpoint: dict[str, Any]
) -> None:
    change = gymnasium(id="meta_rl/PointMass-v0", env_kwargs={"family": "os.mkdir", "path": OWNED})
    refused(evaluate_cli.main, "--checkpoint", write_evil(folder, checkpoint, change))
    made = Path(OWNED).exists()
    if made:
        Path(OWNED).rmdir()
    assert not made


def test_the_configuration_in_a_checkpoint_is_only_compared_on_resuming(
    folder: Path, checkpoint: dict[str, Any]
) -> None:
    file = write_evil(folder, checkpoint, lambda config: config.update(trainer={"callbacks": [POPEN]}))
    assert cli.main(["--config=tiny.yaml", f"--ckpt_path={file}", "--name=new", "--trainer.max_steps=3"]) == 0


TAGS = [f"!!python/object/apply:os.mkdir [{OWNED}]", f"!!python/object/new:os.mkdir {{args: [{OWNED}]}}"]


@pytest.mark.parametrize("tag", TAGS)
def test_yaml_runs_nothing(refused: Refused, tag: str) -> None:
    Path("evil.yaml").write_text(f"program: train.py\nmethod: grid\nparameters: {tag}\nmodel: {tag}\n")
    calls = [(cli.main, ["--config=evil.yaml"]), (sweep_cli.main, ["evil.yaml"])]
    calls += [(evaluate_cli.main, ["--config", "evil.yaml"])]
    for main, args in calls:
        assert "evil.yaml:3: YAML syntax: could not determine a constructor" in refused(main, *args)


TASKS = {
    "=cmd|'/c mkdir owned'!A1": "is not a number",
    "<script>alert(1)</script>": "'<script>alert(1)</script>' is not a number",
    "__import__('os').mkdir('owned')": "is not a number",
    "1e999": "is outside",
    "nan": "is outside",
}


@pytest.mark.parametrize(("cell", "reason"), TASKS.items())
def test_cells_of_a_task_file_are_numbers(refused: Refused, cell: str, reason: str) -> None:
    pd.DataFrame({"goal_x": [0.1], "goal_y": [cell]}).to_csv("tasks.csv", index=False)
    line = refused(evaluate_cli.main, "--config", "tiny.yaml", "--tasks", "tasks.csv")
    assert "tasks.csv, line 2, column goal_y: " in line
    assert reason in line


def test_a_pickle_is_no_task_file(refused: Refused) -> None:
    Path("tasks.csv").write_bytes(pickle.dumps(Attack()))
    assert "tasks file tasks.csv" in refused(
        evaluate_cli.main, "--config", "tiny.yaml", "--tasks", "tasks.csv"
    )


SCRIPT = "<script>alert(1)</script>"
HOSTILE = f"""{SCRIPT}"'&](javascript:alert(2))=1+1"""


def test_a_report_escapes_what_run_directories_say(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for seed, name in enumerate(("a", SCRIPT.replace("/", ""), "]( javascript:x)\"'&"), 1):
        settings = directories.config("MAML", seed) | {"name": HOSTILE}
        settings["model"]["class_path"] = f"evil.{HOSTILE}"
        settings["model"]["init_args"] |= {"note": HOSTILE, HOSTILE: seed}
        run = directories.write_run(folder / "runs" / name, settings, directories.metrics(**{HOSTILE: 1.0}))
        start = {"command": HOSTILE, "outcome": "done", "versions": {HOSTILE: HOSTILE}, "commit": HOSTILE}
        (run / "run.json").write_text(json.dumps({"starts": [start]}))
        evaluation = {"label": HOSTILE, "trained": True, "source": HOSTILE, "command": HOSTILE}
        directories.write_evaluation(run / "evaluation", [[0.0, 1.0], [1.0, 2.0], [2.0, 4.0]], evaluation)
    assert report_cli.main(["runs", "--output", "report"]) == 0
    page = Path("report/index.html").read_text()
    assert "alert(1)" in page
    assert SCRIPT not in page
    assert not re.findall(r"""(?:href|src)=["']?\s*javascript:""", page)
    assert len(re.findall("<script", page)) == len(re.findall("</script>", page))
    again = Path("report/report.json").read_text()
    assert report_cli.main(["--redraw", "report"]) == 0
    assert Path("report/index.html").read_text() == page
    assert Path("report/report.json").read_text() == again
    assert "Traceback" not in capsys.readouterr().err


DAMAGE = {
    "run.json": '{"starts": "!!python/object/apply:os.mkdir [owned]"}',
    "metrics.csv": "step,return_post\n=cmd|'/c mkdir owned'!A1,<script>\n",
    "evaluation/evaluation.json": f"{SCRIPT}",
    "evaluation/adaptation.csv": "task,gradient_step\n=1+1,__import__('os').mkdir('owned')\n",
    "config.yaml": f"model: {TAGS[0]}\n",
}


def test_a_report_skips_what_is_no_record(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    root = directories.write_study(folder / "runs", seeds=len(DAMAGE))
    for seed, (name, text) in enumerate(DAMAGE.items(), 1):
        (root / f"MAML-{seed}" / name).write_text(text)
    assert report_cli.main(["runs", "--output", "report"]) == 0
    lines = sorted(line for line in capsys.readouterr().err.splitlines() if "MAML-" in line)
    assert len(lines) == len(DAMAGE), lines
    assert all(f"MAML-{seed}" in line for seed, line in enumerate(lines, 1))
    assert SCRIPT not in Path("report/index.html").read_text()


def test_a_foreign_report_is_redrawn_within_its_folder(refused: Refused, folder: Path) -> None:
    directories.write_study(folder / "runs")
    assert report_cli.main(["runs", "--output", "x/report"]) == 0
    report = folder / "x" / "report"
    Path("secret.mp4").write_text("my secret")
    file = report / "report.json"
    content = json.loads(file.read_text())
    videos = ["../secret.mp4", str(folder / "secret.mp4")]
    file.write_text(json.dumps(content | {"videos": videos}))
    assert report_cli.main(["--redraw", str(report)]) == 0
    assert "<video" not in (report / "index.html").read_text()
    first = report / "data" / f"{content['charts'][0]}.csv"
    text = first.read_text()
    for key in ("../../evil", "/tmp/evil", "a/b"):
        first.write_text(text.replace(f"key: {content['charts'][0]}", f"key: {key}"))
        assert "not written by this report.py" in refused(report_cli.main, "--redraw", str(report))


KEY, PASSWORD = "feed" * 10, "badc0ffee" * 3  # made up


def test_no_file_or_line_of_a_run_holds_a_key(folder: Path) -> None:
    (folder / ".netrc").write_text(f"machine localhost login user password {PASSWORD}\n")
    (folder / ".netrc").chmod(0o600)
    kept = {name: value for name, value in os.environ.items() if not name.startswith("WANDB_")}
    own = {"HOME": str(folder), "WANDB_API_KEY": KEY, "OMP_NUM_THREADS": "1", "MY_TOKEN": PASSWORD}
    command = [sys.executable, str(ROOT / "train.py"), "--config=tiny.yaml"]
    with serve(StandIn()) as server:
        own |= {"WANDB_BASE_URL": server.url}
        done = subprocess.run(command, env=kept | own, capture_output=True, timeout=200)
    assert done.returncode == 0, done.stderr
    files = [path for path in (folder / "runs").rglob("*") if path.is_file()]
    assert any(path.suffix == ".wandb" for path in files)
    for secret in (KEY.encode(), PASSWORD.encode()):
        assert [path for path in files if secret in path.read_bytes()] == []
        assert secret not in done.stdout + done.stderr


def closure(roots: list[Requirement]) -> set[str]:
    """Names of what is needed here in turn, as far as it is installed; not what torch needs of CUDA."""
    found: set[str] = set()
    waiting = [(r, e) for r in roots for e in (r.extras or {""})]
    seen = set()
    while waiting:
        requirement, extra = waiting.pop()
        name = canonicalize_name(requirement.name)
        cuda = name.startswith(("nvidia-", "cuda-")) or name == "triton"
        if (name, extra) in seen or cuda or (requirement.marker and not requirement.marker.evaluate()):
            continue
        seen.add((name, extra))
        found.add(name)
        try:
            needed = [Requirement(text) for text in metadata.requires(name) or ()]
        except metadata.PackageNotFoundError:
            continue
        needed = [r for r in needed if not r.marker or r.marker.evaluate({"extra": extra})]
        for r in needed:
            r.marker = None
        waiting += [(r, e) for r in needed for e in {"", *r.extras}]
    return found


def test_everything_that_is_needed_is_pinned() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    plain = [Requirement(text) for text in project["dependencies"]]
    extras = {name: texts for name, texts in project["optional-dependencies"].items() if name != "benchmark"}
    dev = [Requirement(text) for texts in extras.values() for text in texts]
    dev.append(Requirement("pip-audit"))  # CI's own
    known = pins("requirements.txt")
    assert sorted(closure(plain) - set(known)) == []
    everything = known | pins("requirements-dev.txt")
    assert sorted(closure([*plain, *dev]) - set(everything) - {"pip"}) == []
