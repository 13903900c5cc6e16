#!/usr/bin/env bash
# The runs of results/axis/, one after the other; started again it skips what is finished and goes on with what is not:
#
#   results/axis.sh FAMILY SEED [METHOD ...]        for example: results/axis.sh point_mass 1
#
# FAMILY: point_mass, ant_dir. All methods see as many environment steps as 60 (point_mass) or 40 (ant_dir) iterations of
# MAML; each is evaluated on unseen tasks in the end. One thread a run: two runs at once use two cores.
set -euo pipefail
cd "$(dirname "$0")/.."
family=$1 seed=$2
shift 2
export WANDB_MODE=disabled OMP_NUM_THREADS=1

methods() { # name | configuration | iterations on the point mass and on Ant | further arguments
    cat <<'END'
es_maml          es_maml   12       24
reptile          reptile   40       27
fomaml           fomaml    60       40
anil             anil      60       40
meta_sgd         meta_sgd  60       40
maml             maml      60       40
maml_ratio       maml      60       40   --model.inner_loss ratio
maml_loaded_dice maml      60       40   --model.inner_loss loaded_dice --model.dice_lambda 0.9
fomaml_ppo       promp     60       40   --model.class_path meta_rl.algorithms.FOMAML
maml_ppo         promp     60       40
fomaml_adam      fomaml    60       40   --model.outer_optimizer adam --model.outer_lr 0.003
maml_adam        maml      60       40   --model.outer_optimizer adam --model.outer_lr 0.003 --model.inner_loss ratio
END
}

methods | while read -r method config on_point_mass on_ant arguments; do
    if [ $# -gt 0 ] && [[ " $* " != *" $method "* ]]; then continue; fi
    name=$method-seed$seed runs=runs/axis_$family
    iterations=$on_point_mass
    if [ "$family" = ant_dir ]; then iterations=$on_ant arguments="$arguments --data.env.num_threads=1"; fi
    case ${config}_$family in maml_ant_dir | fomaml_ant_dir) # as they were on 2026-11-30, and as those of the others are
        arguments="--model.inner_lr [1.0,0.3] --model.policy.init_std 0.5 $arguments" ;;
    esac
    [ -f "$runs/$name/evaluation/adaptation.csv" ] && continue
    # shellcheck disable=SC2086
    python train.py --config "conf/${config}_$family.yaml" $arguments --runs_dir "$runs" --name "$name" \
        --seed_everything="$seed" --trainer.max_steps="$iterations" --ckpt_path auto </dev/null
    python evaluate.py --checkpoint "$runs/$name/checkpoints/last.ckpt" --seed 7000 --gradient_steps 3 --episodes 20 \
        </dev/null
done
