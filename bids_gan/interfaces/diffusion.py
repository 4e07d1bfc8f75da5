"""Nipype interfaces around diffusion and distortion: read, call, write."""

from __future__ import annotations

import json
from pathlib import Path

import nibabel as nib
import numpy as np
from nipype.interfaces.base import (
    BaseInterfaceInputSpec,
    File,
    SimpleInterface,
    TraitedSpec,
    traits,
)


class _PrepareDiffusionInput(BaseInterfaceInputSpec):
    dwi = File(exists=True, mandatory=True, desc="diffusion series")
    bval = File(exists=True, mandatory=True, desc="b-values, s/mm²")
    bvec = File(exists=True, mandatory=True, desc="directions in the FSL convention")


class _PrepareDiffusionOutput(TraitedSpec):
    reference = File(desc="b=0 reference, distorted")
    fa = File(desc="FA after motion correction only, distorted")
    color = File(desc="its colours by principal direction, three values a voxel")
    motion = File(desc="pull matrices and framewise displacement (npz)")


class PrepareDiffusion(SimpleInterface):
    """Gradient check, b=0 reference, head motion, FA before distortion correction."""

    input_spec = _PrepareDiffusionInput
    output_spec = _PrepareDiffusionOutput

    def _run_interface(self, runtime):
        from bids_gan.diffusion.gradients import check_tensor, rotate
        from bids_gan.diffusion.mask import b0_mask
        from bids_gan.diffusion.motion import estimate_motion
        from bids_gan.diffusion.reference import b0_reference
        from bids_gan.diffusion.tensor import fit_tensor
        from bids_gan.distortion.unwarp import correct_series

        folder = Path(runtime.cwd)
        series, gradients = _load_series(self.inputs)
        check_tensor(gradients, Path(self.inputs.bval), Path(self.inputs.bvec))
        reference = b0_reference(series, gradients)
        mask = b0_mask(np.asarray(reference.dataobj), series.affine)
        motion = estimate_motion(series, gradients, reference, mask)
        still = correct_series(series, np.zeros(mask.shape), "j", 0.0, motion.matrices)
        turned = rotate(gradients, series.affine, motion.matrices)
        maps = fit_tensor(np.asarray(still.dataobj), series.affine, turned, mask)
        images = {"reference": reference.dataobj, "fa": maps.fa, "color": maps.color_fa}
        for name, data in images.items():
            self._results[name] = _save(folder / f"{name}.nii", data, series.affine)
        np.savez(folder / "motion.npz", matrices=motion.matrices, fd=motion.fd)
        self._results["motion"] = str(folder / "motion.npz")
        return runtime


class _EstimateCorrectionInput(BaseInterfaceInputSpec):
    reference = File(exists=True, mandatory=True, desc="b=0 reference, distorted")
    fa = File(exists=True, mandatory=True, desc="measured FA, distorted")
    anatomy = File(exists=True, mandatory=True, desc="prepared anatomy")
    synthetic_fa = File(exists=True, mandatory=True, desc="synthetic FA, any grid")
    correction = traits.Any(mandatory=True, desc="bids_gan.bids.route.Route")
    pe_direction = traits.Either(None, traits.Str, desc="BIDS PhaseEncodingDirection")
    readout_time = traits.Either(None, traits.Float, desc="TotalReadoutTime, s")


class _EstimateCorrectionOutput(TraitedSpec):
    field = File(desc="field map in Hz, on the diffusion grid")
    field_std = File(desc="its standard deviation in Hz, where the route has one")
    dwi_to_t1w = File(desc="rigid pull matrix (text)")
    quality = File(desc="JSON: accepted, reasons, numbers")


