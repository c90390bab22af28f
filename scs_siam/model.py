"""The network: Sections 3.1 to 3.4, Equations 1 to 5, Table 1.

Images are float tensors (batch, 3, height, width) with values from 0 to 255 (D24).
"""

from copy import deepcopy
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from scs_siam.attention import ChannelAttention, Features, SpatialAttention
from scs_siam.config import Config, ModelConfig
from scs_siam.runtime.shapes import Float

STRIDE = 8  # pixels of a search region between neighbouring cells of the response map
Images = Float[Tensor, "batch 3 height width"]
Template = Float[Tensor, "templates channels h w"]  # features of a template
Response = Float[Tensor, "batch 1 cells_down cells_across"]


def cross_correlation(template: Template, search: Features) -> Response:
    """Slide each template over its own search features (Eq. 1): (B, 1, H - h + 1, W - w + 1).

    A single template slides over all search features, as the scales of Algorithm 2 need it.
    """
    if len(template) == 1:
        return F.conv2d(search, template)
    batch, channels, height, width = search.shape
    response = F.conv2d(search.reshape(1, batch * channels, height, width), template, groups=batch)
    return response.transpose(0, 1)


class FirstBlock(nn.Module):
    """B of Eq. 2 and 3: convolution 11 x 11 / 2, batch norm, ReLU, max pooling 3 x 3 / 2."""

    def __init__(self, channels: int, eps: float, momentum: float):
        super().__init__()
        self.conv = nn.Conv2d(3, channels, 11, stride=2)
        self.norm = nn.BatchNorm2d(channels, eps=eps, momentum=momentum)

    def forward(self, image: Images) -> Features:
        """(B, 3, 255, 255) -> (B, 192, 61, 61) at width 1."""
        # ReLU is monotone, so pooling first gives the same result with less work.
        return F.relu(F.max_pool2d(self.norm(self.conv(image)), 3, 2))


class SiameseNet(nn.Module):
    """Eq. 4: g(T, S) = (Omega(Delta(psi(Z))) + psi(Z)) * psi(X) + b, with Z and X of Eq. 2, 3."""

    def __init__(self, config: ModelConfig):
        super().__init__()
        self.config = config
        first, layers = _backbone(config)
        norm = {"eps": config.bn_eps, "momentum": config.bn_momentum}
        self.block = FirstBlock(first, **norm)
        second = config.fusion and not config.shared_block  # D1
        self.block_masked = FirstBlock(first, **norm) if second else None
        self.psi, channels = _psi(first, layers, norm)
        self.attention = _attention(config, channels)
        self.attention_search = _attention(config, channels) if config.attention_on_search else None
        self.b = nn.Parameter(torch.zeros(())) if config.offset else None  # Eq. 1; D10
        self.apply(_initialise)

    def fuse(self, image: Images, masked: Images | None = None) -> Features:
        """Z or X of Eq. 2, 3: B(image) + B(masked).

        `masked` is None where the masked image is the image itself.
        """
        features = self.block(image)
        if not self.config.fusion:
            return features
        if self.block_masked is None:
            return features + (features if masked is None else self.block(masked))
        return features + self.block_masked(image if masked is None else masked)

    def embed_template(self, template: Images, template_masked: Images | None = None) -> Features:
        """Omega(Delta(psi(Z))) + psi(Z): (B, 384, 6, 6) from 127 pixels, 7 x 7 from 135."""
        return _attend(self.attention, self.psi(self.fuse(template, template_masked)))

    def embed_search(self, search: Images, search_masked: Images | None = None) -> Features:
        """psi(X): (B, 384, 22, 22) from 255 pixels, 23 x 23 from 263."""
        return _attend(self.attention_search, self.psi(self.fuse(search, search_masked)))

    def respond(self, template_features: Template, search_features: Features) -> Response:
        """Response map g of Eq. 4 from both embeddings: (B, 1, 17, 17)."""
        response = cross_correlation(template_features, search_features)
        response = self.config.response_scale * response  # D10
        return response if self.b is None else response + self.b

    def forward(self, template, template_masked, search, search_masked) -> Response:
        """g(T, S) of Eq. 4: four image tensors -> (B, 1, 17, 17)."""
        z = self.embed_template(template, template_masked)
        return self.respond(z, self.embed_search(search, search_masked))


