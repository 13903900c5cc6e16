"""Policies on unseen tasks: adaptation curves, comparisons, films, published figures, statistics."""
