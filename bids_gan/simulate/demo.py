"""A small BIDS dataset with a known truth: one simulated person, T1w and one-blip diffusion EPI.

The truth lies beside the data in ``derivatives/truth``. All files are the same, byte for byte, for
the same seed.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import nibabel as nib
import numpy as np
from scipy import ndimage
from scipy.spatial.transform import Rotation

from bids_gan.diffusion.gradients import Gradients, format_bvals, format_bvecs, from_world
from bids_gan.diffusion.rigid import rigid_matrix
from bids_gan.geometry import pe_axis_sign, resample
from bids_gan.simulate.epi import random_directions, simulate_dwi, susceptibility_field
from bids_gan.simulate.files import write_image, write_json, write_text
from bids_gan.simulate.person import Person, simulate_person

DATASET_NAME = "bids-gan demo"
READOUT_TIME = 0.05
VOXEL = 2.5
B_VALUE = 1000
N_DIRECTIONS = 15
SNR = 25.0

README = """\
# A simulated person with a known truth

Made by `bids-gan-demo`: no image here was measured. The anatomy is the MNI152 template, warped at
random; the diffusion series is computed from it, distorted along the phase-encoding direction by
a known field map, and given Rician noise. There is no skull, no head motion between volumes and
no eddy current: easier than a real scan in these respects.

`derivatives/truth` holds what a correction should find.
"""

TRUTH_README = """\
# Truth of the simulated person

