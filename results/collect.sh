#!/usr/bin/env bash
# Keep what must last of the runs of a sweep, and put it back on another machine, where the sweep then goes on:
#
#   results/collect.sh SWEEP_RUNS [STORE]                for example: results/collect.sh runs/evidence_1_maml_fomaml
#   results/collect.sh --restore SWEEP_RUNS [STORE]      STORE: default results/evidence/runs/SWEEP
#
# Of every run: the last checkpoint, metrics.csv compressed, run.json, its configurations, and the tables of its
# evaluations. Finished and unfinished runs are treated alike, so an unfinished one resumes bit for bit. A run that is
# training meanwhile may be collected; one that is there already is never overwritten by --restore.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
fail() { echo "error: $*" >&2 && exit 2; }

restore=false
if [ "${1:-}" = --restore ]; then restore=true && shift; fi
[ $# -ge 1 ] && [ $# -le 2 ] || fail "usage: results/collect.sh [--restore] SWEEP_RUNS [STORE]"
runs=${1%/} store=${2:-$here/evidence/runs/$(basename "$1")}
from=$runs
$restore && from=$store
[ -d "$from" ] || fail "$from: no such directory; give that of a sweep, for example runs/evidence_1_maml_fomaml"

collect() { # RUN STORED: the checkpoint first, so that the metrics reach at least as far
    mkdir -p "$2/checkpoints"
    cp "$1/checkpoints/last.ckpt" "$2/checkpoints/last.ckpt"
    gzip -9nc "$1/metrics.csv" >"$2/metrics.csv.gz"
    cp "$1/run.json" "$1"/config*.yaml "$2"
    for table in "$1"/evaluation*/{adaptation.csv,evaluation.json}; do
        [ -e "$table" ] || continue
        evaluation=$2/$(basename "$(dirname "$table")")
        mkdir -p "$evaluation" && cp "$table" "$evaluation"
    done
}

put_back() { # STORED RUN: whole or not at all
    [ ! -e "$2" ] || { echo "$2 is there already: left alone" && return; }
    mkdir -p "$(dirname "$2")" && rm -rf "$2.part" && cp -r "$1" "$2.part"
    gunzip "$2.part/metrics.csv.gz"
    mv "$2.part" "$2"
}

count=0
for run in "$from"/*/; do
    run=${run%/} name=$(basename "$run")
    [ -e "$run/checkpoints/last.ckpt" ] || continue # nothing is trained yet
    if $restore; then put_back "$run" "$runs/$name"; else collect "$run" "$store/$name"; fi
    count=$((count + 1))
done
[ $count -gt 0 ] || fail "$from: no run there has a checkpoint yet"
if $restore; then echo "$count runs in $runs"; else echo "$count runs in $store"; fi
