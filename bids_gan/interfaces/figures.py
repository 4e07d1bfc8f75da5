"""Nipype interfaces that draw the figures of the report."""

from __future__ import annotations

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


class _DrawSessionInput(BaseInterfaceInputSpec):
    t1w = File(exists=True, mandatory=True, desc="T1w without bias field")
    brain_mask = File(exists=True, mandatory=True)
    white = File(exists=True, mandatory=True, desc="white-matter probability")
    image = File(exists=True, mandatory=True, desc="synthetic FA")
    std = File(exists=True, mandatory=True, desc="its standard deviation")


class DrawSession(SimpleInterface):
    """Anatomy with contours; T1w, synthetic FA and its uncertainty."""

    input_spec = _DrawSessionInput
    output_spec = _FiguresOutput

    def _run_interface(self, runtime):
        from bids_gan.reports.figures import plot_anatomy, plot_synthesis

        t1w, mask, white, image, std = (
            nib.load(getattr(self.inputs, name))
            for name in ("t1w", "brain_mask", "white", "image", "std")
        )
        folder = Path(runtime.cwd)
        self._results["figures"] = {
            "anatomy": str(plot_anatomy(t1w, mask, white, folder / "anatomy.svg")),
            "synth": str(plot_synthesis(t1w, image, std, mask, folder / "synth.svg")),
        }
        return runtime


class _DrawRunInput(BaseInterfaceInputSpec):
    reference = File(exists=True, mandatory=True, desc="b=0 before")
    dwiref = File(exists=True, mandatory=True, desc="b=0 after")
    fa_uncorrected = File(exists=True, mandatory=True)
    fa = File(exists=True, mandatory=True)
    white = File(exists=True, mandatory=True, desc="white-matter probability of the T1w")
    brain_mask = File(exists=True, mandatory=True)
    motion = File(exists=True, mandatory=True, desc="see PrepareDiffusion")
    field = File(exists=True, mandatory=True, desc="field map in Hz, applied or withdrawn")
    route = traits.Str(mandatory=True, desc="how the run was corrected; none draws no field")
    pe_direction = traits.Either(None, traits.Str)
    readout_time = traits.Either(None, traits.Float)


class DrawRun(SimpleInterface):
    """Before and after, field, displacement, head motion of one diffusion run."""

    input_spec = _DrawRunInput
    output_spec = _FiguresOutput

    def _run_interface(self, runtime):
        from bids_gan.reports.figures import FA_LIMITS, plot_before_after, plot_motion

        folder, inputs = Path(runtime.cwd), self.inputs
        mask, white = nib.load(inputs.brain_mask), nib.load(inputs.white)
        with np.load(inputs.motion) as motion:
            matrices, fd = motion["matrices"], motion["fd"]
        figures = {"motion": plot_motion(matrices, fd, folder / "motion.svg")}
        if inputs.route != "none":
            for what, before, after, limits in (
                ("sdcb0", inputs.reference, inputs.dwiref, None),
                ("sdcFA", inputs.fa_uncorrected, inputs.fa, FA_LIMITS),
            ):
                figures[what] = plot_before_after(
                    nib.load(before),
                    nib.load(after),
                    white,
                    mask,
                    folder / f"{what}.svg",
                    name=what.removeprefix("sdc"),
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
        return {
            "fieldmap": plot_field(field, background, mask, scale, folder / "field.svg"),
            "displacement": plot_displacement(shift, mask, folder / "displacement.svg"),
        }
