#!/usr/bin/env bash
# The runs of results/families/, one after the other; started again it skips what is finished and goes on with what is not.
# results/families.py then adds them to the tables. One thread a run: two runs at once use two cores.
set -euo pipefail
cd "$(dirname "$0")/.."
export WANDB_MODE=disabled OMP_NUM_THREADS=1

run() { # configuration, iterations, seed, name of the method, further arguments
    local config=$1 iterations=$2 seed=$3 method=$4 name=$4_${1#*maml_}-seed$3
    shift 4
    [ -f "runs/families/$name/evaluation/adaptation.csv" ] && return
    python train.py --config "conf/$config.yaml" "$@" --runs_dir runs/families --name "$name" \
        --seed_everything="$seed" --trainer.max_steps="$iterations" --ckpt_path auto </dev/null
    python evaluate.py --checkpoint "runs/families/$name/checkpoints/last.ckpt" --seed 7000 --gradient_steps 3 \
        --episodes 20 </dev/null
}

for family in walker_body cheetah_body; do
    for method in fomaml maml; do
        run "${method}_$family" 60 1 "$method" --data.env.num_threads=1
    done
    run "fomaml_$family" 60 1 pretrained --data.env.num_threads=1 --model.class_path meta_rl.algorithms.Pretrained
done
for method in fomaml maml; do
    run "${method}_ant_dir_2d" 100 1 "$method" --data.env.num_threads=1
done
run fomaml_point_mass_sparse 60 1 fomaml
for seed in 1 2 3; do
    run maml_point_mass_sparse 40 "$seed" maml
    run maml_point_mass_sparse_credit 40 "$seed" maml
done
