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
from bids_gan.anatomy.segment import CSF
from bids_gan.anatomy.template import template_t1w, template_white
from bids_gan.geometry import box_grid, resample
from bids_gan.itk import read_affine, to_ants
from bids_gan.pairs.store import Pair
from bids_gan.synthesis.generate import appearance, crop_to_brain

#: standard deviation in voxels by which tissue borders are softened
BLUR = 0.7
#: FA of fluid: noise
FLUID_FA = 0.06


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
    Affine registration to the white-matter map that comes with the T1w template.
    """
    import ants

    white = template_white()
    with tempfile.TemporaryDirectory() as folder:
        result = ants.registration(
            to_ants(np.asarray(white.dataobj, np.float32) / 255, white.affine),
            to_ants(np.asarray(fa.dataobj), fa.affine),
            type_of_transform="Affine",
            outprefix=str(Path(folder) / "template_"),
        )
        pull = read_affine(Path(result["fwdtransforms"][0]))
    moved = resample(
        np.asarray(fa.dataobj), fa.affine, white.shape, white.affine, target_to_source=pull
    )
    return nib.Nifti1Image(moved, white.affine)


def tissue_components(
    template: nib.Nifti1Image, sigma: float = 2.0, ridge: float = 0.02
) -> tuple[nib.Nifti1Image, nib.Nifti1Image]:
    """Split a mean FA image into what white matter and what everything else has at each place.

    Parameters
    ----------
    template : image
        See :func:`align_template`.
    sigma : float
        Standard deviation of the neighbourhood in voxels.
    ridge : float
        Pull towards the components of the whole brain.

    Returns
    -------
    white, other : image
        FA of pure white matter and of all other tissue, on the template's grid.

    Notes
    -----
    A mean over people blurs each person's gyri, so the template times a person's white matter
    counts the borders twice. Here ``FA = p white + (1 - p) other`` is solved by weighted least
    squares in a Gaussian neighbourhood, with p the template's own share of white matter; the
    person's share takes its place in :func:`pseudo_fa`.
    """
    fa = np.asarray(template.dataobj, np.float32)
    inside = np.asarray(template_t1w().dataobj) > 0
    p = np.asarray(template_white().dataobj, np.float32) / 255 * inside
    q = (1 - p) * inside
    design = np.stack([p[inside], q[inside]], axis=1)
    prior_white, prior_other = np.linalg.lstsq(design, fa[inside], rcond=None)[0]

    def near(x: np.ndarray) -> np.ndarray:
        return ndimage.gaussian_filter(x, sigma)

    pp, pq, qq = near(p * p) + ridge, near(p * q), near(q * q) + ridge
    pf, qf = near(p * fa) + ridge * prior_white, near(q * fa) + ridge * prior_other
    determinant = pp * qq - pq**2
    white = np.clip((qq * pf - pq * qf) / determinant, 0, 1)
    other = np.clip((pp * qf - pq * pf) / determinant, 0, 1)
    return tuple(nib.Nifti1Image(x, template.affine) for x in (white, other))


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
            reg_iterations=(60, 40, 20),
        )["fwdtransforms"]
        return [
            ants.apply_transforms(person, to_ants(np.asarray(t.dataobj), t.affine), warp)
            .numpy()
            .astype(np.float32)
            for t in templates
        ]


def pseudo_fa(
    white_fa: np.ndarray, other_fa: np.ndarray, white: np.ndarray, csf: np.ndarray
) -> np.ndarray:
    """FA that a person's tissue would have with the population's tracts.

    Parameters
    ----------
    white_fa, other_fa : (I, J, K) array
        Components of the template in the person's space, see :func:`tissue_components`.
    white, csf : (I, J, K) array
        Probabilities of white matter and fluid of the person.
    """
    # posteriors are nearly binary
    white, csf = (ndimage.gaussian_filter(p.astype(np.float32), BLUR) for p in (white, csf))
    other = np.where(csf > 0, (1 - csf) * other_fa + csf * FLUID_FA, other_fa)
    return np.clip(white * white_fa + (1 - white) * other, 0, 1).astype(np.float32)


def template_pair(anatomy: Anatomy, components: tuple[nib.Nifti1Image, nib.Nifti1Image]) -> Pair:
    """Pseudo-pair of a person.

    Parameters
    ----------
    anatomy : Anatomy
    components : tuple of image
        See :func:`tissue_components`.
    """
    t1w, mask, affine = crop_to_brain(anatomy)
    onto = (anatomy.affine, t1w.shape, affine)
    white = resample(anatomy.white, *onto)
    csf = resample(anatomy.tissue == CSF, *onto)
    target = pseudo_fa(*warp_templates(components, anatomy), white, csf) * mask
    return Pair(t1w, mask, target, mask, affine, anatomy.to_mni, 1, appearance(anatomy))
