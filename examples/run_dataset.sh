#!/usr/bin/env bash
# Process a BIDS dataset: run_dataset.sh BIDS_DIR OUTPUT_DIR [options of bids-gan]
set -euo pipefail

bids_dir=$1 output_dir=$2
shift 2

bids-gan "$bids_dir" "$output_dir" participant --dry-run "$@"
read -r -p "Go on? [y/N] " answer
[ "$answer" = y ]

# runs that cannot be corrected (no readout time, say) are processed uncorrected, with a warning
bids-gan "$bids_dir" "$output_dir" participant --sdc-on-failure warn "$@"
bids-gan "$bids_dir" "$output_dir" group
echo "open $output_dir/group.html"
