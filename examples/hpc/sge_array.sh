#!/usr/bin/env bash
#$ -N bids-gan
#$ -S /bin/bash
#$ -cwd
#$ -V
#$ -pe smp 2
#$ -l h_vmem=6G
#$ -l h_rt=01:00:00
# One job a person (the names of the parallel environment and of the memory limit differ by site):
#     qsub -t 1-$(ls -d BIDS_DIR/sub-* | wc -l) sge_array.sh BIDS_DIR OUTPUT_DIR WORK_DIR [options]
#     qsub -hold_jid bids-gan -V -b y bids-gan BIDS_DIR OUTPUT_DIR group
set -euo pipefail

bids_dir=$1 output_dir=$2 work_dir=$3
shift 3
people=("$bids_dir"/sub-*)
person=$(basename "${people[SGE_TASK_ID - 1]}")

bids-gan "$bids_dir" "$output_dir" participant \
    --participant-label "$person" --skip-bids-validation \
    --work-dir "$work_dir/$person" \
    --nprocs "${NSLOTS:-2}" --mem-mb 6000 "$@"
