"""Boxes. Inside the package a box is (x, y, w, h): float, 0-based, pixels; x, y is the centre of its first pixel.

A box of w pixels that starts at pixel x covers the pixels x .. x + w - 1, so its centre is x + (w - 1) / 2.
Every other format is named in the function that reads or writes it.
"""

import re

import numpy as np

from scs_siam.runtime.files import BadInput, read_text, write_text

SEPARATOR = re.compile(r"\s*[,;]\s*|\s+")
LARGEST = 1e6  # pixels; what lies or reaches further is no box of a frame, and its square would leave the range of numbers


def center(box):
    """Centre of one box or of boxes (..., 4), as (..., 2) pixels (cx, cy)."""
    box = np.asarray(box, np.float64)
    return box[..., :2] + (box[..., 2:] - 1) / 2


def from_center(center, size):
    """Box (x, y, w, h) from its centre (cx, cy) and its size (w, h), both (..., 2)."""
    center, size = np.asarray(center, np.float64), np.asarray(size, np.float64)
    return np.concatenate([center - (size - 1) / 2, size], axis=-1)


def from_one_based(box):
    """Boxes of OTB, GOT-10k, UAV123 and TC128 files (1-based x, y, w, h) to ours."""
    return np.asarray(box, np.float64) - np.array([1.0, 1.0, 0.0, 0.0])


def to_one_based(box):
    """Our boxes to the 1-based x, y, w, h of OTB, GOT-10k, UAV123 and TC128 files."""
    return np.asarray(box, np.float64) + np.array([1.0, 1.0, 0.0, 0.0])


def from_polygon(polygon):
    """Our boxes (..., 4) for VOT's polygons (..., 8), 0-based x1,y1 .. x4,y4, by the rule of VOT's toolkits and got10k.

    The centre is the mean of the corners; the size has the proportions of the upright rectangle around the corners and the polygon's area
    (that of a rotated rectangle: the product of two neighbouring sides). Corners are centres of pixels, so a pixel is added to both sides.
    """
    corners = np.asarray(polygon, np.float64).reshape(*np.shape(polygon)[:-1], 4, 2)
    sides = np.linalg.norm(corners[..., [0, 1], :] - corners[..., [1, 2], :], axis=-1)
    extent = np.ptp(corners, axis=-2)
    scale = np.sqrt(sides.prod(-1) / extent.prod(-1))
    return from_center(corners.mean(-2), scale[..., None] * extent + 1)


def to_polygon(box):
    """VOT's polygons (..., 8) for our boxes (..., 4): the centres of the box's four corner pixels; no area up to one pixel."""
    x, y, w, h = np.moveaxis(np.asarray(box, np.float64), -1, 0)
    right, bottom = x + np.maximum(w - 1, 0), y + np.maximum(h - 1, 0)
    return np.stack([x, y, right, y, right, bottom, x, bottom], axis=-1)


def check_box(box, name="box", frame_shape=None):
    """Return `box` as four finite floats with positive size; BadInput names it otherwise.

    With `frame_shape` (H, W, ...) the box must also touch the frame.
    """
    try:
        box = np.asarray(box, np.float64).reshape(-1)
    except (TypeError, ValueError, OverflowError):
        box = np.empty(0)
    if box.shape != (4,):
        raise BadInput(f"{name}: a box is four numbers x, y, w, h")
    if not np.isfinite(box).all():
        raise BadInput(f"{name}: the box {_text(box)} has a number that is not finite")
    if box[2] <= 0 or box[3] <= 0:
        raise BadInput(
            f"{name}: the box {_text(box)} has no area; width and height must be above 0"
        )
    if np.abs(box).max() > LARGEST:
        raise BadInput(
            f"{name}: the box {_text(box)} is beyond any frame; its numbers must stay below {LARGEST:.0f} pixels"
        )
    if frame_shape is not None:
        height, width = frame_shape[:2]
        x, y, w, h = box
        if x >= width or y >= height or x + w <= 0 or y + h <= 0:
            raise BadInput(
                f"{name}: the box {_text(box)} lies outside the {width} x {height} frame"
            )
    return box


def parse_box(text):
    """Box from the text "x,y,w,h" (0-based pixels), as a command line gives it."""
    try:
        return check_box(
            [float(part) for part in re.split(r"\s*,\s*|\s+", text.strip())], f'--box "{text}"'
        )
    except ValueError as error:
        raise (
            error
            if isinstance(error, BadInput)
            else BadInput(f'--box "{text}": write four numbers, x,y,w,h')
        ) from error


def read_boxes(path, columns=4):
    """Rows of `columns` numbers separated by commas, tabs or spaces, as (N, columns) floats in the file's own convention.

    Where `columns` are several numbers, such as (4, 8), the first line decides. "NaN" is read as not-a-number (UAV123 marks absent targets
    so); anything else that is no number is BadInput.
    """
    lines = [line for line in read_text(path).splitlines() if line.strip()]
    rows, allowed = [], np.atleast_1d(columns).tolist()
    for number, line in enumerate(lines, 1):
        try:
            row = [float(part) for part in SEPARATOR.split(line.strip().strip(",;"))]
        except ValueError:
            raise BadInput(
                f"{path}: line {number} is not made of numbers; mend or remove it"
            ) from None
        if len(row) not in allowed:
            raise BadInput(
                f"{path}: line {number} has {len(row)} numbers, {' or '.join(map(str, allowed))} are needed"
            )
        allowed = [len(row)]
        rows.append(row)
    if not rows:
        raise BadInput(f"{path}: holds no boxes")
    return np.array(rows)


def write_boxes(path, boxes):
    """Write boxes (N, 4) as they are, a line x,y,w,h each, whole or not at all."""
    if not np.isfinite(boxes).all():
        raise BadInput(f"{path}: a box to be written is not finite; nothing was written")
    write_text(
        path, "".join(",".join(f"{value:.4f}" for value in box) + "\n" for box in np.asarray(boxes))
    )


def _text(box):
    return "(" + ", ".join(f"{value:g}" for value in box) + ")"