On the grid of the diffusion series, without distortion and noise: field map (Hz), signal without
diffusion weighting, FA, brain mask. `*_xfm.json` holds the head movement between the two scans.
"""


@dataclass(frozen=True)
class DiffusionScan:
    """What the diffusion scan of a person sees, before distortion and noise.

    Attributes
    ----------
    affine : (4, 4) array
        Voxel to world of the scan, mm: voxel axes run left, anterior, superior, tilted.
    dwi_to_t1w : (4, 4) array
        Pull matrix: world of the diffusion scan to world of the T1w.
    s0, fa, md : (I, J, K) float32 array
        As in `Person`.
    direction : (I, J, K, 3) float32 array
        Principal fibre direction, unit vector in world axes, defined everywhere.
    mask : (I, J, K) bool array
        True brain.
    """

    affine: np.ndarray
    dwi_to_t1w: np.ndarray
    s0: np.ndarray
    fa: np.ndarray
    md: np.ndarray
    direction: np.ndarray
    mask: np.ndarray


def write_demo(
    folder: Path,
    seed: int = 0,
    pe_direction: str = "j-",
    *,
    peak_mm: float = 12.0,
    snr: float = SNR,
    t1w_spacing: float = 1.0,
) -> Path:
    """Write the demo dataset.

    Parameters
    ----------
    folder : Path
        Root of the dataset; made when absent.
    seed : int
        Decides anatomy, head position, field and noise.
    pe_direction : {'i', 'i-', 'j', 'j-', 'k', 'k-'}
        Phase-encoding direction of the diffusion series.
    peak_mm : float
        Largest displacement that the field causes, in mm. The default gives a median of about
        2 mm, as the EPI of a 3 T scanner has.
    snr : float
        Mean signal of the brain without diffusion weighting over the noise's standard deviation.
    t1w_spacing : float
        Voxel size of the T1w in mm.

    Returns
    -------
    Path
        `folder`.
    """
    folder = Path(folder)
    person = simulate_person(seed, t1w_spacing)
    scan = scan_diffusion(person, seed)
    gradients = _gradients(scan.affine)
    field = susceptibility_field(
        mask=scan.mask,
        affine=scan.affine,
        peak_mm=peak_mm,
        pe_direction=pe_direction,
        readout_time=READOUT_TIME,
        seed=seed,
    )
    series = simulate_dwi(
        s0=scan.s0,
        fa=scan.fa,
        direction=scan.direction,
        md=scan.md,
        mask=scan.mask,
        affine=scan.affine,
        gradients=gradients,
        field_hz=field,
        pe_direction=pe_direction,
        readout_time=READOUT_TIME,
        snr=snr,
        seed=seed,
    )
    label = direction_label(scan.affine, pe_direction)
    _write_raw(folder, person, scan, series, gradients, pe_direction, label)
    _write_truth(folder / "derivatives" / "truth", person, scan, field, label)
    return folder


def direction_label(affine: np.ndarray, pe_direction: str) -> str:
    """Letters of the ``dir`` entity, from where to where the phase is encoded: ``AP``, ``RL``…"""
    axis, sign = pe_axis_sign(pe_direction)
    ends = {"R": "LR", "L": "RL", "A": "PA", "P": "AP", "S": "IS", "I": "SI"}
    label = ends[nib.aff2axcodes(affine)[axis]]
    return label if sign > 0 else label[::-1]


def scan_diffusion(person: Person, seed: int) -> DiffusionScan:
    """Put the person into the diffusion scan: moved head, tilted slices, larger voxels.

    Parameters
    ----------
    person : Person
    seed : int

    Returns
    -------
    DiffusionScan
    """
    rng = np.random.default_rng([seed, 1])
    centre = nib.affines.apply_affine(person.affine, np.array(person.mask.shape) / 2)
    movement = np.r_[np.deg2rad(rng.uniform(-2.5, 2.5, 3)), rng.uniform(-4, 4, 3)]
    dwi_to_t1w = rigid_matrix(movement, centre)
    tilt = Rotation.from_euler("xy", (rng.uniform(5, 10), rng.uniform(-2, 2)), degrees=True)
    shape, affine = _slab(person, np.linalg.inv(dwi_to_t1w), tilt.as_matrix())

    def to_scan(data, order=1):
        return resample(
            data, person.affine, shape, affine, target_to_source=dwi_to_t1w, order=order
        )

    direction = np.stack([to_scan(d, order=0) for d in np.moveaxis(person.direction, -1, 0)], -1)
    # grey matter has a little anisotropy too: it takes the direction of the nearest white matter
    nearest = ndimage.distance_transform_edt(
        ~direction.any(axis=-1), return_distances=False, return_indices=True
    )
    direction = direction[tuple(nearest)] @ dwi_to_t1w[:3, :3].astype(np.float32)
    return DiffusionScan(
        affine=affine,
        dwi_to_t1w=dwi_to_t1w,
        s0=to_scan(person.s0),
        fa=to_scan(person.fa),
        md=to_scan(person.md),
        direction=direction,
        mask=to_scan(person.mask) > 0.5,
    )


def _slab(person: Person, t1w_to_dwi: np.ndarray, tilt: np.ndarray):
    """Grid of the scan: axes left, anterior, superior, tilted; even numbers of voxels."""
    brain = nib.affines.apply_affine(t1w_to_dwi @ person.affine, np.argwhere(person.mask)[::10])
    axes = tilt @ np.diag([-1.0, 1.0, 1.0])
    along = brain @ axes
    margin = np.array([18, 18, 6])
    start, stop = along.min(axis=0) - margin, along.max(axis=0) + margin
    shape = 2 * np.ceil((stop - start) / (2 * VOXEL)).astype(int)
    affine = np.eye(4)
    affine[:3, :3] = axes * VOXEL
    affine[:3, 3] = axes @ ((start + stop) / 2 - VOXEL * (shape - 1) / 2)
    return tuple(int(n) for n in shape), affine


def _gradients(affine: np.ndarray) -> Gradients:
    """Two volumes without weighting, then directions spread over the half sphere."""
    bvals = np.r_[0.0, 0.0, np.full(N_DIRECTIONS, float(B_VALUE))]
    return from_world(
        bvals, np.vstack([np.zeros((2, 3)), random_directions(N_DIRECTIONS)]), affine
    )


def _write_raw(folder, person, scan, series, gradients, pe_direction, label) -> None:
    write_json(
        folder / "dataset_description.json",
        {
            "Name": DATASET_NAME,
            "BIDSVersion": "1.10.0",
            "DatasetType": "raw",
            "License": "CC0",
            "Authors": ["The bids-gan developers"],
        },
    )
    write_text(folder / "README.md", README)
    anat = folder / "sub-01" / "anat" / "sub-01_T1w"
    write_image(anat, np.round(person.t1w).astype(np.int16), person.affine)
    write_json(anat, {"MagneticFieldStrength": 3, "Manufacturer": "simulated"})
    dwi = folder / "sub-01" / "dwi" / f"sub-01_dir-{label}_dwi"
    write_image(dwi, np.round(series).astype(np.int16), scan.affine)
    axis, _ = pe_axis_sign(pe_direction)
    write_json(
        dwi,
        {
            "MagneticFieldStrength": 3,
            "Manufacturer": "simulated",
            "EchoTime": 0.08,
            "RepetitionTime": 8.0,
            "PhaseEncodingDirection": pe_direction,
            "TotalReadoutTime": READOUT_TIME,
            "EffectiveEchoSpacing": round(READOUT_TIME / (scan.mask.shape[axis] - 1), 9),
        },
    )
    write_text(dwi.with_suffix(".bval"), format_bvals(gradients))
    write_text(dwi.with_suffix(".bvec"), format_bvecs(gradients))


def _write_truth(folder, person, scan, field, label) -> None:
    write_json(
        folder / "dataset_description.json",
        {
            "Name": f"{DATASET_NAME}: truth",
            "BIDSVersion": "1.10.0",
            "DatasetType": "derivative",
            "License": "CC0",
            "Authors": ["The bids-gan developers"],
            "GeneratedBy": [{"Name": "bids-gan-demo"}],
        },
    )
    write_text(folder / "README.md", TRUTH_README)
    write_text(folder / ".bidsignore", "*_xfm.*\n")
    dwi, fmap = folder / "sub-01" / "dwi", folder / "sub-01" / "fmap"
    run = f"sub-01_dir-{label}"
    stripped = {"SkullStripped": True}
    mask = scan.mask
    for path, data, affine, sidecar in (
        (fmap / f"sub-01_acq-truth{label}_fieldmap", field, scan.affine, {"Units": "Hz"}),
        (fmap / f"sub-01_acq-truth{label}_magnitude", scan.s0, scan.affine, {}),
        (dwi / f"{run}_desc-truth_S0map", scan.s0, scan.affine, {}),
        (dwi / f"{run}_desc-truth_FA", scan.fa, scan.affine, {}),
        (
            dwi / "sub-01_space-T1w_desc-truth_FA",
            person.fa,
            person.affine,
            {"SpatialReference": "bids:raw:sub-01/anat/sub-01_T1w.nii.gz"},
        ),
    ):
        write_image(path, data.astype(np.float32), affine)
        write_json(path, stripped | sidecar)
    write_image(dwi / f"{run}_desc-brain_mask", mask.astype(np.uint8), scan.affine)
    write_json(dwi / f"{run}_desc-brain_mask", {"Type": "Brain"})
    write_json(
        dwi / f"{run}_from-dwi_to-T1w_mode-image_xfm",
        {
            "Description": "From world of the diffusion series to world of the T1w (RAS+ mm)",
            "Matrix": scan.dwi_to_t1w.round(9).tolist(),
        },
    )
