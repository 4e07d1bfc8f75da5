"""The field's classical GANs on the data of a recipe, for the generator to be compared with."""

from __future__ import annotations

from bids_gan.errors import UsageError

#: method -> how it is called, and its steps when no wall time is given
BASELINES = {"pix2pix": ("pix2pix", 8000), "cyclegan": ("CycleGAN", 4000)}
PATCH = 48


def baseline_of(recipe: dict, method: str) -> dict:
    """Recipe by which a classical GAN learns the same target from the same people.

    ResNet-9 generators and 70-voxel discriminators of 32 channels in their first layer, patches
    of 48 voxels one at a time, Adam of rate 2e-4, new weights, and of the inputs the image alone.

    Parameters
    ----------
    recipe : dict
        Of any paired method, see :func:`bids_gan.models.recipe.read_recipe`.
    method : {'pix2pix', 'cyclegan'}
        The second draws sources and targets of the same people apart.

    Returns
    -------
    dict
        Its name is that of the recipe, a hyphen and the method's.

    Raises
    ------
    UsageError
        When the recipe does not turn one image into another.
    """
    called, steps = BASELINES[method]
    if recipe["method"] not in ("paired", "pix2pix"):
        raise UsageError(
            f"recipe {recipe['name']}: method {recipe['method']} has no {called} to be compared "
            "with; a baseline needs a recipe of method paired or pix2pix"
        )
    name, card = f"{recipe['name']}-{method}", recipe.get("card", {})
    data = ("target", "seed", "output", "people", "label_maps", "simulation")
    shares = {k: v for k, v in recipe["data"].items() if k == "pairs_share"}
    return {key: recipe[key] for key in data if key in recipe} | {
        "name": name,
        "method": method,
        "inputs": [kind for kind in recipe["inputs"] if kind != "position"],
        "network": {
            "kind": "resnet", "in_channels": 1, "out_channels": 1, "base": 32, "blocks": 9,
        },
        "data": {"patch": PATCH, "batch": 1, **shares},
        "training": {
            "steps": steps, "validate_every": 500, "preview_every": 0, "learning_rate": 2e-4,
        },
        "adversarial": {"base": 32},
        "card": card
        | {
            "Description": f"{card.get('Description', name)}, by the classical {called}",
            "IntendedUse": "baseline: to be compared with; not for diagnosis",
            "KnownFailures": "instance normalisation: the output depends on the field of view, so "
            f"it runs on overlapping cubes of {PATCH} mm",
            "Reproduce": f"{card.get('Reproduce', '')} --baseline {method}".strip(),
        },
    }  # fmt: skip
