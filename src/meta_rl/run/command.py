"""train.py: from the command line to a trained run."""

import sys
from collections.abc import Sequence
from pathlib import Path

from meta_rl import threads
from meta_rl.errors import UserError
from meta_rl.run import streams
from meta_rl.run.arguments import config_files, is_question, normalise
from meta_rl.run.cluster import end_with_launcher, fail
from meta_rl.run.quick_start import import_lightning
from meta_rl.run.signals import handling, leave


def main(argv: Sequence[str] | None = None) -> int:
    """Train as the command line says.

    Returns:
        0 when done, 1 if a number stopped being finite, a file of the run could no longer be written, or
        another of its processes was lost, 2 for bad input; 130, 143 or 129 when stopped by Ctrl-C, SIGTERM or
        a hang-up, with a checkpoint to resume from once training has begun, else with nothing left behind. A
        second Ctrl-C ends the process at once with 1. Other exceptions are bugs and keep their traceback.
    """
    program = "train.py"  # whatever program this is called from
    if argv is None:
        streams.prepare()
        argv, program = sys.argv[1:], sys.argv[0] if Path(sys.argv[0]).is_file() else program
    with handling(leave):
        try:
            end_with_launcher()
            args = normalise(argv)
            files = config_files(args)
            if not files and not any(map(is_question, args)):
                raise UserError("no experiment given; for example --config conf/maml_point_mass.yaml")
            import_lightning()
            from meta_rl.run.session import train

            return train(args, files[-1].stem if files else "run", [program, *argv])
        except UserError as error:
            return fail(str(error), 2)


if __name__ == "__main__":  # a rank of a program that is no script, and the words of its command
    threads.configure()
    sys.argv = sys.argv[1:]
    sys.exit(main())