class EstimateCorrection(SimpleInterface):
    """Coregistration, field estimate, gate."""

    input_spec = _EstimateCorrectionInput
    output_spec = _EstimateCorrectionOutput

    def _run_interface(self, runtime):
        folder = Path(runtime.cwd)
        images = self._images()
        estimate = {
            "measured": self._from_measurement,
            "reverse-pe": self._from_pair,
            "synth": self._from_synthetic_fa,
            "none": self._no_field,
        }
        field, pull, quality = estimate[self.inputs.correction.name](images)
        self._results["field"] = _save(folder / "field.nii", field, images.b0.affine)
        np.savetxt(folder / "dwi_to_t1w.txt", pull)
        self._results["dwi_to_t1w"] = str(folder / "dwi_to_t1w.txt")
        (folder / "quality.json").write_text(json.dumps(quality))
        self._results["quality"] = str(folder / "quality.json")
        return runtime

    def _images(self):
        from bids_gan.anatomy.storage import load_anatomy
        from bids_gan.diffusion.mask import b0_mask
        from bids_gan.distortion.correct import RunImages

        inputs = self.inputs
        reference = nib.load(inputs.reference)
        return RunImages(
            **self._anatomical(load_anatomy(Path(inputs.anatomy))),
            b0=reference,
            b0_mask=b0_mask(np.asarray(reference.dataobj), reference.affine),
            fa=np.asarray(nib.load(inputs.fa).dataobj),
        )

    def _anatomical(self, anatomy) -> dict:
        """T1w, brain mask, tissue and synthetic FA on one grid."""
        from bids_gan.geometry import resample

        synthetic = nib.load(self.inputs.synthetic_fa)
        guide = resample(synthetic.dataobj, synthetic.affine, anatomy.mask.shape, anatomy.affine)
        maps = {"t1w": anatomy.t1w, "brain_mask": anatomy.mask, "tissue": anatomy.tissue}
        return {
            name: nib.Nifti1Image(np.asarray(data, np.float32), anatomy.affine)
            for name, data in {**maps, "synth_fa": guide}.items()
        }

    def _from_synthetic_fa(self, images):
        from bids_gan.distortion.correct import estimate_correction

        scan = (self.inputs.pe_direction, self.inputs.readout_time)
        correction = estimate_correction(images, *scan, self._network())
        found = correction.coregistration
        moved = {
            "rigid_rotation_deg": found.moved_degrees,
            "rigid_translation_mm": found.moved_mm,
        }
        estimate = correction.estimate
        self._results["field_std"] = self._spread(correction)
        return estimate.hz, estimate.dwi_to_t1w, {**correction.quality, **moved}

    @staticmethod
    def _network():
        from bids_gan.models.registry import find_card, load_model

        return load_model(find_card("distortion")).network

    def _spread(self, correction) -> str:
        from bids_gan.distortion.units import mm_per_hz

        affine = nib.load(self.inputs.reference).affine
        scale = mm_per_hz(affine, self.inputs.pe_direction, self.inputs.readout_time)
        sigma = correction.estimate.expected.sigma_mm
        return _save(Path.cwd() / "field_std.nii", (sigma / scale).astype(np.float32), affine)

    def _from_measurement(self, images):
        found = self._measured(images)
        return found.hz, found.dwi_to_t1w, {**found.quality, **_moved(found.dwi_to_t1w, images)}

    def _from_pair(self, images):
        from bids_gan.distortion.correct import expected_displacement

        scan = (self.inputs.pe_direction, self.inputs.readout_time)
        found = self._paired(images, expected_displacement(images, *scan, self._network()))
        if found.quality["accepted"]:
            images = images.corrected(found.hz, *scan)
        _, pull, rigid = self._no_field(images)
        return found.hz, pull, {**found.quality, **rigid}

    def _measured(self, images):
        from bids_gan.distortion.measured import correct_by_measurement
        from bids_gan.distortion.measurement import load_measurement

        inputs, field = self.inputs, self.inputs.correction.measured
        measurement = load_measurement(field.paths, field.magnitude, field.echo_times, field.units)
        return correct_by_measurement(
            measurement, images, inputs.pe_direction, inputs.readout_time
        )

    def _paired(self, images, prior=None):
        from bids_gan.diffusion.reference import load_b0
        from bids_gan.distortion.correct_pair import correct_by_pair
        from bids_gan.distortion.opposite import Recorded

        inputs, other = self.inputs, self.inputs.correction.opposite
        return correct_by_pair(
            Recorded(images.b0, inputs.pe_direction, inputs.readout_time),
            Recorded(load_b0(other.path, other.bval), other.pe_direction, other.readout_time),
            images.b0_mask,
            prior,
        )

    def _no_field(self, images):
        from bids_gan.distortion.correct import align

        pull = align(images)
        return np.zeros(images.b0.shape, np.float32), pull, _moved(pull, images)


