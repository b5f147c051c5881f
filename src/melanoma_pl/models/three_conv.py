"""The original's network: three convolutions and two dense layers."""

from collections.abc import Sequence
from itertools import takewhile
from typing import Any, Literal

import torch
from torch import Tensor, nn

from melanoma_pl.models.pooled_convolution import (
    IN_ONE_PASS,
    POOL,
    max_pool,
    pooled_convolution,
    space_to_depth_convolution,
)
from melanoma_pl.specs import TARGET, name_of

KERNEL = 3
CONVOLUTIONS = ("layers", "fused", "products")  # of which a CPU may choose
SPACE_TO_DEPTH = "space_to_depth"
IMAGES_AT_ONCE = 16  # of products: the maps between two layers then stay in the CPU's cache
BYTES_AT_ONCE = 3_200_000  # of the largest maps, for each thread, otherwise: one image of 224×224 in 32 bits
HALF = (torch.bfloat16, torch.float16)
LARGEST = 1e37  # numbers below it stay finite, however they are rounded


class ThreeConvNet(nn.Module):
    """Three times (3×3 valid convolution, ReLU, 2×2 max-pooling), then dense, ReLU, dropout, dense: one logit.

    The default values give the network of the presentation: 4,373,257 parameters at 224×224.

    Args:
        channels: Output channels of the three convolutions.
        hidden: Neurons of the dense layer.
        dropout: Fraction of those that training sets to zero, in [0, 1).
        image_size: Side of the input, in pixels; at least 22, so that the last pooling has an input.
        initial_weights: `torch` (PyTorch's default) or `keras` (Glorot uniform kernels, zero biases).
        batch_norm: Whether each convolution is followed by batch normalisation (Ioffe and Szegedy, ICML 2015) during
            training; `folded` gives the plain network of the same function.
        convolutions: How training on a CPU computes them, with the same function up to rounding: `layers`, one after
            another; `fused`, each with its pooling as one `pooled_convolution`, a few images at a time; `products`,
            that with the kernel's gradient by matrix products (in 32 bits only, else `fused`). Which is fastest
            depends on the processor. On a GPU or compiled, a network computes layers instead. `space_to_depth` is for
            a compiled network on a GPU: the first convolution over blocks of 2×2 pixels, and poolings that a compiler
            fuses with what is around them. With batch normalisation, a network computes layers.
    """

    def __init__(
        self,
        channels: Sequence[int] = (16, 64, 64),
        hidden: int = 100,
        dropout: float = 0.2,
        image_size: int = 224,
        initial_weights: Literal["torch", "keras"] = "torch",
        batch_norm: bool = False,
        convolutions: Literal["layers", "fused", "products", "space_to_depth"] = "layers",
    ) -> None:
        super().__init__()
        if len(channels) != 3 or min(channels) < 1:
            raise ValueError(f"channels={list(channels)}: it must be three numbers, one a convolution, each 1 or more")
        if hidden < 1 or not 0 <= dropout < 1:
            raise ValueError(
                f"hidden={hidden}, dropout={dropout}: hidden must be 1 or more, dropout at least 0 and below 1"
            )
        if (side := pooled_side(image_size)) < 1:
            raise ValueError(
                f"image_size={image_size} is too small for three convolutions and poolings: it must be 22 or more"
            )
        if initial_weights not in ("torch", "keras"):
            raise ValueError(f"initial_weights={initial_weights}: it must be torch or keras")
        if convolutions not in (allowed := (*CONVOLUTIONS, SPACE_TO_DEPTH)):
            raise ValueError(f"convolutions={convolutions}: it must be {', '.join(allowed)}")
        self.spec: dict[str, Any] = {
            TARGET: name_of(type(self)),
            "channels": list(channels),
            "hidden": hidden,
            "dropout": dropout,
            "image_size": image_size,
            "initial_weights": initial_weights,
            "batch_norm": batch_norm,
        }
        self.convolutions: str = convolutions
        first, second, third = channels
        self.conv_1 = nn.Conv2d(3, first, KERNEL)
        self.norm_1 = nn.BatchNorm2d(first) if batch_norm else nn.Identity()
        self.pool_1 = nn.MaxPool2d(POOL)
        self.conv_2 = nn.Conv2d(first, second, KERNEL)
        self.norm_2 = nn.BatchNorm2d(second) if batch_norm else nn.Identity()
        self.pool_2 = nn.MaxPool2d(POOL)
        self.conv_3 = nn.Conv2d(second, third, KERNEL)
        self.norm_3 = nn.BatchNorm2d(third) if batch_norm else nn.Identity()
        self.pool_3 = nn.MaxPool2d(POOL)
        self.flatten = nn.Flatten()
        self.dense_1 = nn.Linear(third * side * side, hidden)
        self.dropout = nn.Dropout(dropout)
        self.dense_2 = nn.Linear(hidden, 1)
        if initial_weights == "keras":
            self.apply(glorot_uniform)

    def forward(self, images: Tensor) -> Tensor:
        """Return one logit an image.

        Args:
            images: float `(N, 3, S, S)`.

        Returns:
            float `(N, 1)`.
        """
        if self.convolutions == SPACE_TO_DEPTH and self.training and not self.spec["batch_norm"]:
            features = self._from_blocks(images)
        elif self.convolutions != "layers" and self.training and self._can_fuse(images):
            features = self._pooled_convolutions(images, [self.conv_1, self.conv_2, self.conv_3])
        else:
            features = self._blocks(images)
        hidden = torch.relu(self.dense_1(self.flatten(features)))  # (N, 100)
        logits: Tensor = self.dense_2(self.dropout(hidden))
        return logits

    def folded(self) -> "ThreeConvNet":
        """Return the network of the same function, in evaluation mode, without batch normalisation.

        The normalisation of a trained network is a scale and a shift of each channel, which become part of the kernel
        and the bias of its convolution. No image border is padded, so this is exact up to rounding.

        Raises:
            ValueError: If the network has no batch normalisation.
        """
        if not self.spec["batch_norm"]:
            raise ValueError("the network has no batch normalisation to fold")
        options = {name: value for name, value in self.spec.items() if name != TARGET}
        with torch.random.fork_rng(devices=[]):
            plain = ThreeConvNet(**{**options, "batch_norm": False})
        state = {name: value for name, value in self.state_dict().items() if not name.startswith("norm_")}
        for number in (1, 2, 3):
            folded = _fold(getattr(self, f"conv_{number}"), getattr(self, f"norm_{number}"))
            state |= {f"conv_{number}.{name}": value.detach() for name, value in folded.items()}
        plain.load_state_dict(state)
        return plain.eval()

    def _can_fuse(self, images: Tensor) -> bool:
        """Tell whether images are on the CPU, computed without a compiler, and not normalised before the pooling."""
        return images.device.type == "cpu" and not torch.compiler.is_compiling() and not self.spec["batch_norm"]

    def _from_blocks(self, images: Tensor) -> Tensor:
        """Return float `(N, C, s, s)`, the features before the dense layers, by `space_to_depth`."""
        assert self.conv_1.bias is not None
        features = torch.relu(space_to_depth_convolution(images, self.conv_1.weight, self.conv_1.bias))
        features = torch.relu(max_pool(self.conv_2(features)))
        return torch.relu(max_pool(self.conv_3(features)))

    def _can_predict_fused(self, images: Tensor) -> bool:
        """Tell whether each block may be predicted by `pooled_convolution`, with the bits of its layers.

        PyTorch computes a single small image, and other memory formats, otherwise than oneDNN. The ReLU of the step
        would hide NaN, so no weight may be NaN and no number on the way may overflow.
        """
        if torch.is_grad_enabled() or type(images) is not Tensor or len(images) < 2 or not self._can_fuse(images):
            return False
        if torch.compiler.is_exporting() or torch.jit.is_tracing():  # type: ignore[no-untyped-call, attr-defined]
            return False
        if _precision(images) not in IN_ONE_PASS or not images.is_contiguous(memory_format=torch.channels_last):
            return False
        largest = torch.linalg.vector_norm(images)  # no number is larger
        for layer in (self.conv_1, self.conv_2, self.conv_3):
            assert layer.bias is not None
            sums = torch.linalg.vector_norm(layer.weight, ord=1, dim=(1, 2, 3))
            largest = largest * sums.max() + layer.bias.abs().max()
        return bool(largest < LARGEST)

    def _blocks(self, images: Tensor) -> Tensor:
        """Return the features before the dense layers, float `(N, C, s, s)`.

        Prediction fuses the blocks before the first one that a hook looks at; the rest is computed layer by layer.
        """
        blocks = [
            (self.conv_1, self.norm_1, self.pool_1),  # (N, 16, 111, 111) of images of 224×224
            (self.conv_2, self.norm_2, self.pool_2),  # (N, 64, 54, 54)
            (self.conv_3, self.norm_3, self.pool_3),  # (N, 64, 26, 26)
        ]
        fused = list(takewhile(lambda block: not _has_hooks(*block), blocks)) if self._can_predict_fused(images) else []
        features = self._pooled_convolutions(images, [conv for conv, _, _ in fused]) if fused else images
        for conv, norm, pool in blocks[len(fused) :]:
            # ReLU after the pooling: the two commute, and it then runs on a quarter of the numbers
            features = torch.relu(pool(norm(conv(features))))
        return features

    def _pooled_convolutions(self, images: Tensor, layers: Sequence[nn.Conv2d]) -> Tensor:
        """Return the pooled and rectified maps of the last of some layers, in the precision of autocast.

        A few images at a time pass through all layers: their maps stay in the cache until they are pooled.
        """
        precision = _precision(images)
        by_products = self.training and self.convolutions == "products" and precision not in HALF
        weights = [(layer.weight.to(precision), layer.bias.to(precision)) for layer in layers]  # type: ignore[union-attr]
        parts = []
        at_once = IMAGES_AT_ONCE if by_products else self._images_at_once(images, precision)
        for part in torch.tensor_split(images.to(precision), max(1, len(images) // at_once)):
            for weight, bias in weights:
                part = pooled_convolution(part, weight, bias, by_products)
            parts.append(part)
        return torch.cat(parts)

    def _images_at_once(self, images: Tensor, precision: torch.dtype) -> int:
        """Return how many images pass through the blocks together: at least 2, as one may be rounded otherwise."""
        height, width = (side - KERNEL + 1 for side in images.shape[2:])
        largest = self.conv_1.out_channels * height * width * precision.itemsize
        return max(2, torch.get_num_threads() * round(BYTES_AT_ONCE / largest))


def _precision(images: Tensor) -> torch.dtype:
    """Return the type that convolutions of images on a CPU compute in."""
    return torch.get_autocast_dtype("cpu") if torch.is_autocast_enabled("cpu") else images.dtype


def _has_hooks(*layers: nn.Module) -> bool:
    """Tell whether anyone looks at the inputs or outputs of layers: features, heat maps, summaries, profilers."""
    hooks = [each for layer in layers for each in (layer._forward_hooks, layer._forward_pre_hooks)]
    return any(hooks) or bool(nn.modules.module._has_any_global_hook())  # type: ignore[no-untyped-call]


def _fold(convolution: nn.Conv2d, norm: nn.BatchNorm2d) -> dict[str, Tensor]:
    """Return kernel and bias of the convolution that computes both layers, in 64 bits until the end."""
    assert norm.running_mean is not None and norm.running_var is not None and convolution.bias is not None
    scale = norm.weight.double() / (norm.running_var.double() + norm.eps).sqrt()
    bias = (convolution.bias.double() - norm.running_mean.double()) * scale + norm.bias.double()
    kernel = convolution.weight.double() * scale.view(-1, 1, 1, 1)
    return {"weight": kernel.float(), "bias": bias.float()}


def pooled_side(image_size: int) -> int:
    """Return the side of the feature maps after three valid convolutions and poolings."""
    side = image_size
    for _ in range(3):
        side = (side - KERNEL + 1) // POOL
    return side


def glorot_uniform(layer: nn.Module) -> None:
    """Initialise a layer as Keras does: Glorot-uniform kernel (Glorot and Bengio, AISTATS 2010), zero bias."""
    if isinstance(layer, nn.Conv2d | nn.Linear):
        nn.init.xavier_uniform_(layer.weight)
        if layer.bias is not None:
            nn.init.zeros_(layer.bias)
