"""A person of a few centimetres, and a CollaGAN small enough for one."""

import dataclasses

import nibabel as nib
import numpy as np
import torch

from bids_gan.anatomy.prepare import Anatomy
from bids_gan.gan.networks.factory import build_network
from bids_gan.models.registry import save_model

CONTRASTS = ("T1w", "T2w", "PDw", "FLAIR")
#: intensity of fluid, grey and white matter
TISSUES = {
    "T1w": (0.2, 0.7, 1.0),
    "T2w": (3.5, 1.6, 1.0),
    "PDw": (1.1, 1.2, 1.0),
    "FLAIR": (0.2, 1.4, 1.0),
}


@dataclasses.dataclass(frozen=True)
class TinyPerson:
    """A ball of white matter with a core of fluid and a shell of grey matter."""

    anatomy: Anatomy

    def image(self, contrast, scale=300.0):
        """Scan of a contrast on the grid of the anatomy, in units of the scanner."""
        values = np.array([0, *TISSUES[contrast]], np.float32)[self.anatomy.tissue]
        return nib.Nifti1Image(scale * values, self.anatomy.affine)


def make_person():
    """Build the person, whose right side differs from the left."""
    shape = (36, 40, 32)
    affine = np.eye(4)
    affine[:3, 3] = (-17, -25, -11)
    world = nib.affines.apply_affine(affine, np.moveaxis(np.indices(shape), 0, -1))
    centre = np.array([0, -6, 4])
    radius = np.sqrt((((world - centre) / (15, 17, 13)) ** 2).sum(-1))
    tissue = np.select([radius < 0.3, radius < 0.75, radius < 1], [1, 3, 2], 0).astype(np.uint8)
    tissue[(radius < 0.6) & (world[..., 0] > 5)] = 2
    t1w = np.array([0, *TISSUES["T1w"]], np.float32)[tissue]
    white = (tissue == 3).astype(np.float32)
    return TinyPerson(Anatomy(t1w, tissue > 0, tissue, tissue, white, affine, np.eye(4)))


def write_model(folder, contrasts=CONTRASTS, kind="collagan"):
    """Write an untrained model and return its card."""
    torch.manual_seed(0)
    network = {"kind": kind, "contrasts": len(contrasts), "widths": [4 * len(contrasts)] * 2}
    if kind != "collagan":
        network = {"in_channels": 1, "out_channels": 1, "widths": [8, 8]}
    card = {
        "Name": "tiny",
        "Version": "0",
        "Target": "contrasts",
        "Inputs": ["contrasts", "wanted"],
        "Network": network,
        "Output": {"range": "positive"},
        "Targets": "noise",
        "Recipe": {"simulation": {"contrasts": list(contrasts)}},
    }
    return save_model(build_network(network), folder / "tiny.safetensors", card)
