"""Define networks that map an image to ten logits."""

from jaxtyping import Float
from torch import Tensor, nn

from lectern.config import DropoutRate, LayerCount, PositiveInt


class DigitCNN(nn.Sequential):
    """The network of lecture 5 of CS50's Introduction to AI with Python. It has 693,962 parameters."""

    def __init__(self, dropout: DropoutRate = 0.5):
        super().__init__(
            nn.Conv2d(1, 32, 3),  # (B, 32, 26, 26)
            nn.MaxPool2d(2),  # (B, 32, 13, 13); pooling after ReLU, as in the lecture, would be slower
            nn.ReLU(),
            nn.Flatten(),  # (B, 5408)
            nn.Linear(32 * 13 * 13, 128),
            nn.ReLU(),
            nn.Dropout(dropout),
            nn.Linear(128, 10),
        )

    def forward(self, images: Float[Tensor, "batch 1 28 28"]) -> Float[Tensor, "batch 10"]:
        values: Tensor = images
        for layer in self:
            values = layer(values)
        return values


class ResidualBlock(nn.Module):
    """A block of two convolutions with a shortcut (He et al. 2016, arXiv:1603.05027).

    Batch normalisation and ReLU precede each convolution.
    """

    def __init__(self, channels_in: int, channels_out: int, stride: int):
        super().__init__()
        self.body = nn.Sequential(
            nn.BatchNorm2d(channels_in),
            nn.ReLU(),
            nn.Conv2d(channels_in, channels_out, 3, stride, padding=1, bias=False),
            nn.BatchNorm2d(channels_out),
            nn.ReLU(),
            nn.Conv2d(channels_out, channels_out, 3, padding=1, bias=False),
        )
        same_shape = stride == 1 and channels_in == channels_out
        self.shortcut = nn.Identity() if same_shape else nn.Conv2d(channels_in, channels_out, 1, stride, bias=False)

    def forward(self, images: Float[Tensor, "batch _ _ _"]) -> Float[Tensor, "batch _ _ _"]:
        features: Tensor = self.shortcut(images) + self.body(images)
        return features


class DigitResNet(nn.Sequential):
    """A network with three stages of residual blocks (CS221, lecture 18).

    The second and the third stage halve the size of the image.
    """

    def __init__(self, width: PositiveInt = 32, blocks: LayerCount = 2):
        channels = [width, width, 2 * width, 4 * width]
        stages = [
            ResidualBlock(channels[stage] if block == 0 else channels[stage + 1], channels[stage + 1], stride)
            for stage in range(3)
            for block, stride in enumerate([1 if stage == 0 else 2] + [1] * (blocks - 1))
        ]
        super().__init__(
            nn.Conv2d(1, width, 3, padding=1, bias=False),  # (B, width, 28, 28)
            nn.MaxPool2d(2),  # (B, width, 14, 14); without pooling, a stage would take four times as long
            *stages,  # (B, 4 width, 4, 4)
            nn.BatchNorm2d(channels[-1]),
            nn.ReLU(),
            nn.AdaptiveAvgPool2d(1),
            nn.Flatten(),  # (B, 4 width)
            nn.Linear(channels[-1], 10),
        )

    def forward(self, images: Float[Tensor, "batch 1 28 28"]) -> Float[Tensor, "batch 10"]:
        values: Tensor = images
        for layer in self:
            values = layer(values)
        return values
