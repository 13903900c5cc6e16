#!/usr/bin/env bash
# All that a machine with a GPU is to show, in under eight minutes:
#
#   benchmarks/cuda.sh [DEVICE] [OUTPUT]        DEVICE: gpu (the default), or cpu to try this script without one
#
# Numbers against the CPU's and transfers a step (gpu_against_cpu.py), then every algorithm for a few iterations on the
# point mass and on Ant, a resumed run, an evaluation, and seconds an iteration beside those of the CPU. PYTHON names the
# interpreter. OUTPUT, a temporary folder by default, keeps the runs. Ends with 1 if anything fails, after all is done.
set -uo pipefail
cd "$(dirname "$0")/.."
device=${1:-gpu} output=${2:-$(mktemp -d)} python=${PYTHON:-python} failed=0
export WANDB_MODE=disabled

step() { # WHAT COMMAND...: run it quietly; say how it went and how long it took
    local what=$1 start=$SECONDS && shift
    if "$@" >"$output/log.txt" 2>&1; then echo "ok    $what ($((SECONDS - start)) s)"; else
        failed=1 && echo "FAIL  $what ($((SECONDS - start)) s):" && tail -n 3 "$output/log.txt"
    fi
}

train() { # RUN CONFIGURATION ITERATIONS ACCELERATOR OPTION...
    local name=$1 config=$2 iterations=$3 accelerator=$4 && shift 4
    step "$name" "$python" train.py --config "conf/$config.yaml" --name "$name" --runs_dir "$output" \
        --trainer.max_steps "$iterations" --trainer.accelerator "$accelerator" "$@"
}

seconds() { # RUN: mean seconds of sampling and of the update, without the first iteration
    "$python" -c '
import csv, sys
rows = list(csv.DictReader(open(sys.argv[1])))[1:]
means = (sum(float(row[key]) for row in rows) / len(rows) for key in ("time_sampling", "time_update"))
print("      {}: sampling {:.3f} s, update {:.3f} s".format(sys.argv[2], *means))
' "$output/$1/metrics.csv" "$1"
}

mkdir -p "$output"
"$python" benchmarks/gpu_against_cpu.py --device "$([ "$device" = cpu ] && echo cpu || echo cuda)" || failed=1
for method in maml fomaml reptile pretrained oracle; do
    train "$method-point_mass" "${method}_point_mass" 4 "$device"
    train "$method-ant_dir" "${method}_ant_dir" 2 "$device"
done
train "maml-point_mass" maml_point_mass 6 "$device" --ckpt_path last
step "evaluation" "$python" evaluate.py --checkpoint "$output/maml-ant_dir/checkpoints/last.ckpt" \
    --num_tasks 4 --episodes 5 --output "$output/evaluation"
for method in maml fomaml; do
    train "$method-large-$device" "${method}_point_mass" 4 "$device" --data.meta_batch_size 40 --model.fisher_fraction 1
    train "$method-large-cpu" "${method}_point_mass" 4 cpu --data.meta_batch_size 40 --model.fisher_fraction 1 \
        --ckpt_path auto
    for run in "$method-large-$device" "$method-large-cpu" "$method-ant_dir"; do seconds "$run"; done
done
echo "$SECONDS s in all, runs in $output"
exit $failed
