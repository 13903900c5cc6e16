"""Meta-train a policy: python train.py --config conf/maml_point_mass.yaml"""

import signal
import sys

from meta_rl import threads
from meta_rl.run.command import main

if __name__ == "__main__":
    threads.configure()  # before torch is imported, which main does
    code = main()
    signal.signal(signal.SIGTERM, signal.SIG_IGN)  # there is nothing left to be stopped
    sys.exit(code)
