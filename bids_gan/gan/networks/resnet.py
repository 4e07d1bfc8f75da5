"""ResNet generator of CycleGAN in 3D: the classical generator that ours is measured against."""

from __future__ import annotations

from torch import Tensor, nn

from bids_gan.gan.networks.layers import crop_to, layers_of, pad_to_multiple


def convolution_block(
    inputs: int,
    outputs: int,
    size: int = 3,
    stride: int = 1,
    dimensions: int = 3,
    padding: str = "reflect",
) -> nn.Sequential:
    """Padding that keeps the size, convolution, instance normalisation, rectifier."""
    layers = layers_of(dimensions)
    half = size // 2
    reflect = padding == "reflect"
    return nn.Sequential(
        layers.reflection_pad(half) if reflect else nn.Identity(),
        layers.convolution(inputs, outputs, size, stride, 0 if reflect else half),
        layers.instance_norm(outputs, affine=True),
        nn.ReLU(),
    )


def up_block(
    inputs: int, outputs: int, dimensions: int = 3, padding: str = "reflect"
) -> nn.Sequential:
    """Twice the size by nearest neighbour, then a convolution: leaves no checkerboard."""
    return nn.Sequential(
        nn.Upsample(scale_factor=2, mode="nearest"),
        convolution_block(inputs, outputs, dimensions=dimensions, padding=padding),
    )


def image_layer(
    inputs: int, outputs: int, dimensions: int = 3, padding: str = "reflect"
) -> tuple[nn.Module, nn.Module]:
    """c7s1 without normalisation and rectifier: its padding and its convolution."""
    layers = layers_of(dimensions)
    if padding == "reflect":
        return layers.reflection_pad(3), layers.convolution(inputs, outputs, 7)
    return nn.Identity(), layers.convolution(inputs, outputs, 7, padding=3)


def initialise(network: nn.Module) -> None:
    """Draw the weights of all convolutions from N(0, 0.02²), as DCGAN and its heirs do."""
    for module in network.modules():
        if isinstance(module, (nn.Conv2d, nn.Conv3d)):
            nn.init.normal_(module.weight, std=0.02)


class ResidualBlock(nn.Module):
    """R-k: two padded convolutions of size 3 and the identity."""

    def __init__(self, channels: int, dimensions: int = 3, padding: str = "reflect"):
        super().__init__()

        def half() -> nn.Sequential:
            return convolution_block(channels, channels, dimensions=dimensions, padding=padding)

        # the second half without its rectifier, so that the sum is free to fall
        self.net = nn.Sequential(half(), *half()[:-1])

    def forward(self, x: Tensor) -> Tensor:
        """Add what was learnt to the input."""
        return x + self.net(x)


class ResNetGenerator(nn.Module):
    """c7s1-b, d2b, d4b, R4b × blocks, u2b, ub, c7s1-C in the notation of Johnson and Zhu.

    Parameters
    ----------
    in_channels, out_channels : int
    base : int
        Channels b of the first layer; 32 with 9 blocks has 8.55 million parameters in 3D.
    blocks : int
    dimensions : {3, 2}
    padding : {'reflect', 'zeros'}
        Of every convolution.

    Notes
    -----
    CycleGAN's generator (Zhu et al. 2017, https://arxiv.org/abs/1703.10593) with 3D kernels. Up
    means nearest neighbour and a convolution, which leaves no checkerboard (Odena et al. 2016,
    https://distill.pub/2016/deconv-checkerboard). The output is raw, not squashed.

    Instance normalisation uses the statistics of what it is given, at inference too: the output
    depends on the crop, and a network trained on patches must be run on patches of the same size
    (:func:`bids_gan.gan.inference.tiled`).
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        base: int = 32,
        blocks: int = 9,
        dimensions: int = 3,
        padding: str = "reflect",
    ):
        super().__init__()
        kind = {"dimensions": dimensions, "padding": padding}
        self.padding = "reflect" if padding == "reflect" else "constant"
        self.net = nn.Sequential(
            convolution_block(in_channels, base, 7, **kind),
            convolution_block(base, 2 * base, stride=2, **kind),
            convolution_block(2 * base, 4 * base, stride=2, **kind),
            *(ResidualBlock(4 * base, **kind) for _ in range(blocks)),
            up_block(4 * base, 2 * base, **kind),
            up_block(2 * base, base, **kind),
            *image_layer(base, out_channels, **kind),
        )
        initialise(self)

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, in_channels, ...) to (N, out_channels, ...); sizes of 8 and more."""
        return crop_to(self.net(pad_to_multiple(x, 4, self.padding)), x.shape[2:])
