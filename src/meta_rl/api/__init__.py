"""The public interface for Python: load, adapt, act, train. A thin layer over the other wings."""

from meta_rl import threads
from meta_rl.run.quick_start import import_lightning

# As the commands do, and as early: where torch is loaded already, its settings stay.
threads.configure()
import_lightning()
