#!/usr/bin/env bash
# Keep what must last of the runs of a sweep, and put it back on another machine, where the sweep then goes on:
#
#   results/collect.sh SWEEP_RUNS [STORE]                for example: results/collect.sh runs/evidence_1_maml_fomaml
#   results/collect.sh --restore SWEEP_RUNS [STORE]      STORE: default results/evidence/runs/SWEEP
#
# Of every run: the last checkpoint, metrics.csv compressed, run.json, its configurations, and the tables of its
# evaluations. Finished and unfinished runs are treated alike, so an unfinished one resumes bit for bit (on the same kind of
# machine; best.ckpt is not kept). A run may train meanwhile. Neither way replaces a run by one that has trained less.
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

further() { # STORED RUN: whether the store is ahead, as where a sweep began anew on a machine without --restore
    [ -e "$1/metrics.csv.gz" ] && [ "$(gunzip -c "$1/metrics.csv.gz" | wc -l)" -gt "$(wc -l <"$2/metrics.csv")" ]
}

collect() { # RUN STORED: whole or not at all
    if further "$2" "$1"; then echo "$2 has trained further: left alone" && return; fi
    rm -rf "$2.part" && mkdir -p "$2.part/checkpoints"
    # In this order, since the run may go on meanwhile: what is copied later may only be ahead of what came before.
    cp "$1/run.json" "$1"/config*.yaml "$2.part"
    cp "$1/checkpoints/last.ckpt" "$2.part/checkpoints/last.ckpt"
    gzip -9nc "$1/metrics.csv" >"$2.part/metrics.csv.gz"
    for table in "$1"/evaluation*/{adaptation.csv,evaluation.json}; do
        [ -e "$table" ] || continue
        evaluation=$2.part/$(basename "$(dirname "$table")")
        mkdir -p "$evaluation" && cp "$table" "$evaluation"
    done
    rm -rf "$2" && mv "$2.part" "$2"
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
    [ "${name%.part}" = "$name" ] || continue       # of a copy that was interrupted
    if $restore; then put_back "$run" "$runs/$name"; else collect "$run" "$store/$name"; fi
    count=$((count + 1))
done
[ $count -gt 0 ] || fail "$from: no run there has a checkpoint yet"
if $restore; then echo "$count runs in $runs"; else echo "$count runs in $store"; fi
