"""Meta-train a policy: python train.py --config conf/maml_point_mass.yaml"""

from meta_rl import threads
from meta_rl.run.command import main
from meta_rl.run.program import end

if __name__ == "__main__":
    threads.configure()  # before torch is imported, which main does
    end(main())
