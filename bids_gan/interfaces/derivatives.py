"""Nipype interfaces that write the derivatives of a session and of a diffusion run."""

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

#: what an earlier run with other options may have drawn, and no step of this one
FIGURES_OF_A_RUN = ("fieldmap", "displacement", "fielddifference")


class _SavedOutput(TraitedSpec):
    saved = traits.List(traits.Str, desc="files written")


class _SaveInput(BaseInterfaceInputSpec):
    settings = traits.Any(mandatory=True, desc="bids_gan.settings.Settings")
    session = traits.Any(mandatory=True, desc="bids_gan.bids.plan.SessionPlan")


class _Save(SimpleInterface):
    """Common to all: derivatives may have been deleted, so they are written at every run."""

    output_spec = _SavedOutput
    _always_run = True

    def _image(self, key, entities, path, sources, names=None, **metadata):
        from bids_gan.bids.outputs import sidecar, write_output

        settings, t1w = self.inputs.settings, self.inputs.session.t1w.path
        text = sidecar(key, settings, sources=sources, reference=t1w, **metadata)
        image = nib.load(path)
        written = write_output(key, entities, image, settings, metadata=text, **(names or {}))
        self._results["saved"].append(str(written))
        return written

    def _plain(self, key, entities, content, **names):
        from bids_gan.bids.outputs import write_output

        written = write_output(key, entities, content, self.inputs.settings, **names)
        self._results["saved"].append(str(written))

    def _figures(self, key, entities, suffix, possible=()):
        from bids_gan.bids.outputs import remove_output

        drawn = self.inputs.figures if isdefined(self.inputs.figures) else {}
        for what, path in drawn.items():
            self._plain(key, entities, Path(path), what=what, suffix=suffix)
        for what in set(possible) - set(drawn):
            remove_output(key, entities, self.inputs.settings, what=what, suffix=suffix)

    def _model(self) -> dict:
        return json.loads(Path(self.inputs.record).read_text())


class _SaveSessionInput(_SaveInput):
    figures = traits.Dict(desc="what a figure shows -> SVG file")
    brain_mask = File(exists=True, mandatory=True)
    structures = File(exists=True, mandatory=True)


class SaveSession(_Save):
    """Mask, structures and figures of a T1w."""

    input_spec = _SaveSessionInput

    def _run_interface(self, runtime):
        inputs, session = self.inputs, self.inputs.session
        self._results["saved"] = []
        entities, sources = session.entities, [session.t1w.path]
        masks = [session.brain_mask] if session.brain_mask else []
        self._image("brain_mask_t1w", entities, inputs.brain_mask, sources + masks)
        self._image("structures_t1w", entities, inputs.structures, sources + masks)
        self._figures("figure_session", entities, "T1w")
        return runtime


class _SaveSyntheticInput(_SaveInput):
    figures = traits.Dict(desc="what a figure shows -> SVG file")
    target = traits.Str(mandatory=True, desc="contrast")
    image = File(exists=True, mandatory=True, desc="synthetic image on the grid of the T1w")
    std = File(exists=True, mandatory=True, desc="its standard deviation")
    record = File(exists=True, mandatory=True, desc="JSON about the synthesis")


class SaveSynthetic(_Save):
    """A synthetic contrast and its uncertainty."""

    input_spec = _SaveSyntheticInput

    def _run_interface(self, runtime):
        inputs, session = self.inputs, self.inputs.session
        self._results["saved"] = []
        key, sources, model = f"synth_{inputs.target.lower()}", [session.t1w.path], self._model()
        self._image(key, session.entities, inputs.image, sources, **model)
        self._image(f"{key}_std", session.entities, inputs.std, sources, **model)
        self._figures("figure_session", session.entities, inputs.target)
        return runtime


