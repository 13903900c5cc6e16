"""Videos of states that are drawn as plain colours."""

from pathlib import Path

import imageio.v2 as imageio
import numpy as np
import pytest
from PIL import Image

from meta_rl.errors import UserError
from meta_rl.show import video
from meta_rl.show.video import GAP, GIF_WIDTH, LINE, Panel, check_ffmpeg, write_video


def colour(state: np.ndarray) -> np.ndarray:
    """The state as a shade of grey."""
    return np.full((64, 320, 3), state[0], np.uint8)


def panel(caption: str, shades: list[int], ended: bool = False) -> Panel:
    notes = [f"return {s}" for s in shades]
    return Panel(caption, np.array(shades, float)[:, None], notes, "ended, return 7" if ended else "")


def read(path: Path) -> tuple[list[np.ndarray], float]:
    with imageio.get_reader(path) as reader:
        return list(reader.iter_data()), reader.get_meta_data()["fps"]


def test_panels_stand_side_by_side_in_real_time(tmp_path: Path) -> None:
    panels = [panel("before", [0, 40, 80, 120]), panel("after 1 step", [20, 60], ended=True)]
    write_video(tmp_path / "a.mp4", colour, "task 0: direction 1", panels, dt=0.05)
    frames, fps = read(tmp_path / "a.mp4")
    assert fps == 20
    assert len(frames) == 4 + 20  # and a second of the last one
    assert frames[0].shape == (2 * LINE + 64, 2 * 320 + GAP, 3)
    left, right = (
        np.array([frame[2 * LINE + 32, x].mean() for frame in frames]) for x in (160, 320 + GAP + 160)
    )
    np.testing.assert_allclose(left[:5], [0, 40, 80, 120, 120], atol=6)
    pale = 60 // 2 + 128
    np.testing.assert_allclose(right[:5], [20, 60, pale, pale, pale], atol=6)


def test_a_gif_shows_the_same_with_fewer_pictures(tmp_path: Path) -> None:
    shades = [10 * i for i in range(20)]
    write_video(tmp_path / "a.mp4", colour, "a title", [panel("", shades)] * 3, dt=0.02)
    with Image.open(tmp_path / "a.gif") as gif:
        assert gif.size[0] == GIF_WIDTH
        assert gif.info["duration"] == 60
        seen = []
        for i in range(7):
            gif.seek(i)
            seen.append(np.asarray(gif.convert("L"))[-10, 100])
    assert np.corrcoef(seen, shades[::3])[0, 1] > 0.95  # in few colours


def test_the_captions_are_written(tmp_path: Path) -> None:
    write_video(tmp_path / "a.mp4", colour, "a title", [panel("before", [200])], dt=0.1)
    frame = read(tmp_path / "a.mp4")[0][0]
    title, caption = frame[:LINE].min(-1), frame[LINE : 2 * LINE].min(-1)
    for line in (title, caption):
        assert line[:, :80].min() < 80
        assert line[:, 240:].min() < 80
        assert line[:, 120:200].min() > 200


def test_a_long_title_leaves_room_for_the_time() -> None:
    short, long = (video._text(text, "1.00 s", 320) for text in ("", "W" * 100))
    np.testing.assert_array_equal(short[:, 265:], long[:, 265:])


def test_a_missing_ffmpeg_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing() -> str:
        raise RuntimeError("No ffmpeg exe could be found.\nInstall ffmpeg")

    check_ffmpeg()
    monkeypatch.setattr(video, "get_ffmpeg_exe", missing)
    with pytest.raises(UserError, match="no ffmpeg to write videos with; pip install imageio-ffmpeg"):
        check_ffmpeg()
