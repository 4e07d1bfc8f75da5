#!/usr/bin/env bash
# Process a BIDS dataset in a container: apptainer.sh IMAGE.sif BIDS_DIR OUTPUT_DIR WORK_DIR [options]
#
# How to make the image stands in Singularity.def.
set -euo pipefail

image=$1 bids_dir=$2 output_dir=$3 work_dir=$4
shift 4
# --containall gives a /tmp in memory, of 64 MB at most sites: a folder on disk takes its place
mkdir -p "$output_dir" "$work_dir/tmp"

# --containall: nothing of the host's home or environment; --net with no network: it needs none
apptainer run --containall --net --network none \
    --bind "$bids_dir:/data:ro" --bind "$output_dir:/out" --bind "$work_dir:/work" \
    --bind "$work_dir/tmp:/tmp" \
    "$image" /data /out participant --work-dir /work --nprocs "${SLURM_CPUS_PER_TASK:-2}" "$@"
