"use strict";
// Draws each figure from its specification, in the colours of light or dark mode.
// Without this script the page shows the same figures, as files, and their values as tables.

const dark = matchMedia("(prefers-color-scheme: dark)");
const narrow = matchMedia("(max-width: 48rem)");
const inDark = { "#1c2024": "#e4e7ea", "#ffffff": "#14171a", "#e6e6e6": "#2c3136", "#595959": "#a8a8a8" };

function draw() {
  for (const chart of document.querySelectorAll(".chart")) {
    let text = document.getElementById(chart.dataset.of).textContent;
    for (const [light, colour] of dark.matches ? Object.entries(inDark) : []) text = text.replaceAll(light, colour);
    const specification = JSON.parse(text);
    if (narrow.matches) specification.columns = 1;
    // As a syntax tree, expressions need no evaluation of text, which this page forbids.
    vegaEmbed(chart, specification, { ast: true, actions: false, renderer: "svg" });
  }
}

draw();
dark.addEventListener("change", draw);
narrow.addEventListener("change", draw);
