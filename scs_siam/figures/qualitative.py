"""Frames with the boxes of several trackers: Figure 9 and the clips that were tracked worst."""

import numpy as np
import pandas
from matplotlib.lines import Line2D
from matplotlib.patches import Rectangle

from scs_siam.evaluation.metrics import overlap
from scs_siam.figures import BLACK, Style, styled, tracker_styles
from scs_siam.figures.panels import CASING, draw_image, sheet
from scs_siam.runtime.files import atomic, figures_folder

TRUTH = Style(BLACK)  # green, its colour elsewhere, belongs to a tracker here
RATIO = 0.75  # height over width
BOX = ["x", "y", "w", "h"]


def sample_frames(sequence, truth, boxes, count=4):
    """Select `count` frames spread evenly over a clip.

    `truth` is (N, 4) and `boxes` {row: (N, 4)}. The first frame and frames without a true box are
    left out. Columns: sequence, frame (from 1), row ("truth" or a tracker), x, y, w, h, overlap.
    """
    seen = np.flatnonzero(np.isfinite(truth).all(-1))
    places = seen[np.linspace(0, len(seen) - 1, count + 1).round().astype(int)[1:]]
    return pandas.DataFrame(
        [line for place in places for line in _lines(sequence, place, truth, boxes)]
    )


def worst_frames(clips, count=8):
    """Select the worst frame of each of the `count` clips with the lowest mean overlap.

    `clips` is [(sequence, row, truth (N, 4), boxes (N, 4))]. The worst frame is the first one with
    the lowest overlap. Columns: place (1 is the worst), then those of `sample_frames`.
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
    """Counterpart of Figure 9: per row a sequence, per column a frame selected by `sample_frames`.

    `frames` is {sequence: frames}. Each picture shows the part of the frame around all boxes.
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
    """Show the frames selected by `worst_frames`; `frames` is {sequence: frames}."""
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
    """Show the part of a frame around all boxes, with the boxes; the true box lies below."""
    axes.set_axis_on()
    draw_image(axes, frame)
    for line, style in zip(part.to_dict("records"), _styles(list(part["row"])).values()):
        axes.add_patch(
            Rectangle(
                (line["x"] - 0.5, line["y"] - 0.5),
                line["w"],
                line["h"],
                fill=False,
                edgecolor=style.colour,
                linestyle=style.line,
                linewidth=1.3,
                path_effects=CASING,
            )
        )
    left, top, width, height = window(part[BOX].to_numpy(float), frame.shape)
    axes.set(xlim=(left - 0.5, left + width - 0.5), ylim=(top + height - 0.5, top - 0.5))


def window(boxes, shape):
    """Return the part (left, top, width, height) of a frame that shows all boxes (N, 4)."""
    low, high = boxes[:, :2].min(0), (boxes[:, :2] + boxes[:, 2:]).max(0)
    width = max(1.5 * (high - low)[0], 1.5 * (high - low)[1] / RATIO, 3 * boxes[0, 2:].max())
    if width >= shape[1] or RATIO * width >= shape[0]:
        return 0.0, 0.0, float(shape[1]), float(shape[0])
    size = np.array([width, RATIO * width])
    return tuple(
        float(value)
        for value in (*np.clip((low + high - size) / 2, 0, np.array(shape[1::-1]) - size), *size)
    )


def _styles(rows):
    return {"truth": TRUTH, **tracker_styles([row for row in rows if row != "truth"])}


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
        Line2D([], [], color=style.colour, linestyle=style.line, label=names.get(row, row))
        for row, style in _styles(rows).items()
    ]
    lines = -(-len(handles) // 4)
    figure.set_size_inches(figure.get_figwidth(), figure.get_figheight() + 0.1 + 0.17 * lines)
    figure.legend(
        handles=handles,
        loc="outside lower center",
        ncols=-(-len(handles) // lines),
        handlelength=3.6,
    )


def animate(name, frames, boxes, truth, fps=15, width=320):
    """Write figures/<name>.webp: frames (N, H, W, 3) with tracked (blue) and true (green) boxes.

    `boxes` and `truth` are (N, 4): x, y, w, h, 0-based. Returns the path.
    """
    from PIL import Image, ImageDraw

    path, factor = figures_folder() / f"{name}.webp", width / frames[0].shape[1]
    size, pictures = (width, round(frames[0].shape[0] * factor)), []
    for frame, *both in zip(frames, truth, boxes):
        picture = Image.fromarray(frame).resize(size, Image.Resampling.LANCZOS)
        for (x, y, w, h), colour in zip(both, ("#009E73", "#0072B2")):
            corners = [factor * side for side in (x, y, x + w, y + h)]
            ImageDraw.Draw(picture).rectangle(corners, outline=colour, width=3)
        pictures.append(picture)
    options = {"append_images": pictures[1:], "loop": 0, "quality": 70, "method": 4}
    with atomic(path) as part:
        pictures[0].save(part, "WEBP", save_all=True, duration=round(1000 / fps), **options)
    return path
