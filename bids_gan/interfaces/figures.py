"""Nipype interfaces that draw the figures of the report."""

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
    isdefined,
    traits,
)


class _FiguresOutput(TraitedSpec):
    figures = traits.Dict(desc="what a figure shows -> SVG file")


class _DrawAnatomyInput(BaseInterfaceInputSpec):
    t1w = File(exists=True, mandatory=True, desc="T1w without bias field")
    brain_mask = File(exists=True, mandatory=True)
    structures = File(exists=True, mandatory=True)
    white = File(exists=True, mandatory=True, desc="white-matter probability")


class DrawAnatomy(SimpleInterface):
    """T1w with contours."""

    input_spec = _DrawAnatomyInput
    output_spec = _FiguresOutput

    def _run_interface(self, runtime):
        from bids_gan.reports.figures import plot_anatomy

        names = ("t1w", "brain_mask", "structures", "white")
        images = (nib.load(getattr(self.inputs, name)) for name in names)
        path = plot_anatomy(*images, Path(runtime.cwd) / "anatomy.svg")
        self._results["figures"] = {"anatomy": str(path)}
        return runtime


class _DrawSynthesisInput(BaseInterfaceInputSpec):
    t1w = File(exists=True, mandatory=True, desc="T1w without bias field")
    image = File(exists=True, mandatory=True, desc="synthetic image")
    std = File(exists=True, mandatory=True, desc="its standard deviation")
    brain_mask = File(exists=True, mandatory=True)
    target = traits.Str(mandatory=True, desc="contrast")


class DrawSynthesis(SimpleInterface):
    """T1w, a synthetic image and its uncertainty."""

    input_spec = _DrawSynthesisInput
    output_spec = _FiguresOutput

    def _run_interface(self, runtime):
        from bids_gan.reports.figures import plot_synthesis

        names = ("t1w", "image", "std", "brain_mask")
        images = (nib.load(getattr(self.inputs, name)) for name in names)
        path = Path(runtime.cwd) / "synth.svg"
        path = plot_synthesis(*images, path, target=self.inputs.target)
        self._results["figures"] = {"synth": str(path)}
        return runtime


class _DrawRunInput(BaseInterfaceInputSpec):
    reference = File(exists=True, mandatory=True, desc="b=0 before")
    dwiref = File(exists=True, mandatory=True, desc="b=0 after")
    fa_uncorrected = File(exists=True, mandatory=True)
    fa = File(exists=True, mandatory=True)
    color_uncorrected = File(exists=True, mandatory=True, desc="colours of FA before")
    color = File(exists=True, mandatory=True, desc="colours of FA after")
    bval = File(exists=True, mandatory=True)
    bvec = File(exists=True, mandatory=True)
    synth_fa = File(exists=True, mandatory=True, desc="synthetic FA on the diffusion grid")
    brain_mask = File(exists=True, mandatory=True)
    motion = File(exists=True, mandatory=True, desc="see PrepareDiffusion")
    field = File(exists=True, mandatory=True, desc="field map in Hz, applied or withdrawn")
    field_std = File(exists=True, desc="standard deviation of the field in Hz, if known")
    quality = File(exists=True, mandatory=True, desc="JSON: numbers of the quality gate")
    route = traits.Str(mandatory=True, desc="how the run was corrected; none draws no field")
    pe_direction = traits.Either(None, traits.Str)
    readout_time = traits.Either(None, traits.Float)


class DrawRun(SimpleInterface):
    """Before and after, field, displacement, head motion of one diffusion run."""

    input_spec = _DrawRunInput
    output_spec = _FiguresOutput

    def _run_interface(self, runtime):
        from bids_gan.diffusion.gradients import load_gradients, world_directions
        from bids_gan.reports.figures import plot_motion
        from bids_gan.reports.gradients import plot_gradients

        folder, inputs = Path(runtime.cwd), self.inputs
        mask = nib.load(inputs.brain_mask)
        with np.load(inputs.motion) as motion:
            matrices, fd = motion["matrices"], motion["fd"]
        gradients = load_gradients(Path(inputs.bval), Path(inputs.bvec), len(matrices))
        directions = world_directions(gradients, mask.affine)
        quality = json.loads(Path(inputs.quality).read_text())
        figures = {
            "motion": plot_motion(matrices, fd, folder / "motion.svg", centre=_middle(mask)),
            "gradients": plot_gradients(gradients.bvals, directions, folder / "gradients.svg"),
            **self._before_after(folder, mask, _states(inputs.route, quality)),
        }
        if inputs.route != "none":
            figures |= self._field(folder, mask, quality)
        self._results["figures"] = {what: str(path) for what, path in figures.items()}
        return runtime

    def _before_after(self, folder: Path, mask, states: tuple[str, str]) -> dict[str, Path]:
        from bids_gan.reports.figures import FA_LIMITS, plot_before_after

        inputs = self.inputs
        return {
            f"sdc{what}": plot_before_after(
                nib.load(before),
                nib.load(after),
                nib.load(inputs.synth_fa),
                mask,
                folder / f"sdc{what}.svg",
                names=tuple(f"{name} {state}" for state in states),
                limits=limits,
            )
            for what, name, before, after, limits in (
                ("b0", "b0", inputs.reference, inputs.dwiref, None),
                ("FA", "FA", inputs.fa_uncorrected, inputs.fa, FA_LIMITS),
                ("colour", "colour FA", inputs.color_uncorrected, inputs.color, None),
            )
        }

    def _field(self, folder: Path, mask, quality: dict) -> dict[str, Path]:
        from bids_gan.distortion.units import mm_per_hz
        from bids_gan.reports.figures import plot_displacement, plot_field

        inputs = self.inputs
        field = nib.load(inputs.field)
        scale = mm_per_hz(field.affine, inputs.pe_direction, inputs.readout_time)
        shift = nib.Nifti1Image(np.asarray(field.dataobj) * scale, field.affine)
        background = nib.load(inputs.dwiref)
        about = {
            "name": "field" if quality.get("accepted") else "field that was withdrawn",
            "std_hz": nib.load(inputs.field_std) if isdefined(inputs.field_std) else None,
        }
        return {
            "fieldmap": plot_field(field, background, mask, scale, folder / "field.svg", **about),
            "displacement": plot_displacement(shift, mask, folder / "displacement.svg"),
        }


def _states(route: str, quality: dict) -> tuple[str, str]:
    """What the images before and after are called."""
    if quality.get("accepted") is True:
        return "before correction", "after correction"
    why = "distortion not corrected" if route == "none" else "correction of distortion withdrawn"
    return "as recorded", f"after correction of head motion alone ({why})"


def _middle(mask) -> tuple[float, float, float]:
    """World point (mm) in the middle of a mask."""
    voxel = np.argwhere(np.asarray(mask.dataobj) > 0).mean(axis=0)
    return tuple(nib.affines.apply_affine(mask.affine, voxel))
