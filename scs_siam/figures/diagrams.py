"""Diagrams that are drawn from a network: Figures 1, 2, 5 and 6. One unit is one inch."""

import numpy as np
import torch
from matplotlib.patches import Circle, FancyArrowPatch, FancyBboxPatch, Polygon, Rectangle
from matplotlib.path import Path

from scs_siam.figures import BLUE, GREEN, GREY, TINTS, VERMILLION, WIDTH, chart, styled
from scs_siam.figures.panels import CASING, draw_image
from scs_siam.model import shapes, trace
from scs_siam.runtime.files import BadInput

SMALL = 6.8  # points
POOLS = {"average": "GAP", "maximum": "GMP"}


def canvas(height, width=WIDTH, photographs=False):
    """Return a Chart and one axes that covers it and measures inches."""
    figure = chart(height, width, photographs, layout=None)
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set(xlim=(0, width), ylim=(0, height), aspect="equal")
    axes.axis("off")
    return figure, axes


def block(axes, x, y, text, tint, width=0.5, height=0.34):
    """A rounded box with text, centred at x, y."""
    axes.add_patch(
        FancyBboxPatch(
            (x - width / 2, y - height / 2),
            width,
            height,
            boxstyle="round,pad=0,rounding_size=0.05",
            facecolor=TINTS[tint],
            edgecolor="black",
            linewidth=0.8,
        )
    )
    axes.text(
        x,
        y - 0.01,
        text,
        ha="center",
        va="center",
        linespacing=1.15,
        fontsize=8 if len(text) < 8 else 7.5,
    )


def node(axes, x, y, symbol):
    """Draw a circle with +, x or * in it, made of strokes so that the sign is centred."""
    axes.add_patch(Circle((x, y), 0.09, facecolor="white", edgecolor="black", linewidth=0.9))
    for turn in {"+": (0, 90), "x": (45, 135), "*": (0, 60, 120)}[symbol]:
        dx, dy = 0.05 * np.cos(np.radians(turn)), 0.05 * np.sin(np.radians(turn))
        axes.plot(
            [x - dx, x + dx], [y - dy, y + dy], color="black", linewidth=1.1, solid_capstyle="butt"
        )


def arrow(axes, *points):
    """Draw a line through points with a head at the last one."""
    axes.add_patch(
        FancyArrowPatch(
            path=Path(points),
            arrowstyle="-|>",
            mutation_scale=6.5,
            linewidth=0.9,
            color="black",
            joinstyle="miter",
            shrinkA=0,
            shrinkB=0,
        )
    )


def slab(axes, x, y, shape, tint, name="", above=""):
    """Draw a feature map (channels, h, w) as a cuboid centred at x, y; return half its width.

    Channels run across, h upwards and w into the page. Its `name` and shape are written below it.
    """
    across, up = 0.011 * np.sqrt(shape[0]), 0.085 * np.sqrt(shape[1])
    back = np.array([0.3 * up, 0.2 * up])
    low = np.array([x, y]) - (np.array([across, up]) + back) / 2
    a, b, c, d = low, low + [across, 0], low + [across, up], low + [0, up]
    for corners in ((a, b, c, d), (d, c, c + back, d + back), (b, b + back, c + back, c)):
        axes.add_patch(
            Polygon(
                corners, facecolor=TINTS[tint], edgecolor="black", linewidth=0.7, joinstyle="round"
            )
        )
    axes.text(x, low[1] - 0.05, name + times(shape), ha="center", va="top", fontsize=SMALL)
    axes.text(x, (d + back)[1] + 0.04, above, ha="center", va="bottom", fontsize=SMALL)
    return (across + back[0]) / 2


def times(shape):
    """Format a shape, such as 384×6×6."""
    return "×".join(str(side) for side in shape)


def picture(axes, x, y, side, image, label):
    """Draw an image (H, W, 3) or map (H, W) as a square of `side` inches with a label below."""
    inset = axes.inset_axes((x - side / 2, y - side / 2, side, side), transform=axes.transData)
    draw_image(inset, image)
    inset.spines[:].set(visible=True, linewidth=0.7)
    axes.text(x, y - side / 2 - 0.05, label, ha="center", va="top", fontsize=SMALL, linespacing=1.2)


