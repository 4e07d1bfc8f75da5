"""The scans of one simulated person and the truth behind them, written as BIDS."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from bids_gan.distortion.forward import distort
from bids_gan.geometry import box_grid, pe_axis_sign, resample
from bids_gan.simulate.artefacts import Volume, randomise, rician_noise
from bids_gan.simulate.demo import direction_label
from bids_gan.simulate.epi import susceptibility_field
from bids_gan.simulate.files import write_image, write_json
from bids_gan.simulate.head import Head
from bids_gan.simulate.people import (
    SimulatedPerson,
    new_person,
    simulate_ct,
    simulate_fa,
    simulate_mr,
    simulate_pet,
    tissue_maps,
)
from bids_gan.simulate.physics import (
    FIELD_STRENGTHS,
    Pulses,
    Relaxation,
    jitter_relaxation,
    random_pulses,
    relaxation,
)

ANATOMICAL = ("T1w", "T2w", "PDw", "FLAIR")
CONTRASTS = (*ANATOMICAL, "b0", "FDG", "CT", "FA")
_PET_VOXEL = 2.0
_CEREBELLUM_BQ_PER_ML = 15000.0


@dataclass(frozen=True)
class Request:
    """What to simulate; the same request gives the same files.

    Attributes
    ----------
    seed : int
    contrasts : tuple of str
        From `CONTRASTS`, in that order.
    spacing : float
        Voxel size of the anatomy in mm.
    artefacts : float
        0 for clean images to 1, see :func:`bids_gan.simulate.artefacts.randomise`.
    """

    seed: int
    contrasts: tuple[str, ...]
    spacing: float
    artefacts: float

    def generator(self, person: int, stage: str) -> np.random.Generator:
        """Random numbers of one stage: what else is simulated does not change them."""
        stages = ("anatomy", "tissue", *CONTRASTS)
        return np.random.default_rng([self.seed, person, stages.index(stage)])


def scanner(request: Request, person: int) -> tuple[float, Relaxation]:
    """Field strength (T) of the scanner that sees a person, and the person's tissue there."""
    rng = request.generator(person, "tissue")
    strength = FIELD_STRENGTHS[rng.integers(len(FIELD_STRENGTHS))]
    return strength, jitter_relaxation(relaxation(strength), rng)


def write_person(raw: Path, truth: Path, head: Head, request: Request, person: int) -> None:
    """Simulate a person and write the scans and the truth.

    Parameters
    ----------
    raw, truth : Path
        Folders of this person, named ``sub-<label>``.
    head : Head
    request : Request
    person : int
        Number of the person, which together with the seed decides everything.
    """
    label = raw.name
    anatomy = new_person(head, request.generator(person, "anatomy"), request.spacing)
    strength, tissue = scanner(request, person)
    raw.mkdir(parents=True)
    for kind in request.contrasts:
        rng = request.generator(person, kind)
        if kind in ANATOMICAL:
            pulses = random_pulses(rng, kind, strength)
            clean = simulate_mr(anatomy, pulses, tissue, rng)
            image = randomise(clean, anatomy.affine, anatomy.brain, rng, request.artefacts)
            _write_mr(raw / "anat" / f"{label}_{kind}", image, pulses, strength)
        elif kind == "b0":
            _write_epi(raw / "fmap", truth / "fmap", label, anatomy, tissue, strength, rng)
        elif kind == "FDG":
            _write_pet(raw / "pet" / f"{label}_trc-FDG_pet", anatomy, rng)
        elif kind == "CT":
            stem = truth / "ct" / f"{label}_ct"
            write_image(stem, _int16(simulate_ct(anatomy, rng)), anatomy.affine)
            write_json(stem, {"Units": "HU"} | _SIMULATED)
    _write_anatomy(truth, label, anatomy, with_fa="FA" in request.contrasts)


_SIMULATED = {"Simulated": True, "Manufacturer": "simulated"}


def mr_sidecar(pulses: Pulses, strength: float) -> dict:
    """Sequence parameters under their BIDS names, seconds and degrees."""
    sidecar = _SIMULATED | {
        "MagneticFieldStrength": strength,
        "PulseSequenceType": {
            "SPGR": "Spoiled gradient echo",
            "MPRAGE": "Magnetization-prepared gradient echo",
            "SE": "Spin echo",
            "IR": "Inversion-recovery spin echo",
        }[pulses.sequence],
        "EchoTime": pulses.te,
        "FlipAngle": pulses.flip,
    }
    if pulses.sequence == "MPRAGE":
        sidecar |= {
            "RepetitionTimePreparation": pulses.tr,
            "RepetitionTimeExcitation": pulses.echo_spacing,
            "NumberShots": pulses.n_echoes,
        }
    else:
        sidecar["RepetitionTime"] = pulses.tr
    if pulses.ti is not None:
        sidecar["InversionTime"] = pulses.ti
    return _rounded(sidecar)


def _write_mr(stem: Path, image: Volume, pulses: Pulses, strength: float) -> None:
    write_image(stem, _int16(image.data), image.affine)
    artefacts = {"SimulatedArtefacts": _rounded(image.history)} if image.history else {}
    write_json(stem, mr_sidecar(pulses, strength) | artefacts)


