"""Predict an FA image from a T1w: python synthetic_fa.py T1W.nii.gz OUT.nii.gz"""

import sys

import nibabel as nib

from bids_gan.anatomy.prepare import prepare_t1w
from bids_gan.models.registry import find_card, load_model
from bids_gan.synthesis.generate import synthesise

source, target = sys.argv[1:]

anatomy = prepare_t1w(nib.load(source), load_model(find_card("brain-mask")).network, name=source)
synthetic = synthesise(anatomy, load_model(find_card("t1w-to-fa")))

nib.save(nib.Nifti1Image(synthetic.mean, synthetic.affine), target)
error = synthetic.std[synthetic.mean > 0].mean()
print(f"{target}: synthetic FA, expected error in the brain {error:.3f}")