class _SaveRunInput(_SaveInput):
    figures = traits.Dict(desc="what a figure shows -> SVG file")
    record = File(exists=True, mandatory=True, desc="JSON about the synthesis of FA")
    run = traits.Any(mandatory=True, desc="bids_gan.bids.plan.DiffusionRun")
    dwi = File(exists=True, mandatory=True)
    bval = File(exists=True, mandatory=True)
    bvec = File(exists=True, mandatory=True)
    fa = File(exists=True, mandatory=True)
    fa_uncorrected = File(exists=True, mandatory=True)
    fa_t1w = File(exists=True, mandatory=True)
    s0 = File(exists=True, mandatory=True)
    reference = File(exists=True, mandatory=True, desc="b=0 before correction")
    dwiref = File(exists=True, mandatory=True)
    brain_mask = File(exists=True, mandatory=True)
    piled_up = File(exists=True, mandatory=True, desc="mask")
    synth_fa = File(exists=True, mandatory=True)
    field = File(exists=True, mandatory=True)
    field_std = File(exists=True, desc="its standard deviation, if known")
    orig_to_dwi = File(exists=True, mandatory=True)
    xfm = File(exists=True, mandatory=True)
    quality = File(exists=True, mandatory=True)
    motion = File(exists=True, mandatory=True)
    check_field = File(exists=True, desc="field from what was acquired beside")
    check_quality = File(exists=True, desc="JSON about it")


class SaveRun(_Save):
    """Everything that belongs to one diffusion run."""

    input_spec = _SaveRunInput

    def _run_interface(self, runtime):
        from bids_gan.bids.outputs import remove_output

        inputs, run = self.inputs, self.inputs.run
        self._results["saved"] = []
        entities, own = run.entities, [run.path]
        both = [run.path, inputs.session.t1w.path]
        model, quality = self._model(), json.loads(Path(inputs.quality).read_text())
        accepted = quality.get("accepted") is True
        sources = both if accepted else own
        self._image("fa_uncorrected", entities, inputs.fa_uncorrected, own)
        self._image("fa", entities, inputs.fa, sources)
        if "T1w" in inputs.settings.output_spaces:
            self._image("fa_t1w", entities, inputs.fa_t1w, both)
        self._image("s0", entities, inputs.s0, sources)
        self._image("dwiref_uncorrected", entities, inputs.reference, own)
        self._image("dwiref", entities, inputs.dwiref, sources)
        self._image("brain_mask_dwi", entities, inputs.brain_mask, both)
        self._image("synth_fa_dwi", entities, inputs.synth_fa, both, **model)
        self._plain("dwi_to_t1w", entities, Path(inputs.xfm))
        self._forget_other_routes(entities)
        if accepted and run.route != "none":
            self._image("pileup_mask", entities, inputs.piled_up, sources)
        else:
            remove_output("pileup_mask", entities, inputs.settings)
        if run.route != "none":
            self._field(entities, both, accepted, quality, model)
        check = self._check(entities, both) if run.correction.check else {}
        self._plain("bval", entities, Path(inputs.bval))
        self._plain("bvec", entities, Path(inputs.bvec))
        self._figures("figure_run", entities, "dwi", FIGURES_OF_A_RUN)
        # last: its sidecar is what reports and a second run take as proof of a finished run
        self._image("dwi", entities, inputs.dwi, sources, **self._numbers(quality, model), **check)
        return runtime

    def _forget_other_routes(self, entities):
        """Remove the fields that an earlier run found in another way: they say what is not so."""
        from bids_gan.bids.outputs import FIELD_FROM, remove_output

        correction = self.inputs.run.correction
        check = correction.check.name if correction.check else None
        for key, route in (
            ("fieldmap", correction.name),
            ("fieldmap_rejected", correction.name),
            ("fieldmap_std", correction.name),
            ("magnitude", correction.name),
            ("fieldmap_check", check),
        ):
            for other in set(FIELD_FROM) - {route}:
                remove_output(key, entities, self.inputs.settings, route=other)

    def _field(self, entities, sources, accepted, quality, model):
        from bids_gan.bids.outputs import FIELD_FROM

        inputs, run = self.inputs, self.inputs.run
        key = "fieldmap" if accepted else "fieldmap_rejected"
        distinct = (entities.get(k, "") for k in ("acquisition", "direction"))
        name, route = FIELD_FROM[run.route] + "".join(distinct), {"route": run.route}
        made_by = {}
        if run.route == "synth":
            made_by = {"Model": model["Model"], "WeightsSHA256": model["WeightsSHA256"]}
        self._image(
            key,
            entities,
            inputs.field,
            [*sources, *run.correction.sources],
            route,
            B0FieldIdentifier=name,
            PhaseEncodingDirection=run.pe_direction,
            TotalReadoutTime=run.readout_time,
            ReadoutTimeSource=run.readout_source,
            SDCQuality=quality,
            **made_by,
        )
        self._image("magnitude", entities, inputs.dwiref, sources, route, B0FieldIdentifier=name)
        if isdefined(inputs.field_std):
            self._image("fieldmap_std", entities, inputs.field_std, sources, route, **made_by)
        # gzip: the name ends in .nii.gz
        self._plain("orig_to_dwi", entities, nib.load(inputs.orig_to_dwi))

    def _check(self, entities, sources) -> dict:
        """Write the field for comparison; returns what the sidecar of the run says of it."""
        from bids_gan.bids.outputs import remove_output

        inputs, check = self.inputs, self.inputs.run.correction.check
        quality, route = json.loads(Path(inputs.check_quality).read_text()), {"route": check.name}
        if isdefined(inputs.check_field):
            made_from = [*sources, *check.sources]
            field = inputs.check_field
            self._image("fieldmap_check", entities, field, made_from, route, SDCQuality=quality)
        else:  # of an earlier run
            remove_output("fieldmap_check", entities, inputs.settings, **route)
        return {"SDCCheck": {"Route": check.name, **quality}}

    def _numbers(self, quality, model) -> dict:
        run = self.inputs.run
        with np.load(self.inputs.motion) as motion:
            fd = motion["fd"]
        known = fd[np.isfinite(fd)]
        numbers = {
            "Motion": {
                "fd_mean_mm": float(known.mean()) if known.size else 0.0,
                "fd_max_mm": float(known.max()) if known.size else 0.0,
            },
            "SDCQuality": {**quality, "ood_score": model["OutOfDistribution"]},
            "SDCRoute": run.route,
            "SDCReason": run.reason,
        }
        if run.pe_direction:
            numbers["PhaseEncodingDirection"] = run.pe_direction
        if run.readout_time:
            numbers["TotalReadoutTime"] = run.readout_time
        return numbers


