"""What each loss changes: one small generator trained again and again, a loss added in turn.

The task is one whose truth is known everywhere: from a T1w of random contrast, rendered from a
label map with bias, noise and blur, to the T1w that one fixed sequence would give of the same
head. The anatomy network knows that contrast, so its Dice against the labels says what the image
is good for.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from bids_gan.errors import DataError, UsageError
from bids_gan.evaluate import metrics
from bids_gan.evaluate.write import write_files
from bids_gan.gan.heads import split_heads
from bids_gan.gan.losses.image import masked_l1
from bids_gan.gan.losses.registry import LOSSES, Loss, check_requirements, find_loss
from bids_gan.gan.losses.segmentation import dice_scores
from bids_gan.gan.losses.terms import Example, Term
from bids_gan.gan.methods.paired import Paired
from bids_gan.gan.networks.patchgan import PatchDiscriminator
from bids_gan.gan.networks.unet import SpaceToDepthUNet
from bids_gan.gan.training.loop import train
from bids_gan.gan.training.settings import TrainingSettings
from bids_gan.models.registry import find_card, load_model
from bids_gan.simulate.labels import load_label_map
from bids_gan.simulate.patches import SimulatedPairs
from bids_gan.simulate.physics import label_contrast

#: name of the training with L1 alone, with which the others are compared
BASE = "base"
MEASURES = ("psnr", "ssim", "sharpness", "dice")
#: what simulated pairs cannot be asked for
LACKING = {
    "classes": "every image of this comparison is of one class",
    "physics": "images are rendered, nothing was acquired",
}
#: the base is absolute error, so the pixel-wise loss that is added must be another
OPTIONS = {"pixel-wise": {"penalty": "l2"}}
#: of the adversarial term, whose gradient cannot be known before there is a critic
ADVERSARIAL_WEIGHT = 0.01


@dataclass(frozen=True)
class Ablation:
    """All that decides the numbers, apart from the label maps and the versions of libraries.

    Attributes
    ----------
    losses : tuple of str
        Names of those to add; all that can be when empty.
    steps : int
        Of each training.
    seed : int
        Of weights and patches, the same for every training.
    share : float
        Weight of a loss: so that its gradient at the images of the base has this share of the norm
        of the gradient of L1.
    patch, batch : int
        Edge in voxels and number of the training patches.
    test_patch, test_patches : int
        Edge and number of the patches of unseen heads on which is measured.
    widths : tuple of int
        Of the generator, a :class:`~bids_gan.gan.networks.unet.SpaceToDepthUNet`.
    learning_rate : float
    """

    losses: tuple[str, ...] = ()
    steps: int = 300
    seed: int = 0
    share: float = 0.5
    patch: int = 32
    batch: int = 2
    test_patch: int = 64
    test_patches: int = 12
    widths: tuple[int, ...] = (32, 64)
    learning_rate: float = 1e-3


@dataclass(frozen=True)
class Row:
    """What one training gave.

    Attributes
    ----------
    name, number : str
        Of the loss that was added.
    weight : float
    scores : list of dict
        Measure -> value, for each test patch.
    """

    name: str
    number: str
    weight: float
    scores: list[dict[str, float]]

    def mean(self, measure: str) -> float:
        """Mean over the test patches."""
        return float(np.nanmean([score[measure] for score in self.scores]))

    def change(self, base: Row, measure: str) -> tuple[float, float, float]:
        """Mean difference from another row, patch by patch, with its bootstrap interval."""
        pairs = zip(self.scores, base.scores, strict=True)
        return metrics.bootstrap_mean([own[measure] - other[measure] for own, other in pairs])


def chosen_losses(names: tuple[str, ...]) -> list[Loss]:
    """Losses to add, in the order of their numbers when none is named.

    Raises
    ------
    UsageError
        When a loss is unknown, or cannot be added to a paired method on simulated images.
    """
    if not names:
        return [x for x in LOSSES if addable(x)]
    try:
        losses = [find_loss(name) for name in names]
        check_requirements((x for x in losses if x.name != "adversarial"), LACKING)
    except ValueError as error:
        raise UsageError(f"--losses: {error}") from None
    return losses


def addable(loss: Loss) -> bool:
    """Whether simulated pairs have all that a loss needs."""
    return loss.name == "adversarial" or (bool(loss.sees) and not loss.requires & set(LACKING))


def run_ablation(
    ablation: Ablation, label_maps: Path, folder: Path, device: str = "cpu"
) -> Iterator[Row]:
    """Train with L1 alone, then with each loss added, and measure each.

    Parameters
    ----------
    ablation : Ablation
    label_maps : Path
        Folder of whole-head label maps; the last fifth of them, by name, is for testing.
    folder : Path
        Receives a training run a loss; what was stopped continues there.
    device : str

    Yields
    ------
    Row
        That of the base first.

    Raises
    ------
    UsageError, DataError
    """
    losses = chosen_losses(ablation.losses)
    maps = read_maps(label_maps)
    keep_settings(ablation, list(maps), folder)
    bench = _Bench(ablation, list(maps.values()), folder, device)
    base = bench.train(BASE)
    yield Row(BASE, "L2", 1.0, bench.scores(base))
    for loss in losses:
        if loss.name == "adversarial":
            weight, options = ADVERSARIAL_WEIGHT, {"adversarial_weight": ADVERSARIAL_WEIGHT}
        else:
            term = bench.term(loss, base)
            weight, options = term.weight, {"extra": [term]}
        yield Row(loss.name, loss.number, weight, bench.scores(bench.train(loss.name, **options)))


def read_maps(folder: Path) -> dict[str, np.ndarray]:
    """Label maps of a folder by file name.

    Raises
    ------
    DataError
        For fewer than two, one to train and one to test.
    """
    paths = sorted(folder.glob("*seg_*.nii.gz"))
    if len(paths) < 2:
        raise DataError(f"{folder}: {len(paths)} files match *seg_*.nii.gz, at least 2 are needed")
    return {path.name: load_label_map(path) for path in paths}


def keep_settings(ablation: Ablation, maps: list[str], folder: Path) -> None:
    """Write what the runs of a folder were made with, which those of others must not continue.

    Raises
    ------
    UsageError
    """
    path = folder / "ablation.json"
    # with other losses the same runs are good
    settings = {k: v for k, v in asdict(ablation).items() if k != "losses"}
    text = json.dumps({**settings, "label_maps": maps}, indent=2) + "\n"
    if path.exists() and path.read_text() != text:
        raise UsageError(f"{path}: of another ablation; give another --output")
    write_files({path.name: text.encode()}, folder)


class _Bench:
    """The one generator, the one set of patches, and the one measure, for every loss."""

    def __init__(self, ablation: Ablation, maps: list[np.ndarray], folder: Path, device: str):
        self.ablation = ablation
        self.folder = folder
        self.device = device
        self.anatomy = load_model(find_card("anatomy")).network.to(device)
        contrast = label_contrast(np.random.default_rng(ablation.seed), "T1w")
        unseen = max(len(maps) // 5, 1)

        def pairs(maps: list[np.ndarray], patch: int, batch: int, seed: int) -> SimulatedPairs:
            return SimulatedPairs(maps, patch, batch, contrast, seed=seed)

        seed = ablation.seed
        self.patches = pairs(maps[:-unseen], ablation.patch, ablation.batch, seed)
        test = pairs(maps[-unseen:], ablation.test_patch, 1, seed + 1)
        self.tests = [test.batch(step) for step in range(ablation.test_patches)]
        # one range for all patches, or those with little in them would count for more
        truth = torch.cat([b["target"][b["mask"] > 0] for b in self.tests])
        self.data_range = float(np.percentile(truth.numpy(), 99.9))

    def train(self, name: str, **options) -> nn.Module:
        """Averaged generator after training with the options of a loss."""
        ablation = self.ablation
        torch.manual_seed(ablation.seed)
        generator = SpaceToDepthUNet(1, 2, ablation.widths)
        if "adversarial_weight" in options:
            options["discriminator"] = PatchDiscriminator(2, base=16, layers=2)
        method = Paired(
            generator,
            learning_rate=ablation.learning_rate,
            value_range="positive",
            **options,
        )
        settings = TrainingSettings(
            ablation.steps,
            freeze_statistics=ablation.steps // 2,
            warmup=min(ablation.steps // 10, 50),
            validate_every=ablation.steps,
            preview_every=0,
            average_decay=0.98,
            precision="fp32",  # the same on every processor
            seed=ablation.seed,
        )
        run = self.folder / "runs" / name
        return train(method, self.patches.batch, list, run, settings, self.device)

    @torch.no_grad()
    def image(self, network: nn.Module, batch: dict[str, Tensor]) -> Tensor:
        """Synthetic images of a batch."""
        return split_heads(network(batch["input"].to(self.device)), "positive")[0]

    def term(self, loss: Loss, base: nn.Module) -> Term:
        """A loss with the weight that gives its gradient the wanted share of that of L1."""
        call = loss.term(network=self.anatomy, **OPTIONS.get(loss.name, {}))
        batch = {k: v.to(self.device) for k, v in self.patches.batch(0).items()}
        image = self.image(base, batch).requires_grad_()
        mask = batch["mask"]
        example = Example(image, batch["input"], mask, batch["target"], batch["labels"])

        def steepness(value: Tensor) -> float:
            return float(torch.autograd.grad(value, image)[0].norm())

        own = steepness(call(example))
        weight = steepness(masked_l1(image, batch["target"], mask)) / own
        return Term(loss.name, float(f"{self.ablation.share * weight:.3g}"), call)

    def scores(self, network: nn.Module) -> list[dict[str, float]]:
        """Every measure of each test patch."""
        return [self._score(self.image(network, batch).cpu(), batch) for batch in self.tests]

    def _score(self, image: Tensor, batch: dict[str, Tensor]) -> dict[str, float]:
        image = image * batch["mask"]
        volumes = (image, batch["target"], batch["mask"])
        x, y, mask = (v[0, 0].numpy() for v in volumes)
        mask = mask > 0
        return {
            "psnr": metrics.psnr(x, y, mask, self.data_range),
            "ssim": metrics.ssim(x, y, mask, self.data_range),
            "sharpness": metrics.sharpness(x, y, mask),
            "dice": self._dice(image, batch),
        }

    @torch.no_grad()
    def _dice(self, image: Tensor, batch: dict[str, Tensor]) -> float:
        """Mean Dice over the structures that the anatomy network finds in the image."""
        logits = self.anatomy(image.to(self.device))
        labels = batch["labels"] * (batch["mask"][:, 0] > 0)
        found = dice_scores(logits.argmax(1).cpu(), labels, logits.shape[1])
        return float(found[1:].nanmean())
