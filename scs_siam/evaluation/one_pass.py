"""One-pass evaluation (Sec. 4.3): a tracker gets the first true box and runs to the end.

Raw boxes are kept as 1-based x,y,w,h, one line per frame, and every score is computed from them.
"""

import re
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from scs_siam.data.benchmarks import Sequence
from scs_siam.data.boxes import (
    box_line,
    check_box,
    from_one_based,
    read_boxes,
    to_one_based,
    write_boxes,
)
from scs_siam.data.video import Frames
from scs_siam.evaluation import metrics
from scs_siam.evaluation.lockstep import track_all
from scs_siam.evaluation.vot import (
    START,
    TIMES,
    TRACKED,
    Record,
    frames_per_second,
    read_record,
    write_record,
)
from scs_siam.runtime.files import BadInput, read_json, sha256, write_json, writing

FORMATS = ("plain", "otb", "got10k", "vot")
AVERAGED = ("auc", "precision", "success_rate", "normalised_precision")


def evaluate(
    tracker,
    sequences: list[Sequence],
    out,
    key: str,
    on_frame: Callable | None = None,
    lockstep: int = 1,
) -> list[dict]:
    """Run `tracker` once over each sequence and return the rows of `score_results`.

    `tracker` has init(frame, box) and update(frame) -> box. Boxes go to `out`/`key`/<sequence>.txt,
    times to <sequence>.json. A sequence whose files are whole and were made with this key, these
    frames and these true boxes is not run again, so `key` must tell configurations and weights
    apart ("SCS-Siam-1a2b3c4d"). `on_frame(sequence, index, frame, box)` is called after each frame.
    With `lockstep` above 1 so many sequences are tracked at once by a track.Tracker; decoding then
    overlaps, and decode_seconds is the wait for it. BadInput names the sequence and frame of a box
    that is none.
    """
    if not re.fullmatch(r"\w[\w.+-]*", key):
        raise BadInput(f'key "{key}": use letters, digits, dots and hyphens; it names a folder')
    folder = Path(out) / key
    todo = [sequence for sequence in sequences if not _is_finished(folder, sequence, key)]
    tracked = ((sequence, *_track(tracker, sequence, on_frame)) for sequence in todo)
    if lockstep > 1:
        tracked = track_all(tracker, todo, lockstep, on_frame)
    for sequence, boxes, times in tracked:
        path = folder / f"{sequence.name}.txt"
        write_boxes(path, to_one_based(boxes))
        record = {"sequence": sequence.name, "key": key, "data": sequence.fingerprint()}
        record |= {"boxes_sha256": sha256(path), "frames": len(boxes), **times}
        write_json(path.with_name(f"{sequence.name}.json"), record)
    return score_results(folder, sequences)


def score_results(folder, sequences: list[Sequence]) -> list[dict]:
    """Return a row per sequence for what `evaluate` left in `folder`: scores, FPS, attributes.

    `fps` counts the time in `update` alone, `fps_with_decode` also reading and decoding; the first
    frame counts in neither. `update` returns its box on the CPU, so on a GPU its time includes the
    wait for the device.
    """
    boxes, rows = read_results(folder, sequences), []
    for sequence in sequences:
        record = read_json(Path(folder) / f"{sequence.name}.json", *TIMES)
        times = {name: record[name] for name in TIMES}
        row = {"sequence": sequence.name, "frames": len(sequence.truth)}
        row |= {
            **score(boxes[sequence.name], sequence.truth),
            **times,
            **frames_per_second([times]),
        }
        rows.append({**row, "attributes": sequence.attributes})
    return rows


def score(boxes, truth) -> dict:
    """Return the scores of boxes (N, 4) against true boxes (N, 4).

    They are AUC, precision at 20 px, success rate at 0.5, normalised precision, and `lost`. The
    given first box counts, as in the toolkits. Frames whose true box is NaN (target absent) do not.
    """
    boxes, truth = np.asarray(boxes, np.float64), np.asarray(truth, np.float64)
    if boxes.shape != truth.shape:
        shapes = f"boxes of shape {boxes.shape} cannot be scored against true boxes of shape"
        raise BadInput(f"{shapes} {truth.shape}")
    seen = np.isfinite(truth).all(-1)
    boxes, truth = boxes[seen], truth[seen]
    overlaps, errors = metrics.overlap(boxes, truth), metrics.normalised_error(boxes, truth)
    return {
        "auc": float(metrics.success_auc(overlaps)),
        "precision": float(metrics.precision_at(metrics.center_error(boxes, truth))),
        "success_rate": float(metrics.success_rate(overlaps)),
        "normalised_precision": float(metrics.normalised_precision(errors)),
        "lost": int(metrics.is_lost(overlaps)),
    }


