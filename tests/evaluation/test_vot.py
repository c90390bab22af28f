"""Supervised runs and their scores, against hand-made numbers, plain loops over the definitions, counted pixels and the field's port."""

import json
import shutil

import cv2
import numpy as np
import pytest

from scs_siam.data.benchmarks import Sequence, read_vot
from scs_siam.data.boxes import to_polygon
from scs_siam.data.images import write_image
from scs_siam.evaluation import vot
from scs_siam.evaluation.vot import (
    FAILURE,
    SKIPPED,
    START,
    TRACKED,
    Record,
    agree,
    polygon_overlap,
    read_record,
    supervise,
    write_record,
)

NAN = float("nan")


def make_run(overlaps, failures=()):
    return vot.Run(np.array(overlaps, float), np.array(failures, int))


@pytest.fixture
def clip(tmp_path):
    """clip(count, name): a sequence whose target stands still in tiny frames."""

    def make(count, name="Syn01"):
        frames = [tmp_path / "clips" / name / f"{number:08d}.jpg" for number in range(1, count + 1)]
        write_image(frames[0], np.full((32, 48, 3), (40, 100, 200), np.uint8))
        for path in frames[1:]:
            shutil.copy(frames[0], path)
        return Sequence(name, tuple(frames), np.tile([5.0, 6, 10, 8], (count, 1)))

    return make


class Scripted:
    """Answers the box it was given, but in the updates of `lost`, counted from 1, a box elsewhere; `noise` pixels of jitter by a seed."""

    def __init__(self, lost=(), noise=0.0):
        self.lost, self.noise, self.updates, self.starts, self.rng = (
            set(lost),
            noise,
            0,
            [],
            np.random.default_rng(0),
        )

    def init(self, frame, box):
        self.starts.append(box.tolist())
        self.box = box

    def update(self, frame):
        self.updates += 1
        return (
            np.array([30, 20, 5, 5])
            if self.updates in self.lost
            else self.box + self.rng.normal(0, self.noise, 4)
        )


# Polygons


def test_overlap_of_polygons_by_hand():
    square, diamond = [0, 0, 10, 0, 10, 10, 0, 10], [5, 0, 10, 5, 5, 10, 0, 5]
    assert polygon_overlap(square, square)[0] == 1
    assert polygon_overlap(square, diamond)[0] == pytest.approx(0.5)
    assert polygon_overlap(square, np.add(square, [4, 0] * 4))[0] == pytest.approx(6 / 14)
    assert polygon_overlap(square, np.add(square, [10, 0] * 4))[0] == 0  # a shared side is no area
    assert polygon_overlap(np.subtract(square, 5), np.subtract(square, [5, 0] * 4), (48, 32))[
        0
    ] == pytest.approx(25 / 50)
    assert (
        polygon_overlap(to_polygon([40, 25, 21, 21]), to_polygon([40, 25, 8, 7]), (48, 32))[0] == 1
    )  # the frame ends at 47 and 31
    assert polygon_overlap(to_polygon([40, 25, 21, 21]), to_polygon([40, 25, 7, 7]), (48, 32))[
        0
    ] == pytest.approx(6 / 7)
    assert (
        polygon_overlap(np.add(square, 100), np.add(square, 100), (48, 32))[0] == 0
    )  # outside the frame nothing counts
    assert polygon_overlap([3, 3] * 4, square)[0] == 0
    both = polygon_overlap(
        np.array([square, diamond]), to_polygon(np.array([[0, 0, 11, 11], [0, 0, 6, 11]]))
    )
    np.testing.assert_allclose(both, [1, 25 / 75])


def test_overlap_of_polygons_counts_pixels(real_data):
    rng = np.random.default_rng(3)
    bag = read_vot(real_data / "VOT")[0]
    boxes = bag.truth + rng.normal(0, 12, bag.truth.shape)
    exact = polygon_overlap(to_polygon(boxes), bag.polygons, (480, 360))
    for index in range(0, 196, 13):
        drawn = [
            cv2.fillPoly(
                np.zeros((360, 480), np.uint8),
                [np.round(corners.reshape(4, 2)).astype(np.int32)],
                1,
            ).astype(bool)
            for corners in (to_polygon(boxes[index]), bag.polygons[index])
        ]
        assert exact[index] == pytest.approx(
            (drawn[0] & drawn[1]).sum() / (drawn[0] | drawn[1]).sum(), abs=0.02
        )


