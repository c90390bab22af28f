"""The network against Table 1, parameter formulas and plain NumPy statements of Eq. 1, 5 and Figure 6."""

import csv
from pathlib import Path

import numpy as np
import pytest
import torch

from scs_siam.attention import ChannelAttention, SpatialAttention
from scs_siam.config import PRESETS, VARIANTS, Config
from scs_siam.model import SiameseNet, cross_correlation, folded, multiplications, response_side

ROOT = Path(__file__).resolve().parent.parent


def network(variant="SCS-Siam", preset="paper", width=1 / 8, **changes):
    torch.manual_seed(0)
    return SiameseNet(
        Config.preset(preset, variant, width)
        .replace(**{f"model.{name}": value for name, value in changes.items()})
        .model
    )


def on_paper(variant="SCS-Siam", preset="paper", width=1.0):
    """The network without memory: shapes and parameter counts only."""
    with torch.device("meta"):
        return network(variant, preset, width)


def images(*sizes, batch=2, seed=0, device="cpu"):
    generator = torch.Generator().manual_seed(seed)
    return [
        255 * torch.rand(batch, 3, size, size, generator=generator).to(device) for size in sizes
    ]


def size(model):
    return sum(parameter.numel() for parameter in model.parameters())


def gauss(shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


# Table 1


def table1():
    with open(ROOT / "data" / "paper" / "table1.csv", encoding="utf-8") as file:
        return list(csv.DictReader(file))


@pytest.mark.parametrize("branch, pixels", [("template", 135), ("search", 263)])
def test_layers_of_table_1(branch, pixels):
    model = on_paper()
    psi = [
        module for module in model.psi if isinstance(module, (torch.nn.Conv2d, torch.nn.MaxPool2d))
    ]
    names = ["Conv1", "Max-Pool1", "Conv2", "Conv3", "Max-Pool2", "Conv4", "Conv5", "Conv6"]
    places = dict(zip(names, [model.block.conv, model.block, *psi]))
    seen = {}
    for name, module in places.items():
        module.register_forward_hook(
            lambda _, inputs, output, name=name: seen.update(
                {name: (inputs[0].shape, output.shape)}
            )
        )
    image = images(pixels, device="meta")[0]
    seen["Input"] = image.shape, image.shape
    seen["Feature Fusion"] = None, model.fuse(image, image).shape
    model.psi(model.fuse(image, image))
    for row in table1():
        before, after = seen[row["layer"]]
        assert tuple(after[1:]) == (
            int(row["channels"]),
            int(row[f"{branch}_side"]),
            int(row[f"{branch}_side"]),
        ), row
        if row["layer"].startswith("Conv"):
            module = places[row["layer"]]
            assert (before[1], module.out_channels) == (
                int(row["channels_in"]),
                int(row["channels_out"]),
            ), row
            assert (
                module.kernel_size == (int(row["filter"]),) * 2
                and module.stride == (int(row["stride"]),) * 2
            ), row
    assert {row["layer"] for row in table1()} == set(seen)


@pytest.mark.parametrize("variant", ["SiameseFC", "SCS-Siam"])
@pytest.mark.parametrize(
    "template, search, side",
    [(127, 255, 17), (135, 263, 17), (127, 239, 15), (127, 251, 16), (128, 301, 22), (96, 160, 9)],
)
def test_sides_of_the_response(variant, template, search, side):
    t, s = images(template, search, device="meta")
    assert on_paper(variant)(t, t, s, s).shape == (2, 1, side, side)
    assert response_side(template, search) == side and type(response_side(template, search)) is int


# Parameters


def conv(c, n, k, groups=1):
    return n * (c // groups) * k * k + n


def fc(c, n):
    return c * n + n


ALEXNET = (
    conv(3, 96, 11)
    + conv(96, 256, 5, 2)
    + conv(256, 384, 3)
    + conv(384, 384, 3, 2)
    + conv(384, 256, 3, 2)
    + 2 * (96 + 256 + 384 + 384)
)
BLOCK = conv(3, 192, 11) + 2 * 192
PSI = (
    conv(192, 256, 3)
    + conv(256, 256, 3)
    + conv(256, 512, 3)
    + conv(512, 512, 3)
    + conv(512, 384, 3)
    + 2 * (256 + 256 + 512 + 512)
)
POOL = fc(384, 64) + fc(64, 384)
CONTEXT, TRANSFORM = conv(384, 1, 1), conv(384, 48, 1) + 2 * 48 + conv(48, 384, 1)
B = 1
EXPECTED = {
    "SiameseFC": ALEXNET,
    "Extended-SiamFC": BLOCK + PSI + B,
    "SSA-Siam": BLOCK + PSI + CONTEXT + TRANSFORM + B,
    "SCA-Siam": BLOCK + PSI + 2 * POOL + B,
    "SSC-Siam": BLOCK + PSI + 2 * POOL + CONTEXT + TRANSFORM + B,
    "SCS-Siam": BLOCK + PSI + 2 * POOL + CONTEXT + TRANSFORM + B,
    "B-SCS-Siam": BLOCK + PSI + 2 * (2 * POOL + CONTEXT + TRANSFORM) + B,
    "SCA-GMP": BLOCK + PSI + POOL + B,
    "SCA-GAP": BLOCK + PSI + POOL + B,
    "SSA-Context": BLOCK + PSI + CONTEXT + B,
    "SSA-Transform": BLOCK + PSI + TRANSFORM + B,
}


@pytest.mark.parametrize("variant", VARIANTS)
def test_parameter_counts(variant):
    assert size(on_paper(variant)) == EXPECTED[variant]


def test_published_parameter_counts():
    assert size(on_paper("SiameseFC")) == ALEXNET == 2_336_320
    released = 2 * BLOCK + PSI - 2 * 256 + CONTEXT + TRANSFORM  # D1, D3, D10
    assert size(on_paper("SSA-Siam", "released")) == released == 6_869_698 - 346_289
    assert (
        size(on_paper("SCA-Siam", "released")) == 2 * BLOCK + PSI - 2 * 256 + POOL
    )  # D5: one pair of layers for both pools


def test_width_scales_every_layer():
    def channels(width):
        model = on_paper(width=width)
        return [
            module.out_channels
            for module in (model.block.conv, *model.psi)
            if isinstance(module, torch.nn.Conv2d)
        ]

    assert channels(1.0) == [192, 256, 256, 512, 512, 384]
    assert channels(0.5) == [96, 128, 128, 256, 256, 192] and channels(2.0) == [
        384,
        512,
        512,
        1024,
        1024,
        768,
    ]
    assert channels(1 / 64) == [8] * 6
    assert size(on_paper("SiameseFC", width=0.5)) == conv(3, 48, 11) + conv(48, 128, 5, 2) + conv(
        128, 192, 3
    ) + conv(192, 192, 3, 2) + conv(192, 128, 3, 2) + 2 * (48 + 128 + 192 + 192)


@pytest.mark.parametrize("sizes", [(), (128, 301)], ids=["training", "another"])
@pytest.mark.parametrize("preset", PRESETS)
@pytest.mark.parametrize("variant", ["SiameseFC", "Extended-SiamFC", "SCS-Siam"])
def test_multiplications_are_those_of_the_layers_that_run(variant, preset, sizes):
    config, model, counted = Config.preset(preset, variant), on_paper(variant, preset), []

    def count(layer, inputs, output):
        counted.append(output[0].numel() * layer.weight[0].numel())

    for module in (model.block, model.block_masked, model.psi):
        for layer in module.modules() if module else ():
            if isinstance(layer, torch.nn.Conv2d):
                layer.register_forward_hook(count)
    t, s = images(
        *sizes or (config.training.template_size, config.training.search_size), device="meta"
    )
    masked = config.training.sigma < 1
    response = model(t, t if masked else None, s, s if masked else None)
    layers = sum(counted)
    assert (
        multiplications(config, *sizes)
        == layers + response[0].numel() * model.embed_template(t)[0].numel()
    )


# Equations


def linear(layer, x):
    return x @ layer.weight.detach().numpy().T + layer.bias.detach().numpy()


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


@pytest.mark.parametrize("fusion", ["sigmoid_then_sum", "sum_then_sigmoid"])
@pytest.mark.parametrize("pools", [("average", "maximum"), ("maximum",), ("average",)])
def test_channel_attention_is_eq_5(fusion, pools):
    torch.manual_seed(0)
    module, p = ChannelAttention(12, pools, 3, fusion), gauss((2, 12, 5, 5))
    logits = []
    for pool in pools:
        pooled = p.reshape(2, 12, 25).mean(2) if pool == "average" else p.reshape(2, 12, 25).max(2)
        first, _, second = module.branches[pool] if fusion == "sigmoid_then_sum" else module.shared
        logits.append(linear(second, np.maximum(linear(first, pooled), 0)))
    omega = sum(map(sigmoid, logits)) if fusion == "sigmoid_then_sum" else sigmoid(sum(logits))
    np.testing.assert_allclose(
        module(torch.tensor(p)).detach().numpy(), p * omega[:, :, None, None], rtol=1e-5, atol=1e-6
    )


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {
            "bn_eps": 1e-3,
            "bn_momentum": 0.3,
            "context_product": "matrix",
            "channel_reduction": 4,
            "channel_fusion": "sum_then_sigmoid",
        },
    ],
    ids=["paper", "changed"],
)
def test_settings_reach_the_layers(changes):
    model = network("SCS-Siam", **changes)
    config, norms = (
        model.config,
        [layer for layer in model.modules() if isinstance(layer, torch.nn.BatchNorm2d)],
    )
    assert len(norms) == 6 and {(layer.eps, layer.momentum) for layer in norms} == {
        (config.bn_eps, config.bn_momentum)
    }  # D4, D8
    (spatial,) = (layer for layer in model.modules() if isinstance(layer, SpatialAttention))
    (channel,) = (layer for layer in model.modules() if isinstance(layer, ChannelAttention))
    assert (spatial.product, channel.fusion) == (
        config.context_product,
        config.channel_fusion,
    )  # D5, D7
    hidden = {
        layer.out_features for layer in channel.modules() if isinstance(layer, torch.nn.Linear)
    }
    assert hidden == {48, 48 // config.channel_reduction}  # D6
    if not changes:  # what the modules do by themselves is the paper's
        alone = SpatialAttention(48), ChannelAttention(48)
        assert str(alone[0]) == str(spatial) and str(alone[1]) == str(channel)
        assert (alone[0].product, alone[1].fusion) == (spatial.product, channel.fusion)


@pytest.mark.parametrize("product", ["elementwise", "matrix"])
@pytest.mark.parametrize("parts", [("context", "transform"), ("context",), ("transform",)])
def test_spatial_attention_is_figure_6(product, parts):
    torch.manual_seed(0)
    module, u = SpatialAttention(16, parts, product).eval(), gauss((2, 16, 4, 4))
    v = u
    if "context" in parts:
        scores = (
            np.einsum("c,bchw->bhw", module.context.weight.detach().numpy()[0, :, 0, 0], u)
            + module.context.bias.item()
        )
        attention = np.exp(scores) / np.exp(scores).sum((1, 2), keepdims=True)
        v = (
            np.einsum("bcij,bjk->bcik", u, attention)
            if product == "matrix"
            else u * attention[:, None]
        )
    if "transform" in parts:
        first, norm, _, second, _ = module.transform
        norm.running_mean += torch.tensor([0.3, -0.2])
        norm.running_var += torch.tensor([1.5, 0.1])
        hidden = (
            np.einsum("nc,bchw->bnhw", first.weight.detach().numpy()[:, :, 0, 0], v)
            + first.bias.detach().numpy()[:, None, None]
        )
        hidden = (hidden - norm.running_mean.numpy()[:, None, None]) / np.sqrt(
            norm.running_var.numpy() + 1e-5
        )[:, None, None]
        logits = np.einsum(
            "cn,bnhw->bchw", second.weight.detach().numpy()[:, :, 0, 0], np.maximum(hidden, 0)
        )
        v = u * sigmoid(logits + second.bias.detach().numpy()[:, None, None])
    np.testing.assert_allclose(module(torch.tensor(u)).detach().numpy(), v, rtol=1e-4, atol=1e-6)


def test_cross_correlation_is_a_loop():
    z, x = gauss((3, 4, 2, 3)), gauss((3, 4, 6, 5), 1)
    expected = np.zeros((3, 1, 5, 3))
    for b, i, j in np.ndindex(3, 5, 3):
        expected[b, 0, i, j] = (z[b] * x[b, :, i : i + 2, j : j + 3]).sum()
    np.testing.assert_allclose(
        cross_correlation(torch.tensor(z), torch.tensor(x)).numpy(), expected, rtol=1e-4, atol=1e-5
    )
    for b in range(3):  # one template, many searches
        one = cross_correlation(torch.tensor(z[b : b + 1]), torch.tensor(x)).numpy()
        assert one.shape == (3, 1, 5, 3)
        np.testing.assert_allclose(one[b], expected[b], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("order", [("channel", "spatial"), ("spatial", "channel"), ()])
@pytest.mark.parametrize("on_search", [False, True])
def test_response_is_eq_4(order, on_search):
    model = network(attention=order, attention_on_search=on_search).eval()
    t, t_sm, s, s_sm = images(127, 127, 255, 255)
    with torch.no_grad():
        model.b.fill_(0.25)

        def omega(attention, x):
            for module in attention or ():
                x = module(x)
            return x + (model_features if attention else 0)

        model_features = model.psi(model.block(t) + model.block(t_sm))  # Eq. 2
        z = omega(model.attention, model_features)
        model_features = model.psi(model.block(s) + model.block(s_sm))  # Eq. 3
        x = omega(model.attention_search, model_features)
        np.testing.assert_allclose(
            model(t, t_sm, s, s_sm), 1e-3 * cross_correlation(z, x) + 0.25, rtol=1e-5
        )
    kinds = [{"channel": ChannelAttention, "spatial": SpatialAttention}[name] for name in order]
    assert [type(module) for module in model.attention or ()] == kinds
    assert (model.attention_search is not None) == (on_search and bool(order))


def test_first_block_in_the_order_of_the_paper():
    block = network().block.eval()
    block.norm.running_mean += torch.randn(24)
    block.norm.weight.data.uniform_(-1, 1)  # a negative gain turns the order of values round
    image = images(63)[0]
    with torch.no_grad():
        expected = torch.nn.functional.max_pool2d(torch.relu(block.norm(block.conv(image))), 3, 2)
        assert (block(image) == expected).all()


# Short cuts


@pytest.mark.parametrize("shared", [True, False])
@pytest.mark.parametrize("training", [True, False])
def test_one_pass_is_exact_where_the_masked_image_is_the_image(shared, training):
    model, image = network(shared_block=shared).train(training), images(127)[0]
    with torch.no_grad():
        assert (model.fuse(image) == model.fuse(image, image.clone())).all()
        assert (model.embed_template(image) == model.embed_template(image, image.clone())).all()
        assert (
            model.fuse(image)
            == (
                2 * model.block(image) if shared else model.block(image) + model.block_masked(image)
            )
        ).all()


@pytest.mark.parametrize("preset", PRESETS)
@pytest.mark.parametrize("variant", VARIANTS)
def test_folded_is_the_same_function(variant, preset):
    model = network(variant, preset).eval()
    for module in model.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            for name, low, high in (
                ("weight", 0.5, 1.5),
                ("bias", -0.5, 0.5),
                ("running_mean", -1, 1),
                ("running_var", 0.5, 2),
            ):
                getattr(module, name).data.uniform_(low, high)
    t, t_sm, s, s_sm = images(111, 111, 175, 175)
    fast = folded(model)
    with torch.no_grad():
        expected, response = model(t, t_sm, s, s_sm), fast(t, t_sm, s, s_sm)
    assert (response - expected).abs().max() <= 1e-4 * expected.abs().max() and expected.std() > 0
    assert not any(isinstance(module, torch.nn.BatchNorm2d) for module in fast.modules())
    assert any(
        isinstance(module, torch.nn.BatchNorm2d) for module in model.modules()
    )  # the original is left alone


# Gradients


def without_effect(model):
    """Biases that a batch norm or a softmax takes away again: their gradient is zero but for rounding."""
    for name, module in model.named_modules():
        if isinstance(module, torch.nn.Sequential):
            yield from (
                f"{name}.{i}.bias"
                for i in range(len(module) - 1)
                if isinstance(module[i + 1], torch.nn.BatchNorm2d)
            )
        elif name in ("block", "block_masked"):
            yield f"{name}.conv.bias"
        elif isinstance(module, SpatialAttention) and module.context is not None:
            yield f"{name}.context.bias"


@pytest.mark.parametrize("preset", PRESETS)
@pytest.mark.parametrize("variant", VARIANTS)
def test_gradients_reach_every_parameter(variant, preset):
    model = network(variant, preset).train()
    response = model(*images(127, 127, 255, 255, seed=3))
    (response * torch.tensor(gauss(response.shape))).sum().backward()
    gradients = {
        name: parameter.grad.abs().max().item() for name, parameter in model.named_parameters()
    }
    idle = set(without_effect(model))
    assert idle < set(gradients) and all(np.isfinite(value) for value in gradients.values())
    assert {name for name, value in gradients.items() if value == 0} <= idle
    for name in idle:
        assert gradients[name] <= 1e-3 * gradients[name.replace("bias", "weight")]
    for name in set(gradients) - idle:
        assert gradients[name] > 1e-9, name