def _backbone(config):
    """Channels of the first block and the layers of psi.

    A layer is "pool" or (kernel, channels, groups, whether batch norm and ReLU follow).
    """
    if config.backbone == "alexnet":
        first = 96
        layers = [(5, 256, 2, True), "pool", (3, 384, 1, True), (3, 384, 2, True)]
        layers += [(3, 256, 2, False)]
    else:  # Table 1
        first = 192
        layers = [(3, 256, 1, not config.plain_conv2), (3, 256, 1, True), "pool"]  # D3
        layers += [(3, 512, 1, True), (3, 512, 1, True), (3, 384, 1, False)]

    def scaled(channels):
        return max(8, round(channels * config.width / 8) * 8)

    layers = [x if x == "pool" else (x[0], scaled(x[1]), *x[2:]) for x in layers]
    return scaled(first), layers


def _psi(channels, layers, norm):
    modules = []
    for layer in layers:
        if layer == "pool":
            modules.append(nn.MaxPool2d(3, 2))
            continue
        kernel, out, groups, normalised = layer
        modules.append(nn.Conv2d(channels, out, kernel, groups=groups))
        modules += [nn.BatchNorm2d(out, **norm), nn.ReLU()] if normalised else []
        channels = out
    return nn.Sequential(*modules), channels


def _attention(config, channels):
    """The attention modules in the order of the variant; None where the variant has none."""
    modules, norm = [], (config.bn_eps, config.bn_momentum)
    for name in config.attention:
        if name == "channel":
            options = config.channel_pools, config.channel_reduction, config.channel_fusion
            modules.append(ChannelAttention(channels, *options))
        else:
            options = config.spatial_parts, config.context_product
            modules.append(SpatialAttention(channels, *options, *norm))
    return nn.Sequential(*modules) if modules else None


def _attend(attention, features):
    """Attention with the skip connection of Eq. 4 (D9)."""
    return features if attention is None else attention(features) + features


def _initialise(module):
    if isinstance(module, (nn.Conv2d, nn.Linear)):  # D24
        nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
        nn.init.zeros_(module.bias)


def folded(model: SiameseNet) -> SiameseNet:
    """Return a copy in evaluation mode with batch norms folded into the convolutions before them.

    It computes the same function up to rounding.
    """
    copy = deepcopy(model).eval()
    for block in copy.modules():
        if isinstance(block, FirstBlock):
            block.conv, block.norm = fuse_conv_bn_eval(block.conv, block.norm), nn.Identity()
        elif isinstance(block, nn.Sequential):
            for i in range(len(block) - 1):
                conv, norm = block[i], block[i + 1]
                if isinstance(conv, nn.Conv2d) and isinstance(norm, nn.BatchNorm2d):
                    block[i], block[i + 1] = fuse_conv_bn_eval(conv, norm), nn.Identity()
    return copy


@dataclass(frozen=True)
class Layer:
    """A row of Table 1: a layer, the size of its output, what an output cell sees of the image."""

    name: str  # as Table 1 names it
    filter: int | None  # side of the window, cells of the layer before
    stride: int | None  # cells of the layer before
    channels_in: int | None  # of a convolution, over all its groups
    channels: int  # of the output
    side: int  # of the output, cells
    view: int  # side of the receptive field, pixels of the image
    step: int  # pixels of the image between neighbouring cells
    multiplications: int = 0  # multiply-adds for one image


def trace(config: ModelConfig, size: int) -> list[Layer]:
    """Return the layers of B, of the fusion and of psi in order, for images of `size` pixels."""
    first, psi = _backbone(config)
    stack = [(11, first, 1, True), "pool", *(["fusion"] if config.fusion else []), *psi]
    last = Layer("Input", None, None, None, 3, size, 1, 1)
    layers, convolutions, pools = [last], 0, 0
    for entry in stack:
        if entry == "fusion":
            what = ("Feature Fusion", None, None, None, last.channels, last.side)
            last = Layer(*what, last.view, last.step)
        elif entry == "pool":
            pools, side = pools + 1, (last.side - 3) // 2 + 1
            what = (f"Max-Pool{pools}", 3, 2, None, last.channels, side)
            last = Layer(*what, last.view + 2 * last.step, last.step * 2)
        else:
            kernel, channels, groups, _ = entry
            convolutions, stride = convolutions + 1, 1 if convolutions else 2
            side = (last.side - kernel) // stride + 1
            what = (f"Conv{convolutions}", kernel, stride, last.channels, channels, side)
            work = side**2 * channels * last.channels * kernel**2 // groups
            last = Layer(*what, last.view + (kernel - 1) * last.step, last.step * stride, work)
        layers.append(last)
    return layers


