#!/usr/bin/env bash
# One run of the committed Ant results, trained and evaluated:
#
#   [ITERATIONS=400] results/ant.sh TASK METHOD SEED [option of train.py ...]      for example: results/ant.sh ant_dir maml 1
#
# TASK: ant_dir, ant_vel. METHOD: maml, fomaml, reptile, pretrained, oracle, random: conf/METHOD_TASK.yaml as it was then,
# without the small last layer, with a discount of 0.99 and lambda 0.95, and with their inner rates and spread. MAML's
# derivatives took the factor of its rates for a constant: its runs need commit c11d3c6 or an earlier one.
# An interrupted run goes on, and with more ITERATIONS a finished one. One thread a run: two runs at once use two
# cores better than two threads. The committed runs of MAML had the option --matmul_precision medium.
set -euo pipefail
cd "$(dirname "$0")/.."
task=$1 method=$2 seed=$3
name=$method-seed$seed
run=runs/$task/$name config=conf/${method}_$task.yaml
export WANDB_MODE=disabled OMP_NUM_THREADS=1

rates=() video=() settings=()
case $method in
    maml | fomaml)
        settings=(--model.inner_lr "[1.0,0.3]" --model.policy.init_std 0.5)
        rates=(--inner_lr "[1.0,0.3]") # a second step of 1.0 would overshoot
        ;;
    pretrained) rates=(--inner_lr "[1.0]") ;;
esac
case $task-$method-$seed in ant_dir-maml-1 | ant_vel-fomaml-1) video=(--video 1) ;; esac

if [ "$method" = random ]; then
    policy=(--config "$config")
else
    case $method in
        pretrained) iterations=150 ;;
        reptile) iterations=50 ;;
        oracle) iterations=400 ;;
        *) iterations=500 ;;
    esac
    python train.py --config "$config" --runs_dir "runs/$task" --name "$name" --seed_everything="$seed" \
        --data.env.num_threads=1 --model.policy.output_gain=1 --data.gamma=0.99 --data.gae_lambda=0.95 "${settings[@]}" \
        --trainer.max_steps="${ITERATIONS:-$iterations}" --ckpt_path auto "${@:4}"
    policy=(--checkpoint "$run/checkpoints/last.ckpt" "${rates[@]}")
fi

python evaluate.py "${policy[@]}" "${video[@]}" --output "$run/evaluation"
if [ "$task" = ant_vel ]; then # among the 40 goals drawn the fast ones are too many by chance
    python evaluate.py "${policy[@]}" --tasks results/ant_vel/even_goals.csv --output "$run/evaluation-even"
fi
