"""The moving picture on top of the README: films of several tasks below one another, as one WebP.

    python evaluate.py --checkpoint runs/evidence_1_maml_fomaml/seed11-fomaml_ant_dir/checkpoints/last.ckpt \\
        --gradient_steps 1 --video 2 --output film
    python results/film.py film/video/task-0.mp4 film/video/task-1.mp4 --output docs/ant.webp
"""

import argparse
from pathlib import Path

import imageio.v3 as imageio
import numpy as np
from PIL import Image

STRIDE = 4  # pictures of the films to one of the WebP
SECONDS = 0.02 * STRIDE  # between two
WIDTH, QUALITY = 520, 25


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("films", type=Path, nargs="+")
    parser.add_argument("--output", type=Path, required=True)
    args = parser.parse_args()
    films = [imageio.imread(film, plugin="FFMPEG")[::STRIDE] for film in args.films]
    length = max(map(len, films))
    padded = [np.concatenate([film, film[-1:].repeat(length - len(film), 0)]) for film in films]
    first, *others = map(Image.fromarray, np.concatenate(padded, 1))
    for image in (first, *others):
        image.thumbnail((WIDTH, image.height))
    first.save(
        args.output,
        save_all=True,
        append_images=others,
        duration=round(1000 * SECONDS),
        loop=0,
        quality=QUALITY,
    )


if __name__ == "__main__":
    main()
