"""One type of chart as plain data, and the ways to draw it."""
