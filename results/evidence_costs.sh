#!/usr/bin/env bash
# What an iteration of MAML and of FOMAML costs late in training, in turn on one core:
#
#   results/evidence_costs.sh [ROUNDS]      writes results/evidence/costs.csv
#
# Finished runs of the evidence go on for five iterations each in a copy; the first one, which warms up, is left out.
# Run it in a clone of the evidence's commit, with the folder results/evidence of the newest one.
set -euo pipefail
cd "$(dirname "$0")/.."
export OMP_NUM_THREADS=1 MKL_NUM_THREADS=1 WANDB_MODE=disabled
out=results/evidence/costs.csv work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
echo family,method,round,step,seconds,sampling,update >"$work/costs.csv"
for round in $(seq "${1:-2}"); do
    rm -rf "$work/runs" && mkdir "$work/runs"
    results/collect.sh --restore "$work/runs" results/evidence/runs/evidence_1_maml_fomaml >"$work/log"
    for family in ant_dir ant_vel cheetah_dir cheetah_vel; do
        for method in maml fomaml; do
            name=seed11-${method}_$family
            run=$work/runs/$name
            python train.py --config "$run/config.yaml" --runs_dir "$work/runs" --name "$name" --ckpt_path last \
                --data.env.num_threads=1 --trainer.max_steps=505 >>"$work/log" 2>&1 || { cat "$work/log" && exit 1; }
            python - "$run/metrics.csv" "$family,$method,$round" >>"$work/costs.csv" <<'ROWS'
import csv, sys
for row in list(csv.DictReader(open(sys.argv[1])))[501:]:
    sampling, update = float(row["time_sampling"]), float(row["time_update"])
    print(sys.argv[2], row["step"], *(f"{x:.3f}" for x in (sampling + update, sampling, update)), sep=",")
ROWS
            tail -1 "$work/costs.csv"
        done
    done
done
mv "$work/costs.csv" "$out"
