"""Previews: columns are volumes, rows are planes, up is superior and anterior."""

import numpy as np
import torch
from PIL import Image

from bids_gan.gan.methods.segmentation import Segmentation
from bids_gan.gan.networks.unet import SpaceToDepthUNet
from bids_gan.gan.training.figure import _style, write_preview


def test_slices_stand_upright(tmp_path):
    volume = torch.zeros(20, 20, 20)
    volume[:, :, 15:] = 1.0  # superior
    write_preview(tmp_path / "a.png", {"input": volume, "output": 0 * volume}, "step 1")
    picture = np.asarray(Image.open(tmp_path / "a.png").convert("L"), float)
    height, width = picture.shape
    left, right = picture[:, : width // 2], picture[:, width // 2 :]
    bright = (left > 250).sum(1) > width // 8
    rows = np.flatnonzero(bright)
    # in the sagittal and the coronal row the upper quarter is bright; in the axial one nothing is
    starts = rows[np.flatnonzero(np.diff(rows, prepend=-9) > 1)]
    assert len(starts) == 2
    assert rows.max() < 2 * height / 3
    assert (right > 250).sum() < 0.02 * right.size  # letters alone
    assert not list(tmp_path.glob("*.part"))


def test_classes_are_coloured_and_constant_volumes_drawn():
    assert _style(np.array([0, 5]), 5)["cmap"] == "nipy_spectral"
    assert _style(np.zeros((2, 2)), 5)["vmax"] == 1.0


def test_a_class_has_one_colour_in_all_panels(tmp_path):
    two, seven = torch.full((8, 8), 2), torch.full((8, 8), 7)
    panels = {"input": seven, "labels": two, "output": seven, "target": two}
    write_preview(tmp_path / "a.png", panels, "step 1")
    picture = Image.open(tmp_path / "a.png").convert("RGB")
    width, height = picture.size
    seen = [picture.getpixel((width * (2 * n + 1) // 8, 2 * height // 3)) for n in range(4)]
    assert seen[0] == seen[2]
    assert seen[1] == seen[3]
    assert seen[0] != seen[1]


def test_segmentation_previews_classes():
    method = Segmentation(SpaceToDepthUNet(1, 3, (16, 16)).eval())
    labels = torch.randint(3, (2, 16, 16, 16))
    batch = {"input": torch.rand(2, 1, 16, 16, 16), "labels": labels}
    panels = method.preview(method.modules["generator"], batch)
    assert list(panels) == ["input", "target", "output"]
    assert torch.equal(panels["target"], labels[0])
    assert panels["output"].shape == (16, 16, 16)
    assert not panels["output"].is_floating_point()
