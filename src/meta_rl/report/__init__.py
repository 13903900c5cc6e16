"""From run directories to figures, statistics and one page: report.py."""
