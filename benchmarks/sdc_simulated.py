"""Accuracy of the distortion correction, and of its no-harm gate, on simulated people.

    python benchmarks/sdc_simulated.py --people 10 --out sdc.tsv

Every person is the MNI152 anatomy (T1w, grey and white matter from nilearn) under a seeded smooth
deformation, with FA of a template (``templates/MNI_FA.nii.gz`` in the test data) plus individual
detail. With ``--real-t1w`` the T1w of the people in ``ds002748`` (test data) are used instead, to
which the template is registered first. The diffusion scan has its own head position, field, phase
encoding, b-value and noise. The guide FA is what a generator would give: blurred, misplaced by
fractions of a millimetre and wrong in value (*good*, *poor*), or it is useless (*other person*,
*misplaced*, *wrong axis*): those the gate should refuse. A correction is *harmful* if the mean
error of the displacement exceeds the mean displacement.
"""

from __future__ import annotations

import argparse
import os
import time
from pathlib import Path

import nibabel as nib
import numpy as np
from scipy import ndimage

from bids_gan.diffusion.gradients import from_world
from bids_gan.diffusion.mask import b0_mask
from bids_gan.diffusion.rigid import rigid_matrix, rigid_parameters
from bids_gan.diffusion.tensor import fit_tensor
from bids_gan.distortion.correct import RunImages, estimate_correction
from bids_gan.distortion.units import hz_to_voxels
from bids_gan.geometry import box_grid, pe_axis_sign, resample, voxel_sizes
from bids_gan.models.registry import find_card, load_model
from bids_gan.simulate.epi import random_directions, simulate_dwi, susceptibility_field

READOUT = 0.05
CONDITIONS = ("good", "poor", "other person", "misplaced", "wrong axis")


def test_data() -> Path:
    return Path(os.environ.get("BIDS_GAN_TEST_DATA", "../shared/data"))


def smooth_noise(shape, sigma, rng, channels=None):
    """Gaussian random field of unit variance; with channels along the last axis if asked."""
    if channels:
        return np.stack([smooth_noise(shape, sigma, rng) for _ in range(channels)], -1)
    noise = ndimage.gaussian_filter(rng.standard_normal(shape), sigma, mode="wrap")
    return ((noise - noise.mean()) / noise.std()).astype(np.float32)


def warp(image, displacement, order=1):
    where = np.moveaxis(np.indices(image.shape), 0, -1) + displacement
    return ndimage.map_coordinates(
        image, np.moveaxis(where, -1, 0), order=order, mode="nearest", output=np.float32
    )


def mni(spacing=1.5):
    """T1w, grey, white matter and FA of the template on one grid."""
    import nilearn

    folder = Path(nilearn.__file__).parent / "datasets" / "data"
    img = {
        key: nib.load(folder / f"mni_icbm152_{key}_tal_nlin_sym_09a_converted.nii.gz")
        for key in ("t1", "gm", "wm")
    }
    img["fa"] = nib.load(test_data() / "templates" / "MNI_FA.nii.gz")
    tissue = img["gm"].get_fdata() + img["wm"].get_fdata() > 0.3 * 255
    shape, affine = box_grid(tissue, img["gm"].affine, spacing, 24)
    maps = {k: resample(i.get_fdata(), i.affine, shape, affine) for k, i in img.items()}
    for key in ("t1", "gm", "wm"):
        maps[key] /= 255
    return maps, affine


def simulated_person(maps, affine, seed):
    rng = np.random.default_rng(seed)
    move = smooth_noise(maps["t1"].shape, 14, rng, 3) * 2.5
    person = {key: warp(image, move) for key, image in maps.items()}
    person["affine"] = affine
    return person


def real_person(maps, affine, t1w_path):
    """Template tissue and FA registered to a real, skull-stripped T1w."""
    import ants

    t1w = nib.load(t1w_path)
    data = t1w.get_fdata(dtype=np.float32)
    shape, grid = box_grid(data > 0, t1w.affine, 1.5, 24)
    data = resample(data, t1w.affine, shape, grid)
    brain = ndimage.binary_fill_holes(data > 0.05 * np.percentile(data, 99))
    fixed = ants.from_nibabel_nifti(nib.Nifti1Image(data * brain, grid))
    template_brain = ndimage.binary_closing(maps["gm"] + maps["wm"] > 0.3, iterations=3)
    template = nib.Nifti1Image(maps["t1"] * template_brain, affine)
    found = ants.registration(
        fixed, ants.from_nibabel_nifti(template), "SyN", reg_iterations=(40, 20, 10)
    )
    person = {"t1": data / np.percentile(data[brain], 99), "affine": grid}
    for key in ("gm", "wm", "fa"):
        moving = ants.from_nibabel_nifti(nib.Nifti1Image(maps[key], affine))
        person[key] = ants.apply_transforms(fixed, moving, found["fwdtransforms"]).numpy()
    return person


