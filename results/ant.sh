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

case $method in
    random)
        python evaluate.py --config "conf/${method}_$task.yaml" --output "$run/evaluation"
        exit ;;
    oracle) iterations=300 ;;
    pretrained) iterations=200 ;;
    *) iterations=300 ;;
esac
iterations=${ITERATIONS:-$iterations}
if [ ! -e "$run" ] && [ -e "$kept" ]; then
    mkdir -p "runs/$task" && cp -r "$kept" "$run"
fi
python train.py --config "conf/${method}_$task.yaml" --runs_dir "runs/$task" --name "$name" \
    --seed_everything="$seed" --data.env.num_threads=1 --trainer.max_steps="$iterations" --ckpt_path auto
python evaluate.py --checkpoint "$run/checkpoints/last.ckpt" --output "$run/evaluation"
