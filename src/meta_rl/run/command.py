"""train.py: from the command line to a trained run."""

import sys
from collections.abc import Sequence

from meta_rl.errors import UserError
from meta_rl.run import streams
from meta_rl.run.arguments import config_files, is_question, normalise
from meta_rl.run.cluster import end_with_launcher, fail
from meta_rl.run.program import as_typed, installed
from meta_rl.run.quick_start import import_lightning
from meta_rl.run.shipped import listing
from meta_rl.run.signals import handling, leave


def main(argv: Sequence[str] | None = None) -> int:
    """Train as the command line says.

    Returns:
        0 when done, 1 if a number stopped being finite, a file of the run could no longer be written, or
        another of its processes was lost, 2 for bad input; 130, 143 or 129 when stopped by Ctrl-C, SIGTERM or
        a hang-up, with a checkpoint to resume from once training has begun, else with nothing left behind. A
        second Ctrl-C ends the process at once with 1. Other exceptions are bugs and keep their traceback.
    """
    if argv is not None and not installed():
        with as_typed("train.py", *argv):  # whatever program this is called from
            return _main(argv)
    if argv is None:
        streams.prepare()
    return _main(sys.argv[1:] if argv is None else argv)


def _main(argv: Sequence[str]) -> int:
    with handling(leave):
        try:
            end_with_launcher()
            if "--list" in argv:
                print(listing())
                return 0
            args = normalise(argv)
            files = config_files(args)
            if not files and not any(map(is_question, args)):
                raise UserError(
                    "no experiment given; for example --config maml_point_mass, and --list shows all"
                )
            import_lightning()
            from meta_rl.run.session import train

            return train(args, default_name=files[-1].stem if files else "run")[0]
        except UserError as error:
            return fail(str(error), 2)
