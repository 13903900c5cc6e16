"""W&B sweep files without W&B: sweep.py."""
