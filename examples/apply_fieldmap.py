"""Apply a field map (Hz, on the grid of the image) to an EPI image or series.

python apply_fieldmap.py EPI.nii.gz FIELDMAP.nii.gz OUT.nii.gz

Phase-encoding direction and readout time are read from the JSON file beside the EPI image.
"""

import json
import sys
from pathlib import Path

import nibabel as nib

from bids_gan.distortion.unwarp import correct_series

source, fieldmap, target = sys.argv[1:]

sidecar = json.loads(Path(source.replace(".nii.gz", ".json")).read_text())
corrected = correct_series(
    nib.load(source),
    nib.load(fieldmap).get_fdata(),
    sidecar["PhaseEncodingDirection"],
    sidecar["TotalReadoutTime"],
)
nib.save(corrected, target)
