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
    white = File(exists=True, mandatory=True, desc="white-matter probability of the T1w")
    brain_mask = File(exists=True, mandatory=True)
    motion = File(exists=True, mandatory=True, desc="see PrepareDiffusion")
    field = File(exists=True, mandatory=True, desc="field map in Hz, applied or withdrawn")
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
        from bids_gan.reports.figures import (
            FA_LIMITS,
            plot_before_after,
            plot_gradients,
            plot_motion,
        )

        folder, inputs = Path(runtime.cwd), self.inputs
        mask, white = nib.load(inputs.brain_mask), nib.load(inputs.white)
        with np.load(inputs.motion) as motion:
            matrices, fd = motion["matrices"], motion["fd"]
        gradients = load_gradients(Path(inputs.bval), Path(inputs.bvec), len(matrices))
        directions = world_directions(gradients, mask.affine)
        figures = {
            "motion": plot_motion(matrices, fd, folder / "motion.svg", centre=_middle(mask)),
            "gradients": plot_gradients(gradients.bvals, directions, folder / "gradients.svg"),
        }
        if inputs.route != "none":
            for what, before, after, limits in (
                ("sdcb0", inputs.reference, inputs.dwiref, None),
                ("sdcFA", inputs.fa_uncorrected, inputs.fa, FA_LIMITS),
                ("sdccolour", inputs.color_uncorrected, inputs.color, None),
            ):
                figures[what] = plot_before_after(
                    nib.load(before),
                    nib.load(after),
                    white,
                    mask,
                    folder / f"{what}.svg",
                    name="colour FA" if what == "sdccolour" else what.removeprefix("sdc"),
                    limits=limits,
                )
            figures |= self._field(folder, mask)
        self._results["figures"] = {what: str(path) for what, path in figures.items()}
        return runtime

    def _field(self, folder: Path, mask) -> dict[str, Path]:
        from bids_gan.distortion.units import mm_per_hz
        from bids_gan.reports.figures import plot_displacement, plot_field

        inputs = self.inputs
        field = nib.load(inputs.field)
        scale = mm_per_hz(field.affine, inputs.pe_direction, inputs.readout_time)
        shift = nib.Nifti1Image(np.asarray(field.dataobj) * scale, field.affine)
        background = nib.load(inputs.dwiref)
        error = json.loads(Path(inputs.quality).read_text()).get("displacement_spread_mm")
        path = folder / "field.svg"
        return {
            "fieldmap": plot_field(field, background, mask, scale, path, error_mm=error),
            "displacement": plot_displacement(shift, mask, folder / "displacement.svg"),
        }


def _middle(mask) -> tuple[float, float, float]:
    """World point (mm) in the middle of a mask."""
    voxel = np.argwhere(np.asarray(mask.dataobj) > 0).mean(axis=0)
    return tuple(nib.affines.apply_affine(mask.affine, voxel))