def complete(person, rng):
    """Brain mask, tissue labels and the truth that the diffusion scan sees."""
    tissue = person["gm"] + person["wm"]
    brain = ndimage.binary_fill_holes(ndimage.binary_closing(tissue > 0.3, iterations=3))
    csf = np.where(brain, 1 - np.minimum(tissue, 1), 0)
    labels = np.where(brain, 1 + np.argmax([csf, person["gm"], person["wm"]], axis=0), 0)
    detail = 1 + 0.25 * smooth_noise(brain.shape, 1.5, rng)
    values = rng.normal([1.9, 0.8, 0.6], [0.15, 0.05, 0.05])
    s0 = values[0] * csf + values[1] * person["gm"] + values[2] * person["wm"]
    s0 = s0 * (1 + 0.06 * smooth_noise(brain.shape, 2, rng))
    scalp = 0.25 * (person["t1"] > 0.15) * ~brain
    person |= {
        "mask": brain,
        "labels": labels,
        "true_fa": np.where(brain, (person["fa"] * detail).clip(0, 0.95), 0),
        "s0": 1000 * np.where(brain, s0, scalp).clip(min=0),
        "md": np.where(brain, 3e-3 * csf + 0.8e-3 * (1 - csf), 1e-3),
    }
    slope = np.stack(np.gradient(ndimage.gaussian_filter(person["fa"], 1)), -1)
    person["direction"] = np.cross(slope, [0.3, 0.5, 0.8]) + 1e-6
    return person


def scan(person, number, rng):
    """Diffusion scan of a person with its own position, field, protocol and noise."""
    pe = ("j", "j-", "j", "j-", "i", "j-", "j", "k", "j-", "j")[number % 10]
    spacing = (3.0, 2.5, 3.0)[number % 3]
    shape, affine = box_grid(person["mask"], person["affine"], spacing, 15)
    tilt = rigid_matrix(np.r_[np.deg2rad(rng.normal(0, 8, 3)), 0, 0, 0], np.zeros(3))
    affine = tilt @ affine
    pose = np.r_[np.deg2rad(rng.normal(0, 1.2, 3)), rng.normal(0, 1.5, 3)]
    dwi_to_t1w = rigid_matrix(pose, np.zeros(3))

    def here(image):
        return resample(image, person["affine"], shape, affine, target_to_source=dwi_to_t1w)

    mask = here(person["mask"].astype(np.float32)) > 0.5
    direction = np.stack([here(c) for c in np.moveaxis(person["direction"], -1, 0)], -1)
    gradients = from_world(
        np.r_[np.zeros(2), np.full(20, (1000.0, 2500.0)[number % 2])],
        np.r_[np.zeros((2, 3)), random_directions(20, number)],
        affine,
    )
    hz = susceptibility_field(mask, affine, rng.uniform(4, 12), pe, READOUT, 100 + number)
    shading = 1 + 0.2 * np.tanh(smooth_noise(mask.shape, 45 / spacing, rng))
    data = simulate_dwi(
        here(person["s0"]) * shading, here(person["true_fa"]), direction, here(person["md"]),
        mask, affine, gradients, hz, pe, READOUT, rng.uniform(15, 30), number,
    )  # fmt: skip
    b0 = data[..., :2].mean(-1)
    brain = b0_mask(b0, affine)
    axis, _ = pe_axis_sign(pe)
    return {
        "pe": pe, "affine": affine, "b0": b0, "b0_mask": brain, "mask": mask,
        "fa": fit_tensor(data, affine, gradients, brain).fa, "dwi_to_t1w": dwi_to_t1w,
        "truth_mm": hz_to_voxels(hz, pe, READOUT) * voxel_sizes(affine)[axis],
        "series": data, "gradients": gradients, "hz": hz, "direction": direction,
        "true_fa": here(person["true_fa"]), "white": here(person["wm"]),
    }  # fmt: skip


def guide_fa(person, other, condition, rng):
    """What a generator would deliver."""
    source = other["fa"] if condition == "other person" else person["true_fa"]
    blur, error, mm = {"poor": (1.6, 0.35, 1.2)}.get(condition, (1.0, 0.15, 0.4))
    fa = ndimage.gaussian_filter(source, blur)
    fa = warp(fa, smooth_noise(fa.shape, 6, rng, 3) * mm / 1.5)
    if condition == "misplaced":
        fa = ndimage.shift(fa, [4, 5, -4], order=1)
    fa = fa * (1 + error * smooth_noise(fa.shape, 4, rng))
    return np.where(person["mask"], fa.clip(0, 1), 0).astype(np.float32)


