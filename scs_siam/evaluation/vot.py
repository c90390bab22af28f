"""VOT2016 and VOT2017 (Sec. 4.5): supervised runs, accuracy, robustness, expected average overlap.

In a supervised run a tracker that has lost its target is started again. A run leaves a record, a
text file in VOT's format with one line per frame: 1 where the tracker was started, 2 where it
failed, 0 for the frames skipped after a failure, otherwise its box x,y,w,h (0-based). Overlaps are
those of exact polygons inside the frame; VOT's toolkits count pixels, which differs the more the
smaller the box.

Robustness has four meanings, with F failures in N frames: `failures_per_sequence`;
`frame_weighted_failures`, the same with each sequence weighted by its frames;
`failures_per_100_frames`, 100 F/N; and `reliability`, exp(-30 F/N), the probability of tracking 30
frames without a failure. The paper does not say which one it prints. ROBUSTNESS is the one to
compare with its own rows: "R" in the tables of VOT's reports. Other rows of Tables 6 and 7 must be
failures per sequence: MemTrack's 1.77 goes with an EAO of 0.24, DSST's 1.45 with one of 0.08.
"""

import math
import re
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from scs_siam.data.boxes import check_box, to_polygon
from scs_siam.data.video import Frames
from scs_siam.evaluation import metrics
from scs_siam.runtime.files import BadInput, read_json, read_text, sha256, write_json, write_text

TRACKED, SKIPPED, START, FAILURE = -1, 0, 1, 2
SKIP = 5  # frames from a failure to the next start
BURN_IN = 10  # frames from a start on, itself included, that do not count for accuracy
INTERVALS = {"VOT2016": (108, 371), "VOT2017": (100, 356)}  # lengths in frames, ends included
ROBUSTNESS = "failures_per_100_frames"
TIMES = ("timed_frames", "seconds", "decode_seconds")


@dataclass(frozen=True, eq=False)
class Record:
    """One run: `codes` (N,) and `boxes` (N, 4), 0-based, NaN unless the code is TRACKED."""

    codes: np.ndarray
    boxes: np.ndarray


@dataclass(frozen=True, eq=False)
class Run:
    """A scored record: overlaps (N,), NaN unless TRACKED, 0-based frames of failures, times."""

    overlaps: np.ndarray
    failures: np.ndarray
    times: dict = field(default_factory=dict)


def supervise(tracker, sequence, on_frame: Callable | None = None) -> tuple[Record, dict]:
    """Run a tracker supervised over a sequence; return its Record, and times and frame size.

    The tracker has failed where its box and the true polygon share no part of the frame. It is
    started again SKIP frames later.
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
    facts = {**dict(zip(TIMES, times.tolist())), "frame_size": [frame.shape[1], frame.shape[0]]}
    return Record(codes, boxes), facts


def agree(records: list[Record]) -> bool:
    """Tell whether the last three records agree as in VOT's toolkit.

    They have the same codes, and boxes that overlap by more than 0.99.
    """
    if len(records) < 3:
        return False
    *others, last = records[-3:]
    kept = last.codes == TRACKED

    def same(one):
        overlaps = metrics.overlap(one.boxes[kept], last.boxes[kept])
        return (one.codes == last.codes).all() and (overlaps > 0.99).all()

    return all((one.codes == last.codes).all() and same(one) for one in others)


def write_record(path, record: Record) -> None:
    """Write a Record in VOT's text format, whole or not at all."""
    lines = [
        ",".join(f"{value:.4f}" for value in box) if code == TRACKED else str(code)
        for code, box in zip(record.codes, record.boxes)
    ]
    write_text(path, "\n".join(lines) + "\n")


def read_record(path, count: int | None = None) -> Record:
    """Read the Record of a sequence of `count` frames (any number without) in VOT's text format."""
    lines, again = read_text(path).splitlines(), "delete it and evaluate again"
    count = count or max(1, len(lines))
    if len(lines) != count:
        raise BadInput(f"{path}: has {len(lines)} lines for {count} frames; {again}")
    codes, boxes = np.full(count, TRACKED), np.full((count, 4), np.nan)
    for index, line in enumerate(lines):
        try:
            values = [float(part) for part in line.split(",")]
            if values in ([SKIPPED], [START], [FAILURE]):
                codes[index] = values[0]
            else:
                boxes[index] = check_box(values)
        except ValueError:  # BadInput is one
            problem = f"line {index + 1} is neither 0, 1, 2 nor a box x,y,w,h"
            raise BadInput(f"{path}: {problem}; {again}") from None
    return Record(codes, boxes)


def true_polygons(sequence) -> np.ndarray:
    """Return the true polygons (N, 8) of a sequence, or those of its boxes.

    BadInput where the target is absent.
    """
    polygons = to_polygon(sequence.truth) if sequence.polygons is None else sequence.polygons
    seen = np.isfinite(polygons).all(1)
    if not seen.all():
        problem = f"the target is absent in frame {seen.argmin() + 1}"
        raise BadInput(f"{sequence.name}: {problem}; a supervised run needs it in every frame")
    return polygons


