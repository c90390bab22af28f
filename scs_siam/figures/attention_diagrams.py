"""Diagrams of the attention modules with what they compute for real features: Figure 5 (channel) and Figure 6 (spatial)."""

import numpy as np
import torch
from matplotlib.patches import FancyBboxPatch

from scs_siam.figures import BLUE, GREEN, GREY, VERMILLION, styled
from scs_siam.figures.diagrams import SMALL, arrow, block, canvas, node, picture, slab, times
from scs_siam.runtime.files import BadInput

POOLS = {"average": "GAP", "maximum": "GMP"}


@torch.no_grad()
def channel_weights(module, p):
    """The weights of features P (1, C, H, W) by Eq. 5: {"GAP": (C,), "GMP": (C,), "omega": (C,)}, each pooling after its sigmoid."""
    pooled = {"average": p.mean((2, 3)), "maximum": p.amax((2, 3))}
    parts = {
        POOLS[pool]: torch.sigmoid((module.shared or module.branches[pool])(pooled[pool]))
        for pool in module.pools
    }
    return {
        name: values[0].cpu().numpy()
        for name, values in {**parts, "omega": module.weights(p)}.items()
    }


@styled
def channel_attention(module, p):
    """Twin of Figure 5: a ChannelAttention with its sizes, and below the weights that it gives the channels of features P (1, C, H, W)."""
    figure, axes = canvas(3.55)
    shape, y = tuple(p.shape[1:]), 2.6
    half = slab(axes, 0.4, y, shape, "psi", "P  ")
    rows = dict(zip(module.pools, (y + 0.35, y - 0.35) if len(module.pools) == 2 else (y,)))
    late = module.fusion == "sum_then_sigmoid"  # D5
    join = 4.02 if late else 4.62
    for pool, row in rows.items():
        arrow(axes, (0.4 + half, y), (0.78, y), (0.78, row), (0.93, row))
        end = _stages(axes, row, POOLS[pool], _sizes(module, shape[0]), late)
        arrow(axes, (end, row), (join, row), (join, y + np.sign(row - y) * 0.09))
    node(axes, join, y, "+")
    if late:
        block(axes, 4.46, y, "Sigmoid", "Delta", 0.52, 0.28)
        arrow(axes, (join + 0.09, y), (4.2, y))
    arrow(axes, (4.72 if late else join + 0.09, y), (5.16, y))
    axes.text(4.94, y + 0.04, f"ω  {shape[0]}", ha="center", va="bottom", fontsize=SMALL)
    node(axes, 5.25, y, "x")
    half = slab(axes, 5.75, y, shape, "Delta", "S  ")
    arrow(axes, (5.34, y), (5.75 - half, y))
    arrow(axes, (0.7, y), (0.7, y + 0.72), (5.25, y + 0.72), (5.25, y + 0.09))
    axes.text(2.8, y + 0.75, "skip connection", ha="center", va="bottom", fontsize=SMALL)
    _sorted_weights(figure.add_axes((0.075, 0.115, 0.9, 0.32)), channel_weights(module, p))
    return figure


def _sizes(module, channels):
    """What comes out of pooling, FC1, ReLU, FC2 and sigmoid."""
    small = (module.shared or module.branches[module.pools[0]])[0].out_features
    return times((channels, 1, 1)), small, small, channels, channels


def _stages(axes, y, pool, sizes, late):
    """The boxes of one row of Figure 5 with the size of each output below it; returns where the row ends."""
    x = 0.93
    names = [pool, "FC1", "ReLU", "FC2"] + ([] if late else ["Sigmoid"])
    for number, (name, size) in enumerate(zip(names, sizes)):
        width = 0.54 if name == "Sigmoid" else 0.44
        if number:
            arrow(axes, (x - 0.2, y), (x, y))
        block(axes, x + width / 2, y, name, "Delta", width, 0.28)
        axes.text(x + width / 2, y - 0.17, size, ha="center", va="top", fontsize=SMALL)
        x += width + 0.2
    return x - 0.2


