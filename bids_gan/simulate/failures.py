"""What goes wrong before a field is estimated: an estimator has to see it to be unsure then.

Images that are missing or drowned in noise, guides of another person, of another place, bent, and
a phase encoding along another axis than the sidecar says.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
from scipy import ndimage
from scipy.spatial.transform import Rotation

from bids_gan.simulate.artefacts import rician_noise

if TYPE_CHECKING:
    from bids_gan.simulate.blip import BlipRun

#: standard deviation of a bend along each axis, mm, and its smoothness
BEND_MM = (2.0, 5.0)
BEND_BLUR_MM = 20.0
#: of a failed alignment, along (mm) and about (degrees) each axis
THROW = 5.0
#: noise of a useless b=0 image, share of its mean in the brain, and of a useless FA
NOISE = (0.3, 1.0)
NOISE_FA = (0.1, 0.5)


def spoilt(run: BlipRun, rng: np.random.Generator, another: Callable[[], BlipRun]) -> BlipRun:
    """The run as it is for the most part; in a third of all cases something fails.

    Parameters
    ----------
    run : BlipRun
    rng : Generator
    another : callable
        Gives a run of another person on the same grid.
    """
    kinds = (
        (0.07, lambda: without(run, "fa", "synth_fa")),
        (0.05, lambda: without(run, "b0", "t2")),
        (0.04, lambda: misplaced(run, ("synth_fa",), rng)),
        (0.02, lambda: misplaced(run, tuple(run.guides), rng)),
        (0.03, lambda: with_guides_of(run, another())),
        (0.04, lambda: warped(run, bend(run, rng))),
        (0.04, lambda: warped(run, throw(run, rng))),
        (0.03, lambda: noisy(run, rng)),
    )
    chance = rng.random()
    for share, kind in kinds:
        chance -= share
        if chance < 0:
            return kind()
    return run


def without(run: BlipRun, image: str, guide: str) -> BlipRun:
    """Run without an image and its guide."""
    recorded = run.recorded | {image: 0 * run.recorded[image]}
    return replace(run, recorded=recorded, guides=run.guides | {guide: 0 * run.guides[guide]})


def misplaced(run: BlipRun, names: tuple[str, ...], rng: np.random.Generator) -> BlipRun:
    """Run with guides up to four voxels from their place; the brain's counts as misalignment."""
    shift = rng.integers(-4, 5, 3)
    guides = run.guides | {name: np.roll(run.guides[name], shift, (0, 1, 2)) for name in names}
    apart = run.misalignment
    if "brain" in names:
        apart = apart + (shift * run.lengths).reshape(3, 1, 1, 1)
    return replace(run, guides=guides, misalignment=apart)


def with_guides_of(run: BlipRun, other: BlipRun) -> BlipRun:
    """Run with the T1w of another person."""
    turned = np.sign(run.directions[:, 0] @ other.directions[:, 0]) < 0
    guides = {k: image[::-1] if turned else image for k, image in other.guides.items()}
    return replace(run, guides=guides)


def bend(run: BlipRun, rng: np.random.Generator) -> np.ndarray:
    """Smooth displacement (3, I, J, K) in mm: a failed brain extraction or warp."""
    brain, blur = run.guides["brain"], BEND_BLUR_MM / run.lengths
    noise = [ndimage.gaussian_filter(rng.standard_normal(brain.shape), blur) for _ in range(3)]
    return rng.uniform(*BEND_MM) * np.stack([n / n[brain].std() for n in noise])


def throw(run: BlipRun, rng: np.random.Generator) -> np.ndarray:
    """Displacement (3, I, J, K) in mm of a rigid move of several millimetres and degrees."""
    grid = np.indices(run.mm.shape).astype(float) * run.lengths.reshape(3, 1, 1, 1)
    grid -= grid.mean(axis=(1, 2, 3), keepdims=True)
    turn = Rotation.from_euler("xyz", rng.normal(0, THROW, 3), degrees=True).as_matrix()
    move = np.einsum("ab,b...->a...", turn - np.eye(3), grid)
    return move + rng.normal(0, THROW, 3).reshape(3, 1, 1, 1)


def warped(run: BlipRun, mm: np.ndarray) -> BlipRun:
    """Run whose guides show at each place what they showed `mm` (3, I, J, K) from it."""
    scale = run.lengths.reshape(3, 1, 1, 1)
    index = np.indices(run.mm.shape)

    def at(image, where):
        return ndimage.map_coordinates(image.astype(np.float32), where, order=1, mode="nearest")

    guides = {name: at(image, index + mm / scale) for name, image in run.guides.items()}
    guides["brain"] = guides["brain"] > 0.5
    apart = run.misalignment
    for _ in range(4):  # where the warped guides show a place: y + mm(y) = x + misalignment
        there = index + apart / scale
        apart = run.misalignment - np.stack([at(part, there) for part in mm])
    return replace(run, guides=guides, misalignment=apart.astype(np.float32))


def noisy(run: BlipRun, rng: np.random.Generator) -> BlipRun:
    """Run with a signal-to-noise ratio of one to three in b=0, and FA that is noise."""
    b0, mask, fa = (run.recorded[name] for name in ("b0", "b0_mask", "fa"))
    b0 = rician_noise(b0, float(b0[mask].mean()) * rng.uniform(*NOISE), rng)
    fa = np.abs(fa + rng.uniform(*NOISE_FA) * rng.standard_normal(fa.shape, np.float32)).clip(0, 1)
    return replace(run, recorded=run.recorded | {"b0": b0, "fa": fa})


def encoded_along(run: BlipRun, axis: int, rng: np.random.Generator) -> BlipRun:
    """Run that is said to be encoded along its second (1) or third (2) array axis.

    What moved it along its true axis is misalignment now. Along the other one nothing moved; but
    a truth of zero would teach an estimator to be sure of it, on images that it cannot explain.
    So the truth is the field with either sign, which nothing in the images tells: to be learnt is
    to expect nothing, and to be as unsure as fields are large.
    """
    world = np.abs(run.directions).argmax(axis=0)
    order = [axis, *sorted({0, 1, 2} - {axis}, key=lambda a: world[a])]
    # the network sees the others run to the right, front or top
    signs = np.where(np.arange(3) > 0, np.sign(run.directions.sum(axis=0))[order], 1)
    flips = tuple(slice(None, None, int(sign)) for sign in signs)

    def turned(image):
        return np.ascontiguousarray(image.transpose(order)[flips])

    # the scan shows a place at +mm, so that place's content lies at -mm from there in the guides
    apart = run.misalignment.copy()
    apart[0] -= run.mm
    apart = np.stack([turned(part) for part in apart[order]]) * signs.reshape(3, 1, 1, 1)
    return replace(
        run,
        recorded={name: turned(image) for name, image in run.recorded.items()},
        guides={name: turned(image) for name, image in run.guides.items()},
        mm=rng.choice([-1, 1]) * turned(run.mm), brain=turned(run.brain), fa=turned(run.fa),
        directions=run.directions[:, order] * signs, misalignment=apart.astype(np.float32),
    )  # fmt: skip
