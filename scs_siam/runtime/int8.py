"""psi(X) in 8-bit integers: static, weights by output channel, activations by channel, for processors with AVX-512 VNNI.

The image is 8-bit already. Batch norm keeps mean and deviation of each of its channels, so the range of an activation is read from the
network, and no image is needed to calibrate it. Each channel's step is moved into the weights before and after it, so that the
activations themselves are plain integers.
"""

import functools
import time

import torch
import torch.nn.functional as F
from torch import nn

from scs_siam.runtime.hardware import default_precision, processor_has

REACH = 10.0  # deviations above the mean that 255 steps span; fewer cut peaks off, more make the steps coarse
TOLERANCE = 0.2  # of the features' own deviation: trained networks stay below 0.1, one whose batch norm was never trained is near 1


class IntegerSearch:
    """The search branch of a trained SiameseNet, which it may change: `embed_search` of S_sm = S, in integers up to psi(X)."""

    def __init__(self, model):
        model = model.eval()
        self.steps, self.attention = [], model.attention_search
        convs, step = (
            [(model.block.conv, model.block.norm), "pool", *_layers(model.psi)],
            torch.ones(3),
        )
        for number, layer in enumerate(convs):
            if layer == "pool":
                self.steps.append(_pool)
                continue
            conv, norm = layer
            weight, bias = _fold(conv, norm)
            weight = (
                weight.unflatten(0, (conv.groups, -1)) * step.reshape(conv.groups, 1, -1, 1, 1)
            ).flatten(0, 1)
            if norm is not None:
                step = ((norm.bias + REACH * norm.weight.abs()) / 255).clamp(min=1e-9)
                weight, bias = weight / step[:, None, None, None], bias / step
            self.steps.append(convolution(weight, bias, conv.stride, conv.groups, norm is not None))
            if number == 0 and model.config.fusion:
                step = 2 * step  # X = B(S) + B(S), Eq. 3

    @staticmethod
    def fits(model):
        """Whether all but the last convolution have batch norm and rectifier, and S and S_sm one first block."""
        return not model.config.plain_conv2 and model.block_masked is None

    def __call__(self, images):
        """(B, 3, 263, 263) uint8, channels_last -> (B, 384, 23, 23) float32 at width 1."""
        features = self.psi(self.block(images))
        return (
            features if self.attention is None else self.attention(features) + features
        )  # Eq. 4, D9

    def block(self, images):
        """B(S): (B, 3, 263, 263) -> (B, 192, 63, 63), both uint8."""
        return _run(self.steps[:2], images)

    def psi(self, features):
        """Psi of B(S) + B(S): (B, 192, 63, 63) uint8 -> (B, 384, 23, 23) float32."""
        return _run(self.steps[2:], features)

    def agrees(self, model, size):
        """Whether it gives the features of the float32 `model`, within TOLERANCE, for one textured image of `size` pixels."""
        coarse = torch.randint(
            0, 256, (1, 3, size // 12, size // 12), generator=torch.Generator().manual_seed(0)
        ).float()
        image = (
            F.interpolate(coarse, (size, size), mode="bilinear")
            .round()
            .to(torch.uint8)
            .contiguous(memory_format=torch.channels_last)
        )
        features = model.embed_search(image.float())
        return bool((self(image) - features).square().mean().sqrt() <= TOLERANCE * features.std())


def convolution(weight, bias, stride, groups, rectified):
    """A function of uint8 images: their convolution with an 8-bit `weight`, then to uint8 by rectifier and rounding, or to float32."""
    steps = (weight.abs().amax((1, 2, 3)) / 127).clamp(min=1e-12)
    stride, zeros = list(stride), torch.zeros(len(steps), dtype=torch.int64)
    whole = (weight / steps[:, None, None, None]).round().to(torch.int8)
    packed = torch.ops.onednn.qconv_prepack(
        whole, steps, 1.0, 0, stride, [0, 0], [1, 1], groups, None
    )
    ending = (torch.uint8, "relu", [], "") if rectified else (torch.float32, "none", [], "")
    return lambda images: torch.ops.onednn.qconv2d_pointwise(
        images, 1.0, 0, packed, steps, zeros, bias, stride, [0, 0], [1, 1], groups, 1.0, 0, *ending
    )


@functools.cache
def fastest():
    """ "int8", "bf16" or "fp32": the one of those at hand in which this processor convolves fastest, measured once a process."""
    images, weight = (
        torch.ones(1, 128, 33, 33).contiguous(memory_format=torch.channels_last),
        torch.ones(128, 128, 3, 3),
    )
    half = images.bfloat16(), weight.bfloat16()
    forms = {"fp32": lambda: F.conv2d(images, weight)}
    if default_precision() == "bf16":
        forms["bf16"] = lambda: F.conv2d(*half)
    if processor_has("vnni"):
        forms["int8"] = functools.partial(
            convolution(weight, torch.zeros(128), (1, 1), 1, True), images.to(torch.uint8)
        )
    seconds = dict.fromkeys(forms, float("inf"))
    for _ in range(6):
        for name, form in forms.items():
            start = time.perf_counter()
            form()
            seconds[name] = min(seconds[name], time.perf_counter() - start)
    return min(seconds, key=seconds.get)


def _layers(psi):
    """The layers of psi in order: (convolution, the batch norm after it or None) or "pool"."""
    found, modules = [], list(psi)
    for module, after in zip(modules, [*modules[1:], None]):
        if isinstance(module, nn.MaxPool2d):
            found.append("pool")
        elif isinstance(module, nn.Conv2d):
            found.append((module, after if isinstance(after, nn.BatchNorm2d) else None))
    return found


def _fold(conv, norm):
    """Weight and bias of a convolution with the batch norm after it."""
    if norm is None:
        return conv.weight, conv.bias
    fused = nn.utils.fusion.fuse_conv_bn_eval(conv, norm)
    return fused.weight, fused.bias


def _run(steps, images):
    for step in steps:
        images = step(images)
    return images


def _pool(images):
    return torch.ops.quantized.max_pool2d(images, [3, 3], [2, 2], [0, 0], [1, 1], False)