def polygon_overlap(a, b, frame_size=None) -> np.ndarray:
    """Return the intersection over union (N,) of polygons (N, 8), inside a frame (width, height).

    A polygon is the convex hull of its corners. Corners are centres of pixels, so the frame reaches
    from 0 to width - 1. Polygons without area in the frame overlap nothing.
    """
    import shapely

    rings = (np.reshape(polygons, (-1, 4, 2)) for polygons in (a, b))
    hulls = [shapely.convex_hull(shapely.polygons(ring)) for ring in rings]
    if frame_size is not None:
        right, bottom = frame_size[0] - 1, frame_size[1] - 1
        hulls = [shapely.clip_by_rect(hull, 0, 0, right, bottom) for hull in hulls]
    shared = shapely.area(shapely.intersection(*hulls))
    union = shapely.area(hulls[0]) + shapely.area(hulls[1]) - shared
    return np.divide(shared, union, out=np.zeros_like(shared), where=union > 0).clip(0, 1)


def evaluate(
    tracker, sequences: list, out, key: str, repetitions: int = 15, on_frame=None
) -> dict[str, list[Run]]:
    """Run `tracker` supervised over each sequence and return `read_runs` of the records.

    A sequence is run `repetitions` times, or until three runs in a row agree. Records go to
    `out`/`key`/baseline/<name>/<name>_001.txt, where VOT's toolkits look for them, with times in a
    JSON file next to each. A record that is whole and was made with this key and these data is not
    made again. `on_frame(sequence, index, frame, box)` is called after each frame that is not
    skipped. BadInput names the sequence and frame of a box that is none.
    """
    if not re.fullmatch(r"\w[\w.+-]*", key):
        raise BadInput(f'key "{key}": use letters, digits, dots and hyphens; it names a folder')
    if repetitions < 1:
        raise BadInput(f"repetitions: {repetitions} is too few; run each sequence at least once")
    folder = Path(out) / key
    for sequence in sequences:
        records = []
        while len(records) < repetitions and not agree(records):
            path = _record_file(folder, sequence, len(records) + 1)
            if not _is_finished(path, sequence, key):
                record, facts = supervise(tracker, sequence, on_frame)
                write_record(path, record)
                facts |= {"sequence": sequence.name, "key": key, "data": sequence.fingerprint()}
                write_json(path.with_suffix(".json"), {**facts, "record_sha256": sha256(path)})
            records.append(read_record(path, len(sequence.frames)))
    return read_runs(folder, sequences)


def read_runs(folder, sequences: list) -> dict[str, list[Run]]:
    """Return the runs that `evaluate` recorded in `folder` (out/key), by sequence name."""
    runs = {}
    for sequence in sequences:
        polygons, records, found = true_polygons(sequence), [], []
        path = _record_file(folder, sequence, 1)
        while not agree(records) and _is_finished(path, sequence, Path(folder).name):
            record = read_record(path, len(sequence.frames))
            facts = read_json(path.with_suffix(".json"), "frame_size", *TIMES)
            overlaps, kept = np.full(len(polygons), np.nan), record.codes == TRACKED
            boxes = to_polygon(record.boxes[kept])
            overlaps[kept] = polygon_overlap(boxes, polygons[kept], facts["frame_size"])
            failures = np.flatnonzero(record.codes == FAILURE)
            found.append(Run(overlaps, failures, {name: facts[name] for name in TIMES}))
            records.append(record)
            path = _record_file(folder, sequence, len(records) + 1)
        if not found:
            problem = "is missing, damaged or made from other data"
            raise BadInput(f"{path}: {problem}; evaluate {sequence.name} again")
        runs[sequence.name] = found
    return runs


def accuracy(runs: dict[str, list[Run]]) -> float | None:
    """Return the mean overlap over all frames that count (see BURN_IN); None if there are none.

    Each frame is the mean over the runs in which it counts.
    """
    frames = []
    for repeated in _checked(runs).values():
        overlaps = np.array([run.overlaps for run in repeated])
        for row, run in zip(overlaps, repeated):
            for start in (0, *(run.failures + SKIP)):
                row[start : start + BURN_IN] = np.nan
        seen = np.isfinite(overlaps).any(0)
        frames.append(np.nanmean(overlaps[:, seen], axis=0))
    frames = np.concatenate(frames)
    return float(frames.mean()) if frames.size else None


def robustness(runs: dict[str, list[Run]]) -> dict[str, float]:
    """Return the four meanings of robustness; failures of a sequence are the mean of its runs."""
    every = _checked(runs).values()
    frames = np.array([len(repeated[0].overlaps) for repeated in every])
    failures = np.array([np.mean([len(run.failures) for run in repeated]) for repeated in every])
    rate = float(failures.sum() / frames.sum())
    return {
        "failures_per_sequence": float(failures.mean()),
        "frame_weighted_failures": float(np.average(failures, weights=frames)),
        "failures_per_100_frames": 100 * rate,
        "reliability": math.exp(-30 * rate),
    }


