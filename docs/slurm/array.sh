#!/usr/bin/env bash
# Run the runs of a profile as a Slurm job array, one run per task.
#
#   scs-siam plan --profile paper $DATA            lists the runs by number, 0 to N-1
#   sbatch --array=0-41%8 docs/slurm/array.sh      for 42 runs, at most 8 at a time, from the root
#
# A task that is submitted again resumes from its last checkpoint, and a task whose run is current
# does nothing, so --requeue is safe. A row that shares the training of another row is made by that
# row's task. Build the data and the crop store once, alone, before the array starts:
#
#   scs-siam run --profile paper $DATA --index 0   builds data/stores/
#
# PROFILE=mini DATA= sbatch ... runs a profile that makes its own data. This file has not been run
# on a cluster; its last command was run by hand on a CPU for every run of the profile smoke.
#
#SBATCH --job-name=scs-siam
#SBATCH --gres=gpu:1
#SBATCH --cpus-per-task=8
#SBATCH --time=24:00:00
#SBATCH --requeue
#SBATCH --output=slurm-%A_%a.log
set -euo pipefail
DATA=${DATA---train GOT-10k/train --test OTB2015=OTB2015}
# shellcheck disable=SC2086 -- DATA is several words
.venv/bin/scs-siam run --profile "${PROFILE:-paper}" $DATA --index "$SLURM_ARRAY_TASK_ID" --device cuda
