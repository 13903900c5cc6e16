"""The tutorial runs from top to bottom as printed, with less training, and is committed as it ran."""

from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

from meta_rl.show import opengl

NOTEBOOK = Path(__file__).parents[1] / "docs/tutorial.ipynb"
SMALLER = {'"max_steps": 60': '"max_steps": 2', "episodes=20": "episodes=3", "curve(40": "curve(3"}


def test_it_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    for key, value in {"WANDB_MODE": "disabled", "IPYTHONDIR": str(tmp_path / "ipython")}.items():
        monkeypatch.setenv(key, value)
    for cell in notebook.cells:
        for printed, smaller in SMALLER.items():
            cell.source = cell.source.replace(printed, smaller)
    can_draw = any(map(opengl.works, ("egl", "osmesa")))
    notebook.cells = [cell for cell in notebook.cells if can_draw or ".film(" not in cell.source]
    NotebookClient(notebook, timeout=300, resources={"metadata": {"path": str(tmp_path)}}).execute()
    table = notebook.cells[-2].outputs[-1]["data"]["text/plain"]
    assert table.splitlines()[0].split() == ["mean", "min", "max"]
    assert [path.name for path in sorted(tmp_path.glob("runs/*"))] == ["tutorial", "tutorial_wind"]


def test_its_outputs_are_those_of_one_run() -> None:
    cells = [cell for cell in nbformat.read(NOTEBOOK, as_version=4).cells if cell.cell_type == "code"]
    assert [cell.execution_count for cell in cells] == list(range(1, len(cells) + 1))
    kinds = {kind for cell in cells for output in cell.outputs for kind in output.get("data", ())}
    assert {"image/png", "image/gif", "text/html"} <= kinds
    assert not any(output.output_type == "error" for cell in cells for output in cell.outputs)
    assert all(printed in NOTEBOOK.read_text().replace('\\"', '"') for printed in SMALLER)
    assert NOTEBOOK.stat().st_size < 3_000_000