def _sorted_weights(axes, weights):
    """Channels in the order of their weight: omega as a line, its parts as points."""
    order = np.argsort(weights["omega"], kind="stable")
    for (name, values), colour, marker in zip(weights.items(), (GREEN, VERMILLION), ("o", "x")):
        axes.plot(
            values[order],
            marker,
            color=colour,
            markersize=2.5,
            markeredgewidth=0.7,
            label=f"{name}, after a sigmoid",
        )
    axes.plot(weights["omega"][order], color=BLUE, label="ω")
    axes.set(
        xlabel="channel, in the order of ω",
        ylabel="weight",
        ylim=(0, 2),
        yticks=(0, 0.5, 1, 1.5, 2),
        xlim=(0, len(order) - 1),
    )
    axes.legend(loc="upper left", ncols=3, borderaxespad=0.2, handletextpad=0.4)


@torch.no_grad()
@styled
def spatial_attention(module, u, image):
    """Twin of Figure 6: a SpatialAttention with its sizes, and its softmax map for features U (1, C, H, W) of an image (size, size, 3)."""
    if module.context is None or module.transform is None:
        raise BadInput(
            "Figure 6: shows context and transform model; take a network whose model.spatial_parts are both"
        )
    shape = tuple(u.shape[1:])
    flat, small = times((1, *shape[1:])), times((module.transform[0].out_channels, *shape[1:]))
    figure, axes = canvas(2.75)
    top, low = 2.1, 0.6
    half = slab(axes, 0.4, top, shape, "psi", "U  ")
    _frame(axes, (0.86, 1.72, 3.2, 2.46), "context model")
    _frame(axes, (0.6, 0.22, 4.7, 0.98), "transform model")
    _chain(axes, top, 0.4 + half, ((1.29, "Conv 1×1", flat), (2.22, "Softmax", flat)), 2.86)
    node(axes, 2.95, top, "x")
    if module.product == "matrix":  # D7
        axes.text(2.95, top - 0.17, "matrix", fontsize=SMALL, ha="center", va="top")
    arrow(axes, (0.72, top), (0.72, 2.56), (2.95, 2.56), (2.95, top + 0.09))
    arrow(axes, (3.04, top), (3.4, top), (3.4, 1.35), (0.35, 1.35), (0.35, low), (0.7, low))
    stages = [
        ("Conv 1×1", small),
        ("BatchNorm", small),
        ("ReLU", small),
        ("Conv 1×1", times(shape)),
        ("Sigmoid", times(shape)),
    ]
    _chain(
        axes,
        low,
        None,
        [(1.01 + 0.83 * number, *stage) for number, stage in enumerate(stages)],
        4.93,
    )
    node(axes, 5.02, low, "x")
    arrow(
        axes, (0.72, 2.56), (0.72, 2.67), (3.7, 2.67), (3.7, 1.35), (5.02, 1.35), (5.02, low + 0.09)
    )
    axes.text(4.36, 1.32, "skip connection", fontsize=SMALL, ha="center", va="top")
    half = slab(axes, 5.6, low, shape, "Omega", "V  ")
    arrow(axes, (5.11, low), (5.6 - half, low))
    attention = module.context_map(u)[0, 0].cpu().numpy()
    picture(axes, 4.36, 2.14, 0.96, image, "T")
    picture(
        axes,
        5.5,
        2.14,
        0.96,
        attention,
        f"Softmax of T, {attention.min():.2f} to {attention.max():.2f}",
    )
    return figure


def _frame(axes, corners, name):
    """A dashed frame with its name in the upper left corner, from (left, low, right, high)."""
    left, low, right, high = corners
    axes.add_patch(
        FancyBboxPatch(
            (left, low),
            right - left,
            high - low,
            boxstyle="round,pad=0,rounding_size=0.06",
            fill=False,
            edgecolor=GREY,
            linewidth=0.8,
            linestyle=(0, (4, 2)),
        )
    )
    axes.text(left + 0.06, high - 0.04, name, ha="left", va="top", fontsize=SMALL, color=GREY)


def _chain(axes, y, start, stages, end):
    """Boxes (x, name, size of the output) joined by arrows, from `start` (None: the first arrow is drawn by others) to `end`."""
    for x, name, size in stages:
        if start is not None:
            arrow(axes, (start, y), (x - 0.31, y))
        block(axes, x, y, name, "Omega", 0.62, 0.28)
        axes.text(x, y - 0.17, size, ha="center", va="top", fontsize=SMALL)
        start = x + 0.31
    arrow(axes, (start, y), (end, y))
