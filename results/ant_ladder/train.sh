#!/usr/bin/env bash
# One run of the committed results:
#
#   results/ant_ladder/train.sh RUNG SEED          for example: direction 1
#
# RUNG: direction     TRPO on running forward alone
#       direction-01  the same with the paper's trust region, max_kl 0.01 instead of 0.03
#       oracle-dir, oracle-dir-01   TRPO that observes the direction, with either trust region
#       oracle-vel    TRPO that observes the goal velocity
#       fomaml        50 iterations of conf/paper/fomaml_ant_dir.yaml as it is
#
# An interrupted run goes on. One thread a run: two runs at once use two cores better than two threads.
set -euo pipefail
cd "$(dirname "$0")/../.."
rung=$1 seed=$2
name=$rung-seed$seed
export WANDB_MODE=disabled OMP_NUM_THREADS=1

arguments=(--data.env.num_threads=1 --seed_everything="$seed")
case $rung in
    direction*) config=pretrained_ant_dir iterations=400 ;;
    oracle-dir*) config=oracle_ant_dir iterations=500 ;;
    oracle-vel) config=oracle_ant_vel iterations=400 ;;
    fomaml) config=fomaml_ant_dir iterations=50 ;;
    *) echo "unknown rung $rung" >&2 && exit 2 ;;
esac
case $rung in direction*) arguments+=('--data.env.directions=[1.0]' --data.meta_batch_size=10) ;; esac
case $rung in oracle*) arguments+=(--data.meta_batch_size=20) ;; esac
case $rung in oracle-vel) arguments+=(--data.env.max_velocity=2.0) ;; esac
case $rung in *-01 | fomaml) ;; *) arguments+=(--model.max_kl=0.03) ;; esac
case $rung in fomaml) ;; *) arguments+=(--model.fisher_fraction=0.25) ;; esac

resume=()
[ -e "runs/ant_ladder/$name/checkpoints/last.ckpt" ] && resume=(--ckpt_path last)
python train.py --config "conf/paper/$config.yaml" --runs_dir runs/ant_ladder --name "$name" \
    "${arguments[@]}" --trainer.max_steps="${ITERATIONS:-$iterations}" "${resume[@]}"