class _CheckFieldOutput(TraitedSpec):
    field = File(desc="field map in Hz, on the diffusion grid; none unless it is believable")
    quality = File(desc="JSON: accepted, reasons, numbers")


class CheckField(EstimateCorrection):
    """Field from what was acquired beside; whatever is wrong with that, the run goes on."""

    output_spec = _CheckFieldOutput

    def _run_interface(self, runtime):
        from bids_gan.errors import BidsGanError

        folder = Path(runtime.cwd)
        estimate = {"measured": self._measured, "reverse-pe": self._paired}
        images = self._images()
        try:
            found = estimate[self.inputs.correction.name](images)
            quality = found.quality
        except (BidsGanError, ValueError, RuntimeError) as error:
            quality = {"accepted": False, "reasons": [str(error)]}
        if quality["accepted"]:
            self._results["field"] = _save(folder / "field.nii", found.hz, images.b0.affine)
        (folder / "quality.json").write_text(json.dumps(quality))
        self._results["quality"] = str(folder / "quality.json")
        return runtime


def _moved(pull, images) -> dict[str, float]:
    """Move between the diffusion images and the T1w, about the middle of the brain."""
    from bids_gan.distortion.coregister import moved

    centre = np.argwhere(images.b0_mask).mean(axis=0)
    degrees, mm = moved(pull, nib.affines.apply_affine(images.b0.affine, centre))
    return {"rigid_rotation_deg": degrees, "rigid_translation_mm": mm}


class _ApplyCorrectionInput(BaseInterfaceInputSpec):
    dwi = File(exists=True, mandatory=True)
    bval = File(exists=True, mandatory=True)
    bvec = File(exists=True, mandatory=True)
    motion = File(exists=True, mandatory=True, desc="see PrepareDiffusion")
    field = File(exists=True, mandatory=True, desc="field map in Hz")
    dwi_to_t1w = File(exists=True, mandatory=True, desc="rigid pull matrix (text)")
    quality = File(exists=True, mandatory=True, desc="says whether the field is applied")
    pe_direction = traits.Either(None, traits.Str)
    readout_time = traits.Either(None, traits.Float)
    anatomy = File(exists=True, mandatory=True, desc="prepared anatomy")
    synthetic_fa = File(exists=True, mandatory=True, desc="synthetic FA, any grid")
    t1w = File(exists=True, mandatory=True, desc="its grid receives the FA in T1w space")


class _ApplyCorrectionOutput(TraitedSpec):
    dwi = File(desc="corrected series")
    bval = File()
    bvec = File(desc="rotated by motion only")
    fa = File(desc="FA of the corrected series")
    color = File(desc="its colours by principal direction, three values a voxel")
    s0 = File(desc="b=0 signal of the tensor fit")
    dwiref = File(desc="b=0 reference, corrected")
    brain_mask = File(desc="T1w brain mask on the diffusion grid")
    piled_up = File(desc="where the signal of two places is in one voxel")
    synth_fa = File(desc="synthetic FA on the diffusion grid")
    fa_t1w = File(desc="FA on the grid of the T1w")
    orig_to_dwi = File(desc="ITK displacement field, mm")
    xfm = File(desc="ITK affine that resamples diffusion images to the T1w")


