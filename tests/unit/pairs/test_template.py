"""The template's components, and what a person's tissue makes of them."""

import nibabel as nib
import numpy as np

from bids_gan.anatomy.template import template_t1w, template_white
from bids_gan.pairs.template import FLUID_FA, pseudo_fa, tissue_components


def test_components_of_a_template_made_of_two_values():
    white = np.asarray(template_white().dataobj, np.float32) / 255
    inside = np.asarray(template_t1w().dataobj) > 0
    blurred = nib.Nifti1Image((0.6 * white + 0.15 * (1 - white)) * inside, template_white().affine)
    high, low = (np.asarray(c.dataobj) for c in tissue_components(blurred))
    assert abs(np.median(high[inside]) - 0.6) < 0.01
    assert abs(np.median(low[inside]) - 0.15) < 0.01


def test_sharp_borders_of_the_person_replace_those_of_the_population():
    white = np.zeros((20, 20, 20), np.float32)
    white[10:] = 1
    csf = np.zeros_like(white)
    csf[:4] = 1
    flat = np.full_like(white, 0.6), np.full_like(white, 0.15)
    fa = pseudo_fa(*flat, white, csf)
    assert np.allclose(fa[13:], 0.6, atol=1e-3)
    assert np.allclose(fa[7], 0.15, atol=1e-3)
    assert np.allclose(fa[0], FLUID_FA, atol=1e-3)