# Runs


def test_supervised_run(clip):
    sequence, tracker, seen = clip(20), Scripted(lost=[3, 4, 13]), []
    sequence.frames[5].write_bytes(b"")  # skipped frames are not read
    record, facts = supervise(tracker, sequence, lambda *event: seen.append(event[1]))
    codes = (
        [START, TRACKED, TRACKED, FAILURE]
        + [SKIPPED] * 4
        + [START, FAILURE]
        + [SKIPPED] * 4
        + [START]
        + [TRACKED] * 5
    )
    assert record.codes.tolist() == codes
    assert tracker.starts == [[5, 6, 10, 8]] * 3 and seen == [
        i for i in range(20) if codes[i] != SKIPPED
    ]
    assert (
        facts["timed_frames"] == tracker.updates == 9
        and facts["seconds"] > 0
        and facts["frame_size"] == [48, 32]
    )
    assert (
        np.isnan(record.boxes[record.codes != TRACKED]).all()
        and (record.boxes[record.codes == TRACKED] == [5, 6, 10, 8]).all()
    )


def test_failure_at_the_end(clip):
    record, _ = supervise(Scripted(lost=[5, 6]), clip(8))
    assert record.codes.tolist() == [START] + [TRACKED] * 4 + [FAILURE, SKIPPED, SKIPPED]
    assert supervise(Scripted(), clip(1))[0].codes.tolist() == [START]


def test_record_is_vots_text(tmp_path, refused):
    path = tmp_path / "a" / "clip_001.txt"
    record = Record(
        np.array([1, -1, 2, 0, 0, 0, 0, 1]),
        np.array([[NAN] * 4, [1, 2.5, 3, 4.00004]] + [[NAN] * 4] * 6),
    )
    write_record(path, record)
    assert path.read_text() == "1\n1.0000,2.5000,3.0000,4.0000\n2\n0\n0\n0\n0\n1\n"
    again = read_record(path, 8)
    assert again.codes.tolist() == record.codes.tolist() and again.boxes[1].tolist() == [
        1,
        2.5,
        3,
        4,
    ]
    refused(lambda: read_record(path, 9), path, "8 lines for 9 frames")
    refused(lambda: read_record(tmp_path / "gone.txt", 1), "gone.txt")
    for line in ("3", "1,2", "1,2,0,4", "x", "nan", ""):
        path.write_text(f"1\n{line}\n")
        refused(lambda: read_record(path, 2), path, "line 2")


def test_repetitions(clip, tmp_path):
    first, second = clip(12, "Syn01"), clip(9, "Syn02")
    tracker = Scripted(lost=[2])  # only the first run is another one
    runs = vot.evaluate(tracker, [first, second], tmp_path, "key")
    assert [len(runs[name]) for name in ("Syn01", "Syn02")] == [4, 3]
    assert [len(run.failures) for run in runs["Syn01"]] == [1, 0, 0, 0]
    assert len(vot.evaluate(Scripted(noise=0.5), [first], tmp_path, "noisy")["Syn01"]) == 15
    assert (
        len(vot.evaluate(Scripted(noise=0.5), [first], tmp_path, "twice", repetitions=2)["Syn01"])
        == 2
    )
    assert len(vot.evaluate(Scripted(noise=0.001), [first], tmp_path, "nearly")["Syn01"]) == 3
    files = sorted(path.name for path in (tmp_path / "key" / "baseline" / "Syn02").iterdir())
    assert files == [f"Syn02_00{number}.{kind}" for number in (1, 2, 3) for kind in ("json", "txt")]
    assert not agree([]) and not agree([Record(np.array([1]), np.full((1, 4), NAN))] * 2)


