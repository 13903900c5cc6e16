"""A folder with a sweep file and a program that does what train.py does around training, in a blink."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

PROGRAM = """
import json, os, pathlib, shlex, signal, sys
options = dict(a.removeprefix("--").split("=", 1) for a in sys.argv[1:])
run = pathlib.Path(options["runs_dir"]) / options["name"]
record = run / "run.json"
resumed = record.exists()
run.mkdir(parents=True, exist_ok=True)
starts = json.loads(record.read_text())["starts"] if resumed else []
starts.append({"command": shlex.join(["python", *sys.argv]), "outcome": None})
record.write_text(json.dumps({"starts": starts}))
print("cores", len(os.sched_getaffinity(0)), "threads", os.environ["OMP_NUM_THREADS"])
print("group", os.environ["WANDB_RUN_GROUP"], "sweep", os.environ.get("WANDB_SWEEP_ID"))
does = options.get("does", "train")
if does == "take a while":
    print("iteration 3/9  pre -1.00  post -0.50", flush=True)
    while not pathlib.Path("enough").exists():
        pass
if does == "fail" or (does == "fail once" and not resumed):
    print("one", "two", "three", "four", "five", "the cause", sep="\\n", file=sys.stderr)
    sys.exit(1)
if does == "refuse":
    sys.exit(2)
if does == "interrupt the sweep":
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    os.kill(os.getppid(), int(options["signal"]))
    signal.pause()
(run / "metrics.csv").write_text("step,return_post\\n1,-3.25\\n")
starts[-1]["outcome"] = "done"
record.write_text(json.dumps({"starts": starts}))
"""


@pytest.fixture
def write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Path]:
    """Write sweep.yaml beside the program, with some keys changed; None removes one."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    monkeypatch.delenv("WANDB_RUN_GROUP", raising=False)
    (tmp_path / "program.py").write_text(PROGRAM)

    def sweep(file: str = "sweep.yaml", **changes: Any) -> Path:
        content: dict[str, Any] = {
            "program": "program.py",
            "method": "grid",
            "parameters": {"seed": {"values": [1, 2]}, "rate": {"values": [0.1, 0.2]}},
        }
        content = {k: v for k, v in {**content, **changes}.items() if v is not None}
        Path(file).write_text(yaml.safe_dump(content, sort_keys=False))
        return Path(file)

    return sweep
