#!/usr/bin/env bash
#PBS -N bids-gan
#PBS -l select=1:ncpus=2:mem=6gb
#PBS -l walltime=01:00:00
#PBS -V
# One job a person (OpenPBS and PBS Professional; Torque says -t and PBS_ARRAYID):
#     qsub -J 1-$(ls -d BIDS_DIR/sub-* | wc -l) \
#         -v BIDS_DIR=...,OUTPUT_DIR=...,WORK_DIR=... pbs_array.sh
set -euo pipefail

# PBS starts jobs in HOME; folders may be given relative to where qsub was called
cd "${PBS_O_WORKDIR:-.}"
: "${BIDS_DIR:?}" "${OUTPUT_DIR:?}" "${WORK_DIR:?}"
people=("$BIDS_DIR"/sub-*)
person=$(basename "${people[PBS_ARRAY_INDEX - 1]}")

bids-gan "$BIDS_DIR" "$OUTPUT_DIR" participant \
    --participant-label "$person" --skip-bids-validation \
    --work-dir "$WORK_DIR/$person" \
    --nprocs "${NCPUS:-2}" --mem-mb 6000
