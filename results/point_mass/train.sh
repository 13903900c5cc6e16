#!/usr/bin/env bash
# One run of the committed results: train to 100 iterations, evaluate, resume to 400, evaluate.
#
#   [ITERATIONS="100 400"] results/point_mass/train.sh ALGORITHM SETTING SEED      for example: maml origin05 1
#
# ALGORITHM: maml, fomaml, reptile. SETTING: the start (origin, start) and the inner rate (05, 01); `adam` behind
# it replaces the paper's meta-optimizer of MAML and FOMAML, TRPO. A run that is complete is left alone, an
# interrupted one goes on. One thread a run: two runs at once use two cores better than two threads.
set -euo pipefail
cd "$(dirname "$0")/../.."
algorithm=$1 setting=$2 seed=$3
name=$algorithm-$setting-seed$seed
run=runs/point_mass/$name
export WANDB_MODE=disabled OMP_NUM_THREADS=1

arguments=(--seed_everything="$seed" --matmul_precision=medium --data.meta_batch_size=20)
# A wide start keeps the first, strong inner steps from throwing theta off its course: see README.md.
case $setting in
    origin05*) sample_start=false training="[0.5,0.25,0.25]" test="[0.5,0.25,0.25]" init_std=2.0 ;;
    start05*) sample_start=true training="[0.5,0.25,0.25]" test="[0.5,0.25,0.25]" init_std=2.0 ;;
    origin01*) sample_start=false training="[0.1]" test="[0.1]" init_std=1.0 ;;
    *) echo "unknown setting $setting" >&2 && exit 2 ;;
esac
# With one inner step while training, MAML and FOMAML only use the first rate; Reptile's three use all.
arguments+=(--data.env.sample_start="$sample_start" --model.inner_lr="$training")
trpo=(--model.fisher_fraction=0.1 --model.policy.init_std="$init_std" --model.policy.min_std=0.4)
narrow=(--model.policy.init_std=0.5 --model.policy.min_std=0.3)
case $algorithm-$setting in
    reptile-*) arguments+=(--model.num_inner_steps=3 --model.outer_lr=0.3 "${narrow[@]}") ;;
    *adam) arguments+=(--model.outer_optimizer=adam --model.outer_lr=2e-3 "${narrow[@]}") ;;
    *) arguments+=("${trpo[@]}") ;;
esac

for iterations in ${ITERATIONS:-100 400}; do
    output=$run/evaluation-$iterations
    [ -e "$output/adaptation.png" ] && continue
    kept=$run/checkpoints/step-$iterations.ckpt
    if [ ! -e "$kept" ]; then
        resume=()
        [ -e "$run/checkpoints/last.ckpt" ] && resume=(--ckpt_path last)
        python train.py --config "conf/paper/${algorithm}_point_mass.yaml" --runs_dir runs/point_mass --name "$name" \
            "${arguments[@]}" --trainer.max_steps="$iterations" "${resume[@]}"
        cp "$run/checkpoints/last.ckpt" "$kept.tmp" && mv "$kept.tmp" "$kept"
    fi
    python evaluate.py --checkpoint "$kept" --inner_lr "$test" \
        --gradient_steps 4 --output "$output"
done
# The same with lower rates from the third step on.
if [[ $setting == *05* && -e $run/checkpoints/step-400.ckpt && ! -e $run/evaluation-400-lower/adaptation.png ]]; then
    python evaluate.py --checkpoint "$run/checkpoints/step-400.ckpt" --inner_lr "[0.5,0.25,0.1]" \
        --gradient_steps 4 --output "$run/evaluation-400-lower"
fi
