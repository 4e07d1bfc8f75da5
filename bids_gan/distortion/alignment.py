"""Where T1w and diffusion images lie: as the headers say, or as a registration finds.

Distortion misleads a registration by millimetres and degrees, and headers are stale once the head
has moved. Which of the two is right shows in how well the rest can be explained.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import nibabel as nib
import numpy as np
from scipy.spatial.transform import Rotation

from bids_gan.distortion.coregister import Brain, Coregistration, coregister, moved
from bids_gan.distortion.estimate import estimate_field
from bids_gan.distortion.learnt import IMAGES, predict
from bids_gan.distortion.types import EstimatorSettings, FieldPrior, Guides, Level, Measured
from bids_gan.geometry import pe_axis_sign, resample, voxel_sizes

if TYPE_CHECKING:
    from torch import nn

#: the headers are believed unless a registration lowers the expected error to this share
_CLEARLY_LESS = 0.8
#: a field that varies less is no field, mm
LEAST_MM = 0.1
#: of the fit of a pose alone, without a field
_POSE_ONLY = EstimatorSettings(
    levels=(Level(6.0, 36.0, 1.0, 60), Level(6.0, 20.0, 0.5, 60)),
    rate_field=0.0,
    refine_rigid=True,
)


@dataclass(frozen=True)
class Alignment:
    """An alignment, and what the learnt estimator expects.

    Attributes
    ----------
    coregistration : Coregistration
    start : (4, 4) array
        Pull matrix under which the estimator looked first, see :func:`expect`.
    expected : FieldPrior
        On a grid of its own.
    inside : (I, J, K) bool array
        Brain of the T1w on that grid.
    """

    coregistration: Coregistration
    start: np.ndarray
    expected: FieldPrior
    inside: np.ndarray

    @property
    def move(self) -> np.ndarray:
        """Move of the head that it still sees, see :func:`head_move`."""
        return head_move(self.expected, self.inside)

    @property
    def left(self) -> dict[str, float]:
        """Move of the head that it still sees, once it is aligned.

        ``left_degrees``, ``left_mm``: as a rotation, and as a move of the brain's centre.
        """
        degrees, mm = moved(self.move, self._places.mean(axis=0))
        return {"left_degrees": degrees, "left_mm": mm}

    @property
    def bend_mm(self) -> float:
        """What else it sees misaligned, root mean square in the brain."""
        here = self._places
        there = nib.affines.apply_affine(self.move, here)
        bend = here + self.expected.apart[self.inside] - there
        return float(np.sqrt(np.mean(np.sum(bend**2, axis=1))))

    @property
    def _places(self) -> np.ndarray:
        """Of the brain's voxels (N, 3) in diffusion world."""
        return nib.affines.apply_affine(self.expected.affine, np.argwhere(self.inside))

    @property
    def error_mm(self) -> float:
        """Root mean square in the brain of the predicted standard deviation."""
        return float(np.sqrt(np.mean(self.expected.sigma_mm[self.inside] ** 2)))

    @property
    def expected_share(self) -> float:
        """That error over the variation of the expected displacement in the brain."""
        return self.error_mm / max(float(self.expected.mm[self.inside].std()), LEAST_MM)


def align_distorted(
    measured: Measured, b0_mask: np.ndarray, guides: Guides, anatomy: Brain, network: nn.Module
) -> Alignment:
    """Align a distorted image with the T1w.

    Parameters
    ----------
    measured : Measured
    b0_mask : (I, J, K) bool array
        Brain mask of the diffusion reference.
    guides : Guides
    anatomy : Brain
        T1w and its brain mask.
    network : module
        See :func:`bids_gan.distortion.learnt.predict`.

    Returns
    -------
    Alignment

    Notes
    -----
    Two starts are compared: the headers, and a registration of the recorded image. The scans of a
    session share the scanner's coordinates, so the headers are preferred unless the registration
    makes the network clearly surer; and its translation along the phase encoding is not believed,
    which may be displacement. The better one is mended by the move of the head that the network
    sees, and it looks again.
    """
    brain = Brain(measured.b0, b0_mask, measured.affine)

    found = coregister(brain, anatomy)
    starts = [found]
    if found.start == "header" and found.source == "registration":
        axis, _ = pe_axis_sign(measured.pe_direction)
        direction = measured.affine[:3, axis] / voxel_sizes(measured.affine)[axis]
        starts = [found.without_shift(direction), found.by_headers()]
    first = _surest([seen(measured, guides, start, network) for start in starts])
    nearer = first.coregistration.nearer(brain, anatomy, first.start @ first.move)
    again = seen(measured, guides, nearer, network)
    expected = _with_mean_of(first.expected, first.inside, again.expected, again.inside)
    return replace(again, start=first.start, expected=expected)


