"""Track many sequences at once: one batch per step goes through the network.

Every target keeps its own state; only the network is shared. A sequence that ends makes room for
the next one. Frames are decoded ahead of time by one thread per sequence.
"""

import time
from collections.abc import Callable, Iterator
from copy import copy

import numpy as np

from scs_siam.data.boxes import check_box
from scs_siam.data.video import Frames, prefetch
from scs_siam.track import Tracker, step


class Target:
    """One sequence that is being tracked: its tracker, its next frames, its boxes, its times."""

    def __init__(self, tracker: Tracker, sequence, on_frame: Callable | None):
        self.sequence, self.tracker, self.on_frame = sequence, copy(tracker), on_frame
        self.frames, self.boxes = prefetch(Frames(sequence.frames)), []
        self.seconds = self.waited = 0.0
        frame = next(self.frames)
        box = check_box(sequence.truth[0], f"{sequence.name}: first true box", frame.shape)
        self.tracker.init(frame, box.copy())
        self.add(frame, box)

    def add(self, frame: np.ndarray, box: np.ndarray) -> None:
        """Record the box of a frame."""
        self.boxes.append(box)
        if self.on_frame:
            self.on_frame(self.sequence, len(self.boxes) - 1, frame, box)

    def next(self) -> np.ndarray | None:
        """Return the next frame, or None at the end; the wait for it counts as decoding."""
        start = time.perf_counter()
        frame = next(self.frames, None)
        self.waited += 0.0 if frame is None else time.perf_counter() - start
        return frame

    def times(self) -> dict:
        """Return the times that `one_pass.evaluate` records."""
        frames = len(self.boxes) - 1
        return {"timed_frames": frames, "seconds": self.seconds, "decode_seconds": self.waited}


def track_all(
    tracker: Tracker, sequences: list, at_once: int, on_frame: Callable | None = None
) -> Iterator[tuple]:
    """Yield (sequence, boxes (N, 4), times) of each sequence as it ends.

    The boxes are those of tracking one sequence after the other: bit by bit in integers, otherwise
    up to the rounding of a larger batch.
    """
    waiting, active = list(sequences), []
    while waiting or active:
        while waiting and len(active) < at_once:
            active.append(Target(tracker, waiting.pop(0), on_frame))
        pairs = [(target, target.next()) for target in active]
        for target, frame in pairs:
            if frame is None:
                yield target.sequence, np.array(target.boxes), target.times()
        pairs = [(target, frame) for target, frame in pairs if frame is not None]
        active = [target for target, _ in pairs]
        if active:
            _advance(active, [frame for _, frame in pairs])


def _advance(active, frames):
    """Move every target one frame on."""
    start = time.perf_counter()
    boxes = step([target.tracker for target in active], frames)
    share = (time.perf_counter() - start) / len(active)
    for target, frame, box in zip(active, frames, boxes):
        target.seconds += share
        where = f"{target.sequence.name}: frame {len(target.boxes) + 1}, from the tracker"
        target.add(frame, check_box(box, where))
