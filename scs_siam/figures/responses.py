"""Pictures of tracking (Algorithm 2): response maps, search regions and tracked frames."""

import numpy as np
from matplotlib.lines import Line2D
from matplotlib.patches import Rectangle
from matplotlib.patheffects import withStroke
from matplotlib.ticker import MaxNLocator

from scs_siam.figures import OTHER_STYLES, ROLES, chart, styled
from scs_siam.figures.panels import draw_box, draw_image, sheet
from scs_siam.model import STRIDE

MARK = {
    "marker": "+",
    "markersize": 7,
    "markeredgewidth": 1.2,
    "color": "white",
    "path_effects": [withStroke(linewidth=2.4, foreground="black")],
}


def peak(values):
    """Row and column of the largest value of a map (h, w)."""
    return tuple(int(place) for place in np.unravel_index(np.argmax(values), values.shape))


def second_peak(values):
    """Return the highest value farther than 3 cells from the peak of a map (17, 17).

    It is scaled so that the minimum of the map is 0 and its peak is 1.
    """
    row, column = np.indices(values.shape)
    far = np.hypot(row - peak(values)[0], column - peak(values)[1]) > 3
    return (values[far].max() - values.min()) / (values.max() - values.min())


@styled
def maps(values):
    """Show maps (h, w), {title: map}, each with its own colour range and a cross on its maximum."""
    figure, grid = sheet(list(values), ("",), [1], width=1.1 * len(values))
    for axes, map_ in zip(grid[0], values.values()):
        draw_image(axes, map_)
        row, column = peak(map_)
        axes.plot(column, row, **MARK)
    return figure


@styled
def beside_search(searches, responses, titles):
    """Show search regions (side, side, 3) above their response maps (h, w).

    The frame is the area that the map covers, and the crosses mark its maximum.
    """
    figure, grid = sheet(titles, ("S", "g"), [1, 1], width=0.2 + len(searches))
    for pair, image, response in zip(grid.T, searches, responses):
        _draw_pair(*pair, image, response)
    return figure


@styled
def one_pair(search, response, title=""):
    """Show one search region and its response map side by side."""
    figure, grid = sheet((f"S, {title}" if title else "S", "g"), ("",), [1], width=4.4)
    _draw_pair(*grid[0], search, response)
    return figure


def _draw_pair(left, right, image, response):
    """Draw a search region and its response map."""
    draw_image(left, image)
    draw_image(right, response)
    middle, reach = (image.shape[0] - 1) / 2, STRIDE * response.shape[0]
    left.add_patch(
        Rectangle(
            [middle - reach / 2] * 2,
            reach,
            reach,
            fill=False,
            edgecolor="white",
            linewidth=1,
            linestyle="--",
        )
    )
    cell = np.array(peak(response)[::-1])
    left.plot(*(middle + STRIDE * (cell - (response.shape[0] - 1) / 2)), **MARK)
    right.plot(*cell, **MARK)


@styled
def first_frame(frame, box=None):
    """Show a frame (H, W, 3) with axes in pixels, and optionally a box (x, y, w, h)."""
    figure = chart(3.6 * frame.shape[0] / frame.shape[1] + 0.3, 3.6, photographs=True)
    axes = figure.subplots()
    draw_image(axes, frame)
    axes.xaxis.set_major_locator(MaxNLocator(8, integer=True))
    axes.yaxis.set_major_locator(MaxNLocator(6, integer=True))
    axes.set(xlabel="x (pixels)", ylabel="y (pixels)")
    if box is not None:
        draw_box(axes, box, "ours")
    return figure


@styled
def tracked_strip(frames, found, truth, titles, columns=3, width=3.6):
    """Show frames (H, W, 3) in a grid with the tracked and the true box (x, y, w, h)."""
    rows = -(-len(frames) // columns)
    figure = chart(
        rows * (width / columns * frames[0].shape[0] / frames[0].shape[1] + 0.2) + 0.2,
        width,
        photographs=True,
    )
    for axes, frame, box, true, title in zip(
        figure.subplots(rows, columns, squeeze=False).flat,
        frames,
        found,
        truth,
        titles,
        strict=True,
    ):
        draw_image(axes, frame)
        axes.set_title(title, pad=3)
        draw_box(axes, true, "truth")
        draw_box(axes, box, "ours")
    handles = [
        Line2D([], [], color=ROLES[role].colour, label=label)
        for role, label in (("ours", "tracked box"), ("truth", "true box"))
    ]
    figure.legend(handles=handles, loc="outside lower center", ncols=2)
    return figure


@styled
def lines(values, xlabel, ylabel):
    """Plot each column of a DataFrame over its index."""
    figure = chart(1.7, 4.2)
    axes = figure.subplots()
    for role, (name, column) in zip(
        [ROLES["ours"], ROLES["baseline"], ROLES["none"], *OTHER_STYLES], values.items()
    ):
        axes.plot(values.index, column, color=role.colour, linestyle=role.line, label=name)
    axes.set(xlabel=xlabel, ylabel=ylabel)
    figure.legend(loc="outside right upper", handlelength=3.2)
    return figure