@styled
def architecture(config, pictures):
    """Counterpart of Figure 1 for a ModelConfig.

    `pictures` are T, T_sm, S, S_sm (size, size, 3) and the response map g (r, r).
    """
    size = shapes(config, len(pictures[0]), len(pictures[2]))
    figure, axes = canvas(4.4)
    ends = [
        _branch(axes, config, size, "Z", (4.0, 3.05), ("T", r"T$_{sm}$"), pictures[:2]),
        _branch(axes, config, size, "X", (1.9, 0.9), ("S", r"S$_{sm}$"), pictures[2:4]),
    ]
    middle = sum(ends) / 2
    for y in ends:
        arrow(axes, (5.2, y), (5.2, middle + np.sign(y - middle) * 0.09))
    node(axes, 5.2, middle, "*")
    arrow(axes, (5.29, middle), (5.46, middle))
    picture(axes, 5.8, middle, 0.62, pictures[4], f"g  {times(size['g'])}")
    equation = ("Eq. 4" if config.attention else "Eq. 1") + ("" if config.offset else ", b = 0")
    axes.text(5.8, middle + 0.36, equation, fontsize=SMALL, ha="center", va="bottom", color=GREY)
    axes.text(WIDTH / 2, 0.15, _key(config), fontsize=SMALL, ha="center", va="center")
    return figure


def _key(config):
    """The legend of Figure 1."""
    attention = {
        "channel": "Δ: channel attention, Sec. 3.3",
        "spatial": "Ω: spatial attention, Sec. 3.4",
    }
    convolutions = [layer.name for layer in trace(config, 127) if layer.name.startswith("Conv")]
    first = [
        f"B: {convolutions[0]}, BN, ReLU, Max-Pool1",
        f"ψ: {convolutions[1]} to {convolutions[-1]}",
        "∗: cross-correlation",
    ]
    return (
        "      ".join(first)
        + "\n"
        + "      ".join(
            [*[attention[kind] for kind in config.attention], "same letter: same weights"]
        )
    )


def _branch(axes, config, size, name, rows, names, images):
    """Draw a branch of Figure 1 from its images at heights `rows`; return the height of its end."""
    image, y = names[0], sum(rows) / 2
    if not config.fusion:
        rows, names, images = (y,), names[:1], images[:1]
    for number, (row, label, pixels) in enumerate(zip(rows, names, images)):
        other = number == 1 and not config.shared_block  # D1
        picture(
            axes,
            0.47,
            row,
            0.62 if name == "Z" else 0.74,
            pixels,
            f"{label}  {times((3, *pixels.shape[:2]))}",
        )
        arrow(axes, (0.86, row), (1.06, row))
        block(axes, 1.27, row, "B′" if other else "B", "B2" if other else "B", 0.42)
        if config.fusion:
            arrow(axes, (1.48, row), (1.75, row), (1.75, y + np.sign(row - y) * 0.09))
    if config.fusion:
        node(axes, 1.75, y, "+")
        axes.text(
            1.98,
            y + 0.04,
            "Eq. 2" if name == "Z" else "Eq. 3",
            fontsize=SMALL,
            ha="center",
            va="bottom",
            color=GREY,
        )
    half = slab(
        axes, 2.42, y, size[f"B({image})"], "B", above=name if config.fusion else f"B({image})"
    )
    arrow(axes, (1.84 if config.fusion else 1.48, y), (2.42 - half, y))
    arrow(axes, (2.42 + half, y), (2.87, y))
    block(axes, 3.1, y, "ψ", "psi", 0.46)
    half = slab(
        axes,
        3.75,
        y,
        size[f"psi({name})"],
        "psi",
        above=f"ψ({name})" if config.fusion else f"ψ(B({image}))",
    )
    arrow(axes, (3.33, y), (3.75 - half, y))
    return _attend(axes, config, name, y, 3.75 + half)


def _attend(axes, config, name, y, x):
    """Draw attention and skip connection of a branch; return the height of its end."""
    if not config.attention or (name == "X" and not config.attention_on_search):
        axes.plot([x, 5.2], [y, y], color="black", linewidth=0.9)
        return y
    up, prime = (1, "") if name == "Z" else (-1, "′")  # the search branch has its own weights
    for number, kind in enumerate(config.attention):
        place = 4.31 + 0.44 * number
        arrow(axes, (x, y), (place - 0.16, y))
        block(
            axes,
            place,
            y,
            ("Δ" if kind == "channel" else "Ω") + prime,
            "Delta" if kind == "channel" else "Omega",
            0.32,
        )
        x = place + 0.16
    node(axes, 5.2, y, "+")
    arrow(axes, (x, y), (5.11, y))
    arrow(axes, (4.1, y), (4.1, y + up * 0.37), (5.2, y + up * 0.37), (5.2, y + up * 0.09))
    axes.text(
        4.65,
        y + up * 0.41,
        "skip connection",
        fontsize=SMALL,
        ha="center",
        va="bottom" if up > 0 else "top",
    )
    return y - up * 0.09