@pytest.mark.parametrize(
    "damage, again",
    [
        (lambda folder: None, 0),
        (lambda folder: (folder / "Syn01_002.txt").write_text("1\n"), 1),
        (lambda folder: (folder / "Syn01_002.json").write_text("{"), 1),
        (lambda folder: (folder / "Syn01_003.json").write_text("[]"), 1),
        (lambda folder: (folder / "Syn01_003.txt").unlink(), 1),
        (lambda folder: folder.parent.parent.rename(folder.parents[2] / "other"), 3),
    ],
)
def test_evaluation_resumes(clip, tmp_path, damage, again):
    sequence, tracker = clip(6), Scripted()
    vot.evaluate(tracker, [sequence], tmp_path / "out", "key")
    damage(tmp_path / "out" / "key" / "baseline" / "Syn01")
    runs = vot.evaluate(tracker, [sequence], tmp_path / "out", "key")
    assert len(tracker.starts) == 3 + again and len(runs["Syn01"]) == 3


def test_evaluation_breaks_off_and_goes_on(clip, tmp_path, refused):
    sequences, broken = [clip(6, "Syn01"), clip(6, "Syn02")], Scripted()
    broken.update = lambda frame: broken.box * (NAN if len(broken.starts) == 5 else 1)
    refused(
        lambda: vot.evaluate(broken, sequences, tmp_path, "key"),
        "Syn02",
        "frame 2",
        "00000002.jpg",
        "from the tracker",
    )
    assert sorted(path.name for path in tmp_path.rglob("Syn02_*.*")) == [
        "Syn02_001.json",
        "Syn02_001.txt",
    ]
    tracker = Scripted()
    assert len(vot.evaluate(tracker, sequences, tmp_path, "key")) == 2 and len(tracker.starts) == 2
    moved = Sequence("Syn01", sequences[0].frames, sequences[0].truth + 1)
    refused(
        lambda: vot.read_runs(tmp_path / "key", [moved]), "Syn01_001.txt", "evaluate Syn01 again"
    )
    vot.evaluate(tracker, [moved], tmp_path, "key")
    assert len(tracker.starts) == 5


def test_bad_evaluation(clip, tmp_path, refused):
    refused(lambda: vot.evaluate(Scripted(), [clip(3)], tmp_path, "../up"), "../up")
    refused(
        lambda: vot.evaluate(Scripted(), [clip(3)], tmp_path, "key", repetitions=0), "repetitions"
    )
    absent = Sequence("bird", clip(3).frames, np.array([[5.0, 6, 10, 8], [NAN] * 4, [5, 6, 10, 8]]))
    refused(lambda: vot.evaluate(Scripted(), [absent], tmp_path, "key"), "bird", "frame 2")
    refused(lambda: vot.accuracy({}), "no runs")
    refused(lambda: vot.summarise({"a": []}, (1, 1)), "without one")
    for interval in ((0, 2), (2, 1), (1, 4)):
        refused(
            lambda: vot.eao({"a": [make_run([NAN, 1, 1])]}, interval), "3 frames", "usual_lengths"
        )


# Scores by hand


def test_accuracy_leaves_out_ten_frames_from_each_start():
    overlaps = np.full(40, 0.25)
    overlaps[[0, 17, 22]] = NAN  # start, failure at 17, start at 22
    overlaps[18:22] = NAN
    overlaps[10:17], overlaps[32:] = 0.5, 1.0
    run = make_run(overlaps, [17])
    assert vot.accuracy({"a": [run]}) == pytest.approx((7 * 0.5 + 8 * 1) / 15)
    steady = make_run([NAN] + [0.2] * 39)  # counts alone in 17 .. 31, and with `run` in 15 frames
    assert vot.accuracy({"a": [run, steady]}) == pytest.approx((7 * 0.35 + 15 * 0.2 + 8 * 0.6) / 30)
    assert vot.accuracy({"a": [run], "b": [make_run([NAN] + [0.1] * 14)]}) == pytest.approx(
        (7 * 0.5 + 8 * 1 + 5 * 0.1) / 20
    )
    assert vot.accuracy({"b": [make_run([NAN] * 8)]}) is None


