"""One-pass evaluation (Sec. 4.3): a tracker gets the first true box of a sequence and runs to its end.

Raw boxes are kept, 1-based x,y,w,h, a line a frame, and every score is computed from those files.
"""

import re
import time
from pathlib import Path

import numpy as np

from scs_siam.data.benchmarks import ATTRIBUTES, Sequence, attributes, read_otb, read_published
from scs_siam.data.boxes import check_box, from_one_based, read_boxes, to_one_based, write_boxes
from scs_siam.data.video import Frames
from scs_siam.evaluation import metrics
from scs_siam.evaluation.lockstep import track_all
from scs_siam.evaluation.supervision import START, TRACKED, Record, read_record, write_record
from scs_siam.runtime.files import BadInput, read_json, sha256, write_json

__all__ = [
    "ATTRIBUTES",
    "FORMATS",
    "Sequence",
    "attributes",
    "evaluate",
    "read_otb",
    "read_published",
    "read_results",
    "read_track",
    "score",
    "score_results",
    "summarise",
    "write_track",
]
FORMATS = ("plain", "otb", "got10k", "vot")


def evaluate(tracker, sequences, out, key, on_frame=None, lockstep=1):
    """Run `tracker` (init(frame, box), update(frame) -> box) once over each sequence and return the rows of `score_results`.

    Boxes go to `out`/`key`/<sequence>.txt, times to <sequence>.json. A sequence whose two files are whole and made with this key, these
    frames and these true boxes is not run again, so `key` must tell configurations and weights apart ("SCS-Siam-1a2b3c4d").
    `on_frame(sequence, index, frame, box)` is called after each frame. With `lockstep` above 1 so many sequences are tracked at once, for
    which `tracker` must be a track.Tracker; decoding then overlaps, and decode_seconds is the wait for it. BadInput names the sequence
    and frame of a box that is none.
    """
    if not re.fullmatch(r"\w[\w.+-]*", key):
        raise BadInput(f'key "{key}": use letters, digits, dots and hyphens; it names a folder')
    folder = Path(out) / key
    todo = [sequence for sequence in sequences if not _is_finished(folder, sequence, key)]
    one_by_one = ((sequence, *_track(tracker, sequence, on_frame)) for sequence in todo)
    for sequence, boxes, times in (
        track_all(tracker, todo, lockstep, on_frame) if lockstep > 1 else one_by_one
    ):
        path = folder / f"{sequence.name}.txt"
        write_boxes(path, to_one_based(boxes))
        origin = {
            "sequence": sequence.name,
            "key": key,
            "data": sequence.fingerprint(),
            "boxes_sha256": sha256(path),
        }
        write_json(
            path.with_name(f"{sequence.name}.json"), {**origin, "frames": len(boxes), **times}
        )
    return score_results(folder, sequences)


def score_results(folder, sequences):
    """Score what `evaluate` left in `folder`: a row (dict) a sequence with its name, frames, scores, speeds and attributes.

    fps counts the time in `update` alone, fps_with_decode also that of reading and decoding; the first frame is in neither, nothing
    overlaps. `update` hands its box to the CPU, so on a GPU it includes the wait for the device.
    """
    boxes = read_results(folder, sequences)
    rows = []
    for sequence in sequences:
        names = "timed_frames", "seconds", "decode_seconds"
        record = read_json(Path(folder) / f"{sequence.name}.json", *names)
        times = {name: record[name] for name in names}
        scores = score(boxes[sequence.name], sequence.truth)
        row = {
            "sequence": sequence.name,
            "frames": len(sequence.truth),
            **scores,
            **times,
            **_speed([times]),
        }
        rows.append({**row, "attributes": sequence.attributes})
    return rows


def score(boxes, truth):
    """AUC, precision at 20 px, success rate at 0.5, normalised precision of boxes (N, 4) against true boxes (N, 4), and `lost`, as a dict.

    The given first box counts, as in the toolkits. Frames whose true box is NaN (target absent) are left out.
    """
    boxes, truth = np.asarray(boxes, np.float64), np.asarray(truth, np.float64)
    if boxes.shape != truth.shape:
        raise BadInput(
            f"boxes of shape {boxes.shape} cannot be scored against true boxes of shape {truth.shape}"
        )
    seen = np.isfinite(truth).all(-1)
    boxes, truth = boxes[seen], truth[seen]
    overlaps = metrics.overlap(boxes, truth)
    return {
        "auc": float(metrics.success_auc(overlaps)),
        "precision": float(metrics.precision_at(metrics.center_error(boxes, truth))),
        "success_rate": float(metrics.success_rate(overlaps)),
        "normalised_precision": float(
            metrics.normalised_precision(metrics.normalised_error(boxes, truth))
        ),
        "lost": int(metrics.is_lost(overlaps)),
    }


