"""Bounding boxes. Inside the package a box is (x, y, w, h): float, 0-based, pixels.

x, y is the centre of the first pixel. A box of w pixels that starts at pixel x covers the pixels
x to x + w - 1, so its centre is x + (w - 1) / 2. The functions that read or write another format
have its name.
"""

import re

import numpy as np
from numpy.typing import ArrayLike

from scs_siam.runtime.files import AnyPath, BadInput, read_text, write_text

SEPARATOR = re.compile(r"\s*[,;]\s*|\s+")
LARGEST = 1e6  # pixels; a box that lies or reaches further belongs to no frame


def center(box: ArrayLike) -> np.ndarray:
    """Return the centre (cx, cy) of one box or of boxes (..., 4), in pixels."""
    box = np.asarray(box, np.float64)
    return box[..., :2] + (box[..., 2:] - 1) / 2


def from_center(center: ArrayLike, size: ArrayLike) -> np.ndarray:
    """Return the box (x, y, w, h) with the given centre (cx, cy) and size (w, h)."""
    center, size = np.asarray(center, np.float64), np.asarray(size, np.float64)
    return np.concatenate([center - (size - 1) / 2, size], axis=-1)


def from_one_based(box: ArrayLike) -> np.ndarray:
    """Convert boxes of OTB, GOT-10k, UAV123 and TC128 files (1-based x, y, w, h) to ours."""
    return np.asarray(box, np.float64) - np.array([1.0, 1.0, 0.0, 0.0])


def to_one_based(box: ArrayLike) -> np.ndarray:
    """Convert our boxes to the 1-based x, y, w, h of OTB, GOT-10k, UAV123 and TC128 files."""
    return np.asarray(box, np.float64) + np.array([1.0, 1.0, 0.0, 0.0])


def from_polygon(polygon: ArrayLike) -> np.ndarray:
    """Convert VOT polygons (..., 8), 0-based x1,y1 .. x4,y4, to our boxes (..., 4).

    The rule is that of VOT's toolkits and got10k: the centre is the mean of the corners; the size
    has the proportions of the upright rectangle around the corners and the area of the polygon (of
    a rotated rectangle: the product of two neighbouring sides). Corners are centres of pixels, so
    one pixel is added to both sides.
    """
    corners = np.asarray(polygon, np.float64).reshape(*np.shape(polygon)[:-1], 4, 2)
    edges = corners[..., [0, 1], :] - corners[..., [1, 2], :]
    extent = np.ptp(corners, axis=-2)
    scale = np.sqrt(np.linalg.norm(edges, axis=-1).prod(-1) / extent.prod(-1))
    return from_center(corners.mean(-2), scale[..., None] * extent + 1)


def to_polygon(box: ArrayLike) -> np.ndarray:
    """Convert our boxes (..., 4) to VOT polygons (..., 8), the centres of their corner pixels."""
    x, y, w, h = np.moveaxis(np.asarray(box, np.float64), -1, 0)
    right, bottom = x + np.maximum(w - 1, 0), y + np.maximum(h - 1, 0)
    return np.stack([x, y, right, y, right, bottom, x, bottom], axis=-1)


def check_box(box: ArrayLike, name: str = "box", frame_shape: tuple | None = None) -> np.ndarray:
    """Return `box` as four finite floats with positive size; otherwise BadInput names it.

    With `frame_shape` (H, W, ...) the box must also touch the frame.
    """
    try:
        box = np.asarray(box, np.float64).reshape(-1)
    except (TypeError, ValueError, OverflowError):
        box = np.empty(0)
    if box.shape != (4,):
        raise BadInput(f"{name}: a box is four numbers x, y, w, h")
    text = "(" + ", ".join(f"{value:g}" for value in box) + ")"
    if not np.isfinite(box).all():
        raise BadInput(f"{name}: the box {text} has a number that is not finite")
    if box[2] <= 0 or box[3] <= 0:
        raise BadInput(f"{name}: the box {text} has no area; width and height must be above 0")
    if np.abs(box).max() > LARGEST:
        problem = f"the box {text} is beyond any frame"
        raise BadInput(f"{name}: {problem}; its numbers must stay below {LARGEST:.0f} pixels")
    if frame_shape is not None:
        (height, width), (x, y, w, h) = frame_shape[:2], box
        if x >= width or y >= height or x + w <= 0 or y + h <= 0:
            raise BadInput(f"{name}: the box {text} lies outside the {width} x {height} frame")
    return box


def parse_box(text: str) -> np.ndarray:
    """Return the box of the text "x,y,w,h" (0-based pixels), as a command line gives it."""
    try:
        numbers = [float(part) for part in re.split(r"\s*,\s*|\s+", text.strip())]
    except ValueError:
        raise BadInput(f'--box "{text}": write four numbers, x,y,w,h') from None
    return check_box(numbers, f'--box "{text}"')


def read_boxes(path: AnyPath, columns: int | tuple[int, ...] = 4) -> np.ndarray:
    """Return the rows of a file of numbers as (N, columns) floats, in the file's own convention.

    Commas, tabs or blanks separate the numbers. Where `columns` are several counts, such as (4, 8),
    the first line decides. "NaN" is read as not-a-number (UAV123 marks absent targets so);
    BadInput names any other line that is not made of numbers.
    """
    lines = [line for line in read_text(path).splitlines() if line.strip()]
    rows, allowed = [], np.atleast_1d(columns).tolist()
    for number, line in enumerate(lines, 1):
        try:
            row = [float(part) for part in SEPARATOR.split(line.strip().strip(",;"))]
        except ValueError:
            problem = f"line {number} is not made of numbers"
            raise BadInput(f"{path}: {problem}; correct or remove it") from None
        if len(row) not in allowed:
            needed = " or ".join(map(str, allowed))
            raise BadInput(f"{path}: line {number} has {len(row)} numbers, {needed} are needed")
        allowed = [len(row)]
        rows.append(row)
    if not rows:
        raise BadInput(f"{path}: holds no boxes")
    return np.array(rows)


def write_boxes(path: AnyPath, boxes: ArrayLike) -> None:
    """Write boxes (N, 4) as they are, one line x,y,w,h each, whole or not at all."""
    if not np.isfinite(boxes).all():
        raise BadInput(f"{path}: a box to be written is not finite; nothing was written")
    write_text(path, "".join(box_line(box) for box in np.asarray(boxes)))


def box_line(box: ArrayLike) -> str:
    """Return the line of a box in a file."""
    return ",".join(f"{value:.4f}" for value in box) + "\n"
