"""Diagrams drawn from a network itself: Figure 1 (architecture) and Figure 2 (what a feature sees). One unit is one inch."""

import numpy as np
from matplotlib.patches import Circle, FancyArrowPatch, FancyBboxPatch, Polygon, Rectangle
from matplotlib.path import Path

from scs_siam.figures import GREEN, GREY, TINTS, VERMILLION, WIDTH, chart, styled
from scs_siam.figures.panels import CASING, draw_image
from scs_siam.model import shapes, trace

SMALL = 6.8  # points


def canvas(height, width=WIDTH, photographs=False):
    """A Chart with one axes that covers it and measures inches."""
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
    """A circle with +, x or * in it; strokes, not letters, so that the sign stands in the middle."""
    axes.add_patch(Circle((x, y), 0.09, facecolor="white", edgecolor="black", linewidth=0.9))
    for turn in {"+": (0, 90), "x": (45, 135), "*": (0, 60, 120)}[symbol]:
        dx, dy = 0.05 * np.cos(np.radians(turn)), 0.05 * np.sin(np.radians(turn))
        axes.plot(
            [x - dx, x + dx], [y - dy, y + dy], color="black", linewidth=1.1, solid_capstyle="butt"
        )


def arrow(axes, *points):
    """A line through points with a head at the last one."""
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
    """A feature map (channels, h, w) as a solid centred at x, y: channels across, h upwards, w into the page; returns its half width.

    Its shape is written below it, after its `name`, and a word `above` it.
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
    """The text of a shape, 384 x 6 x 6 with real multiplication signs."""
    return "×".join(str(side) for side in shape)


def picture(axes, x, y, side, image, label):
    """An image (H, W, 3) or map (H, W) as a square of `side` inches centred at x, y, with a label below."""
    inset = axes.inset_axes((x - side / 2, y - side / 2, side, side), transform=axes.transData)
    draw_image(inset, image)
    inset.spines[:].set(visible=True, linewidth=0.7)
    axes.text(x, y - side / 2 - 0.05, label, ha="center", va="top", fontsize=SMALL, linespacing=1.2)


@styled
def architecture(config, pictures):
    """Twin of Figure 1 for a ModelConfig. `pictures`: T, T_sm, S, S_sm (size, size, 3) and the response g (r, r); sizes are theirs."""
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
    """What the letters of Figure 1 stand for."""
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
    """One branch of Figure 1, from its images at heights `rows` to its features; returns the height at which it ends."""
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
    """The attention modules of a branch and the skip connection around them; returns the height at which the branch ends."""
    if not config.attention or (name == "X" and not config.attention_on_search):
        axes.plot([x, 5.2], [y, y], color="black", linewidth=0.9)
        return y
    up, prime = (
        (1, "") if name == "Z" else (-1, "′")
    )  # attention on the search branch has weights of its own
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
    """Twin of Figure 2: two cells (row, column) of psi, green and orange, and the squares of the image (size, size, 3) that they see.

    `box`: the target (x, y, w, h) in pixels of the image, drawn dotted.
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
    """The features as a solid of `side` inches with a square a cell on its front; `marked` cells run through it in their colours."""
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