def summarise(rows):
    """Mean scores over targets, each counting once, and the speed over all frames; for one attribute pass its rows."""
    if not rows:
        raise BadInput("there are no scored sequences to summarise")
    means = {
        name: float(np.mean([row[name] for row in rows]))
        for name in ("auc", "precision", "success_rate", "normalised_precision")
    }
    return {
        "targets": len(rows),
        "frames": sum(row["frames"] for row in rows),
        **means,
        **_speed(rows),
    }


def read_results(folder, sequences):
    """Boxes of each sequence from `folder`/<sequence>.txt (1-based) as {name: (N, 4) 0-based}; BadInput unless there is one a frame."""
    results = {}
    for sequence in sequences:
        path = Path(folder) / f"{sequence.name}.txt"
        boxes = from_one_based(read_boxes(path))
        if len(boxes) != len(sequence.truth):
            raise BadInput(
                f"{path}: has {len(boxes)} boxes for {len(sequence.truth)} frames; delete it and evaluate again"
            )
        results[sequence.name] = boxes
    return results


def write_track(path, boxes, form="plain"):
    """Write the boxes (N, 4) of one tracked clip, whole or not at all, in one of FORMATS, a line a frame.

    "plain": 0-based x,y,w,h, as in this package; "otb", "got10k": 1-based x,y,w,h; "vot": a line 1 for the given first box, then 0-based
    x,y,w,h.
    """
    _check_format(form)
    if form == "vot":
        codes = np.full(len(boxes), TRACKED)
        codes[0] = START
        write_record(path, Record(codes, np.asarray(boxes, np.float64)))
    else:
        write_boxes(path, boxes if form == "plain" else to_one_based(boxes))


def read_track(path, form="plain", first=None):
    """Boxes (N, 4), 0-based, of a file of one of FORMATS; VOT's holds no first box, so it is `first`, NaN without.

    BadInput names a line that is no box and, of VOT's, one that restarts the tracker (`vot.read_runs` reads those).
    """
    _check_format(form)
    if form != "vot":
        return read_boxes(path) if form == "plain" else from_one_based(read_boxes(path))
    record = read_record(path)
    if record.codes[0] != START or (record.codes[1:] != TRACKED).any():
        raise BadInput(
            f"{path}: is a run with restarts, not one track; its lines after the first must be boxes x,y,w,h"
        )
    boxes = record.boxes.copy()
    boxes[0] = np.nan if first is None else check_box(first, "first box")
    return boxes


def _check_format(form):
    if form not in FORMATS:
        raise BadInput(f"format '{form}': choose one of {', '.join(FORMATS)}")


def _track(tracker, sequence, on_frame):
    boxes, seconds, decode_seconds = np.empty((len(sequence.frames), 4)), 0.0, 0.0
    frames = iter(Frames(sequence.frames))
    for index, path in enumerate(sequence.frames):
        start = time.perf_counter()
        frame = next(frames)
        decoded = time.perf_counter()
        if index == 0:
            boxes[0] = check_box(sequence.truth[0], f"{sequence.name}: first true box", frame.shape)
            tracker.init(frame, boxes[0].copy())
        else:
            box = tracker.update(frame)
            seconds += time.perf_counter() - decoded
            decode_seconds += decoded - start
            boxes[index] = check_box(
                box, f"{sequence.name}: frame {index + 1} ({path}), from the tracker"
            )
        if on_frame:
            on_frame(sequence, index, frame, boxes[index])
    return boxes, {
        "timed_frames": len(boxes) - 1,
        "seconds": seconds,
        "decode_seconds": decode_seconds,
    }


def _is_finished(folder, sequence, key):
    path = folder / f"{sequence.name}.txt"
    try:
        record = read_json(path.with_name(f"{sequence.name}.json"))
        found = [record[name] for name in ("key", "data", "boxes_sha256")]
        return found == [key, sequence.fingerprint(), sha256(path)]
    except (BadInput, KeyError, TypeError):  # missing, damaged or another program's
        return False


def _speed(rows):
    frames, seconds, decode = (
        sum(row[name] for row in rows) for name in ("timed_frames", "seconds", "decode_seconds")
    )
    return {
        "fps": frames / seconds if seconds else 0.0,
        "fps_with_decode": frames / (seconds + decode) if seconds else 0.0,
    }