class _ShowSavedInput(_SaveInput):
    saved = traits.List(traits.Str, mandatory=True, desc="files written, which are shown")


class SaveViewer(_Save):
    """The page with the volumes of a session."""

    input_spec = _ShowSavedInput

    def _run_interface(self, runtime):
        from bids_gan.reports.viewer import write_viewer

        path = write_viewer(self.inputs.settings, self.inputs.session)
        self._results["saved"] = [str(path)] if path else []
        return runtime


#: names of the figure of a difference
_DIFFERENCE = {"what": "fielddifference", "suffix": "dwi"}


class SaveFieldDifferences(_Save):
    """Figures and numbers of the differences between the fields of the runs of a session."""

    input_spec = _ShowSavedInput

    def _run_interface(self, runtime):
        from bids_gan.bids.outputs import remove_output
        from bids_gan.reports.comparison import compare_fields

        settings, session = self.inputs.settings, self.inputs.session
        self._results["saved"] = []
        for run in session.dwi:
            if found := compare_fields(settings.output_dir, session, run):
                self._difference(run, found, Path(runtime.cwd) / f"{run.label}.svg")
            else:  # of an earlier run
                remove_output("field_difference", run.entities, settings)
                remove_output("figure_run", run.entities, settings, **_DIFFERENCE)
        return runtime

    def _difference(self, run, found, path):
        from bids_gan.bids.outputs import output_path
        from bids_gan.reports.figures import plot_field

        background = nib.load(
            self.inputs.settings.output_dir / output_path("dwiref", run.entities)
        )
        name = f"field minus that of {found.other}"
        plot_field(found.hz, background, found.mask, found.mm_per_hz, path, name=name)
        self._plain("figure_run", run.entities, path, **_DIFFERENCE)
        self._plain("field_difference", run.entities, found.record)
