"""Integers against the float32 network: one convolution exactly, a trained branch closely, and the networks that must not use them."""

from copy import deepcopy

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from scs_siam.config import Config
from scs_siam.model import SiameseNet
from scs_siam.reproduction.profiles import TABLE9
from scs_siam.runtime.hardware import processor_has
from scs_siam.runtime.int8 import IntegerSearch, convolution, fastest
from scs_siam.track import Tracker

pytestmark = pytest.mark.skipif(
    not processor_has("vnni"), reason="needs a processor with AVX-512 VNNI"
)


@pytest.mark.parametrize("groups", [1, 2])
def test_a_convolution_of_integers_is_exact(groups):
    rng = np.random.default_rng(0)
    images = torch.tensor(rng.integers(0, 256, (2, 8, 9, 9)), dtype=torch.uint8).contiguous(
        memory_format=torch.channels_last
    )
    weight = torch.tensor(rng.integers(-126, 127, (6, 8 // groups, 3, 3)), dtype=torch.float32)
    weight[:, 0, 0, 0] = 127  # so a weight's step is 1
    bias = torch.tensor(rng.integers(-9000, 9000, 6), dtype=torch.float32)
    expected = F.conv2d(images.double(), weight.double(), bias.double(), 2, groups=groups)
    assert torch.equal(convolution(weight, bias, (2, 2), groups, False)(images).double(), expected)
    rounded = convolution(weight / 512, bias / 512, (2, 2), groups, True)(images)
    assert (
        rounded.dtype == torch.uint8
        and (rounded.double() - (expected / 512).clamp(0, 255)).abs().max() <= 0.5
    )


@pytest.mark.parametrize("row", ["SCS-Siam", "Extended-SiamFC", "SiameseFC", "B-SCS-Siam"])
def test_a_branch_in_integers_gives_the_features(settled, row):
    model = settled(Config.preset("paper", TABLE9[row].variant, 1 / 8).model)
    images = torch.randint(0, 256, (2, 3, 263, 263), dtype=torch.uint8).contiguous(
        memory_format=torch.channels_last
    )
    with torch.no_grad():
        found, expected = IntegerSearch(deepcopy(model))(images), model.embed_search(images.float())
    assert (
        found.shape == expected.shape
        and (found - expected).square().mean().sqrt() < 0.1 * expected.std()
    )


def form(model, precision="fast", **changes):
    return Tracker(
        model,
        Config().replace(**{f"tracking.{name}": value for name, value in changes.items()}).tracking,
        precision=precision,
    ).form


def test_only_networks_that_allow_it_are_tracked_in_integers(settled, refused):
    config = Config.preset(width=1 / 16)
    assert fastest() in ("int8", "bf16", "fp32")
    assert form(settled(config.model), "int8") == "int8"
    torch.manual_seed(0)
    untrained, fractions = SiameseNet(config.model), (settled(config.model), {"sigma": 0.9})
    others = [
        (untrained, {}),
        fractions,
        *(
            (settled(config.replace(**{f"model.{name}": value}).model), {})
            for name, value in (("plain_conv2", True), ("shared_block", False))
        ),
    ]
    for model, changes in others:
        assert form(model, **changes) in ("bf16", "fp32")
        refused(lambda: form(model, "int8", **changes), "does not allow int8")