class ApplyCorrection(SimpleInterface):
    """One interpolation for motion and field, tensor refit, guides on the diffusion grid."""

    input_spec = _ApplyCorrectionInput
    output_spec = _ApplyCorrectionOutput

    def _run_interface(self, runtime):
        from bids_gan.anatomy.storage import load_anatomy
        from bids_gan.diffusion.gradients import format_bvals, format_bvecs, rotate
        from bids_gan.diffusion.reference import b0_reference
        from bids_gan.diffusion.tensor import fit_tensor
        from bids_gan.distortion.unwarp import correct_series, itk_displacement, piled_up
        from bids_gan.geometry import resample
        from bids_gan.itk import write_affine

        folder, inputs = Path(runtime.cwd), self.inputs
        series, gradients = _load_series(inputs)
        affine, shape = series.affine, series.shape[:3]
        with np.load(inputs.motion) as motion:
            matrices = motion["matrices"]
        accepted = json.loads(Path(inputs.quality).read_text()).get("accepted") is True
        hz = np.asarray(nib.load(inputs.field).dataobj) if accepted else np.zeros(shape)
        direction, readout = inputs.pe_direction or "j", inputs.readout_time or 0.0
        corrected = correct_series(series, hz, direction, readout, matrices)
        turned = rotate(gradients, affine, matrices)

        anatomy = load_anatomy(Path(inputs.anatomy))
        pull = np.loadtxt(inputs.dwi_to_t1w)
        synthetic = nib.load(inputs.synthetic_fa)

        def from_t1w(data, source_affine):
            return resample(data, source_affine, shape, affine, target_to_source=pull)

        mask = from_t1w(anatomy.mask.astype(np.float32), anatomy.affine) > 0.5
        maps = fit_tensor(np.asarray(corrected.dataobj), affine, turned, mask)
        target = nib.funcs.squeeze_image(nib.load(inputs.t1w))
        images = {
            "dwi": (corrected.dataobj, affine),
            "fa": (maps.fa, affine),
            "color": (maps.color_fa, affine),
            "s0": (maps.s0, affine),
            "dwiref": (b0_reference(corrected, turned).dataobj, affine),
            "brain_mask": (mask.astype(np.uint8), affine),
            "piled_up": (piled_up(hz, direction, readout, mask).astype(np.uint8), affine),
            "synth_fa": (from_t1w(synthetic.dataobj, synthetic.affine) * mask, affine),
            "fa_t1w": (
                resample(
                    maps.fa,
                    affine,
                    target.shape,
                    target.affine,
                    target_to_source=np.linalg.inv(pull),
                ),
                target.affine,
            ),
        }
        for name, (data, grid) in images.items():
            self._results[name] = _save(folder / f"{name}.nii", data, grid)
        nib.save(itk_displacement(hz, affine, direction, readout), folder / "orig_to_dwi.nii")
        # a file that resamples onto the T1w maps points of the T1w to the diffusion world
        write_affine(np.linalg.inv(pull), folder / "dwi_to_t1w_itk.txt")
        (folder / "dwi.bval").write_text(format_bvals(turned))
        (folder / "dwi.bvec").write_text(format_bvecs(turned))
        self._results |= {
            "orig_to_dwi": str(folder / "orig_to_dwi.nii"),
            "xfm": str(folder / "dwi_to_t1w_itk.txt"),
            "bval": str(folder / "dwi.bval"),
            "bvec": str(folder / "dwi.bvec"),
        }
        return runtime


def _load_series(inputs):
    from bids_gan.diffusion.gradients import load_gradients
    from bids_gan.images import load_series

    series = load_series(Path(inputs.dwi))
    gradients = load_gradients(Path(inputs.bval), Path(inputs.bvec), series.shape[3])
    return series, gradients


def _save(path: Path, data, affine) -> str:
    nib.save(nib.Nifti1Image(np.asarray(data), affine), path)
    return str(path)
