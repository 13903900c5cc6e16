"""Means over seeds with their intervals, on a common axis."""

import numpy as np
import pandas as pd
import pytest
from directories import metrics

from meta_rl.report.runs import timed
from meta_rl.report.training_figures import curve


def test_seeds_that_share_their_places() -> None:
    data = curve([metrics(3), metrics(3, level=1.0), metrics(3, level=2.0)], "return_post")
    assert data is not None
    assert data["x"].tolist() == [1, 2, 3]
    assert data["y"].tolist() == [2, 3, 4]
    assert data["note"].tolist() == ["3 seeds"] * 3
    assert np.allclose(data["high"] - data["y"], 4.3027 / 3**0.5, atol=1e-4)


def test_seeds_that_do_not_are_interpolated_where_they_overlap() -> None:
    # Returns are 1, 2, 3, 4 after 0.1, 0.2, 0.3, 0.4 minutes, and 1, 2, 3, 4 after 0.2, 0.4, 0.6, 0.8.
    data = curve([timed(metrics(4, seconds=6.0)), timed(metrics(4, seconds=12.0))], "return_post", "minutes")
    assert data is not None
    assert data["x"].tolist() == pytest.approx([0.2, 0.2 + 0.2 / 3, 0.2 + 0.4 / 3, 0.4])
    assert data["y"].tolist() == pytest.approx([1.5, (2 + 2 / 3 + 4 / 3) / 2, (2 + 4 / 3 + 5 / 3) / 2, 3.0])


def test_long_curves_are_averaged_in_blocks() -> None:
    data = curve([timed(metrics(401))], "return_post", "million_steps")
    assert data is not None
    assert len(data) == 134  # blocks of 3, the last of 2
    assert data["x"][0] == pytest.approx(0.002)
    assert data["y"].tolist()[:2] == [2, 5]
    assert data["y"].tolist()[-1] == 400.5
    assert data["low"].isna().all()


def test_empty_cells_are_left_out() -> None:
    sparse = metrics(4, cosine=[1.0, np.nan, 0.5, np.nan])
    data = curve([sparse, metrics(4)], "cosine")
    assert data is not None
    assert data["x"].tolist() == [1, 3]
    assert data["y"].tolist() == [1, 0.5]
    assert data["note"].tolist() == ["1 seed"] * 2
    assert curve([metrics(4)], "cosine") is None
    assert curve([pd.DataFrame(sparse).assign(cosine=np.nan)], "cosine") is None
