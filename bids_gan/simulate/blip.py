"""Diffusion runs of one blip with a known displacement, to train and to judge estimators on.

A person is rendered once (:func:`render_person`). From then on every run is new: head position,
phase-encoding axis and polarity, field, contrast, noise, and everything that is wrong with the
images that the run is compared with.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from copy import deepcopy
from dataclasses import dataclass
from typing import NamedTuple

import nibabel as nib
import numpy as np
import torch
from scipy import ndimage
from torch import Tensor

from bids_gan.diffusion.mask import b0_mask
from bids_gan.distortion.forward import distort
from bids_gan.distortion.learnt import SPACING, network_channels
from bids_gan.distortion.types import Guides, Measured
from bids_gan.gan.training.augment import sample, smooth_noise
from bids_gan.geometry import box_grid, resample
from bids_gan.simulate.artefacts import bias_field, rician_noise
from bids_gan.simulate.coils import receive_shading
from bids_gan.simulate.failures import encoded_along, spoilt
from bids_gan.simulate.head import Head
from bids_gan.simulate.people import (
    SimulatedPerson,
    new_person,
    simulate_fa,
    simulate_mr,
    tissue_maps,
)
from bids_gan.simulate.physics import (
    FIELD_STRENGTHS,
    jitter_relaxation,
    random_pulses,
    relaxation,
)
from bids_gan.simulate.susceptibility import dipole_field, shimmed, susceptibility_table
from bids_gan.simulate.variety import PEOPLE, Variety, any_field, curved
from bids_gan.simulate.view import KEPT, View

#: what is kept of a person, in this order
MAPS = (
    "b0", "FA", "CSF", "field", "brain", "T2-like", "synthetic FA", "brain of the T1w",
)  # fmt: skip
#: voxel size of what is rendered, mm
RENDERED = 1.5
_MARGIN = 20.0
#: chance of each world axis to be the phase-encoding one
_AXES = (0.15, 0.7, 0.15)
#: peak of the displacement in the brain (99th percentile), and smoothness of a field, mm
PEAK_MM = (0.5, 15.0)
#: noise of the b=0 image, share of its mean in the brain
NOISE = (0.01, 0.08)
#: standard deviation of the move of the head since the T1w, along and about each axis, mm and
#: degrees; most heads lie still between the scans of a session, some do not
MOVE = (0.1, 2.0)
#: mean and standard deviation of the offset that the centre frequency leaves, in units of the
#: standard deviation of the field in the brain
_OFFSET = (0.2, 0.5)
_FIELD_BLUR = 2.0
#: chance that the sidecar tells another axis
_WRONG_AXIS = 0.03
#: readout of one second: a field in Hz is a displacement in voxels
_ONE_SECOND = 1.0


class Prepared(NamedTuple):
    """What the product makes of a T1w, on one grid; see :func:`render_person`."""

    t2: np.ndarray
    synth_fa: np.ndarray
    brain: np.ndarray
    affine: np.ndarray


def render_person(
    head: Head, rng: np.random.Generator, prepare: Callable[[nib.Nifti1Image], Prepared]
) -> np.ndarray:
    """Draw a person and render all that runs are made of.

    Parameters
    ----------
    head : Head
    rng : Generator
    prepare : callable
        Gives T2-like image, synthetic FA and brain mask of a T1w of the whole head, with
        whatever goes wrong on the way.

    Returns
    -------
    (8, I, J, K) float32 array
        :data:`MAPS` in 2 mm voxels around the brain, RAS+. The field is in Hz at 3 T, shimmed.
    """
    person = new_person(head, rng, RENDERED)
    tissues = tissue_maps(person)
    found = prepare(_t1w(person, tissues, rng))
    brain = person.brain.astype(np.float32)
    tesla = FIELD_STRENGTHS[rng.integers(len(FIELD_STRENGTHS))]
    tissue = jitter_relaxation(relaxation(tesla), rng)
    field = dipole_field(person.render(susceptibility_table()), person.spacing)
    maps = {
        "b0": simulate_mr(person, random_pulses(rng, "b0", tesla), tissue, rng, 0.92) / 1000,
        "FA": simulate_fa(person, tissues) * brain,
        "CSF": tissues["CSF"] * brain,
        "field": shimmed(field, person.brain),
        "brain": brain,
    }
    guides = {
        "T2-like": found.t2,
        "synthetic FA": found.synth_fa,
        "brain of the T1w": found.brain.astype(np.float32),
    }
    shape, affine = box_grid(person.brain, person.affine, KEPT, _MARGIN)
    maps = {k: resample(image, person.affine, shape, affine) for k, image in maps.items()}
    maps |= {k: resample(image, found.affine, shape, affine) for k, image in guides.items()}
    return np.stack([maps[name] for name in MAPS])


def _t1w(person: SimulatedPerson, tissues: dict, rng: np.random.Generator) -> nib.Nifti1Image:
    """T1w of the head as a scanner writes it."""
    tesla = FIELD_STRENGTHS[rng.integers(len(FIELD_STRENGTHS))]
    tissue = jitter_relaxation(relaxation(tesla), rng)
    clean = simulate_mr(person, random_pulses(rng, "T1w", tesla), tissue, rng)
    t1w = clean * bias_field(clean.shape, rng, rng.uniform(0, 0.3))
    white = person.brain & (tissues["WM"] > 0.9)
    level = float(clean[white].mean())
    return nib.Nifti1Image(rician_noise(t1w, level * rng.uniform(0.01, 0.05), rng), person.affine)


@dataclass(frozen=True)
class BlipRun:
    """One run, phase encoding along the first axis, positive blip, and the truth behind it.

    Attributes
    ----------
    recorded : dict
        ``b0``, ``b0_mask``, ``fa``: (I, J, K) arrays, distorted.
    opposite : dict or None
        The same with the opposite polarity, where it was asked for.
    guides : dict
        ``t2``, ``synth_fa``, ``brain``: what the T1w gives, nearly aligned, on the same grid.
    mm : (I, J, K) float32 array
        True displacement at undistorted positions.
    brain : (I, J, K) bool array
        True brain, undistorted, as far as it was recorded and the T1w's mask has it.
    directions : (3, 3) array
        World direction of each array axis, in mm a voxel.
    misalignment : (3, I, J, K) float32 array
        Where the guides show the content of a place, relative to it: mm along each array axis,
        by the head's move and by the gradients.
    fa : (I, J, K) array
        True FA where the T1w has it: ``synth_fa`` of a generator that makes no mistake.
    snr : float
        Mean of the b=0 image in the brain over the standard deviation of its noise.
    move : float
        Standard deviation of the head's move since the T1w, along (mm) and about (degrees) each
        axis.
    gradients_differ : bool
        Whether only one of the two is corrected for its gradients.
    """

    recorded: dict[str, np.ndarray]
    guides: dict[str, np.ndarray]
    mm: np.ndarray
    brain: np.ndarray
    directions: np.ndarray
    misalignment: np.ndarray
    fa: np.ndarray
    snr: float
    move: float
    gradients_differ: bool
    opposite: dict[str, np.ndarray] | None = None

    @property
    def lengths(self) -> np.ndarray:
        """Voxel size (3,) in mm."""
        return np.linalg.norm(self.directions, axis=0)

    def example(self) -> dict[str, np.ndarray]:
        """What the network learns from."""
        channels = network_channels(**self.recorded, **self.guides, directions=self.directions)
        truth = {"target": self.mm[None], "mask": self.brain[None]}
        return {"input": channels, "misalignment": self.misalignment, **truth}

    def scene(self) -> tuple[Measured, Guides]:
        """The same as the estimators take it; the pull matrix between the two is identity."""
        affine = np.eye(4)
        affine[:3, :3] = self.directions
        affine[:3, 3] = -self.directions @ (np.array(self.mm.shape) - 1) / 2
        recorded, guides = self.recorded, self.guides
        mask, brain = recorded["b0_mask"], guides["brain"]
        b0, fa = (recorded[name] * mask for name in ("b0", "fa"))
        t2, synth_fa = (guides[name] * brain for name in ("t2", "synth_fa"))
        return (
            Measured(b0, fa, affine, "i", _ONE_SECOND),
            Guides(fa=synth_fa, t2=t2, mask=brain, affine=affine),
        )


class BlipRuns:
    """Simulated runs of people.

    Parameters
    ----------
    people : sequence of (8, I, J, K) tensor
        From :func:`render_person`.
    batch : int
        Runs a step, all encoded along one axis.
    seed : int
    variety : Variety
    """

    def __init__(
        self, people: Sequence[Tensor], batch: int, seed: int = 0, variety: Variety = PEOPLE
    ):
        self.people = people
        self.size = batch
        self.seed = seed
        self.variety = variety

    def batch(self, step: int) -> dict[str, Tensor]:
        """Batch of `step`: what :class:`Displacement` learns from."""
        rng = np.random.default_rng([self.seed, step])
        axis = int(rng.choice(3, p=_AXES))

        def drawn():
            return self.run(axis, rng)

        runs = [spoilt(drawn(), rng, drawn) for _ in range(self.size)]
        if rng.random() < _WRONG_AXIS:
            wrong = int(rng.integers(1, 3))
            runs = [encoded_along(run, wrong, rng) for run in runs]
        examples = [run.example() for run in runs]
        return {
            key: torch.as_tensor(np.stack([one[key] for one in examples]), dtype=torch.float32)
            for key in examples[0]
        }

    def run(
        self,
        axis: int,
        rng: np.random.Generator,
        spacing: float = SPACING,
        peak_mm: tuple[float, float] = PEAK_MM,
        noise: tuple[float, float] = NOISE,
        opposite: bool = False,
    ) -> BlipRun:
        """Draw a run.

        Parameters
        ----------
        axis : {0, 1, 2}
            World axis of the phase encoding.
        rng : Generator
        spacing : float
            Voxel size in mm.
        peak_mm : (float, float)
            Range of the peak of the displacement in the brain, its 99th percentile; some runs
            have nearly none.
        noise : (float, float)
            Range of the noise of the b=0 image, share of its mean in the brain.
        opposite : bool
            Whether it is recorded with the opposite polarity too, by a head that lies still.
        """
        person = self.people[int(rng.integers(len(self.people)))]
        size, bends, exchanged, anywhere, gamma = self.variety
        view = View.draw(person, axis, rng, spacing, size)
        at = view.places(rng, bends)
        b0, fa, csf, dipole, brain, found = sample(person[[0, 1, 2, 3, 4, 7]], at).numpy()
        brain = brain > 0.5
        kind = rng.random()
        if kind < anywhere:
            dipole = any_field(brain.shape, rng)
        elif kind < anywhere + exchanged:
            dipole = self._mixture(person, at, brain, rng)
        mm = _displacement(dipole, brain, spacing, peak_mm, rng)
        seen = view.seen(rng)
        scanner, scene = deepcopy(rng), (view.spacing, seen, noise, gamma)
        recorded, level = _record(b0, fa, csf, mm, *scene, rng, rng)
        move = float(np.exp(rng.uniform(*np.log(MOVE))))
        differ, moved = view.misplaced(at, move, rng)
        guides, true_fa = _guides(person[[7, 5, 6, 1]], moved, view.spacing, gamma, rng)
        again = None
        if opposite:
            again, _ = _record(b0, fa, csf, -mm, *scene, scanner, rng)
        return BlipRun(
            recorded=recorded, opposite=again, guides=guides, mm=mm,
            brain=brain & (found > 0.5) & seen,
            directions=view.directions, misalignment=view.apart(at, moved), fa=true_fa,
            snr=1 / level, move=move, gradients_differ=differ,
        )  # fmt: skip

    def _mixture(self, person: Tensor, at: Tensor, brain, rng: np.random.Generator) -> np.ndarray:
        """Fields of one or two people, brought to the box of this brain, mirrored and bent."""
        total = np.zeros(brain.shape, np.float32)
        for _ in range(int(rng.integers(1, 3))):
            other = self.people[int(rng.integers(len(self.people)))]
            last = torch.tensor(other.shape[1:]) - 1.0
            there = at * last / (torch.tensor(person.shape[1:]) - 1.0)
            if rng.random() < 0.5:
                there[..., 0] = last[0] - there[..., 0]
            bend = smooth_noise(rng, brain.shape, 5, 3).movedim(0, -1)
            there = there + rng.uniform(0, 6 / KEPT) * bend
            field = shimmed(sample(other[3:4], there)[0].numpy(), brain)
            total += rng.uniform(0.3, 1) * _unit(field, brain)
        return total


def _displacement(dipole, brain, spacing: float, peak_mm, rng: np.random.Generator) -> np.ndarray:
    """Displacement (mm) along the first axis that air and bone make, and what is added to it.

    No shim and no centre frequency is perfect: what they leave is smooth and may be half as large.
    """
    shape = dipole.shape
    total = _unit(shimmed(dipole, brain, int(rng.integers(1, 3))), brain)
    if rng.random() < 0.3:
        rough = smooth_noise(rng, shape, int(rng.integers(4, 9)))[0].numpy()
        total = total + rng.uniform(0.05, 0.3) * _unit(rough, brain)
    total = total * (rng.uniform(*peak_mm) if rng.random() > 0.06 else rng.uniform(0, 1))
    total *= -1 if rng.random() < 0.03 else 1
    total = ndimage.gaussian_filter(total, _FIELD_BLUR / spacing)
    size = 0.2 + float(total[brain].std())
    smooth = smooth_noise(rng, shape, int(rng.integers(2, 4)))[0].numpy()
    left = size * (rng.normal(*_OFFSET) + rng.uniform(0, 0.5) * smooth)
    return (total + left).clip(-24, 24).astype(np.float32)


def _unit(field: np.ndarray, brain: np.ndarray) -> np.ndarray:
    """Field whose peak in the brain, the 99th percentile, is one."""
    return field / max(float(np.percentile(np.abs(field[brain]), 99)), 1e-6)


def _record(
    b0,
    fa,
    csf,
    mm,
    spacing: float,
    seen,
    noise: tuple[float, float],
    gamma: float,
    rng: np.random.Generator,
    grain: np.random.Generator,
) -> tuple[dict[str, np.ndarray], float]:
    """Distorted b=0 image, its brain mask, and FA, with shading that is left; noise of b=0.

    `rng` draws how the scanner is set, `grain` the noise.
    """
    shape = b0.shape
    # long readouts blur along the phase encoding; fluid has a long T1, and pulsates
    blur = spacing * np.array([rng.uniform(0.3, 0.9), *rng.uniform(0.3, 0.6, 2)])
    b0 = curved(b0 * (1 - rng.uniform(0, 0.6) * csf), gamma, rng)
    # nobody's FA is the pattern that a generator knows
    scale = int(rng.integers(12, 28))
    fa = fa * torch.exp(rng.uniform(0.1, 0.45) * smooth_noise(rng, shape, scale)[0]).numpy()
    fa = curved(fa * rng.uniform(0.9, 1.3), gamma, rng)
    # diffusion weighting leaves little of the fluid: its share of a voxel hardly counts in FA
    weight = np.where(b0 > 0.3, 0.05 + 0.95 * (1 - csf), 0.02)
    stack = np.stack([b0, fa * weight, weight, csf], axis=-1).astype(np.float32)
    stack = ndimage.gaussian_filter(stack, (*blur / spacing, 0))
    b0, fa, weight, csf = np.moveaxis(distort(stack, mm / spacing, "i", _ONE_SECOND), -1, 0)
    mask = b0_mask(b0, np.diag([spacing, spacing, spacing, 1.0])) & seen
    level = rng.uniform(*noise)
    b0 = b0 * receive_shading(shape, rng)
    b0 = rician_noise(b0, float(b0[mask].mean()) * level, grain)
    fa = fa / np.maximum(weight, 0.02) + rng.uniform(0, 0.25) * csf
    fa = np.abs(fa + rng.uniform(0.01, 0.06) * grain.standard_normal(shape, np.float32))
    return {"b0": b0, "b0_mask": mask, "fa": fa.clip(0, 1)}, level


def _guides(
    maps: Tensor, at: Tensor, spacing: float, gamma: float, rng: np.random.Generator
) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """T2-like image, synthetic FA and brain, with their own faults; true FA with them."""
    shape = tuple(at.shape[:3])
    at = at + rng.uniform(0, 0.5 / KEPT) * smooth_noise(rng, shape, 16, 3).movedim(0, -1)
    brain, t2, fa, true_fa = sample(maps, at).numpy()
    # the generator's own mistakes of place and value
    along = int(rng.integers(3))
    fa = ndimage.shift(fa, np.eye(3)[along] * rng.normal(0, 0.3 / spacing), order=1)
    fa = fa * (1 + rng.uniform(0, 0.3) * smooth_noise(rng, shape, 20)[0].numpy())
    t2, fa = (ndimage.gaussian_filter(image, rng.uniform(0.3, 0.6)) for image in (t2, fa))
    t2, fa = curved(t2, gamma, rng), curved(fa, gamma, rng)
    t2 = t2 + rng.uniform(0, 0.04) * rng.standard_normal(shape, np.float32)
    guides = {"t2": t2, "synth_fa": fa.clip(0, 1), "brain": brain > rng.uniform(0.35, 0.65)}
    return guides, true_fa
