#!/usr/bin/env bash
#SBATCH --job-name=bids-gan
#SBATCH --cpus-per-task=2
#SBATCH --mem=6G
#SBATCH --time=01:00:00
# One job a person. Submit with as many tasks as there are people:
#     sbatch --array=1-$(ls -d BIDS_DIR/sub-* | wc -l) slurm_array.sh BIDS_DIR OUTPUT_DIR WORK_DIR
set -euo pipefail

bids_dir=$1 output_dir=$2 work_dir=$3
person=$(basename "$(ls -d "$bids_dir"/sub-* | sed -n "${SLURM_ARRAY_TASK_ID}p")")

bids-gan "$bids_dir" "$output_dir" participant \
    --participant-label "$person" \
    --work-dir "$work_dir/$person" \
    --nprocs "$SLURM_CPUS_PER_TASK" --mem-mb 6000
# when all jobs are done: bids-gan BIDS_DIR OUTPUT_DIR group
