"""Many sequences at once: one batch a step goes through the network, and a sequence that ends gives its place to the next.

Each target keeps its own state; only the network is shared. Frames are decoded ahead of time, a few a sequence, one thread a sequence.
"""

import time
from copy import copy

import numpy as np

from scs_siam.data.boxes import check_box
from scs_siam.data.video import Frames, prefetch
from scs_siam.track import step


class Place:
    """One sequence under way: its tracker, its frames to come, its boxes (N, 4) so far, and what it took."""

    def __init__(self, tracker, sequence, on_frame):
        self.sequence, self.tracker, self.on_frame = sequence, copy(tracker), on_frame
        self.frames, self.boxes, self.seconds, self.waited = (
            prefetch(Frames(sequence.frames)),
            [],
            0.0,
            0.0,
        )
        frame = next(self.frames)
        box = check_box(sequence.truth[0], f"{sequence.name}: first true box", frame.shape)
        self.tracker.init(frame, box.copy())
        self.add(frame, box)

    def add(self, frame, box):
        """Note the box of a frame."""
        self.boxes.append(box)
        if self.on_frame:
            self.on_frame(self.sequence, len(self.boxes) - 1, frame, box)

    def next(self):
        """The next frame, or None at the end; the wait for it counts as decoding."""
        start = time.perf_counter()
        frame = next(self.frames, None)
        self.waited += 0.0 if frame is None else time.perf_counter() - start
        return frame

    def times(self):
        """What `benchmarks.evaluate` records: frames timed, this sequence's share of the steps, and the waiting for decoded frames."""
        return {
            "timed_frames": len(self.boxes) - 1,
            "seconds": self.seconds,
            "decode_seconds": self.waited,
        }


def track_all(tracker, sequences, places, on_frame=None):
    """Yield (sequence, boxes (N, 4), times) of each of `sequences` as it ends; at most `places` of them are under way.

    `tracker` is a track.Tracker. The boxes are those of one sequence after the other: bit by bit in integers, and but for the rounding of
    a larger batch in float32 and bfloat16.
    """
    waiting, active = list(sequences), []
    while waiting or active:
        while waiting and len(active) < places:
            active.append(Place(tracker, waiting.pop(0), on_frame))
        frames = [place.next() for place in active]
        for place, frame in zip(active, frames):
            if frame is None:
                yield place.sequence, np.array(place.boxes), place.times()
        active, frames = (
            [item for item, frame in zip(items, frames) if frame is not None]
            for items in (active, frames)
        )
        if active:
            _advance(active, frames)


def _advance(active, frames):
    """Every target one frame on."""
    start = time.perf_counter()
    boxes = step([place.tracker for place in active], frames)
    share = (time.perf_counter() - start) / len(active)
    for place, frame, box in zip(active, frames, boxes):
        place.seconds += share
        place.add(
            frame,
            check_box(
                box, f"{place.sequence.name}: frame {len(place.boxes) + 1}, from the tracker"
            ),
        )
