"""Episodes side by side, as an MP4 and a GIF in real time."""

from collections.abc import Callable, Iterator, Sequence
from itertools import repeat
from pathlib import Path
from typing import Any, NamedTuple

import imageio.v2 as imageio
import numpy as np
from imageio_ffmpeg import get_ffmpeg_exe
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from meta_rl.errors import UserError

LINE, GAP, MARGIN = 26, 4, 8  # pixels
FONT = ImageFont.load_default(size=15)
PAPER, INK = 255, 0
SECONDS_AT_THE_END = 1  # the last frame stays, so that it can be read
GIF_SECONDS, GIF_WIDTH, COLOURS = 0.06, 600, 32  # between two pictures of a GIF; pixels; of its palette

Picture = NDArray[np.uint8]  # [height, width, 3]
Draw = Callable[[NDArray[np.float64]], Picture]


class Panel(NamedTuple):
    """One episode: F states, each drawn below its caption and note."""

    caption: str
    states: NDArray[np.float64]  # [F, ...] at the start and after every step
    notes: Sequence[str]  # [F] shown beside the caption, one for each state
    ended: str  # the note after an end before the horizon; empty if there was none


def check_ffmpeg() -> None:
    """Raise a UserError if there is no ffmpeg to write videos with."""
    try:
        get_ffmpeg_exe()
    except RuntimeError:
        raise UserError("no ffmpeg to write videos with; pip install imageio-ffmpeg") from None


def write_video(path: Path, draw: Draw, title: str, panels: Sequence[Panel], dt: float) -> None:
    """Write episodes side by side in real time, as an MP4, and beside it as a smaller GIF.

    The last picture of an episode that has ended stays, pale.

    Args:
        path: The MP4 to write; existing files are replaced.
        draw: Makes an RGB picture [height, width, 3] of a state; height and width are even, and never change.
        title: One line above all panels; the time stands beside it.
        panels: The episodes, from left to right.
        dt: Simulated time between two states in s.
    """
    stride = max(1, round(GIF_SECONDS / dt))
    kept: list[Image.Image] = []
    # The codec wants even sizes, and no more than that.
    writer: Any = imageio.get_writer(path, "FFMPEG", fps=1 / dt, quality=7, macro_block_size=2)
    with writer:
        for step, picture in enumerate(_film(draw, title, panels, dt)):
            writer.append_data(picture)
            if step % stride == 0:
                kept.append(_for_gif(picture))
    # One palette for all pictures, so that only what moves is stored anew.
    some = kept[:: len(kept) // 10 + 1]
    palette = Image.fromarray(np.concatenate([np.asarray(picture) for picture in some])).quantize(COLOURS)
    first, *others = [picture.quantize(palette=palette, dither=Image.Dither.NONE) for picture in kept]
    milliseconds = round(1000 * stride * dt)
    first.save(path.with_suffix(".gif"), save_all=True, append_images=others, duration=milliseconds, loop=0)


def _film(draw: Draw, title: str, panels: Sequence[Panel], dt: float) -> Iterator[Picture]:
    """All pictures, the heading included."""
    steps = max(len(panel.states) for panel in panels)
    moving = [_frames(draw, panel) for panel in panels]
    for step in range(steps + round(SECONDS_AT_THE_END / dt)):
        row = _side_by_side([next(frames) for frames in moving])
        heading = _text(title, f"{min(step, steps - 1) * dt:.2f} s", row.shape[1])
        yield np.concatenate([heading, row])


def _for_gif(picture: Picture) -> Image.Image:
    """A picture of at most `GIF_WIDTH`."""
    image = Image.fromarray(picture)
    image.thumbnail((GIF_WIDTH, image.height))
    return image


def _frames(draw: Draw, panel: Panel) -> Iterator[Picture]:
    """The panel's pictures below its captions, without end."""
    note, picture = "", np.empty(0, np.uint8)
    for state, note in zip(panel.states, panel.notes, strict=True):
        picture = draw(state)
        yield _captioned(panel.caption, note, picture)
    if panel.ended:
        note, picture = panel.ended, picture // 2 + 128
    yield from repeat(_captioned(panel.caption, note, picture))


def _captioned(left: str, right: str, picture: Picture) -> Picture:
    return np.concatenate([_text(left, right, picture.shape[1]), picture])


def _side_by_side(pictures: Sequence[Picture]) -> Picture:
    gap = np.full((len(pictures[0]), GAP, 3), PAPER, np.uint8)
    return np.concatenate([x for picture in pictures for x in (gap, picture)][1:], 1)


def _text(left: str, right: str, width: int) -> Picture:
    """A line with something at either end; the left one is cut where it would meet the right one."""
    line = Image.new("L", (width, LINE), PAPER)
    pen = ImageDraw.Draw(line)
    room = width - 3 * MARGIN - pen.textlength(right, FONT)
    while left and pen.textlength(left, FONT) > room:
        left = left[:-1]
    pen.text((MARGIN, LINE / 2), left, INK, FONT, anchor="lm")
    pen.text((width - MARGIN, LINE / 2), right, INK, FONT, anchor="rm")
    return np.asarray(line)[..., None].repeat(3, -1)
