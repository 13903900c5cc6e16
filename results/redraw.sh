#!/usr/bin/env bash
# Draw the figures and the page index.html of every report under results/, from the committed tables alone:
#
#   results/redraw.sh
#
# Git keeps of these only the figures that a README shows; drawn again they are the same to the byte.
set -euo pipefail
cd "$(dirname "$0")/.."
python=${PYTHON:-python}
reports=()
for report in results/*/report.json results/*/*/report.json; do
    [ -e "$report" ] && reports+=("$(dirname "$report")")
done
"$python" report.py --redraw "${reports[@]}"
"$python" benchmarks/first_vs_second_order.py --redraw
"$python" results/axis.py --redraw
"$python" results/evidence_figures.py
