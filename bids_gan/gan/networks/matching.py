"""U-Net that is told how well two images agree under shifts, and looks again.

Images of a distorted scan are compared with others that lie in place, but for a move of the head
or the warp of a scanner's gradients: their *misalignment*, which goes all ways, but smoothly.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from bids_gan.gan.losses.precision import full_precision
from bids_gan.gan.networks.layers import crop_to, pad_to_multiple
from bids_gan.gan.networks.low_order import low_order, rigid_across
from bids_gan.gan.networks.unet import (
    ConvBlock,
    contracting_path,
    expand,
    expanding_path,
    space_to_depth,
)

#: added to local variances of images of unit variance: flat regions count little
_VARIANCE_FLOOR = 0.02
#: how much the best shift outweighs others in the expected one
_SHARPNESS = 8.0
#: how sharp a peak of the correlation must be to tell of a move
_SHARP = 0.02
#: steps by which a move is found; one from some millimetres needs them
_MOVES = 5


class MatchingUNet(nn.Module):
    """Space-to-depth U-Net that looks several times, each time at images that it has put right.

    Parameters
    ----------
    in_channels, out_channels : int
        The first output is the displacement along the first axis, in mm: where the content of a
        place was recorded. The last three are the misalignment, in mm along each axis: where the
        images in place show the content of a place.
    widths : sequence of int
        Channels at each level of the trunk.
    pairs : sequence of (int, int)
        Channels of a displaced image and of the image in place that it is compared with. The
        first pair's image is signal, which a displacement compresses.
    moved : sequence of int
        Further channels that are displaced.
    mask : int
        Channel that says where to compare.
    reach : int
        Largest shift to either side, voxels.
    passes : int
        How often it looks. What was found before is undone in both kinds of images, the
        misalignment as far as it is of low order, and the next pass adds to it. Before each, the
        move that correlations along the other two axes tell is undone too. In training the
        number is drawn, and only the last pass is learnt from.
    spacing : float
        Voxel size in mm.

    Notes
    -----
    A U-Net needs many examples to find out that displacement is where images correlate. Here
    this is computed (:func:`shifted_correlation`), and what is to be learnt is whom to believe.
    Correlations under shifts along the other two axes tell of misalignment, which nothing but
    the head's position and the gradients of the scanner can make; so a move of the head is
    computed from them, all but its part along the first axis. How far that went tells how far
    to believe in such a part.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        widths: tuple[int, ...] = (32, 64, 96),
        pairs: Sequence[tuple[int, int]] = ((0, 3), (2, 4)),
        moved: Sequence[int] = (1,),
        mask: int = 5,
        reach: int = 4,
        passes: int = 1,
        spacing: float = 4.0,
    ):
        super().__init__()
        self.multiple = 2 ** len(widths)
        self.pairs, self.mask, self.reach = pairs, mask, reach
        self.moved = [*(a for a, _ in pairs), *moved]
        self.in_place = [*(b for _, b in pairs), mask]
        self.passes, self.spacing = passes, spacing
        matches = len(pairs) * (2 * reach + 1 + 4) + 1
        # what was found before has channels of its own
        channels = in_channels + 1 + 3
        _, self.down = contracting_path(channels, widths)
        self.stem = nn.Sequential(
            ConvBlock(8 * channels + matches, widths[0]), ConvBlock(widths[0], widths[0])
        )
        self.up, self.head = expanding_path(out_channels, widths)

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, in_channels, D, H, W) to (N, out_channels, D, H, W) of any size."""
        size = x.shape[2:]
        x = pad_to_multiple(x, self.multiple)
        where = x[:, self.mask : self.mask + 1]
        mm = torch.zeros_like(where, dtype=torch.float32)
        apart = self._aligned(x, mm, mm.repeat(1, 3, 1, 1, 1), _MOVES)
        for _ in range(self._looks() - 1):
            with torch.no_grad():
                found = self._look(x, mm, apart).float()
            mm = mm + found[:, :1]
            apart = self._aligned(x, mm, apart + low_order(found[:, -3:], where), 1)
        output = self._look(x, mm, apart).float()
        parts = output[:, :1] + mm, output[:, 1:-3], output[:, -3:] + apart
        return crop_to(torch.cat(parts, dim=1), size)

    @torch.no_grad()
    def _aligned(self, x: Tensor, mm: Tensor, apart: Tensor, times: int) -> Tensor:
        """Misalignment, and what is left of a move across the first axis."""
        for _ in range(times):
            apart = apart + self._move(self._put_right(x, mm, apart))
        return apart

    def _move(self, x: Tensor) -> Tensor:
        """Rigid move (N, 3, D, H, W) in mm that correlations along two axes tell."""
        shift, weight = [], []
        for axis in (1, 2):
            # parabolas through three correlations: where they peak, and how sharp they are
            before, here, after = sum(
                self._correlations(x, pair, axis, 1) for pair in self.pairs
            ).split(1, dim=1)
            sharpness = 2 * here - before - after
            there = (after - before) / 2 / sharpness.clamp_min(_SHARP)
            # the recorded image shows at +1 what the other one shows at -1
            shift.append(-self.spacing * there.clamp(-1, 1))
            weight.append(sharpness * (sharpness > _SHARP))
        move = rigid_across(torch.cat(shift, dim=1), torch.cat(weight, dim=1), 2 * self.spacing)
        return F.interpolate(move, scale_factor=2, mode="trilinear")

    def _looks(self) -> int:
        if not self.training or self.passes == 1:
            return self.passes
        return int(torch.randint(1, self.passes + 1, ()))

    def _look(self, x: Tensor, mm: Tensor, apart: Tensor) -> Tensor:
        """One pass: what is to be added to displacement and misalignment, and other outputs."""
        x = self._put_right(x, mm, apart)
        before = torch.cat([mm, apart], dim=1) / self.spacing
        seen = torch.cat([x, before.to(x.dtype)], dim=1)
        features = [self.stem(torch.cat([space_to_depth(seen), self._matches(x)], dim=1))]
        for step in self.down:
            features.append(step(features[-1]))
        return expand(features, self.up, self.head)

    def _put_right(self, x: Tensor, mm: Tensor, apart: Tensor) -> Tensor:
        """Channels without the displacement, its compression of the signal and misalignment."""
        right = x.clone()
        if mm.any():
            voxels = mm / self.spacing
            right[:, self.moved] = sample_first_axis(x[:, self.moved], voxels)
            signal = self.moved[0]
            right[:, signal] *= 1 + torch.gradient(voxels[:, 0], dim=1)[0].clamp(-0.9, 3)
        if apart.any():
            right[:, self.in_place] = sample_at(x[:, self.in_place], apart / self.spacing)
        return right

    @torch.no_grad()
    def _matches(self, x: Tensor) -> Tensor:
        """Correlations of every pair, and the shift (voxels) that they expect together."""
        along, across = [], []
        for pair in self.pairs:
            along.append(self._correlations(x, pair, 0, self.reach))
            for axis in (1, 2):
                beside = self._correlations(x, pair, axis, 1)
                across += [beside[:, :1], beside[:, 2:]]
        shifts = torch.arange(-self.reach, self.reach + 1, device=x.device).float()
        belief = (_SHARPNESS * sum(along)).softmax(dim=1)
        expected = (belief * shifts.reshape(1, -1, 1, 1, 1)).sum(dim=1, keepdim=True)
        return torch.cat([*along, *across, expected], dim=1).to(x.dtype)

    def _correlations(self, x: Tensor, pair: tuple[int, int], axis: int, reach: int) -> Tensor:
        """:func:`shifted_correlation` of a pair of channels under shifts along an axis."""
        turned = (x[:, c : c + 1].transpose(2, 2 + axis) for c in (*pair, self.mask))
        return shifted_correlation(*turned, reach).transpose(2, 2 + axis)


def sample_first_axis(images: Tensor, shift: Tensor) -> Tensor:
    """Linear interpolation of (N, C, D, H, W) at ``index + shift`` voxels along D, edges repeated.

    Parameters
    ----------
    images : (N, C, D, H, W) tensor
    shift : (N, 1, D, H, W) tensor
    """
    n = images.shape[2]
    index = torch.arange(n, device=shift.device, dtype=shift.dtype).reshape(-1, 1, 1)
    where = (index + shift).clamp(0, n - 1)
    below = where.floor().clamp(0, n - 2)
    part, below = where - below, below.long().expand_as(images)
    low, high = images.gather(2, below), images.gather(2, below + 1)
    return (low + part * (high - low)).to(images.dtype)


def sample_at(images: Tensor, shift: Tensor) -> Tensor:
    """Linear interpolation of (N, C, D, H, W) at ``index + shift`` voxels, zero outside.

    Parameters
    ----------
    images : (N, C, D, H, W) tensor
    shift : (N, 3, D, H, W) tensor
    """
    sizes = images.shape[2:]
    axes = [torch.arange(n, device=shift.device, dtype=shift.dtype) for n in sizes]
    index = torch.stack(torch.meshgrid(*axes, indexing="ij"))
    last = torch.tensor(sizes, device=shift.device).reshape(3, 1, 1, 1) - 1
    grid = (2 * (index + shift) / last - 1).movedim(1, -1).flip(-1)
    return F.grid_sample(images.to(grid.dtype), grid, align_corners=True).to(images.dtype)


@full_precision
def shifted_correlation(moving: Tensor, fixed: Tensor, mask: Tensor, reach: int) -> Tensor:
    """Local correlation of two images under shifts of the first one along the first axis.

    Parameters
    ----------
    moving, fixed, mask : (N, 1, D, H, W) tensor
        Of even size; compared where `mask` is 1.
    reach : int
        Largest shift in voxels.

    Returns
    -------
    (N, 2 * reach + 1, D / 2, H / 2, W / 2) tensor
        Channel k is that of ``moving(y + k - reach)`` with ``fixed(y)``, in windows of 6 voxels.
    """
    length = moving.shape[2]
    moving, fixed = _standard(moving), _standard(fixed)
    padded = F.pad(moving, (0, 0, 0, 0, reach, reach))
    shifted = torch.cat([padded[:, :, k : k + length] for k in range(2 * reach + 1)], dim=1)
    there = mask * shifted
    weight, mean_f, square_f, mean_m, square_m, product = _windows(
        mask, mask * fixed, mask * fixed.square(), there, there * shifted, there * fixed
    )
    share = weight.clamp_min(1e-3)
    mean_f, square_f, mean_m, square_m, product = (
        value / share for value in (mean_f, square_f, mean_m, square_m, product)
    )
    variance_f, variance_m = (
        (square - mean.square()).clamp_min(0) + _VARIANCE_FLOOR
        for square, mean in ((square_f, mean_f), (square_m, mean_m))
    )
    correlation = (product - mean_f * mean_m) * torch.rsqrt(variance_f * variance_m)
    return correlation * (weight > 0.05)


def _windows(*maps: Tensor) -> list[Tensor]:
    """Means of (N, C, D, H, W) over cubes of 6 voxels, at every second one."""
    return [_mean_of_three(_mean_of_two(each)) for each in maps]


def _mean_of_two(x: Tensor) -> Tensor:
    """Mean over blocks of 2 × 2 × 2 voxels; faster than pooling."""
    x = x[:, :, ::2] + x[:, :, 1::2]
    x = x[:, :, :, ::2] + x[:, :, :, 1::2]
    return (x[..., ::2] + x[..., 1::2]) / 8


def _mean_of_three(x: Tensor) -> Tensor:
    """Mean of every voxel and its neighbours, zero outside; faster than pooling."""
    x = F.pad(x, (1, 1, 1, 1, 1, 1))
    x = x[:, :, :-2] + x[:, :, 1:-1] + x[:, :, 2:]
    x = x[:, :, :, :-2] + x[:, :, :, 1:-1] + x[:, :, :, 2:]
    return (x[..., :-2] + x[..., 1:-1] + x[..., 2:]) / 27


def _standard(image: Tensor) -> Tensor:
    """Image (N, 1, D, H, W) of unit variance where it is not zero."""
    filled = (image != 0).float()
    count = filled.sum(dim=(1, 2, 3, 4), keepdim=True).clamp_min(1)
    mean = image.sum(dim=(1, 2, 3, 4), keepdim=True) / count
    centred = (image - mean) * filled
    variance = centred.square().sum(dim=(1, 2, 3, 4), keepdim=True) / count
    return centred * torch.rsqrt(variance + 1e-6)
