"""Moments: frames of real or synthetic clips with the boxes of several trackers, for Figure 9 and for the failures.

Boxes (x, y, w, h) come as a DataFrame of moments; `moments` and `failures` choose them from raw boxes.
"""

import numpy as np
import pandas
from matplotlib.lines import Line2D
from matplotlib.patches import Rectangle

from scs_siam.evaluation.metrics import overlap
from scs_siam.figures import BLACK, Role, looks, styled
from scs_siam.figures.panels import CASING, draw_image, sheet

TRUTH = Role(BLACK)  # the truth's green elsewhere is that of a row here
RATIO = 0.75  # height over width of a picture
BOX = ["x", "y", "w", "h"]


def moments(sequence, truth, boxes, count=4):
    """`count` moments spread evenly over a clip: sequence, frame (from 1), row ("truth" or a tracker), x, y, w, h, overlap.

    `truth` (N, 4), `boxes` {row: (N, 4)}. Frames without a true box are passed over; the first, where all agree, is left out.
    """
    seen = np.flatnonzero(np.isfinite(truth).all(-1))
    places = seen[np.linspace(0, len(seen) - 1, count + 1).round().astype(int)[1:]]
    return pandas.DataFrame(
        [line for place in places for line in _lines(sequence, place, truth, boxes)]
    )


def failures(clips, count=8):
    """The worst moment of each of the `count` clips that were tracked worst: place (1: the worst), then what `moments` gives.

    `clips` [(sequence, row, truth (N, 4), boxes (N, 4))]; worst by mean overlap; its moment is the first frame with the lowest overlap.
    """
    found = []
    for sequence, row, truth, boxes in clips:
        seen = np.flatnonzero(np.isfinite(truth).all(-1))
        overlaps = overlap(boxes[seen], truth[seen])
        found.append((overlaps.mean(), sequence, row, seen[overlaps.argmin()], truth, boxes))
    found.sort(key=lambda clip: clip[:3])
    return pandas.DataFrame(
        [
            {"place": number, **line}
            for number, (_, sequence, row, place, truth, boxes) in enumerate(found[:count], 1)
            for line in _lines(sequence, place, truth, {row: boxes})
        ]
    )


def _lines(sequence, place, truth, boxes):
    for row, found in {"truth": truth, **boxes}.items():
        yield {
            "sequence": sequence,
            "frame": int(place) + 1,
            "row": row,
            **dict(zip(BOX, map(float, found[place]))),
            "overlap": float(overlap(found[place], truth[place])),
        }


@styled
def figure9(drawn, frames):
    """Twin of Figure 9: a row a sequence, a column a moment; `drawn` as `moments` gives, `frames` {sequence: frames by index}.

    Each picture is the part of the frame around all boxes; its number counts from 1.
    """
    names = list(drawn["sequence"].unique())
    columns = drawn.groupby("sequence")["frame"].nunique().max()
    figure, grid = sheet([""] * columns, names, [RATIO] * len(names))
    for name, row in zip(names, grid):
        for axes in row:
            axes.set_axis_off()
        for axes, (number, part) in zip(row, drawn[drawn["sequence"] == name].groupby("frame")):
            _picture(axes, frames[name][number - 1], part)
            _write(axes, f"#{number}")
    _legend(figure, list(drawn["row"].unique()))
    return figure


@styled
def failure_gallery(drawn, frames, columns=4):
    """Worst moments, each with its sequence, frame and overlap; `drawn` as `failures` gives, `frames` {sequence: frames by index}."""
    groups = [part for _, part in drawn.groupby("place")]
    rows = -(-len(groups) // columns)
    figure, grid = sheet([""] * columns, [""] * rows, [RATIO + 0.2] * rows)
    for axes in grid.flat:
        axes.set_axis_off()
    for axes, part in zip(grid.flat, groups):
        line = part[part["row"] != "truth"].iloc[0]
        _picture(axes, frames[line["sequence"]][line["frame"] - 1], part)
        axes.set_title(
            f"{line['sequence']} #{line['frame']}\noverlap {line['overlap']:.2f}",
            pad=3,
            fontsize=7.5,
        )
    _legend(figure, list(drawn["row"].unique()))
    return figure


def _picture(axes, frame, part):
    """Show the part of a frame around all boxes of a moment, and the boxes, truth below."""
    axes.set_axis_on()
    draw_image(axes, frame)
    for line, look in zip(part.to_dict("records"), _looks(list(part["row"])).values()):
        axes.add_patch(
            Rectangle(
                (line["x"] - 0.5, line["y"] - 0.5),
                line["w"],
                line["h"],
                fill=False,
                edgecolor=look.colour,
                linestyle=look.line,
                linewidth=1.3,
                path_effects=CASING,
            )
        )
    left, top, width, height = window(part[BOX].to_numpy(float), frame.shape)
    axes.set(xlim=(left - 0.5, left + width - 0.5), ylim=(top + height - 0.5, top - 0.5))


def window(boxes, shape):
    """The part (left, top, width, height) of a frame of this shape that shows all boxes (N, 4) and some room; the frame if it must."""
    low, high = boxes[:, :2].min(0), (boxes[:, :2] + boxes[:, 2:]).max(0)
    width = max(1.5 * (high - low)[0], 1.5 * (high - low)[1] / RATIO, 3 * boxes[0, 2:].max())
    if width >= shape[1] or RATIO * width >= shape[0]:
        return 0.0, 0.0, float(shape[1]), float(shape[0])
    size = np.array([width, RATIO * width])
    return tuple(
        float(value)
        for value in (*np.clip((low + high - size) / 2, 0, np.array(shape[1::-1]) - size), *size)
    )


def _looks(rows):
    return {"truth": TRUTH, **looks([row for row in rows if row != "truth"])}


def _write(axes, text):
    axes.text(
        0.03,
        0.96,
        text,
        transform=axes.transAxes,
        ha="left",
        va="top",
        fontsize=7,
        bbox={"facecolor": "white", "edgecolor": "none", "pad": 1.2},
    )


def _legend(figure, rows):
    names = {"truth": "true box"}
    handles = [
        Line2D([], [], color=look.colour, linestyle=look.line, label=names.get(row, row))
        for row, look in _looks(rows).items()
    ]
    lines = -(-len(handles) // 4)
    figure.set_size_inches(figure.get_figwidth(), figure.get_figheight() + 0.1 + 0.17 * lines)
    figure.legend(
        handles=handles,
        loc="outside lower center",
        ncols=-(-len(handles) // lines),
        handlelength=3.6,
    )
