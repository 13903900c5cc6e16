"""Adapt a trained policy to unseen tasks: python evaluate.py --checkpoint runs/NAME/checkpoints/last.ckpt"""

import sys

from meta_rl import threads
from meta_rl.evaluation.command import main

if __name__ == "__main__":
    threads.configure()  # before torch is imported, which main does
    sys.exit(main())
