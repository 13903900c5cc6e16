"""Robots to look at: pictures, videos, MuJoCo's viewer, Gymnasium's views."""
