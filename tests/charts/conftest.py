"""The charts of tests/report/samples.py are drawn here too."""

import sys
from pathlib import Path

sys.path.append(str(Path(__file__).parents[1] / "report"))
