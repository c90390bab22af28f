"""psi(X) in 8-bit integers, for processors with AVX-512 VNNI.

Weights are quantised per output channel and activations per channel, with static ranges. The image
is 8-bit already, and batch norm keeps the mean and the deviation of each of its channels, so the
range of an activation can be read from the network and no image is needed for calibration. The
step of each channel is moved into the weights before and after it, so activations are integers.
"""

import functools
import time
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from scs_siam.runtime.hardware import default_precision, processor_has

REACH = 10.0  # deviations above the mean that 255 steps span: fewer clip peaks, more are coarse
TOLERANCE = 0.2  # of the features' deviation: below 0.1 where trained, near 1 where not


class IntegerSearch:
    """The search branch of a trained SiameseNet with S_sm = S, in integers up to psi(X).

    The given model may be changed.
    """

    def __init__(self, model):
        model = model.eval()
        self.steps, self.attention = [], model.attention_search
        layers, step = [(model.block.conv, model.block.norm), "pool"], torch.ones(3)
        for number, layer in enumerate([*layers, *_layers(model.psi)]):
            if layer == "pool":
                self.steps.append(_pool)
                continue
            conv, norm = layer
            weight, bias = _fold(conv, norm)
            grouped = weight.unflatten(0, (conv.groups, -1))
            weight = (grouped * step.reshape(conv.groups, 1, -1, 1, 1)).flatten(0, 1)
            if norm is not None:
                step = ((norm.bias + REACH * norm.weight.abs()) / 255).clamp(min=1e-9)
                weight, bias = weight / step[:, None, None, None], bias / step
            self.steps.append(convolution(weight, bias, conv.stride, conv.groups, norm is not None))
            if number == 0 and model.config.fusion:
                step = 2 * step  # X = B(S) + B(S), Eq. 3

    @staticmethod
    def fits(model) -> bool:
        """Tell whether a network has a form in integers.

        All but the last convolution need batch norm and ReLU, and S and S_sm one first block.
        """
        return not model.config.plain_conv2 and model.block_masked is None

    def __call__(self, images: Tensor) -> Tensor:
        """(B, 3, 263, 263) uint8, channels_last -> (B, 384, 23, 23) float32 at width 1."""
        features = self.psi(self.block(images))
        if self.attention is None:
            return features
        return self.attention(features) + features  # Eq. 4, D9

    def block(self, images: Tensor) -> Tensor:
        """B(S): (B, 3, 263, 263) -> (B, 192, 63, 63), both uint8."""
        return _run(self.steps[:2], images)

    def psi(self, features: Tensor) -> Tensor:
        """Psi of B(S) + B(S): (B, 192, 63, 63) uint8 -> (B, 384, 23, 23) float32."""
        return _run(self.steps[2:], features)

    def agrees(self, model, size: int) -> bool:
        """Tell whether it gives the features of the float32 `model` within TOLERANCE.

        The comparison uses one textured image of `size` pixels.
        """
        random, shape = torch.Generator().manual_seed(0), (1, 3, size // 12, size // 12)
        coarse = torch.randint(0, 256, shape, generator=random).float()
        image = F.interpolate(coarse, (size, size), mode="bilinear").round().to(torch.uint8)
        image = image.contiguous(memory_format=torch.channels_last)
        features = model.embed_search(image.float())
        return bool((self(image) - features).square().mean().sqrt() <= TOLERANCE * features.std())


def convolution(weight: Tensor, bias: Tensor, stride, groups: int, rectified: bool) -> Callable:
    """Return a function of uint8 images that convolves them with the weights in 8 bits.

    Its result is uint8 after ReLU and rounding if `rectified`, otherwise float32.
    """
    steps = (weight.abs().amax((1, 2, 3)) / 127).clamp(min=1e-12)
    zeros = torch.zeros(len(steps), dtype=torch.int64)
    whole = (weight / steps[:, None, None, None]).round().to(torch.int8)
    shape = (list(stride), [0, 0], [1, 1], groups)
    packed = torch.ops.onednn.qconv_prepack(whole, steps, 1.0, 0, *shape, None)
    ending = (torch.uint8, "relu", [], "") if rectified else (torch.float32, "none", [], "")
    scales = (packed, steps, zeros, bias, *shape, 1.0, 0, *ending)
    return lambda images: torch.ops.onednn.qconv2d_pointwise(images, 1.0, 0, *scales)


@functools.cache
def fastest() -> str:
    """Return "int8", "bf16" or "fp32": the fastest on this processor, measured once a process."""
    images, weight = torch.ones(1, 128, 33, 33), torch.ones(128, 128, 3, 3)
    images = images.contiguous(memory_format=torch.channels_last)
    half, bytes_ = (images.bfloat16(), weight.bfloat16()), images.to(torch.uint8)
    forms = {"fp32": lambda: F.conv2d(images, weight)}
    if default_precision() == "bf16":
        forms["bf16"] = lambda: F.conv2d(*half)
    if processor_has("vnni"):
        integer = convolution(weight, torch.zeros(128), (1, 1), 1, True)
        forms["int8"] = lambda: integer(bytes_)
    seconds = dict.fromkeys(forms, float("inf"))
    for _ in range(6):
        for name, form in forms.items():
            start = time.perf_counter()
            form()
            seconds[name] = min(seconds[name], time.perf_counter() - start)
    return min(seconds, key=seconds.get)


def _layers(psi):
    """The layers of psi in order: (convolution, its batch norm or None) or "pool"."""
    found, modules = [], list(psi)
    for module, after in zip(modules, [*modules[1:], None]):
        if isinstance(module, nn.MaxPool2d):
            found.append("pool")
        elif isinstance(module, nn.Conv2d):
            found.append((module, after if isinstance(after, nn.BatchNorm2d) else None))
    return found


def _fold(conv, norm):
    """Weight and bias of a convolution with the batch norm after it."""
    fused = conv if norm is None else nn.utils.fusion.fuse_conv_bn_eval(conv, norm)
    return fused.weight, fused.bias


def _run(steps, images):
    for step in steps:
        images = step(images)
    return images


def _pool(images):
    return torch.ops.quantized.max_pool2d(images, [3, 3], [2, 2], [0, 0], [1, 1], False)
