"""A run from the outside: command line and configuration, run directory, checkpoints, logging, progress."""