def test_robustness_has_four_meanings():
    runs = {
        "a": [make_run([NAN] * 300, [10, 90]), make_run([NAN] * 300, [50])],
        "b": [make_run([NAN] * 100)],
    }
    found = vot.robustness(runs)
    assert found == {
        "failures_per_sequence": pytest.approx(0.75),
        "frame_weighted_failures": pytest.approx(1.125),
        "failures_per_100_frames": pytest.approx(0.375),
        "reliability": pytest.approx(np.exp(-0.1125)),
    }
    assert vot.ROBUSTNESS in found


def test_expected_overlap_by_hand():
    assert vot.expected_overlap({"a": [make_run([NAN, 0.8, 0.4])]}).tolist() == pytest.approx(
        [1, 0.8, 0.6]
    )  # Phi(1) = 1
    shorter = {
        "a": [make_run([NAN, 0.8, 0.4])],
        "b": [make_run([NAN, 0.2])],
    }  # b is unknown at 3: filled with NaN
    assert vot.expected_overlap(shorter).tolist() == pytest.approx([1, 0.5, 0.6])
    failed = make_run([NAN, 0.6, NAN, NAN, NAN, NAN, NAN, NAN, 0.9], [2])  # started again at 7
    np.testing.assert_array_equal(
        vot.fragments(failed, 10), [[0, 0.6] + [0] * 8, [0, 0.9] + [NAN] * 8]
    )
    expected = [1, 0.75] + [
        0.6 / k for k in range(2, 9)
    ]  # after a failure 0 for ever, the last one is unknown after 2
    assert vot.expected_overlap({"a": [failed]}).tolist() == pytest.approx(expected)


def test_fragments_weigh_one_over_the_runs_of_their_sequence():
    good, bad, other = (
        make_run([NAN, 1.0, 1.0]),
        make_run([NAN, 0.4, 0.4]),
        make_run([NAN, 0.1, 0.1]),
    )
    assert vot.expected_overlap({"a": [good, bad], "b": [other]})[2] == pytest.approx(
        (0.5 * 1 + 0.5 * 0.4 + 0.1) / 2
    )
    twice = vot.expected_overlap({"a": [good, bad] * 2, "b": [other] * 3})
    np.testing.assert_allclose(twice, vot.expected_overlap({"a": [good, bad], "b": [other]}))


def test_failure_too_late_for_another_start():
    late = make_run(
        [NAN, 0.5, 0.5, NAN, NAN, NAN], [3]
    )  # the next start, 8, lies beyond the 6 frames
    np.testing.assert_array_equal(vot.fragments(late, 8), [[0, 0.5, 0.5, 0, 0, 0, NAN, NAN]])
    assert vot.fragments(make_run([NAN, 0.5, NAN, NAN, NAN, NAN, NAN], [2]), 8).shape == (
        2,
        8,
    )  # 7 is the first frame beyond: still cut


@pytest.mark.parametrize("name, interval", [("VOT2016", (108, 371)), ("VOT2017", (100, 356))])
def test_ends_of_the_interval_count(name, interval):
    assert vot.INTERVALS[name] == interval
    low, high = interval

    def alone(frame):  # overlap 1 in one frame: Phi(L) = 1 / (L - 1) from that frame on
        overlaps = np.zeros(400)
        overlaps[frame - 1] = 1
        return {"a": [make_run(overlaps)]}

    assert vot.eao(alone(high), interval) == pytest.approx(1 / (high - 1) / (high - low + 1))
    assert vot.eao(alone(high + 1), interval) == 0
    whole = sum(1 / (length - 1) for length in range(low, high + 1)) / (high - low + 1)
    assert vot.eao(alone(low), interval) == pytest.approx(whole) == vot.eao(alone(2), interval)
    assert vot.eao(alone(low + 1), interval) == pytest.approx(
        whole - 1 / (low - 1) / (high - low + 1)
    )


