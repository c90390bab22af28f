"""Calibration: fit the tracker's confidence on sequences that are neither trained on nor reported.

Sequences are cut into short tracks, forwards and backwards, so that few videos give many starts.
"""

from collections.abc import Callable, Iterator

import numpy as np

from scs_siam import confidence, weights
from scs_siam.data.benchmarks import Sequence
from scs_siam.data.images import read_image
from scs_siam.evaluation.metrics import overlap
from scs_siam.runtime.files import BadInput, sha256, write_json

LENGTH, STEP = 60, 40  # frames of a track, and between the first frames of two


def cuts(sequence: Sequence, length: int = LENGTH, every: int = STEP) -> Iterator[list[int]]:
    """Yield the frame numbers of each track of a sequence, one forwards and one backwards in turn.

    A track starts where the target is in view, and sequences that are no longer give one track.
    """
    count = len(sequence.truth)
    if count <= length:
        yield list(range(count))
        return
    for start in range(0, count - length // 2, every):
        for order in (range(start, count), range(count - 1 - start, -1, -1)):
            if np.isfinite(sequence.truth[order[0]]).all():
                yield list(order[:length])


def measure(tracker, sequence: Sequence, numbers: list[int]) -> tuple[np.ndarray, np.ndarray]:
    """Return features (N, 6) and overlaps (N,) of a track after its first frame."""
    tracker.init(read_image(sequence.frames[numbers[0]]), sequence.truth[numbers[0]])
    features, boxes = [], []
    for number in numbers[1:]:
        boxes.append(tracker.update(read_image(sequence.frames[number])))
        features.append(tracker.judge.features)
    truth = sequence.truth[numbers[1:]]
    seen = np.isfinite(truth).all(-1)
    return np.array(features)[seen], overlap(np.array(boxes)[seen], truth[seen])


def calibrate(tracker, sets: dict[str, list[Sequence]], out, on_track: Callable) -> dict:
    """Track the sequences of each set, fit the confidence and write its card; return the card."""
    parts, about = [], {}
    for name, sequences in sets.items():
        tracks = [(sequence, numbers) for sequence in sequences for numbers in cuts(sequence)]
        about[name] = {"sequences": len(sequences), "tracks": len(tracks)}
        for sequence, numbers in tracks:
            parts.append(measure(tracker, sequence, numbers))
            on_track(len(parts), sequence.name)
    return write_card(parts, about, tracker.form, out)


def write_card(parts: list, about: dict, form: str, out) -> dict:
    """Fit the confidence to (features, overlaps) of tracks and write its card to `out`."""
    features, overlaps = (np.concatenate(columns) for columns in zip(*parts))
    good = overlaps >= 0.5
    if good.all() or not good.any():
        problem = "the target is lost in no frame" if good.all() else "the target is never found"
        raise BadInput(f"fit-confidence: {problem}; add sequences with --test NAME=ROOT")
    card = {
        "what": "logistic regression of: the box overlaps the target by at least 0.5",
        "features": confidence.FEATURES,
        "fitted on": about,
        "frames": len(good),
        "share of frames with an overlap of at least 0.5": round(float(good.mean()), 3),
        "weights_sha256": sha256(weights.SHIPPED),
        "form": form,
        **confidence.fit(features, overlaps),
    }
    write_json(out, card)
    return card
