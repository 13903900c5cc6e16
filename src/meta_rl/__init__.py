"""Gradient-based meta-reinforcement-learning: MAML, FOMAML and Reptile."""

__version__ = "0.1.0"