def summarise(rows: list[dict]) -> dict:
    """Return mean scores over targets, each counting once, and FPS over all frames."""
    if not rows:
        raise BadInput("there are no scored sequences to summarise")
    means = {name: float(np.mean([row[name] for row in rows])) for name in AVERAGED}
    frames = sum(row["frames"] for row in rows)
    return {"targets": len(rows), "frames": frames, **means, **frames_per_second(rows)}


def read_results(folder, sequences: list[Sequence]) -> dict[str, np.ndarray]:
    """Return the boxes (N, 4), 0-based, of each sequence from `folder`/<sequence>.txt (1-based)."""
    results = {}
    for sequence in sequences:
        path = Path(folder) / f"{sequence.name}.txt"
        boxes = from_one_based(read_boxes(path))
        if len(boxes) != len(sequence.truth):
            problem = f"has {len(boxes)} boxes for {len(sequence.truth)} frames"
            raise BadInput(f"{path}: {problem}; delete it and evaluate again")
        results[sequence.name] = boxes
    return results


class TrackWriter:
    """Write the boxes of one clip as they come, in one of FORMATS; use it in a `with` block.

    BadInput if the file cannot be written, before anything is tracked.
    """

    def __init__(self, path, form: str = "plain"):
        _check_format(form)
        self.path, self.form, self.count = Path(path), form, 0
        with writing(self.path):
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self.file = open(self.path, "a", encoding="utf-8")  # noqa: SIM115

    def __enter__(self):
        return self

    def write(self, box: np.ndarray) -> None:
        """Append the box of the next frame."""
        line = box_line(box if self.form in ("plain", "vot") else to_one_based(box))
        if self.form == "vot" and self.count == 0:
            line = f"{START}\n"
        with writing(self.path):
            if self.count == 0:
                self.file.truncate(0)
            self.file.write(line)
            self.file.flush()
        self.count += 1

    def __exit__(self, *_):
        self.file.close()
        if self.count == 0 and self.path.stat().st_size == 0:
            self.path.unlink()


def write_track(path, boxes, form: str = "plain") -> None:
    """Write the boxes (N, 4) of one clip in one of FORMATS, whole or not at all.

    "plain": 0-based x,y,w,h, as in this package; "otb", "got10k": 1-based x,y,w,h; "vot": a line 1
    for the given first box, then 0-based x,y,w,h.
    """
    _check_format(form)
    if form == "vot":
        codes = np.full(len(boxes), TRACKED)
        codes[0] = START
        write_record(path, Record(codes, np.asarray(boxes, np.float64)))
    else:
        write_boxes(path, boxes if form == "plain" else to_one_based(boxes))


def read_track(path, form: str = "plain", first=None) -> np.ndarray:
    """Return the boxes (N, 4), 0-based, of a file in one of FORMATS.

    VOT's format holds no first box, so it is `first`, or NaN. BadInput names a line that is not a
    box and a VOT record that restarts the tracker (`vot.read_runs` reads those).
    """
    _check_format(form)
    if form != "vot":
        return read_boxes(path) if form == "plain" else from_one_based(read_boxes(path))
    record = read_record(path)
    if record.codes[0] != START or (record.codes[1:] != TRACKED).any():
        problem = "is a run with restarts, not one track"
        raise BadInput(f"{path}: {problem}; its lines after the first must be boxes x,y,w,h")
    boxes = record.boxes.copy()
    boxes[0] = np.nan if first is None else check_box(first, "first box")
    return boxes


def _check_format(form):
    if form not in FORMATS:
        raise BadInput(f"format '{form}': choose one of {', '.join(FORMATS)}")


def _track(tracker, sequence, on_frame):
    boxes, seconds, decoding = np.empty((len(sequence.frames), 4)), 0.0, 0.0
    frames = iter(Frames(sequence.frames))
    video = isinstance(sequence.frames, Frames)
    paths = sequence.frames.files * len(boxes) if video else sequence.frames
    for index, path in enumerate(paths):
        start = time.perf_counter()
        frame = next(frames)
        decoded = time.perf_counter()
        if index == 0:
            boxes[0] = check_box(sequence.truth[0], f"{sequence.name}: first true box", frame.shape)
            tracker.init(frame, boxes[0].copy())
        else:
            box = tracker.update(frame)
            seconds += time.perf_counter() - decoded
            decoding += decoded - start
            where = f"{sequence.name}: frame {index + 1} ({path}), from the tracker"
            boxes[index] = check_box(box, where)
        if on_frame:
            on_frame(sequence, index, frame, boxes[index])
    return boxes, dict(zip(TIMES, (len(boxes) - 1, seconds, decoding)))


def _is_finished(folder, sequence, key):
    path = folder / f"{sequence.name}.txt"
    try:
        record = read_json(path.with_name(f"{sequence.name}.json"))
        found = [record[name] for name in ("key", "data", "boxes_sha256")]
        return found == [key, sequence.fingerprint(), sha256(path)]
    except (BadInput, KeyError, TypeError):  # missing, damaged or of another program
        return False
