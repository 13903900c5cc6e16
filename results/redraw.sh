#!/usr/bin/env bash
# Draw every committed figure and page again, from the committed tables alone: results/redraw.sh
set -euo pipefail
cd "$(dirname "$0")/.."
python=${PYTHON:-python}
for report in results/*/report.json results/*/*/report.json; do
    [ -e "$report" ] && reports+=("$(dirname "$report")")
done
"$python" report.py --redraw "${reports[@]}"
"$python" benchmarks/first_vs_second_order.py --redraw