def test_usual_lengths():
    runs = {length: [make_run([NAN] * length)] for length in (10, 20, 30, 40, 90)}
    assert vot.usual_lengths(runs) == (20, 40)
    summary = vot.summarise(runs, vot.usual_lengths(runs))
    assert summary["frames"] == 190 and (
        summary["eao_low"],
        summary["eao_high"],
        summary["eao"],
    ) == (20, 40, 0)
    assert [row["frames"] for row in vot.score(runs)] == [10, 20, 30, 40, 90]


# Scores against others


def random_runs(rng):
    runs = {}
    for name in range(rng.integers(1, 5)):
        count, runs[name] = rng.integers(2, 60), []
        for _ in range(rng.integers(1, 4)):
            overlaps, failures, index = np.full(count, NAN), [], 0
            while index < count:
                stop = min(index + rng.integers(1, 30), count)
                overlaps[index + 1 : stop] = rng.random(max(stop - index - 1, 0))
                failures += [stop] if stop < count else []
                index = stop + 5
            runs[name].append(make_run(overlaps, failures))
    return runs


def plain_expected_overlap(runs, length):
    """Phi(length) as it is defined, a fragment and a frame at a time."""
    longest, total, weight = max(len(run.overlaps) for many in runs.values() for run in many), 0, 0
    for many in runs.values():
        for run in many:
            starts = [0] + [
                failure + 5 for failure in run.failures if failure + 5 <= len(run.overlaps)
            ]
            for number, start in enumerate(starts):
                last = number == len(starts) - 1
                end = len(run.overlaps) if last else starts[number + 1]
                values = [0 if np.isnan(value) else value for value in run.overlaps[start:end]] + (
                    [] if last else [0] * longest
                )
                if len(values) >= length:
                    total += sum(values[1:length]) / (length - 1) / len(many)
                    weight += 1 / len(many)
    return total / weight


def test_expected_overlap_is_its_definition():
    rng = np.random.default_rng(5)
    for _ in range(40):
        runs = random_runs(rng)
        curve = vot.expected_overlap(runs)
        assert np.isfinite(curve).all() and curve[0] == 1
        for length in rng.integers(2, len(curve) + 1, 5):
            assert curve[length - 1] == pytest.approx(plain_expected_overlap(runs, length))


def test_eao_of_the_fields_port(real_data):
    path = real_data / "eao-golden.json"
    if not path.is_file():
        pytest.skip("no eao-golden.json here")
    for case in json.loads(path.read_text())["cases"].values():
        runs = {
            number: [make_run(run["overlaps"], run["failures"]) for run in many]
            for number, many in enumerate(case["sequences"])
        }
        assert round(vot.eao(runs, (case["low"], case["high"])), 6) == case["eao"]


@pytest.mark.parametrize("truth", ["groundtruth.txt", "groundtruth_vot2017.txt"])
def test_static_tracker_on_bag(real_data, tmp_path, truth):
    sequences = read_vot(real_data / "VOT", truth=truth)
    runs = vot.evaluate(Scripted(), sequences, tmp_path, "Static", repetitions=1)
    [run] = runs["bag"]
    lines = (tmp_path / "Static" / "baseline" / "bag" / "bag_001.txt").read_text().splitlines()
    assert (
        len(lines) == 196
        and lines[0] == "1"
        and [index for index, line in enumerate(lines) if line == "2"] == run.failures.tolist()
    )
    starts = [index for index, line in enumerate(lines) if line == "1"]
    assert starts == [0, *(run.failures + 5)]
    tracked = np.isfinite(run.overlaps)
    assert (run.overlaps[tracked] > 0).all() and sum(
        line in "012" for line in lines
    ) == 196 - tracked.sum()
    summary = vot.summarise(runs, (100, 196))
    assert summary["failures_per_100_frames"] == pytest.approx(100 * len(run.failures) / 196)
    assert (
        0 < summary["eao"] < 1
        and 0 < summary["accuracy"] < 1
        and summary["fps"] > summary["fps_with_decode"] > 0
    )
