"""Charts as plain data, and one way to draw them: a specification for the page, SVG, PNG and PDF."""
