"""Figures, statistics and one page from run directories: python report.py runs/maml_* runs/fomaml_*"""

import sys

from meta_rl import threads
from meta_rl.report.command import main

if __name__ == "__main__":
    threads.configure()  # before torch is imported, which overlaying published results does
    sys.exit(main())
