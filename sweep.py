"""Run a sweep on this machine: python sweep.py sweeps/point_mass_batch_sizes.yaml --jobs 2"""

import sys

from meta_rl.sweep.command import main

if __name__ == "__main__":
    sys.exit(main())
