"""Meta-train a policy: python train.py --config conf/maml_point_mass.yaml"""

import sys

from meta_rl import threads
from meta_rl.cli import main

if __name__ == "__main__":
    threads.configure()  # before torch is imported, which main does
    sys.exit(main())
