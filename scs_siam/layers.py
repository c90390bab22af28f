"""What the layers of a network are and cost, read off the network as it runs (Table 1). Nothing is computed: tensors carry shapes only."""

from dataclasses import dataclass

import torch
from torch.overrides import TorchFunctionMode
from torch.utils.flop_counter import FlopCounterMode

from scs_siam.model import SiameseNet, cross_correlation


@dataclass(frozen=True)
class Layer:
    """One line of Table 1: what a layer does, the size of its output, and what one cell of the output sees of the image."""

    name: str  # as Table 1 names it
    filter: int | None  # side of the window, cells of the layer before
    stride: int | None  # cells of the layer before
    channels_in: int | None  # of a convolution, over all its groups
    channels: int  # of the output
    side: int  # of the output, cells
    view: int  # pixels of the image, to a side, that one cell of the output sees
    step: int  # pixels of the image between neighbouring cells


class _Calls(TorchFunctionMode):
    """Notes (operation, filter, stride, shape in, shape out) of every convolution and pooling that runs inside it."""

    def __init__(self):
        super().__init__()
        self.seen = []

    def __torch_function__(self, function, types, args=(), kwargs=None):
        out = function(*args, **(kwargs or {}))
        name = getattr(function, "__name__", "")
        if name == "conv2d":
            self.seen.append(
                ("Conv", args[1].shape[-1], args[3][0], tuple(args[0].shape), tuple(out.shape))
            )
        elif name == "max_pool2d":
            self.seen.append(
                ("Max-Pool", args[1], kwargs["stride"], tuple(args[0].shape), tuple(out.shape))
            )
        return out


def trace(config, size):
    """The Layers of B, of the fusion and of psi for images of `size` pixels, in order, from the ModelConfig of a network."""
    with torch.device("meta"):
        model, image = SiameseNet(config).eval(), torch.empty(1, 3, size, size)
        with _Calls() as block:
            model.block(image)
        fused = model.fuse(image)
        with _Calls() as rest:
            model.psi(fused)
    layers = [Layer("Input", None, None, None, 3, size, 1, 1)]
    layers += _layers(block.seen, layers)
    if config.fusion:
        layers.append(
            Layer(
                "Feature Fusion",
                None,
                None,
                None,
                *fused.shape[1:3],
                layers[-1].view,
                layers[-1].step,
            )
        )
    return layers + _layers(rest.seen, layers)


def _layers(calls, before):
    """Layers of noted calls; numbers and views go on from the layers `before` them."""
    view, step = before[-1].view, before[-1].step
    number = {
        kind: sum(layer.name.startswith(kind) for layer in before) for kind in ("Conv", "Max-Pool")
    }
    layers = []
    for kind, window, stride, given, out in calls:
        number[kind] += 1
        view, step = view + (window - 1) * step, step * stride
        channels_in = given[1] if kind == "Conv" else None
        layers.append(
            Layer(f"{kind}{number[kind]}", window, stride, channels_in, out[1], out[2], view, step)
        )
    return layers


def shapes(config, template_size, search_size):
    """(channels, height, width) by name: T, B(T), psi(Z), S, B(S), psi(X) and g, for square images of the two sizes in pixels."""
    with torch.device("meta"):
        model = SiameseNet(config).eval()
        images = (
            torch.empty(1, 3, template_size, template_size),
            torch.empty(1, 3, search_size, search_size),
        )
        found = {}
        for image, name, fused in zip(images, "TS", "ZX"):
            block = model.block(image)
            found |= {name: image, f"B({name})": block, f"psi({fused})": model.psi(block)}
        found["g"] = cross_correlation(found["psi(Z)"], found["psi(X)"])
    return {name: tuple(tensor.shape[1:]) for name, tensor in found.items()}


def parameters(config):
    """Number of trained parameters by part of Eq. 1 to 5: B, psi, Delta, Omega, b; parts that a network lacks count 0."""
    with torch.device("meta"):
        model = SiameseNet(config)
    counts = {
        "B": _count(model.block) + _count(model.block_masked),
        "psi": _count(model.psi),
        "Delta": 0,
        "Omega": 0,
    }
    for attention in (model.attention, model.attention_search):
        for name, module in zip(config.attention, attention or ()):
            counts["Delta" if name == "channel" else "Omega"] += _count(module)
    return counts | {"b": int(config.offset)}


def _count(module):
    return sum(parameter.numel() for parameter in module.parameters()) if module is not None else 0


def multiplications(config, template_size, search_size):
    """Multiply-adds of one template embedding, one search embedding and one response, for one image at test time (S_sm = S)."""
    with torch.device("meta"):
        model = SiameseNet(config).eval()
        template, search = (
            torch.empty(1, 3, template_size, template_size),
            torch.empty(1, 3, search_size, search_size),
        )
        counts = {}
        for name, work in (
            ("template", lambda: model.embed_template(template)),
            ("search", lambda: model.embed_search(search)),
        ):
            with FlopCounterMode(display=False) as counter:
                counts[name] = work(), counter
        with FlopCounterMode(display=False) as counter:
            model.respond(counts["template"][0], counts["search"][0])
    counts["response"] = None, counter
    return {name: counter.get_total_flops() // 2 for name, (_, counter) in counts.items()}