def response_side(template_size: int, search_size: int) -> int:
    """Return the cells on a side of the response map (Table 1).

    17 for 127 and 255 pixels or 135 and 263, 15 for 127 and 239 (D28).
    """
    sides = [trace(ModelConfig(), size)[-1].side for size in (template_size, search_size)]
    return sides[1] - sides[0] + 1


def shapes(config: ModelConfig, template_size: int, search_size: int) -> dict[str, tuple]:
    """Return (channels, height, width) by name: T, B(T), psi(Z), S, B(S), psi(X) and g."""
    found = {}
    for size, name, fused in ((template_size, "T", "Z"), (search_size, "S", "X")):
        layers = trace(config, size)
        for key, layer in ((name, 0), (f"B({name})", 2), (f"psi({fused})", -1)):
            found[key] = (layers[layer].channels, layers[layer].side, layers[layer].side)
    side = found["psi(X)"][1] - found["psi(Z)"][1] + 1
    return {**found, "g": (1, side, side)}


def parameters(config: ModelConfig) -> dict[str, int]:
    """Return the number of trained parameters of B, psi, Delta, Omega and b (Eq. 1 to 5)."""
    with torch.device("meta"):
        model = SiameseNet(config)

    def count(module):
        return sum(p.numel() for p in module.parameters()) if module is not None else 0

    counts = {"B": count(model.block) + count(model.block_masked), "psi": count(model.psi)}
    counts |= {"Delta": 0, "Omega": 0}
    for attention in (model.attention, model.attention_search):
        for name, module in zip(config.attention, attention or ()):
            counts["Delta" if name == "channel" else "Omega"] += count(module)
    return counts | {"b": int(config.offset)}


def multiplications(
    config: Config, template_size: int | None = None, search_size: int | None = None
) -> int:
    """Return the multiply-adds of one pair in the convolutions and the correlation.

    The sizes default to those of training. A first block that sees one image twice counts once.
    """
    training, total, sides = config.training, 0, []
    given = (
        (template_size or training.template_size, training.mask_template),
        (search_size or training.search_size, training.mask_search),
    )
    for size, masked in given:
        layers = trace(config.model, size)
        different = (masked and training.sigma < 1) or not config.model.shared_block
        total += sum(layer.multiplications for layer in layers)
        total += layers[1].multiplications if config.model.fusion and different else 0
        sides.append(layers[-1].side)
    return total + (sides[1] - sides[0] + 1) ** 2 * layers[-1].channels * sides[0] ** 2


def branch_multiplications(config: ModelConfig, template_size: int, search_size: int) -> dict:
    """Return the multiply-adds of template, search region and response map, with attention.

    The masked image is the image itself, as in tracking (S_sm = S).
    """
    work, layers = {}, {}
    for name, size in (("template", template_size), ("search", search_size)):
        layers[name] = trace(config, size)
        blocks = 1 if config.shared_block or not config.fusion else 2
        work[name] = sum(layer.multiplications for layer in layers[name])
        work[name] += (blocks - 1) * layers[name][1].multiplications
        if name == "template" or config.attention_on_search:
            work[name] += _attention_multiplications(config, layers[name][-1])
    (template, search), channels = (
        (x[-1].side for x in layers.values()),
        layers["search"][-1].channels,
    )
    work["response"] = (search - template + 1) ** 2 * channels * template**2
    return work


def _attention_multiplications(config, layer):
    channels, cells, work = layer.channels, layer.side**2, 0
    if "channel" in config.attention:
        work += 2 * len(config.channel_pools) * channels * (channels // config.channel_reduction)
    if "spatial" in config.attention:
        work += cells * channels * ("context" in config.spatial_parts)
        work += 2 * cells * channels * (channels // 8) * ("transform" in config.spatial_parts)
        if config.context_product == "matrix" and "context" in config.spatial_parts:
            work += channels * layer.side**3  # D7
    return work
