"""Supervised runs of VOT (Sec. 4.5): a tracker that lost its target is started again; each run leaves a record.

A record is a text file in VOT's format, a line a frame: 1 where the tracker was started, 2 where it had failed, 0 for the frames skipped
after a failure, else its box x,y,w,h (0-based). Overlaps are exact, of polygons inside the frame; VOT's toolkits count pixels, which
differs the more the smaller the box.
"""

import time
from dataclasses import dataclass

import numpy as np

from scs_siam.data.boxes import check_box, to_polygon
from scs_siam.data.video import Frames
from scs_siam.evaluation import metrics
from scs_siam.runtime.files import BadInput, read_text, write_text

TRACKED, SKIPPED, START, FAILURE = -1, 0, 1, 2
SKIP = 5  # frames from a failure to the next start
TIMES = ("timed_frames", "seconds", "decode_seconds")


@dataclass(frozen=True, eq=False)
class Record:
    """One run over N frames: `codes` (N,) of TRACKED, SKIPPED, START, FAILURE and `boxes` (N, 4), 0-based, NaN unless TRACKED."""

    codes: np.ndarray
    boxes: np.ndarray


def supervise(tracker, sequence, on_frame=None):
    """One supervised run over `sequence`: its Record, and its times and frame size as a dict.

    The tracker has failed where its box and the true polygon share no part of the frame; SKIP frames later it is started again.
    """
    count, start, times = len(sequence.frames), 0, np.zeros(3)
    frames, polygons = Frames(sequence.frames), true_polygons(sequence)
    codes, boxes = np.full(count, SKIPPED), np.full((count, 4), np.nan)
    for index in range(count):
        if index < start:
            continue
        begin = time.perf_counter()
        frame = frames[index]
        decoded = time.perf_counter()
        where = f"{sequence.name}: frame {index + 1} ({sequence.frames[index]})"
        if index == start:
            box = check_box(sequence.truth[index], f"{where}, true box", frame.shape)
            tracker.init(frame, box.copy())
            codes[index] = START
        else:
            box = tracker.update(frame)
            times += 1, time.perf_counter() - decoded, decoded - begin
            box = np.round(check_box(box, f"{where}, from the tracker"), 4)  # as it is recorded
            if polygon_overlap(to_polygon(box), polygons[index], frame.shape[1::-1])[0] > 0:
                codes[index], boxes[index] = TRACKED, box
            else:
                codes[index], start = FAILURE, index + SKIP
        if on_frame:
            on_frame(sequence, index, frame, box)
    return Record(codes, boxes), {
        **dict(zip(TIMES, times.tolist())),
        "frame_size": [frame.shape[1], frame.shape[0]],
    }


def agree(records):
    """Whether the last three records are equal as VOT's toolkit means it: the same codes, and boxes that overlap by more than 0.99."""
    *others, last = records[-3:] or [None]
    kept = last.codes == TRACKED if last else None
    return len(others) == 2 and all(
        (other.codes == last.codes).all()
        and (metrics.overlap(other.boxes[kept], last.boxes[kept]) > 0.99).all()
        for other in others
    )


def write_record(path, record):
    """Write a Record in VOT's text format, whole or not at all."""
    lines = [
        ",".join(f"{value:.4f}" for value in box) if code == TRACKED else str(code)
        for code, box in zip(record.codes, record.boxes)
    ]
    write_text(path, "\n".join(lines) + "\n")


def read_record(path, count=None):
    """The Record of a sequence of `count` frames (any without) from VOT's text format; BadInput names a line that is no code and no box."""
    lines = read_text(path).splitlines()
    count = count or max(1, len(lines))
    if len(lines) != count:
        raise BadInput(
            f"{path}: has {len(lines)} lines for {count} frames; delete it and evaluate again"
        )
    codes, boxes = np.full(count, TRACKED), np.full((count, 4), np.nan)
    for index, line in enumerate(lines):
        try:
            values = [float(part) for part in line.split(",")]
            if values in ([SKIPPED], [START], [FAILURE]):
                codes[index] = values[0]
            else:
                boxes[index] = check_box(values)
        except ValueError:  # BadInput is one
            raise BadInput(
                f"{path}: line {index + 1} is neither 0, 1, 2 nor a box x,y,w,h; delete the file and evaluate again"
            ) from None
    return Record(codes, boxes)


def true_polygons(sequence):
    """The true polygons (N, 8) of a sequence, its boxes' where it has none; BadInput where the target is absent."""
    polygons = to_polygon(sequence.truth) if sequence.polygons is None else sequence.polygons
    seen = np.isfinite(polygons).all(1)
    if not seen.all():
        raise BadInput(
            f"{sequence.name}: the target is absent in frame {seen.argmin() + 1}; a supervised run needs it in every frame"
        )
    return polygons


def polygon_overlap(a, b, frame_size=None):
    """Intersection over union of polygons a and b, both (N, 8), as (N,) in 0..1; of their parts in a frame of (width, height) pixels.

    A polygon is what its corners span, which for a rotated box is itself. Corners are centres of pixels, so the frame reaches from 0 to
    width - 1. Polygons without area in the frame overlap nothing.
    """
    import shapely

    a, b = (
        shapely.convex_hull(shapely.polygons(np.reshape(polygons, (-1, 4, 2))))
        for polygons in (a, b)
    )
    if frame_size is not None:
        a, b = (
            shapely.clip_by_rect(hulls, 0, 0, frame_size[0] - 1, frame_size[1] - 1)
            for hulls in (a, b)
        )
    shared = shapely.area(shapely.intersection(a, b))
    union = shapely.area(a) + shapely.area(b) - shared
    return np.divide(shared, union, out=np.zeros_like(shared), where=union > 0).clip(0, 1)
