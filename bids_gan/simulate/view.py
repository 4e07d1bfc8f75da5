"""How a scan shows a person: where its grid lies, how the head moved, what gradients warp."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from scipy.spatial.transform import Rotation
from torch import Tensor

from bids_gan.gan.training.augment import smooth_noise
from bids_gan.simulate.coils import gradient_warp

#: voxel size of a rendered person that is kept, mm
KEPT = 2.0
#: extent of the network's grid to the right, front and top, mm
_EXTENT = (176.0, 224.0, 176.0)
#: chance that only one of T1w and diffusion image is corrected for its gradients
_UNCORRECTED = 0.35


class View:
    """How the network's grid lies on a person: axes, tilt and size of the head."""

    def __init__(self, shape, spacing, directions, to_voxel, middle):
        self.shape = shape
        self.spacing = spacing
        #: world direction of each array axis, mm a voxel; the tilt of the head is not in it
        self.directions = directions
        self.to_voxel = to_voxel
        self.middle = middle

    @classmethod
    def draw(
        cls, person: Tensor, axis: int, rng: np.random.Generator, spacing: float, size: float
    ) -> View:
        order = [axis, *(a for a in range(3) if a != axis)]
        directions = np.eye(3)[:, order] * spacing
        directions[:, 0] *= rng.choice([-1, 1])
        shape = tuple(round(_EXTENT[a] / spacing) for a in order)
        tilt = Rotation.from_euler("xyz", rng.normal(0, 6, 3), degrees=True).as_matrix()
        scale = np.diag(np.exp(rng.normal(0, size, 3)))
        scale[0] *= rng.choice([-1, 1])
        middle = (np.array(person.shape[1:]) - 1) / 2 + rng.normal(0, 1.5, 3)
        return cls(shape, spacing, directions, tilt @ scale / KEPT, middle)

    def places(self, rng: np.random.Generator, bends: Sequence[tuple[int, float]]) -> Tensor:
        """Voxel of the person (I, J, K, 3) that each voxel of the grid shows.

        A bend gives the head another shape: knots across the grid, largest standard deviation, mm.
        """
        axes = [torch.arange(n, dtype=torch.float32) - (n - 1) / 2 for n in self.shape]
        grid = torch.stack(torch.meshgrid(*axes, indexing="ij"), dim=-1)
        matrix = torch.as_tensor((self.to_voxel @ self.directions).T, dtype=torch.float32)
        at = grid @ matrix + torch.as_tensor(self.middle, dtype=torch.float32)
        for knots, mm in bends:
            amount = rng.uniform(0, mm / KEPT)
            at = at + amount * smooth_noise(rng, self.shape, knots, 3).movedim(0, -1)
        return at

    @staticmethod
    def misplaced(at: Tensor, move: float, rng: np.random.Generator) -> tuple[bool, Tensor]:
        """Whether gradients differ; places once the head has moved, and seen through both."""
        middle = at.mean((0, 1, 2))
        turn = Rotation.from_euler("xyz", rng.normal(0, move, 3), degrees=True).as_matrix()
        at = (at - middle) @ torch.as_tensor(turn.T, dtype=torch.float32) + middle
        at = at + torch.as_tensor(rng.normal(0, move / KEPT, 3), dtype=torch.float32)
        differ = bool(rng.random() < _UNCORRECTED)
        if differ:
            at = at + gradient_warp((at - middle) * KEPT, rng) / KEPT
        return differ, at

    def apart(self, at: Tensor, moved: Tensor) -> np.ndarray:
        """Where other places show what belongs to these, (3, I, J, K), mm along array axes."""
        to_grid = np.linalg.inv(self.to_voxel @ self.directions).T * self.spacing
        mm = (at - moved) @ torch.as_tensor(to_grid, dtype=torch.float32)
        return mm.movedim(-1, 0).numpy()

    def seen(self, rng: np.random.Generator) -> np.ndarray:
        """Field of view; in some runs it cuts the head at the bottom or the top."""
        seen = np.ones(self.shape, bool)
        if rng.random() > 0.35 or not self.directions[2, 2]:
            return seen
        bottom, top = (55.0, 5.0) if rng.random() < 0.7 else (5.0, 25.0)
        low, high = (int(rng.uniform(15, 15 + n) / self.spacing) for n in (bottom, top))
        seen[:, :, :low] = False
        seen[:, :, -high:] = False
        return seen