def expect(
    measured: Measured,
    guides: Guides,
    start: np.ndarray,
    pull: np.ndarray,
    network: nn.Module,
    images: Collection[str] = IMAGES,
) -> FieldPrior:
    """What the network expects once it is told where the head lies.

    Parameters
    ----------
    measured : Measured
    guides : Guides
    start, pull : (4, 4) array
        Pull matrices from diffusion world to T1w world, before and after the alignment.
    network : module
    images : collection of {'b0', 'fa'}
        As of :func:`bids_gan.distortion.learnt.predict`.

    Returns
    -------
    FieldPrior
        Of the look under `pull`, but for the mean in the brain: how far the head has moved tells
        how much of a constant displacement to believe, and only the look from `start` sees that.
    """
    first, again = (_look(measured, guides, each, network, images) for each in (start, pull))
    return _with_mean_of(*first, *again)


def _with_mean_of(
    first: FieldPrior, inside_first: np.ndarray, again: FieldPrior, inside: np.ndarray
) -> FieldPrior:
    """What the second look expects, with the mean in the brain of the first."""
    shift = first.mm[inside_first].mean() - again.mm[inside].mean()
    return replace(again, mm=again.mm + shift)


def seen(
    measured: Measured, guides: Guides, coregistration: Coregistration, network: nn.Module
) -> Alignment:
    """What the network expects in one look under an alignment, which is left as it is.

    Parameters
    ----------
    measured : Measured
    guides : Guides
    coregistration : Coregistration
    network : module
    """
    pull = coregistration.dwi_to_t1w
    return Alignment(coregistration, pull, *_look(measured, guides, pull, network))


def _look(
    measured: Measured,
    guides: Guides,
    pull: np.ndarray,
    network: nn.Module,
    images: Collection[str] = IMAGES,
) -> tuple[FieldPrior, np.ndarray]:
    """What the network expects, and the brain of the T1w on its grid."""
    expected = predict(measured, guides, pull, network, images)
    mask, grid = (guides.mask > 0).astype(np.float32), (expected.mm.shape, expected.affine)
    return expected, resample(mask, guides.affine, *grid, target_to_source=pull) > 0.5


def head_move(expected: FieldPrior, inside: np.ndarray) -> np.ndarray:
    """Rigid part of an expected misalignment.

    Parameters
    ----------
    expected : FieldPrior
        With its misalignment.
    inside : (I, J, K) bool array
        Where it counts, on the grid of `expected`.

    Returns
    -------
    (4, 4) array
        Matrix that follows a pull matrix of before, ``pull @ matrix`` is without the move.
    """
    here = nib.affines.apply_affine(expected.affine, np.argwhere(inside))
    there = here + expected.apart[inside]
    middles = here.mean(axis=0), there.mean(axis=0)
    turn, _ = Rotation.align_vectors(there - middles[1], here - middles[0])
    matrix = np.eye(4)
    matrix[:3, :3] = turn.as_matrix()
    matrix[:3, 3] = middles[1] - matrix[:3, :3] @ middles[0]
    return matrix


def align_undistorted(
    measured: Measured, b0_mask: np.ndarray, guides: Guides, anatomy: Brain
) -> Coregistration:
    """Align an image without distortion, or one whose distortion is left.

    Parameters
    ----------
    measured, b0_mask, guides, anatomy
        As of :func:`align_distorted`.

    Returns
    -------
    Coregistration
        From the registration or from the headers, refined by the local correlation with the
        guides; whichever ends with the better one.
    """
    first = coregister(Brain(measured.b0, b0_mask, measured.affine), anatomy)
    starts = [first]
    if first.start == "header" and first.source == "registration":
        starts.append(first.by_headers())
    fits = [
        (start, estimate_field(measured, guides, start.dwi_to_t1w, _POSE_ONLY)) for start in starts
    ]
    start, fit = min(fits, key=lambda pair: pair[1].disagreement)
    return replace(start, dwi_to_t1w=fit.dwi_to_t1w)


def _surest(found: list[Alignment]) -> Alignment:
    """The one with the least expected error, where the headers have an advantage."""

    def error(one: Alignment) -> float:
        share = _CLEARLY_LESS if one.coregistration.source == "header" else 1.0
        return share * one.error_mm

    return min(found, key=error)
