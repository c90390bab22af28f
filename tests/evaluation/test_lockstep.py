"""Many sequences in step against one after the other: the same boxes, files and resumption, in bounded memory."""

import tracemalloc

import numpy as np
import pytest

from scs_siam.config import Config
from scs_siam.data.benchmarks import Sequence
from scs_siam.data.images import write_image
from scs_siam.data.synthetic import Scene, render
from scs_siam.evaluation import lockstep
from scs_siam.evaluation.one_pass import evaluate
from scs_siam.runtime.files import BadInput
from scs_siam.track import Tracker


@pytest.fixture(scope="module")
def sequences(tmp_path_factory):
    """Five sequences of different lengths and frame sizes."""
    root, made = tmp_path_factory.mktemp("clips"), []
    for seed, (count, size) in enumerate(
        ((5, (160, 120)), (2, (200, 120)), (7, (160, 120)), (1, (160, 120)), (4, (120, 160)))
    ):
        clip, paths = render(Scene(seed, size, count)), []
        for number, frame in enumerate(clip.frames):
            paths.append(root / f"{seed}" / f"{number:04d}.png")
            write_image(paths[-1], frame)
        made.append(Sequence(f"clip{seed}", tuple(paths), clip.boxes))
    return made


@pytest.mark.parametrize("precision", ["fast", "bf16", "exact"])
def test_boxes_in_step_are_those_of_one_after_the_other(settled, sequences, tmp_path, precision):
    """Bit by bit in integers. Floats are summed in another order in a larger batch, which could only move a box where two cells tie."""
    tracker, seen = (
        Tracker(settled(Config.preset(width=1 / 16).model), Config().tracking, precision=precision),
        [],
    )
    rows = evaluate(tracker, sequences, tmp_path / "one", "key")
    in_step = evaluate(
        tracker,
        sequences,
        tmp_path / "many",
        "key",
        lambda *event: seen.append((event[0].name, event[1])),
        lockstep=3,
    )
    assert [row["sequence"] for row in in_step] == [row["sequence"] for row in rows]
    assert sorted(seen) == [(s.name, k) for s in sequences for k in range(len(s.frames))]
    for one in sorted((tmp_path / "one/key").glob("*.txt")):
        other = np.loadtxt(tmp_path / "many/key" / one.name, delimiter=",")
        np.testing.assert_allclose(
            other,
            np.loadtxt(one, delimiter=","),
            rtol=0,
            atol=0 if tracker.form == "int8" else 1e-6,
        )
    assert (
        evaluate(None, sequences, tmp_path / "many", "key", lockstep=3) == in_step
    )  # all finished: nothing is tracked
    assert len(list((tmp_path / "many/key").iterdir())) == 2 * len(sequences)


def test_a_break_keeps_what_was_finished(settled, sequences, tmp_path):
    tracker = Tracker(settled(Config.preset(width=1 / 64).model), Config().tracking)
    broken = Sequence(
        "broken", (*sequences[0].frames[:4], tmp_path / "gone.png"), sequences[0].truth
    )
    with pytest.raises(BadInput, match="gone.png"):
        evaluate(tracker, [sequences[1], broken, *sequences[2:]], tmp_path, "key", lockstep=2)
    finished = {path.stem for path in (tmp_path / "key").glob("*.json")}
    assert "clip1" in finished and "broken" not in finished
    assert len(evaluate(tracker, sequences, tmp_path, "key", lockstep=2)) == 5


class Still:
    """A tracker that stays where it is."""

    def init(self, frame, box):
        self.box = box

    def update(self, frame):
        return self.box


@pytest.mark.parametrize("places", [1, 2])
def test_memory_does_not_grow_with_the_sequence(tmp_path, monkeypatch, places):
    """2,500 frames of 12 kB: kept, they would be 31 MB; the boxes and the paths' names are what may grow."""
    monkeypatch.setattr(
        lockstep, "step", lambda trackers, frames: [tracker.box for tracker in trackers]
    )
    image, peaks = tmp_path / "0.png", []
    write_image(image, np.zeros((64, 64, 3), np.uint8))
    for count in (100, 2_500):
        frames = tuple(tmp_path / f"{count}-{number:05d}.png" for number in range(count))
        for path in frames:
            path.symlink_to(image)
        sequence = Sequence(f"clip{count}", frames, np.tile([5.0, 6, 10, 8], (count, 1)))
        tracemalloc.start()
        evaluate(Still(), [sequence], tmp_path / "out", "key", lockstep=places)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] - peaks[0] < 5e6, peaks
