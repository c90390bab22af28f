"""VOT2016 and VOT2017 (Sec. 4.5): supervised evaluation and its scores, accuracy, robustness and expected average overlap (EAO).

Robustness has four meanings here, F failures in N frames: `failures_per_sequence`; `frame_weighted_failures`, the same with each sequence
weighted by its frames; `failures_per_100_frames`, 100 F/N; `reliability`, exp(-30 F/N), the chance to track 30 frames without a failure.
The paper does not say which it prints. ROBUSTNESS is the one to put beside its own rows: "R" in the result tables of VOT's reports. Other
rows of Tables 6 and 7 must be failures per sequence: MemTrack's 1.77 goes with an EAO of 0.24, DSST's 1.45 with one of 0.08.
"""

import math
import re
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from scs_siam.data.boxes import to_polygon
from scs_siam.evaluation.supervision import (
    FAILURE,
    SKIP,
    TIMES,
    TRACKED,
    agree,
    polygon_overlap,
    read_record,
    supervise,
    true_polygons,
    write_record,
)
from scs_siam.runtime.files import BadInput, read_json, sha256, write_json

BURN_IN = 10  # frames from a start on, itself included, that do not count for accuracy
INTERVALS = {
    "VOT2016": (108, 371),
    "VOT2017": (100, 356),
}  # lengths over which EAO is the mean, frames, ends included
ROBUSTNESS = "failures_per_100_frames"


@dataclass(frozen=True, eq=False)
class Run:
    """A scored record: `overlaps` (N,), NaN unless TRACKED; the 0-based frames of `failures` (F,); `times` by the names of TIMES."""

    overlaps: np.ndarray
    failures: np.ndarray
    times: dict = field(default_factory=dict)


