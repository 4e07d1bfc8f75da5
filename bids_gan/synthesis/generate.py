"""From a prepared anatomy to a synthetic contrast with its uncertainty."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from bids_gan.anatomy.segment import CEREBELLUM, FEWEST_VOXELS
from bids_gan.anatomy.standard import match_tones, tones
from bids_gan.errors import DataError
from bids_gan.gan.inference import run_network
from bids_gan.gan.networks.factory import USUAL_KIND
from bids_gan.geometry import box_affine, box_around, resample

if TYPE_CHECKING:
    from torch import Tensor

    from bids_gan.anatomy.prepare import Anatomy
    from bids_gan.models.registry import Card, Model

#: border around the brain, voxels
MARGIN = 4
#: `reference` of an output -> structures whose mean is its unit
REFERENCES = {"cerebellum": CEREBELLUM}


@dataclass(frozen=True)
class SyntheticImage:
    """A synthetic contrast on the anatomy's grid, cropped to the brain.

    Attributes
    ----------
    mean : (I, J, K) float32 array
        In the unit of the model card; zero outside the brain, unless the whole head was input.
    std : (I, J, K) float32 array or None
        Expected standard deviation of the error, from the generator's Laplace scale; None of a
        generator that has no such output.
    affine : (4, 4) array
        Voxel to world (mm).
    """

    mean: np.ndarray
    std: np.ndarray | None
    affine: np.ndarray


def crop_to_brain(anatomy: Anatomy) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """T1w (zero outside the brain) and mask in the brain's box, and the affine of the box."""
    box = box_around(anatomy.mask, MARGIN)
    mask = anatomy.mask[box]
    t1w = np.where(mask, anatomy.t1w[box], 0).astype(np.float32)
    return t1w, mask, box_affine(anatomy.affine, box)


def generator_input(
    anatomy: Anatomy, inputs: tuple[str, ...]
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """What a generator sees of a person.

    Parameters
    ----------
    anatomy : Anatomy
    inputs : tuple of str
        Of the model card: ``T1w`` (zero outside the brain) or ``head`` (the whole image), then
        perhaps ``position`` (see :func:`bids_gan.gan.position.position_channels`).

    Returns
    -------
    channels : (C, I, J, K) float32 array
    mask : (I, J, K) bool array
        Where the generator's image counts.
    affine : (4, 4) array
        Voxel to world (mm).
    """
    from bids_gan.gan.position import grid_coordinates, position_channels

    if inputs[0] == "head":
        image, affine = anatomy.t1w, anatomy.affine
        mask = np.ones(image.shape, bool)
    else:
        image, mask, affine = crop_to_brain(anatomy)
    channels = [image[None]]
    if "position" in inputs:
        position = position_channels(grid_coordinates(image.shape), anatomy.to_mni @ affine)
        channels.append(position.numpy() * mask)
    return np.concatenate(channels), mask, affine


def synthesise(
    anatomy: Anatomy, model: Model, *, precision: str = "auto", device: str = "cpu"
) -> SyntheticImage:
    """Run a generator on a person's anatomy.

    Parameters
    ----------
    anatomy : Anatomy
    model : Model
        With the output value, or value and log-scale.
    precision : {'auto', 'bf16', 'fp32'}
    device : str
    """
    card = model.card
    inputs, mask, affine = generator_input(anatomy, card.inputs)
    if wanted := card.text.get("Tones"):  # of the scanner that it translates to
        have = tones(anatomy.t1w, anatomy.structures)
        inputs[0] = match_tones(inputs[0], have, np.array(wanted))
    raw = run_network(
        model.network,
        inputs,
        precision,
        device,
        field_of_view(card),
        neighbours=card.network.get("neighbours", 0),
    )
    output = card.text.get("Output", {})
    images = [
        None if image is None else np.where(mask, image, 0).astype(np.float32)
        for image in image_of(raw, output)
    ]
    if reference := output.get("reference"):
        level = reference_level(anatomy, images[0], affine, reference)
        images = [None if image is None else image / level for image in images]
    return SyntheticImage(*images, affine)


def reference_level(
    anatomy: Anatomy, image: np.ndarray, affine: np.ndarray, reference: str
) -> float:
    """Mean of an image in the structure whose mean is its unit.

    Raises
    ------
    DataError
        When the T1w does not show the structure.
    """
    where = np.isin(anatomy.structures, REFERENCES[reference])
    inside = resample(where.astype(np.float32), anatomy.affine, image.shape, affine, order=0) > 0
    if inside.sum() < FEWEST_VOXELS:
        raise DataError(
            f"the T1w shows {inside.sum()} voxels of the {reference}, whose mean is the unit of "
            f"the synthetic image; {FEWEST_VOXELS} are needed"
        )
    return float(image[inside].mean())


def image_of(raw: Tensor, output: dict) -> tuple[np.ndarray, np.ndarray | None]:
    """Image, and the standard deviation of its error, in the unit of the output.

    Parameters
    ----------
    raw : (C, I, J, K) tensor
        Of the network; value, or value and log-scale.
    output : dict
        ``range`` and ``unit``, of a recipe or a card.
    """
    from bids_gan.gan.heads import bounded, split_heads

    value_range, unit = output.get("range", "fraction"), output.get("unit", 1)
    if len(raw) == 1:
        return unit * bounded(raw, value_range)[0].numpy(), None
    value, log_scale = split_heads(raw[None], value_range)
    # a Laplace law of scale b has standard deviation b * sqrt(2)
    return unit * value[0, 0].numpy(), unit * np.sqrt(2) * log_scale[0, 0].exp().numpy()


def field_of_view(card: Card) -> int | None:
    """Edge of the cubes on which a generator must be run; None for the whole volume.

    Instance normalisation, which ResNet and UNIT have, depends on the size it was trained at.
    """
    whole = card.network.get("kind") not in ("resnet", "unit")
    return None if whole else card.text["Recipe"]["data"]["patch"]


def provenance(card: Card, device: str, precision: str) -> dict[str, Any]:
    """What the sidecar of a synthetic image says of how it was made."""
    return {
        "Model": card.name,
        "ModelVersion": card.version,
        "WeightsSHA256": card.sha256,
        "Network": card.network.get("kind", USUAL_KIND),
        "NetworkDimensions": card.network.get("dimensions", 3),
        "Targets": card.text.get("Targets"),
        "Device": device,
        "Precision": precision,
        "NotForDiagnosis": True,
    }


def appearance(anatomy: Anatomy) -> dict[str, float]:
    """What the generator's input looks like, in numbers that its training range is known for.

    Returns
    -------
    dict
        Mean grey and CSF intensity (white matter is 1), spread of white and grey matter, brain
        volume in ml.
    """
    t1w, tissue = anatomy.t1w, anatomy.tissue
    voxel = abs(np.linalg.det(anatomy.affine[:3, :3])) / 1000
    return {
        "grey_mean": float(t1w[tissue == 2].mean()),
        "csf_mean": float(t1w[tissue == 1].mean()),
        "white_sd": float(t1w[tissue == 3].std()),
        "grey_sd": float(t1w[tissue == 2].std()),
        "brain_volume_ml": float(anatomy.mask.sum() * voxel),
    }
