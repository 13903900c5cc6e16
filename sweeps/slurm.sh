#!/usr/bin/env bash
# A sweep as a Slurm array: every task of the array does its part, on its own cores.
#
#   sbatch --array=1-8 sweeps/slurm.sh sweeps/ant_dir_batch_sizes.yaml       # without W&B: part I of 8 each
#   sbatch --array=1-8 --cpus-per-task=4 sweeps/slurm.sh ENTITY/meta_rl/SWEEP_ID     # with W&B: eight agents
#
# Submit it from the project's directory, which the nodes must share. A task that is preempted or runs out of time
# is sent SIGTERM a minute earlier: runs save, and go on when the task is requeued or submitted again. To submit some
# tasks only, say how many parts there are: PARTS=8 sbatch --array=3,5 ...
#SBATCH --job-name=meta_rl
#SBATCH --cpus-per-task=16
#SBATCH --time=24:00:00
#SBATCH --signal=B:TERM@60
#SBATCH --requeue
#SBATCH --open-mode=append
#SBATCH --output=slurm-%A_%a.log
set -euo pipefail
sweep=${1:?give a sweep file, or ENTITY/PROJECT/SWEEP_ID of W&B}
python=${PYTHON:-.venv/bin/python}
cores=${SLURM_CPUS_PER_TASK:-1}
jobs=$(((cores + 3) / 4)) # four cores a run: more speed up the physics, but not much else

# The sweep runs in the background, so that a signal reaches this script at once, which hands it on.
child='' stopped=''
trap 'stopped=1; [ -z "$child" ] || kill -TERM "$child"' TERM
if [[ $sweep == *.yaml ]]; then
    part=$SLURM_ARRAY_TASK_ID/${PARTS:-$SLURM_ARRAY_TASK_COUNT}
    "$python" sweep.py "$sweep" --jobs "$jobs" --part "$part" &
else
    export META_RL_REQUEUE=1 # a run that is stopped with its node goes to another agent
    PATH=$(cd "$(dirname "$python")" && pwd):$PATH wandb agent --forward-signals "$sweep" &
fi
child=$!
[ -z "$stopped" ] || kill -TERM "$child" # it came before there was a child
wait "$child" || { code=$?; wait "$child" || code=$?; } # a signal ends the first wait, the child the second
exit "${code:-0}"
