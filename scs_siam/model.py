"""The network: Sec. 3.1 to 3.4, Eq. 1 to 5, Table 1. Images are float (B, 3, H, W) with values 0..255 (D24)."""

from copy import deepcopy

import torch
import torch.nn.functional as F
from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from scs_siam.attention import ChannelAttention, SpatialAttention

STRIDE = 8  # pixels of a search crop between neighbouring cells of the response


def cross_correlation(template, search):
    """Slide each template over its own search features, Eq. 1: (B, C, h, w), (B, C, H, W) -> (B, 1, H-h+1, W-w+1).

    A single template (1, C, h, w) slides over all of them, as the scales of Algorithm 2 need it.
    """
    if len(template) == 1:
        return F.conv2d(search, template)
    batch, channels, height, width = search.shape
    response = F.conv2d(search.reshape(1, batch * channels, height, width), template, groups=batch)
    return response.transpose(0, 1)


def response_side(template_size, search_size):
    """Cells of a side of the response (Table 1): 17 for 127 and 255 or 135 and 263 pixels, 15 for 127 and 239 (D28)."""

    def features(size):
        block = ((size - 11) // 2 + 1 - 3) // 2 + 1
        return (block - 4 - 3) // 2 + 1 - 6

    return features(search_size) - features(template_size) + 1


class FirstBlock(nn.Module):
    """B of Eq. 2 and 3: convolution 11 x 11 / 2, normalization, rectifier, max pooling 3 x 3 / 2 (Table 1)."""

    def __init__(self, channels, eps, momentum):
        super().__init__()
        self.conv = nn.Conv2d(3, channels, 11, stride=2)
        self.norm = nn.BatchNorm2d(channels, eps=eps, momentum=momentum)

    def forward(self, image):
        """(B, 3, 255, 255) -> (B, 192, 61, 61) at width 1."""
        return F.relu(
            F.max_pool2d(self.norm(self.conv(image)), 3, 2)
        )  # the rectifier is monotone: pooling first gives the same, sooner


class SiameseNet(nn.Module):
    """Eq. 4: g(T, S) = (Omega(Delta(psi(Z))) + psi(Z)) * psi(X) + b, with Z and X of Eq. 2 and 3."""

    def __init__(self, config):
        super().__init__()
        self.config = config
        first, layers = _backbone(config)
        norm = {"eps": config.bn_eps, "momentum": config.bn_momentum}
        self.block = FirstBlock(first, **norm)
        self.block_masked = (
            None if config.shared_block or not config.fusion else FirstBlock(first, **norm)
        )  # D1
        self.psi, channels = _psi(first, layers, norm)
        self.attention = _attention(config, channels)
        self.attention_search = _attention(config, channels) if config.attention_on_search else None
        self.b = nn.Parameter(torch.zeros(())) if config.offset else None  # Eq. 1; D10
        self.apply(_initialise)

    def fuse(self, image, masked=None):
        """Z or X of Eq. 2, 3: B(image) + B(masked); `masked` None means that the masked image is the image itself."""
        features = self.block(image)
        if not self.config.fusion:
            return features
        if self.block_masked is None:
            return features + (features if masked is None else self.block(masked))
        return features + self.block_masked(image if masked is None else masked)

    def embed_template(self, template, template_masked=None):
        """Omega(Delta(psi(Z))) + psi(Z): (B, 3, 127, 127) twice -> (B, 384, 6, 6); 7 x 7 from 135 x 135."""
        return _attend(self.attention, self.psi(self.fuse(template, template_masked)))

    def embed_search(self, search, search_masked=None):
        """psi(X): (B, 3, 255, 255) twice -> (B, 384, 22, 22); 23 x 23 from 263 x 263."""
        return _attend(self.attention_search, self.psi(self.fuse(search, search_masked)))

    def respond(self, template_features, search_features):
        """Response map g of Eq. 4 from both embeddings: (B, 1, 17, 17)."""
        response = self.config.response_scale * cross_correlation(
            template_features, search_features
        )  # D10
        return response if self.b is None else response + self.b

    def forward(self, template, template_masked, search, search_masked):
        """g(T, S) of Eq. 4: four images -> (B, 1, 17, 17)."""
        return self.respond(
            self.embed_template(template, template_masked), self.embed_search(search, search_masked)
        )


def folded(model):
    """A copy in evaluation mode whose batch norms are folded into the convolutions before them; the same function to rounding."""
    copy = deepcopy(model).eval()
    for block in copy.modules():
        if isinstance(block, FirstBlock):
            block.conv, block.norm = fuse_conv_bn_eval(block.conv, block.norm), nn.Identity()
        elif isinstance(block, nn.Sequential):
            for i in range(len(block) - 1):
                if isinstance(block[i], nn.Conv2d) and isinstance(block[i + 1], nn.BatchNorm2d):
                    block[i], block[i + 1] = (
                        fuse_conv_bn_eval(block[i], block[i + 1]),
                        nn.Identity(),
                    )
    return copy


def multiplications(config, template_size=None, search_size=None):
    """Multiply-accumulates of one forward pass of a pair, convolutions and correlation only; by default at the training sizes.

    A first block that sees one image twice is counted once.
    """
    training, first, total = config.training, None, 0
    masked = {
        "template": training.mask_template and training.sigma < 1,
        "search": training.mask_search and training.sigma < 1,
    }
    sides = {}
    for branch, size in (
        ("template", template_size or training.template_size),
        ("search", search_size or training.search_size),
    ):
        first, layers = _backbone(config.model)
        size = (size - 11) // 2 + 1
        passes = (
            2 if config.model.fusion and (masked[branch] or not config.model.shared_block) else 1
        )
        total += passes * size**2 * first * 3 * 121
        size, channels = (size - 3) // 2 + 1, first
        for layer in layers:
            if layer == "pool":
                size = (size - 3) // 2 + 1
                continue
            kernel, out, groups, _ = layer
            size -= kernel - 1
            total += size**2 * out * channels * kernel**2 // groups
            channels = out
        sides[branch] = size
    return (
        total + (sides["search"] - sides["template"] + 1) ** 2 * channels * sides["template"] ** 2
    )


def _backbone(config):
    """Channels of the first block and the layers of psi: (kernel, channels, groups, followed by BN + ReLU) or "pool"."""
    if config.backbone == "alexnet":
        first, layers = (
            96,
            [(5, 256, 2, True), "pool", (3, 384, 1, True), (3, 384, 2, True), (3, 256, 2, False)],
        )
    else:  # Table 1
        first, layers = (
            192,
            [
                (3, 256, 1, not config.plain_conv2),
                (3, 256, 1, True),
                "pool",  # D3
                (3, 512, 1, True),
                (3, 512, 1, True),
                (3, 384, 1, False),
            ],
        )

    def scaled(channels):
        return max(8, round(channels * config.width / 8) * 8)

    return scaled(first), [
        layer if layer == "pool" else (layer[0], scaled(layer[1]), *layer[2:]) for layer in layers
    ]


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
    """The attention modules in the order of the variant, or None where the variant has none."""
    make = {
        "channel": lambda: ChannelAttention(
            channels, config.channel_pools, config.channel_reduction, config.channel_fusion
        ),
        "spatial": lambda: SpatialAttention(
            channels,
            config.spatial_parts,
            config.context_product,
            config.bn_eps,
            config.bn_momentum,
        ),
    }
    return nn.Sequential(*[make[name]() for name in config.attention]) if config.attention else None


def _attend(attention, features):
    return (
        features if attention is None else attention(features) + features
    )  # skip connection, Eq. 4, D9


def _initialise(module):
    if isinstance(module, (nn.Conv2d, nn.Linear)):  # D24
        nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
        nn.init.zeros_(module.bias)