def _write_epi(
    raw: Path,
    truth: Path,
    label: str,
    anatomy: SimulatedPerson,
    tissue: Relaxation,
    strength: float,
    rng: np.random.Generator,
) -> None:
    """Spin-echo EPI with both blips, distorted by a known field; field and image without it."""
    pulses = random_pulses(rng, "b0", strength)
    clean = simulate_mr(anatomy, pulses, tissue, rng, fat_suppression=0.92)
    spacing = max(float(rng.choice([2.0, 2.5])), anatomy.spacing)
    shape, affine = box_grid(anatomy.brain, anatomy.affine, spacing, 16.0, multiple=2)
    b0 = resample(clean, anatomy.affine, shape, affine)
    brain = resample(anatomy.brain, anatomy.affine, shape, affine) > 0.5
    readout = round(float(rng.uniform(0.03, 0.09)), 4)
    peak = float(rng.uniform(3, 15))
    seed = int(rng.integers(2**31))
    hz = susceptibility_field(brain, affine, peak, "j", readout, seed)
    sigma = float(b0[brain].mean() * rng.uniform(0.02, 0.06))
    for direction in ("j-", "j"):
        stem = raw / f"{label}_dir-{direction_label(affine, direction)}_epi"
        image = rician_noise(distort(b0, hz, direction, readout), sigma, rng)
        write_image(stem, _int16(image), affine)
        axis, _ = pe_axis_sign(direction)
        sidecar = mr_sidecar(pulses, strength) | {
            "PulseSequenceType": "Spin echo EPI",
            "PhaseEncodingDirection": direction,
            "TotalReadoutTime": readout,
            "B0FieldIdentifier": "pepolar",
            "EffectiveEchoSpacing": round(readout / (shape[axis] - 1), 9),
        }
        write_json(stem, sidecar)
    stem = truth / f"{label}_acq-truth"
    for suffix, data, sidecar in (
        ("fieldmap", hz, {"Units": "Hz"}),
        ("magnitude", b0, {"Description": "Spin echo EPI without distortion and noise"}),
    ):
        path = stem.with_name(f"{stem.name}_{suffix}")
        write_image(path, data, affine)
        write_json(path, sidecar | {"SkullStripped": False, "Simulated": True})


def _write_pet(stem: Path, anatomy: SimulatedPerson, rng: np.random.Generator) -> None:
    fwhm, counts = round(float(rng.uniform(4, 7)), 2), round(float(rng.uniform(4e3, 2e4)))
    fine = simulate_pet(anatomy, rng, fwhm, counts)
    step = max(_PET_VOXEL, anatomy.spacing) / anatomy.spacing
    shape = tuple(int((n - 1) // step) + 1 for n in fine.shape)
    affine = anatomy.affine @ np.diag([step, step, step, 1.0])
    # the image has the scanner's resolution already
    uptake = resample(fine, anatomy.affine, shape, affine, antialias=False)
    write_image(stem, _int16(_CEREBELLUM_BQ_PER_ML * uptake), affine)
    write_json(stem, pet_sidecar(fwhm, counts))


def pet_sidecar(fwhm: float, counts: float) -> dict:
    """Fields that BIDS requires of a PET image, for a static scan of 20 minutes after 40."""
    return _SIMULATED | {
        "ManufacturersModelName": "simulated",
        "Units": "Bq/mL",
        "TracerName": "FDG",
        "TracerRadionuclide": "F18",
        "InjectedRadioactivity": 185.0,
        "InjectedRadioactivityUnits": "MBq",
        "InjectedMass": 0.5,
        "InjectedMassUnits": "ug",
        "SpecificRadioactivity": 370.0,
        "SpecificRadioactivityUnits": "MBq/ug",
        "ModeOfAdministration": "bolus",
        "TimeZero": "12:00:00",
        "ScanStart": 2400,
        "InjectionStart": 0,
        "FrameTimesStart": [0],
        "FrameDuration": [1200],
        "AcquisitionMode": "list mode",
        "ImageDecayCorrected": True,
        "ImageDecayCorrectionTime": 0,
        "ReconMethodName": "simulated",
        "ReconMethodParameterLabels": ["none"],
        "ReconFilterType": "none",
        "AttenuationCorrection": "none needed: simulated",
        "SimulatedPointSpreadFWHM": fwhm,
        "SimulatedCountsPerMl": counts,
    }


def _write_anatomy(truth: Path, label: str, anatomy: SimulatedPerson, *, with_fa: bool) -> None:
    tissues = tissue_maps(anatomy)
    reference = {"Simulated": True}
    stem = truth / "anat" / label
    write_image(stem.with_name(f"{label}_dseg"), anatomy.labels, anatomy.affine)
    write_json(stem.with_name(f"{label}_dseg"), reference)
    write_image(
        stem.with_name(f"{label}_desc-brain_mask"), anatomy.brain.astype(np.uint8), anatomy.affine
    )
    write_json(stem.with_name(f"{label}_desc-brain_mask"), reference | {"Type": "Brain"})
    for name, fraction in tissues.items():
        path = stem.with_name(f"{label}_label-{name}_probseg")
        write_image(path, np.round(fraction * 255).astype(np.uint8), anatomy.affine)
        write_json(path, reference | {"Description": "Share of the voxel, 255 is all of it"})
    if with_fa:
        path = truth / "dwi" / f"{label}_desc-truth_FA"
        write_image(path, simulate_fa(anatomy, tissues), anatomy.affine)
        write_json(path, reference | {"SkullStripped": True})


def _int16(data: np.ndarray) -> np.ndarray:
    return np.clip(np.round(data), -32768, 32767).astype(np.int16)


def _rounded(content: dict) -> dict:
    """Floats with six significant digits: sidecars are read by people."""

    def short(value):
        if isinstance(value, dict):
            return _rounded(value)
        if isinstance(value, float) and value:
            return round(float(value), 5 - math.floor(math.log10(abs(value))))
        return value

    return {key: short(value) for key, value in content.items()}