def evaluate(tracker, sequences, out, key, repetitions=15, on_frame=None):
    """Run `tracker` (init(frame, box), update(frame) -> box) supervised over each sequence and return `read_runs` of what was recorded.

    A sequence is run `repetitions` times, or until three runs in a row agree. Records go to `out`/`key`/baseline/<name>/<name>_001.txt,
    where VOT's toolkits look for them, with times in a JSON file beside each. A record that is whole and made with this key and these data
    is not made again. `on_frame(sequence, index, frame, box)` is called after each frame that is not skipped. BadInput names the sequence
    and frame of a box that is none.
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
                origin = {
                    "sequence": sequence.name,
                    "key": key,
                    "data": sequence.fingerprint(),
                    "record_sha256": sha256(path),
                }
                write_json(path.with_suffix(".json"), {**origin, **facts})
            records.append(read_record(path, len(sequence.frames)))
    return read_runs(folder, sequences)


def read_runs(folder, sequences):
    """The runs that `evaluate` recorded in `folder` (out/key), as {sequence's name: [Run, ...]}; BadInput where a sequence has none."""
    runs = {}
    for sequence in sequences:
        polygons, records, found = true_polygons(sequence), [], []
        path = _record_file(folder, sequence, 1)
        while not agree(records) and _is_finished(path, sequence, Path(folder).name):
            record, facts = (
                read_record(path, len(sequence.frames)),
                read_json(path.with_suffix(".json"), "frame_size", *TIMES),
            )
            overlaps, kept = np.full(len(polygons), np.nan), record.codes == TRACKED
            overlaps[kept] = polygon_overlap(
                to_polygon(record.boxes[kept]), polygons[kept], facts["frame_size"]
            )
            found.append(
                Run(
                    overlaps,
                    np.flatnonzero(record.codes == FAILURE),
                    {name: facts[name] for name in TIMES},
                )
            )
            records.append(record)
            path = _record_file(folder, sequence, len(records) + 1)
        if not found:
            raise BadInput(
                f"{path}: is missing, damaged or made from other data; evaluate {sequence.name} again"
            )
        runs[sequence.name] = found
    return runs


# Scores of runs, {sequence's name: [Run, ...]}


def accuracy(runs):
    """Mean overlap over all frames that count, each the mean over the runs in which it does (`BURN_IN`); None if there are none."""
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


def robustness(runs):
    """The four meanings of robustness, by name; failures of a sequence are the mean over its runs."""
    frames = np.array([len(repeated[0].overlaps) for repeated in _checked(runs).values()])
    failures = np.array(
        [np.mean([len(run.failures) for run in repeated]) for repeated in runs.values()]
    )
    rate = float(failures.sum() / frames.sum())
    return {
        "failures_per_sequence": float(failures.mean()),
        "frame_weighted_failures": float(np.average(failures, weights=frames)),
        "failures_per_100_frames": 100 * rate,
        "reliability": math.exp(-30 * rate),
    }


def fragments(run, length):
    """A run cut at its starts, as (fragments, length): filled up with 0 after a failure, the last with NaN, for it broke off unfailed.

    As in VOT's toolkits, a failure too close to the end for another start leaves its fragment the last.
    """
    starts = [0, *(frame + SKIP for frame in run.failures if frame + SKIP <= len(run.overlaps))]
    cut = np.full((len(starts), length), np.nan)
    cut[:-1] = 0
    for row, start, end in zip(cut, starts, [*starts[1:], None]):
        part = np.nan_to_num(run.overlaps[start:end])
        row[: len(part)] = part
    return cut


def expected_overlap(runs):
    """Expected average overlap Phi(L) of a clip of L frames, as (longest,): element L - 1; Phi(1) = 1.

    Phi(L) is the mean over the fragments that are known at L of their mean overlap in frames 2 to L; a fragment weighs 1 / runs of its
    sequence.
    """
    longest = max(len(repeated[0].overlaps) for repeated in _checked(runs).values())
    total, weight = np.zeros(longest), np.zeros(longest)
    total[0] = weight[0] = 1
    for repeated in runs.values():
        for run in repeated:
            cut = fragments(run, longest)[:, 1:]
            known = np.isfinite(cut) / len(repeated)
            total[1:] += (known * np.cumsum(np.nan_to_num(cut), axis=1)).sum(0) / np.arange(
                1, longest
            )
            weight[1:] += known.sum(0)
    return total / weight


def eao(runs, interval):
    """Mean of Phi(L) over the lengths `interval` = (low, high), ends included; BadInput where no sequence is that long."""
    curve, (low, high) = expected_overlap(runs), interval
    if not 1 <= low <= high <= len(curve):
        raise BadInput(
            f"EAO: lengths {low} to {high} do not fit sequences of up to {len(curve)} frames; use those of usual_lengths(runs)"
        )
    return float(curve[low - 1 : high].mean())


def usual_lengths(runs):
    """The quartiles of the sequences' lengths as an interval for `eao`, for a suite for which VOT gives none."""
    lengths = [len(repeated[0].overlaps) for repeated in _checked(runs).values()]
    return tuple(int(length) for length in np.percentile(lengths, [25, 75]))


def score(runs):
    """A row (dict) a sequence: name, frames, repetitions, accuracy (None if no frame counts), failures a run and speeds in frames/s."""
    return [
        {
            "sequence": name,
            "frames": len(repeated[0].overlaps),
            "repetitions": len(repeated),
            "accuracy": accuracy({name: repeated}),
            "failures": robustness({name: repeated})["failures_per_sequence"],
            **_speed(repeated),
        }
        for name, repeated in runs.items()
    ]


def summarise(runs, interval):
    """All scores of a suite as a dict: accuracy, each meaning of robustness, EAO over the lengths `interval` and speeds in frames/s."""
    every = [run for repeated in _checked(runs).values() for run in repeated]
    return {
        "sequences": len(runs),
        "frames": sum(len(repeated[0].overlaps) for repeated in runs.values()),
        "accuracy": accuracy(runs),
        **robustness(runs),
        "eao": eao(runs, interval),
        "eao_low": interval[0],
        "eao_high": interval[1],
        **_speed(every),
    }


def _checked(runs):
    if not runs or not all(runs.values()):
        raise BadInput("there are no runs to score, or a sequence without one")
    return runs


def _speed(runs):
    frames, seconds, decode = (sum(run.times.get(name, 0) for run in runs) for name in TIMES)
    return {
        "fps": frames / seconds if seconds else 0.0,
        "fps_with_decode": frames / (seconds + decode) if seconds else 0.0,
    }


def _record_file(folder, sequence, number):
    return Path(folder) / "baseline" / sequence.name / f"{sequence.name}_{number:03d}.txt"


def _is_finished(path, sequence, key):
    try:
        facts = read_json(path.with_suffix(".json"))
        known = facts.keys() >= {"frame_size", *TIMES}
        return known and [facts[name] for name in ("key", "data", "record_sha256")] == [
            key,
            sequence.fingerprint(),
            sha256(path),
        ]
    except (BadInput, KeyError, AttributeError):  # missing, damaged or another program's
        return False
