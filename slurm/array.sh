#!/usr/bin/env bash
# A profile's runs as a Slurm job array, one run a task. Not run on a cluster; the command below was run by hand, without a card, for every
# run of the profile smoke, two side by side, one of them killed and sent again.
#
#   scs-siam plan --profile paper $DATA            lists the runs by number, 0 to N-1
#   sbatch --array=0-41%8 slurm/array.sh           for 42 runs, at most 8 at a time; from the project's root
#
# A task that is sent again goes on from its last checkpoint, and one whose run is current does nothing, so --requeue is safe. A row that
# shares another's training comes with that run; its own task says so and ends. Data and crop store are made before the array starts:
#
#   scs-siam run --profile paper $DATA --index 0   once, alone: it builds data/stores/
#
# PROFILE=mini DATA= sbatch ... takes a profile that makes its own data.
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
