"""Nipype interfaces around anatomy and synthesis: read, call, write."""

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


class _PrepareAnatomyInput(BaseInterfaceInputSpec):
    t1w = File(exists=True, mandatory=True, desc="T1w in any orientation")
    brain_mask = File(exists=True, desc="brain mask to use instead of the network's")
    model = File(exists=True, mandatory=True, desc="card of the anatomy network")


class _PrepareAnatomyOutput(TraitedSpec):
    anatomy = File(desc="prepared anatomy, see bids_gan.anatomy.storage")
    brain_mask = File(desc="brain mask on the grid of the T1w")
    structures = File(desc="structures on the grid of the T1w, see bids_gan.anatomy.segment")
    t1w = File(desc="T1w without bias field, on its own grid, white matter near 1")
    white = File(desc="probability of white matter on the grid of the T1w")


class PrepareAnatomy(SimpleInterface):
    """Bias field, brain mask, tissues, affine to the template."""

    input_spec = _PrepareAnatomyInput
    output_spec = _PrepareAnatomyOutput

    def _run_interface(self, runtime):
        from nipype.interfaces.base import isdefined

        from bids_gan.anatomy.prepare import prepare_t1w
        from bids_gan.anatomy.storage import save_anatomy
        from bids_gan.geometry import resample
        from bids_gan.images import load_volume
        from bids_gan.models.registry import load_model, read_card

        folder = Path(runtime.cwd)
        img = load_volume(self.inputs.t1w)
        mask = load_volume(self.inputs.brain_mask) if isdefined(self.inputs.brain_mask) else None
        network = load_model(read_card(Path(self.inputs.model))).network
        anatomy = prepare_t1w(img, network, mask=mask, name=self.inputs.t1w)
        self._results["anatomy"] = str(save_anatomy(anatomy, folder / "anatomy.npz"))
        onto = (anatomy.affine, img.shape, img.affine)
        brain = resample(anatomy.mask.astype(np.float32), *onto) > 0.5
        maps = {
            "brain_mask": brain.astype(np.uint8),
            "structures": resample(anatomy.structures, *onto, order=0) * brain,
            "t1w": resample(anatomy.t1w, *onto),
            "white": resample(anatomy.white, *onto),
        }
        for name, data in maps.items():
            path = folder / f"{name}.nii"
            nib.save(nib.Nifti1Image(data, img.affine), path)
            self._results[name] = str(path)
        return runtime


class _SynthesiseInput(BaseInterfaceInputSpec):
    anatomy = File(exists=True, mandatory=True, desc="prepared anatomy")
    t1w = File(exists=True, mandatory=True, desc="its grid receives the images")
    model = File(exists=True, mandatory=True, desc="card of the generator")
    device = traits.Str("cpu", usedefault=True, desc="auto, cpu or cuda[:N]")


class _SynthesiseOutput(TraitedSpec):
    image = File(desc="synthetic image on the generator's 1 mm grid")
    image_t1w = File(desc="synthetic image on the grid of the T1w")
    std_t1w = File(desc="its standard deviation on the grid of the T1w")
    record = File(desc="JSON: model, checksum, device, precision, numbers")


class Synthesise(SimpleInterface):
    """Run a generator."""

    input_spec = _SynthesiseInput
    output_spec = _SynthesiseOutput

    def _run_interface(self, runtime):
        from bids_gan.anatomy.storage import load_anatomy
        from bids_gan.errors import ModelError
        from bids_gan.gan.inference import choose_precision
        from bids_gan.models.registry import load_model, read_card
        from bids_gan.synthesis.device import choose_device
        from bids_gan.synthesis.familiarity import out_of_distribution
        from bids_gan.synthesis.generate import appearance, provenance, synthesise

        folder = Path(runtime.cwd)
        anatomy = load_anatomy(Path(self.inputs.anatomy))
        card = read_card(Path(self.inputs.model))
        device = choose_device(self.inputs.device)
        precision = choose_precision("auto", device)
        result = synthesise(anatomy, load_model(card), precision=precision, device=device)
        if result.std is None:
            raise ModelError(
                f"{card.path}: this generator gives no uncertainty, which a run needs; "
                "--model takes one with a log-scale output, as `train t1w-to-fa` makes"
            )
        target = nib.funcs.squeeze_image(nib.load(self.inputs.t1w))
        images = {
            "image": (result.mean, result.affine),
            "image_t1w": (self._on(target, result.mean, result.affine), target.affine),
            "std_t1w": (self._on(target, result.std, result.affine), target.affine),
        }
        for name, (data, affine) in images.items():
            nib.save(nib.Nifti1Image(data, affine), folder / f"{name}.nii")
            self._results[name] = str(folder / f"{name}.nii")
        features = appearance(anatomy)
        seen = card.text.get("RangeSeen", {})
        record = {
            **provenance(card, device, precision),
            "Appearance": features,
            "RangeSeen": seen,
            "OutOfDistribution": out_of_distribution(features, seen) if seen else None,
        }
        (folder / "record.json").write_text(json.dumps(record))
        self._results["record"] = str(folder / "record.json")
        return runtime

    @staticmethod
    def _on(target, data, affine):
        from bids_gan.geometry import resample

        # outside of what was synthesised there is nothing: zero, or air in a CT
        return resample(data, affine, target.shape, target.affine, mode="nearest")
