#!/usr/bin/env bash
# One run of the committed Ant results, trained and evaluated:
#
#   [ITERATIONS=400] results/ant.sh TASK METHOD SEED          for example: results/ant.sh ant_dir maml 1
#
# TASK: ant_dir, ant_vel. METHOD: maml, fomaml, reptile, pretrained, oracle, random: conf/METHOD_TASK.yaml as it is.
# An interrupted run goes on, and with more ITERATIONS a finished one, also one that is only in results/TASK/runs. One
# thread a run: two runs at once use two cores better than two threads.
set -euo pipefail
cd "$(dirname "$0")/.."
task=$1 method=$2 seed=$3
name=$method-seed$seed
run=runs/$task/$name kept=results/$task/runs/$name
export WANDB_MODE=disabled OMP_NUM_THREADS=1

[ "$method" = random ] && exec python evaluate.py --config "conf/${method}_$task.yaml" --output "$run/evaluation"
case $method in
    pretrained) iterations=150 ;;
    reptile) iterations=100 ;;
    oracle) iterations=300 ;;
    *) iterations=500 ;;
esac
iterations=${ITERATIONS:-$iterations}
if [ ! -e "$run" ] && [ -e "$kept" ]; then
    mkdir -p "runs/$task" && cp -r "$kept" "$run"
fi
python train.py --config "conf/${method}_$task.yaml" --runs_dir "runs/$task" --name "$name" \
    --seed_everything="$seed" --data.env.num_threads=1 --trainer.max_steps="$iterations" --ckpt_path auto

arguments=()
case $method in maml | fomaml) arguments+=(--inner_lr "[1.0,0.3]") ;; esac # a second step of 1.0 would overshoot
case $method-$seed in maml-1 | fomaml-1) arguments+=(--video 1) ;; esac
python evaluate.py --checkpoint "$run/checkpoints/last.ckpt" --output "$run/evaluation" "${arguments[@]}"
