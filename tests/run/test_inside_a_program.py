"""train.py's `main` called by another program: in a thread, beside an open W&B run, without a script."""

import signal
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from unittest.mock import MagicMock

import pytest

from meta_rl.run.command import main
from meta_rl.run.signals import handling, heard


@pytest.mark.usefixtures("no_nohup")
def test_signals_are_heard_by_the_main_thread_alone_and_no_hang_up_under_nohup() -> None:
    assert heard() == [signal.SIGINT, signal.SIGTERM, signal.SIGHUP]
    with ThreadPoolExecutor() as pool:
        assert pool.submit(heard).result() == []
    with handling(signal.SIG_IGN):
        assert heard() == [signal.SIGINT, signal.SIGTERM]
        assert signal.getsignal(signal.SIGTERM) is signal.SIG_IGN
    assert signal.getsignal(signal.SIGHUP) is signal.SIG_DFL


def test_a_run_in_a_thread_is_the_same(lab: Any) -> None:
    lab.finished()
    thread = threading.Thread(target=main, args=([f"--config={lab.write()}", "--name=other"],))
    thread.start()
    thread.join()
    lab.assert_same("tiny", "other")


def test_an_open_run_of_wandb_is_used_and_left_open(lab: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    opened = MagicMock(id="opened")
    monkeypatch.setattr("wandb.run", opened)
    assert lab.train() == 0
    assert [call.args[0]["step"] for call in opened.log.call_args_list] == [1, 2, 3]
    opened.finish.assert_not_called()
    assert lab.checkpoint()["meta_rl"]["wandb_run_id"] == "opened"


def test_several_processes_of_no_script_are_the_command_as_a_module(
    lab: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = []
    launcher = MagicMock(side_effect=lambda *_: lambda *args: words.extend(args))
    monkeypatch.setattr("torch.distributed.launcher.api.elastic_launch", launcher)
    monkeypatch.setattr("sys.argv", ["-c"])
    assert lab.train("--trainer.devices=2") == 0
    assert words[:3] == ["-m", "meta_rl.cli", "train"]
    assert words[-1] == "--trainer.devices=2"