@styled
def feature_space(config, image, box, cells=((2, 2), (0, 5))):
    """Counterpart of Figure 2: the receptive fields of two cells (row, column) of psi.

    `box` is the target (x, y, w, h) in pixels of the image (size, size, 3), drawn dotted.
    """
    layer, colours = trace(config, len(image))[-1], (GREEN, VERMILLION)
    figure, axes = canvas(2.7, photographs=True)
    picture(axes, 1.25, 1.5, 2.1, image, f"image  {times((3, *image.shape[:2]))}")
    pixel, origin = 2.1 / len(image), np.array([0.2, 2.55])
    for (row, column), colour, line in zip(cells, colours, ("-", (0, (4, 1.5)))):
        x, y = origin + np.array([column, -row]) * layer.step * pixel
        side = layer.view * pixel
        axes.add_patch(
            Rectangle(
                (x, y),
                side,
                -side,
                fill=False,
                edgecolor=colour,
                linewidth=1.8,
                linestyle=line,
                zorder=6,
                path_effects=CASING,
            )
        )
    x, y = origin + np.array([box[0], -box[1]]) * pixel
    axes.add_patch(
        Rectangle(
            (x, y),
            box[2] * pixel,
            -box[3] * pixel,
            fill=False,
            edgecolor="white",
            linestyle=":",
            zorder=6,
        )
    )
    arrow(axes, (2.42, 1.5), (2.72, 1.5))
    block(axes, 3.1, 1.5, f"B, ψ\n{layer.view} px views\n{layer.step} px apart", "psi", 0.76, 0.62)
    arrow(axes, (3.48, 1.5), (3.8, 1.5))
    _cube(axes, (3.95, 0.62), 1.5, layer, dict(zip(cells, colours)))
    axes.text(
        5.02,
        0.44,
        f"features  {times((layer.channels, layer.side, layer.side))}",
        ha="center",
        va="top",
        fontsize=SMALL,
    )
    return figure


def _cube(axes, low, side, layer, marked):
    """Draw the features as a cuboid; `marked` is {(row, column): colour}."""
    cell, back = side / layer.side, np.array([0.62, 0.4])
    for row in range(layer.side):
        for column in range(layer.side):
            colour = marked.get((row, column))
            across, up = np.array([cell, 0]), np.array([0, cell])
            a = np.array(low) + [column * cell, (layer.side - 1 - row) * cell]
            b, c, d = a + across, a + across + up, a + up
            faces = (
                [(a, b, c, d)]
                + [(d, c, c + back, d + back)] * (row == 0)
                + [(b, c, c + back, b + back)] * (column == layer.side - 1)
            )
            for corners in faces:
                axes.add_patch(
                    Polygon(
                        corners, facecolor=colour or TINTS["psi"], edgecolor="black", linewidth=0.5
                    )
                )


@torch.no_grad()
def channel_weights(module, p):
    """Return the channel weights (Eq. 5) of features P (1, C, H, W).

    The result is {"GAP": (C,), "GMP": (C,), "omega": (C,)}, each pooling after its sigmoid.
    """
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
    """Counterpart of Figure 5: a ChannelAttention, and its weights for features P (1, C, H, W)."""
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
    """Output sizes of pooling, FC1, ReLU, FC2 and sigmoid."""
    small = (module.shared or module.branches[module.pools[0]])[0].out_features
    return times((channels, 1, 1)), small, small, channels, channels


def _stages(axes, y, pool, sizes, late):
    """Draw one row of Figure 5 with the sizes below; return the x of its end."""
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
    """Plot the weights of all channels, sorted by omega."""
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
    """Counterpart of Figure 6: a SpatialAttention, and its softmax map for features U (1, C, H, W).

    `image` (size, size, 3) is the crop from which the features come.
    """
    if module.context is None or module.transform is None:
        raise BadInput(
            "Figure 6 shows context and transform model; use a network that has both "
            "(model.spatial_parts)"
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
    """Draw a dashed frame (left, low, right, high) with its name in the upper left corner."""
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
    """Draw boxes (x, name, output size) joined by arrows from `start`, if any, to `end`."""
    for x, name, size in stages:
        if start is not None:
            arrow(axes, (start, y), (x - 0.31, y))
        block(axes, x, y, name, "Omega", 0.62, 0.28)
        axes.text(x, y - 0.17, size, ha="center", va="top", fontsize=SMALL)
        start = x + 0.31
    arrow(axes, (start, y), (end, y))