def run(person, other, scanned, condition, rng, network):
    def image(data):
        return nib.Nifti1Image(np.asarray(data, np.float32), person["affine"])

    wrong = {"j": "i", "i": "j", "k": "i"}
    pe = wrong[scanned["pe"][0]] if condition == "wrong axis" else scanned["pe"]
    t1w = person["t1"]
    if condition == "other person":
        t1w = other["t1"]
    started = time.process_time()
    images = RunImages(
        t1w=image(t1w), brain_mask=image(person["mask"]), tissue=image(person["labels"]),
        synth_fa=image(guide_fa(person, other, condition, rng)),
        b0=nib.Nifti1Image(scanned["b0"], scanned["affine"]), b0_mask=scanned["b0_mask"],
        fa=scanned["fa"],
    )  # fmt: skip
    found = estimate_correction(images, pe, READOUT, network)
    inside, truth = scanned["mask"], scanned["truth_mm"]
    if condition == "wrong axis":  # the true displacement is left, and a false one added
        error = np.hypot(found.estimate.displacement_mm, truth)[inside]
    else:
        error = np.abs(found.estimate.displacement_mm - truth)[inside]
    size = np.abs(truth)[inside]
    strong = size > 3
    change = found.estimate.dwi_to_t1w @ np.linalg.inv(scanned["dwi_to_t1w"])
    row = {
        "condition": condition, "pe": pe,
        "before_median": np.median(size), "before_p95": np.percentile(size, 95),
        "after_median": np.median(error), "after_p95": np.percentile(error, 95),
        "removed": 100 * (1 - error.mean() / size.mean()),
        "removed_strong": 100 * (1 - error[strong].mean() / size[strong].mean())
        if strong.any() else np.nan,
        "rotation_error": rotation_degrees(change),
        "error_rms": np.sqrt(np.mean(error**2)),
        "seconds": time.process_time() - started,
    }  # fmt: skip
    return row | {k: v for k, v in found.quality.items() if k != "reasons"}


def rotation_degrees(matrix):
    return float(np.rad2deg(np.linalg.norm(rigid_parameters(matrix, np.zeros(3))[:3])))


def summarise(rows):
    columns = (
        "before_median", "before_p95", "after_median", "after_p95", "removed", "removed_strong",
        "error_rms", "expected_error_mm", "seconds",
    )  # fmt: skip
    print("\ncondition      people " + " ".join(c.rjust(18) for c in columns), end="")
    print("  accepted harmful false-accept false-refuse")
    for condition in dict.fromkeys(r["condition"] for r in rows):
        group = [r for r in rows if r["condition"] == condition]
        harmful = np.array([r["removed"] < 0 for r in group])
        accepted = np.array([r["accepted"] for r in group])
        means = [np.nanmean([r[c] for r in group]) for c in columns]
        print(
            f"{condition:14} {len(group):6} " + " ".join(f"{m:18.2f}" for m in means),
            f"{accepted.sum():9} {harmful.sum():7} {(accepted & harmful).sum():12} "
            f"{(~accepted & ~harmful).sum():12}",
        )


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--people", type=int, default=10)
    parser.add_argument("--real-t1w", action="store_true", help="ds002748 instead of MNI")
    parser.add_argument("--conditions", nargs="+", default=CONDITIONS, choices=CONDITIONS)
    parser.add_argument("--out", type=Path, help="table of every run (TSV)")
    args = parser.parse_args()
    network = load_model(find_card("distortion")).network

    maps, affine = mni()
    real = sorted((test_data() / "ds002748").glob("sub-*/anat/*T1w.nii.gz"))
    other = simulated_person(maps, affine, 999)
    rows = []
    for number in range(args.people):
        rng = np.random.default_rng(number)
        if args.real_t1w:
            person = real_person(maps, affine, real[number])
            other_here = {
                k: resample(other[k], affine, person["t1"].shape, person["affine"])
                for k in ("t1", "fa")
            }
        else:
            person, other_here = simulated_person(maps, affine, number), other
        person = complete(person, rng)
        scanned = scan(person, number, rng)
        for condition in args.conditions:
            row = run(person, other_here, scanned, condition, rng, network)
            rows.append({"person": number} | row)
            print(f"{number} {condition:13} {row['pe']:3} removed {row['removed']:4.0f} % "
                  f"median {row['before_median']:.2f} -> {row['after_median']:.2f} mm, accepted "
                  f"{row['accepted']}, b0 {row['held_out_b0_gain']:+.3f} "
                  f"fa {row['held_out_fa_gain']:+.3f}, p99 {row['displacement_p99_mm']:.1f} mm, "
                  f"rotation error {row['rotation_error']:.1f}°, error {row['error_rms']:.2f} mm "
                  f"rms ({row['expected_error_mm']:.2f} expected), {row['seconds']:.0f} s",
                  flush=True)  # fmt: skip
    summarise(rows)
    if args.out:
        keys = list(rows[0])
        lines = ["\t".join(keys)] + ["\t".join(str(r[k]) for k in keys) for r in rows]
        args.out.write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
