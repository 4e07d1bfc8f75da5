"""Pairs of a measured T1w and a *pseudo-target*: the mean FA template, fitted to it.

A pseudo-target is no measurement. It has the person's own tissue borders and the population's
tract pattern, and every file says so.
"""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path

import nibabel as nib
import numpy as np
from scipy import ndimage

from bids_gan.anatomy.prepare import Anatomy
from bids_gan.anatomy.template import template_t1w, template_white
from bids_gan.geometry import box_grid, resample
from bids_gan.itk import to_ants
from bids_gan.pairs.store import Pair
from bids_gan.synthesis.generate import appearance, crop_to_brain

#: of the registration by SyN, from coarse to fine
ITERATIONS = (60, 40, 20)
#: standard deviation in voxels by which tissue borders are softened
BLUR = 0.7
#: share of the template's FA that voxels without white matter keep
GREY_SHARE = 0.35


def align_template(fa: nib.Nifti1Image) -> nib.Nifti1Image:
    """Bring an FA template into the very space of the T1w template.

    Parameters
    ----------
    fa : image
        Mean FA in *some* MNI space; there are several, some millimetres apart.

    Returns
    -------
    image
        On the grid of the T1w template.

    Notes
    -----
    SyN to the white-matter map that comes with the T1w template, at 2 mm: the two spaces differ by
    more than an affine, in the occipital lobe by several millimetres.
    """
    import ants

    values = to_ants(np.asarray(fa.dataobj, np.float32), fa.affine)
    white = template_white()
    share = np.asarray(white.dataobj, np.float32) / 255
    shape, grid = box_grid(share > 0, white.affine, 2.0, 20.0)
    with tempfile.TemporaryDirectory() as folder:
        warp = ants.registration(
            to_ants(resample(share, white.affine, shape, grid), grid),
            values,
            type_of_transform="SyN",
            outprefix=str(Path(folder) / "template_"),
            reg_iterations=ITERATIONS,
        )["fwdtransforms"]
        moved = ants.apply_transforms(to_ants(share, white.affine), values, warp).numpy()
    return nib.Nifti1Image(moved.astype(np.float32), white.affine)


def warp_templates(
    templates: Sequence[nib.Nifti1Image],
    anatomy: Anatomy,
    spacing: float = 2.0,
    *,
    head: bool = False,
) -> list[np.ndarray]:
    """Register the T1w template to a person and bring other templates along.

    Parameters
    ----------
    templates : sequence of image
        In the world space of the T1w template, see :func:`align_template`.
    anatomy : Anatomy
    spacing : float
        Voxel size of the registration in mm.
    head : bool
        Fill the whole grid of the anatomy instead of the brain's box.

    Returns
    -------
    list of (I, J, K) float32 array
        In the box of :func:`bids_gan.synthesis.generate.crop_to_brain`, or on the anatomy's grid.
    """
    import ants

    t1w, mask, affine = crop_to_brain(anatomy)
    shape, grid = box_grid(mask, affine, spacing, 6.0)
    fixed = to_ants(resample(t1w, affine, shape, grid), grid)
    atlas = template_t1w()
    moving = to_ants(np.asarray(atlas.dataobj), atlas.affine)
    person = to_ants(anatomy.t1w, anatomy.affine) if head else to_ants(t1w, affine)
    with tempfile.TemporaryDirectory() as folder:
        warp = ants.registration(
            fixed,
            moving,
            type_of_transform="SyN",
            outprefix=str(Path(folder) / "warp_"),
            reg_iterations=ITERATIONS,
        )["fwdtransforms"]
        return [
            ants.apply_transforms(person, to_ants(np.asarray(t.dataobj), t.affine), warp)
            .numpy()
            .astype(np.float32)
            for t in templates
        ]


def pseudo_fa(warped: np.ndarray, white: np.ndarray) -> np.ndarray:
    """Hold the warped template to the person's own white matter.

    Parameters
    ----------
    warped : (I, J, K) array
        Template FA in the person's space.
    white : (I, J, K) array
        White-matter probability of the person.
    """
    white = ndimage.gaussian_filter(white, BLUR)  # posteriors are nearly binary
    return np.clip(warped * (GREY_SHARE + (1 - GREY_SHARE) * white), 0, 1).astype(np.float32)


def template_pair(anatomy: Anatomy, template: nib.Nifti1Image) -> Pair:
    """Pseudo-pair of a person.

    Parameters
    ----------
    anatomy : Anatomy
    template : image
        See :func:`align_template`.
    """
    t1w, mask, affine = crop_to_brain(anatomy)
    white = resample(anatomy.white, anatomy.affine, t1w.shape, affine)
    (warped,) = warp_templates([template], anatomy)
    target = pseudo_fa(warped, white) * mask
    return Pair(t1w, mask, target, mask, affine, anatomy.to_mni, 1, appearance(anatomy))
