#!/usr/bin/env bash
# One run of the shipped configurations, trained, and evaluated on 40 unseen tasks with random starts and from the origin:
#
#   results/point_mass/shipped.sh METHOD SEED            METHOD: maml, fomaml, reptile
#
# origin_goals.csv has the goals that `evaluate.py --seed 424242` draws without starts; a start left out is the origin.
set -euo pipefail
cd "$(dirname "$0")/../.."
method=$1 seed=$2
run=runs/point_mass_shipped/$method-seed$seed
export WANDB_MODE=disabled OMP_NUM_THREADS=1
python train.py --config "conf/${method}_point_mass.yaml" --runs_dir "$(dirname "$run")" --name "$(basename "$run")" \
    --seed_everything="$seed" --ckpt_path auto
last=$run/checkpoints/last.ckpt
python evaluate.py --checkpoint "$last" --seed 424242 --output "$run/evaluation"
python evaluate.py --checkpoint "$last" --seed 424242 --tasks results/point_mass/origin_goals.csv --output "$run/evaluation-origin"