def fragments(run: Run, length: int) -> np.ndarray:
    """Return a run cut at its starts, as (fragments, length).

    A fragment is filled up with 0 after a failure; the last one with NaN, as it did not fail. As in
    VOT's toolkits, a failure too close to the end for another start leaves its fragment the last.
    """
    starts = [0, *(frame + SKIP for frame in run.failures if frame + SKIP <= len(run.overlaps))]
    cut = np.full((len(starts), length), np.nan)
    cut[:-1] = 0
    for row, start, end in zip(cut, starts, [*starts[1:], None]):
        part = np.nan_to_num(run.overlaps[start:end])
        row[: len(part)] = part
    return cut


def expected_overlap(runs: dict[str, list[Run]]) -> np.ndarray:
    """Return the expected average overlap Phi(L) of a clip of L frames, as (longest,).

    Element L - 1 is Phi(L), and Phi(1) = 1. Phi(L) is the mean, over the fragments that are known
    at L, of their mean overlap in frames 2 to L; a fragment weighs 1 / runs of its sequence.
    """
    longest = max(len(repeated[0].overlaps) for repeated in _checked(runs).values())
    total, weight, lengths = np.zeros(longest), np.zeros(longest), np.arange(1, longest)
    total[0] = weight[0] = 1
    for repeated in runs.values():
        for run in repeated:
            cut = fragments(run, longest)[:, 1:]
            known = np.isfinite(cut) / len(repeated)
            total[1:] += (known * np.cumsum(np.nan_to_num(cut), axis=1)).sum(0) / lengths
            weight[1:] += known.sum(0)
    return total / weight


def eao(runs: dict[str, list[Run]], interval: tuple[int, int]) -> float:
    """Return the mean of Phi(L) over the lengths `interval` = (low, high), ends included."""
    curve, (low, high) = expected_overlap(runs), interval
    if not 1 <= low <= high <= len(curve):
        problem = f"lengths {low} to {high} do not fit sequences of up to {len(curve)} frames"
        raise BadInput(f"EAO: {problem}; use those of usual_lengths(runs)")
    return float(curve[low - 1 : high].mean())


def usual_lengths(runs: dict[str, list[Run]]) -> tuple[int, int]:
    """Return the quartiles of the sequences' lengths, for a suite for which VOT has no interval."""
    lengths = [len(repeated[0].overlaps) for repeated in _checked(runs).values()]
    return tuple(int(length) for length in np.percentile(lengths, [25, 75]))


def score(runs: dict[str, list[Run]]) -> list[dict]:
    """Return a row per sequence: frames, repetitions, accuracy, failures per run and FPS."""
    rows = []
    for name, repeated in runs.items():
        one = {name: repeated}
        row = {"sequence": name, "frames": len(repeated[0].overlaps), "repetitions": len(repeated)}
        row |= {"accuracy": accuracy(one), "failures": robustness(one)["failures_per_sequence"]}
        rows.append({**row, **_speed(repeated)})
    return rows


def summarise(runs: dict[str, list[Run]], interval: tuple[int, int]) -> dict:
    """Return all scores of a suite: accuracy, robustness, EAO over `interval`, and FPS."""
    frames = sum(len(repeated[0].overlaps) for repeated in _checked(runs).values())
    scores = {"sequences": len(runs), "frames": frames, "accuracy": accuracy(runs)}
    scores |= {**robustness(runs), "eao": eao(runs, interval)}
    scores |= {"eao_low": interval[0], "eao_high": interval[1]}
    return {**scores, **_speed([run for repeated in runs.values() for run in repeated])}


def _checked(runs):
    if not runs or not all(runs.values()):
        raise BadInput("there are no runs to score, or a sequence without one")
    return runs


def _speed(runs):
    return frames_per_second([run.times for run in runs])


def frames_per_second(times: list[dict]) -> dict[str, float]:
    """Return FPS of the tracker alone and with decoding, from times by the names of TIMES."""
    frames, seconds, decode = (sum(each.get(name, 0) for each in times) for name in TIMES)
    if not seconds:
        return {"fps": 0.0, "fps_with_decode": 0.0}
    return {"fps": frames / seconds, "fps_with_decode": frames / (seconds + decode)}


def _record_file(folder, sequence, number):
    return Path(folder) / "baseline" / sequence.name / f"{sequence.name}_{number:03d}.txt"


def _is_finished(path, sequence, key):
    try:
        facts = read_json(path.with_suffix(".json"))
        found = [facts[name] for name in ("key", "data", "record_sha256")]
        known = facts.keys() >= {"frame_size", *TIMES}
        return known and found == [key, sequence.fingerprint(), sha256(path)]
    except (BadInput, KeyError, AttributeError):  # missing, damaged or of another program
        return False
