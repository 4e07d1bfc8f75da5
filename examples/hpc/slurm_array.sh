#!/usr/bin/env bash
#SBATCH --job-name=bids-gan
#SBATCH --cpus-per-task=2
#SBATCH --mem=6G
#SBATCH --time=01:00:00
# One job a person, and one for the group when all are done:
#     n=$(ls -d BIDS_DIR/sub-* | wc -l)
#     job=$(sbatch --parsable --array=1-"$n" slurm_array.sh BIDS_DIR OUTPUT_DIR WORK_DIR [options])
#     sbatch --dependency=afterany:"$job" --wrap "bids-gan BIDS_DIR OUTPUT_DIR group"
# A job that was killed (time limit, preemption) goes on from its work folder when submitted again.
# For a container put `apptainer run ... IMAGE.sif` in the place of bids-gan, as in apptainer.sh.
set -euo pipefail

bids_dir=$1 output_dir=$2 work_dir=$3
shift 3
people=("$bids_dir"/sub-*)
person=$(basename "${people[SLURM_ARRAY_TASK_ID - 1]}")

bids-gan "$bids_dir" "$output_dir" participant \
    --participant-label "$person" --skip-bids-validation \
    --work-dir "$work_dir/$person" \
    --nprocs "${SLURM_CPUS_PER_TASK:-2}" --mem-mb "${SLURM_MEM_PER_NODE:-6000}" "$@"
