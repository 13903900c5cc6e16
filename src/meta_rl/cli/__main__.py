"""`python -m meta_rl.cli`, which is `meta-rl`."""

from meta_rl.cli.main import script

if __name__ == "__main__":
    script()
