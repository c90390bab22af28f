"""OTB-layout roots, good and bad, and an evaluation that resumes."""

import json
import shutil

import numpy as np
import pytest

from scs_siam.data.benchmarks import ATTRIBUTES, attributes, otb_attributes, read_otb
from scs_siam.data.images import write_image
from scs_siam.evaluation.one_pass import evaluate, read_results, score, score_results, summarise
from scs_siam.runtime.files import BadInput


def make_sequence(root, name, count=5, truths=("groundtruth_rect.txt",)):
    (root / name / "img").mkdir(parents=True)
    image = root / name / "img" / "0001.jpg"
    write_image(image, np.full((32, 48, 3), (40, 100, 200), np.uint8))
    for number in range(2, count + 1):
        shutil.copy(image, image.with_name(f"{number:04d}.jpg"))
    for offset, truth in enumerate(truths):
        rows = [f"{5 + number + 3 * offset},6,10,8" for number in range(count)]
        (root / name / truth).write_text("\n".join(rows) + "\n")


@pytest.fixture
def root(tmp_path):
    folder = tmp_path / "otb [copy]"  # brackets are wildcards to got10k's reader
    make_sequence(folder, "Syn01")
    make_sequence(folder, "Jogging", 4, ("groundtruth_rect.1.txt", "groundtruth_rect.2.txt"))
    make_sequence(folder, "Human4", 3, ("groundtruth_rect.2.txt",))
    (folder / "Human4" / "groundtruth_rect.1.txt").write_text("\n")
    (folder / "attributes.txt").write_text("Syn01\tIV ,SV,\nJogging\tOCC\nJogging-2\tDEF, OPR\n")
    return folder


def raises(call):
    with pytest.raises(BadInput) as error:
        call()
    assert "\n" not in str(error.value)
    return str(error.value)


# Sequences on disk


def test_otb_layout(root):
    found = {sequence.name: sequence for sequence in read_otb(root)}
    assert list(found) == ["Human4", "Jogging.1", "Jogging.2", "Syn01"]
    assert [len(sequence.frames) for sequence in found.values()] == [3, 4, 4, 5]
    np.testing.assert_array_equal(found["Jogging.2"].truth[:2], [[7, 5, 10, 8], [8, 5, 10, 8]])
    assert found["Syn01"].frames[0].name == "0001.jpg"
    own = otb_attributes()["Human4"]  # a sequence of OTB2015 that the root's list leaves out
    assert [sequence.attributes for sequence in found.values()] == [
        own,
        ("OCC",),
        ("DEF", "OPR"),
        ("IV", "SV"),
    ]
    assert [sequence.name for sequence in read_otb(root, ["Jogging"])] == ["Jogging.1", "Jogging.2"]
    assert [sequence.name for sequence in read_otb(root, ["Syn01", "Jogging.2"])] == [
        "Jogging.2",
        "Syn01",
    ]


def test_annotated_frames_of_david(root):
    make_sequence(root, "David", 305)
    (root / "David/groundtruth_rect.txt").write_text("5,6,10,8\n" * 6)
    assert [path.name for path in read_otb(root, ["David"])[0].frames] == [
        f"{number:04d}.jpg" for number in range(300, 306)
    ]
    (root / "David/img/0100.jpg").unlink()  # a cut by position would now be one frame off
    assert "0100.jpg is missing" in raises(lambda: read_otb(root, ["David"]))


def test_got10k_reads_the_same(real_data, capsys):
    datasets = pytest.importorskip("got10k.datasets")
    ours = read_otb(real_data / "OTB2015")
    assert capsys.readouterr().out == ""
    theirs = datasets.OTB(str(real_data / "OTB2015"), download=False)
    assert sorted(sequence.name for sequence in ours) == sorted(theirs.seq_names)
    for sequence in ours:
        frames, truth = theirs[sequence.name]
        assert [str(path) for path in sequence.frames] == frames
        np.testing.assert_array_equal(sequence.truth + [1, 1, 0, 0], truth)


ROW = "5,6,10,8\n"


@pytest.mark.parametrize(
    "text, words",
    [
        (ROW * 4, "4 boxes"),
        (ROW * 6, "6 boxes"),
        ("", "missing or empty"),
        ("5,NaN,10,8\n" + ROW * 4, "box 1"),
        (ROW * 2 + "NaN,NaN,NaN,NaN\n" + ROW * 2, "box 3"),
        (ROW * 2 + "5,6,0,8\n" + ROW * 2, "box 3"),
        (ROW * 4 + "5,6,10,-8\n", "box 5"),
        ("0,0,0,0\n" + ROW * 4, "box 1"),
        (ROW * 2 + "0,0,0,0\n" + ROW * 2, "box 3"),
        (ROW * 2 + "5,6,10\n" + ROW * 2, "line 3"),
        (ROW * 2 + "5,6,x,8\n" + ROW * 2, "line 3"),
        pytest.param("\x00\xff" * 20, "it is not a text file", id="binary"),
    ],
)
def test_bad_ground_truth(root, text, words):
    path = root / "Syn01/groundtruth_rect.txt"
    path.write_text(text, encoding="latin-1")
    message = raises(lambda: read_otb(root))
    assert "Syn01" in message and "groundtruth_rect.txt" in message and words in message
    assert len(read_otb(root, ["Jogging"])) == 2  # what is not asked for does not get in the way


def test_target_gone_at_the_end_is_a_miss(root):
    (root / "Syn01/groundtruth_rect.txt").write_text(ROW * 4 + "0,0,0,0\n")
    truth = read_otb(root, ["Syn01"])[0].truth
    assert score(np.tile(truth[0], (5, 1)), truth)["auc"] == pytest.approx(4 / 5 * 20 / 21)


def test_bad_roots(root, tmp_path):
    assert "gone" in raises(lambda: read_otb(tmp_path / "gone"))
    (tmp_path / "empty").mkdir()
    assert "empty" in raises(lambda: read_otb(tmp_path / "empty"))
    assert "parent" in raises(lambda: read_otb(root / "Syn01"))
    (tmp_path / "got10k" / "clip").mkdir(parents=True)
    (tmp_path / "got10k" / "clip" / "groundtruth.txt").write_text(ROW)
    assert "holds no sequence" in raises(lambda: read_otb(tmp_path / "got10k"))  # another layout
    assert "Syn02" in raises(lambda: read_otb(root, ["Syn01", "Syn02"]))
    (root / "Syn01/img/0003.jpg").unlink()
    assert "0003.jpg is missing" in raises(lambda: read_otb(root))
    shutil.rmtree(root / "Syn01/img")
    assert "img" in raises(lambda: read_otb(root))
    (root / "attributes.txt").write_text("Syn01\tXX\n")
    assert "attributes.txt" in raises(lambda: read_otb(root, ["Jogging"]))


# Evaluation


class Counting:
    """Answers the first box, moved a pixel to the right each frame, and counts what it is asked."""

    def __init__(self, break_at=None):
        self.starts, self.updates, self.break_at = 0, 0, break_at

    def init(self, frame, box):
        self.starts, self.box = self.starts + 1, box

    def update(self, frame):
        self.updates += 1
        self.box = self.box + [1, 0, 0, 0]
        return self.box * (np.nan if self.updates == self.break_at else 1)


def test_evaluation(root, tmp_path):
    sequences, tracker, seen = read_otb(root), Counting(), []
    rows = evaluate(
        tracker, sequences, tmp_path / "out", "SCS-Siam-1a2b3c4d", lambda *event: seen.append(event)
    )
    assert (tracker.starts, tracker.updates, len(seen)) == (4, 12, 16)
    assert [row["sequence"] for row in rows] == ["Human4", "Jogging.1", "Jogging.2", "Syn01"]
    assert all(row["auc"] == pytest.approx(20 / 21) and row["precision"] == 1 for row in rows)
    assert all(
        row["fps"] > row["fps_with_decode"] > 0 and row["timed_frames"] == row["frames"] - 1
        for row in rows
    )
    written = np.loadtxt(tmp_path / "out/SCS-Siam-1a2b3c4d/Jogging.2.txt", delimiter=",")
    np.testing.assert_array_equal(written, sequences[2].truth + [1, 1, 0, 0])
    summary = summarise(rows)
    assert (
        summary["targets"] == 4
        and summary["frames"] == 16
        and summary["auc"] == pytest.approx(20 / 21)
    )
    assert summary["fps"] == pytest.approx(12 / sum(row["seconds"] for row in rows))
    assert score_results(tmp_path / "out/SCS-Siam-1a2b3c4d", sequences) == rows


@pytest.mark.parametrize(
    "damage, again",
    [
        (lambda folder: None, 0),
        (lambda folder: (folder / "Syn01.txt").write_text("6,6,10,8\n"), 1),
        (lambda folder: (folder / "Syn01.txt").write_text(ROW * 5), 1),
        (lambda folder: (folder / "Syn01.json").unlink(), 1),
        (lambda folder: (folder / "Syn01.json").write_text("{"), 1),
        (lambda folder: (folder / "Syn01.json").write_text("[]"), 1),
        (lambda folder: [path.unlink() for path in folder.iterdir()], 4),
        (lambda folder: folder.rename(folder.with_name("other-key")), 4),
    ],
)
def test_evaluation_resumes(root, tmp_path, damage, again):
    sequences, tracker = read_otb(root), Counting()
    first = evaluate(tracker, sequences, tmp_path, "key")
    damage(tmp_path / "key")
    second = evaluate(tracker, sequences, tmp_path, "key")
    assert tracker.starts == 4 + again
    assert [row["auc"] for row in first] == [row["auc"] for row in second]


def test_evaluation_does_not_trust_other_data(root, tmp_path):
    tracker = Counting()
    evaluate(tracker, read_otb(root, ["Syn01"]), tmp_path, "key")
    (root / "Syn01/groundtruth_rect.txt").write_text(ROW * 5)
    evaluate(tracker, read_otb(root, ["Syn01"]), tmp_path, "key")
    write_image(
        root / "Syn01/img/0004.jpg",
        np.random.default_rng(0).integers(0, 255, (32, 48, 3)).astype(np.uint8),
    )
    evaluate(tracker, read_otb(root, ["Syn01"]), tmp_path, "key")
    shutil.copytree(tmp_path / "key", tmp_path / "other")  # results copied under another key
    evaluate(tracker, read_otb(root, ["Syn01"]), tmp_path, "other")
    assert tracker.starts == 4


def test_evaluation_goes_on_after_a_break(root, tmp_path):
    sequences = read_otb(root)
    message = raises(lambda: evaluate(Counting(break_at=7), sequences, tmp_path, "key"))
    assert "Jogging.2" in message and "frame 3" in message and "0003.jpg" in message
    assert sorted(path.name for path in (tmp_path / "key").iterdir()) == [
        "Human4.json",
        "Human4.txt",
        "Jogging.1.json",
        "Jogging.1.txt",
    ]
    tracker = Counting()
    assert len(evaluate(tracker, sequences, tmp_path, "key")) == 4
    assert tracker.starts == 2


def test_bad_evaluation(root, tmp_path):
    sequences = read_otb(root, ["Syn01"])
    assert "../up" in raises(lambda: evaluate(Counting(), sequences, tmp_path, "../up"))
    assert "Syn01.txt" in raises(lambda: read_results(tmp_path, sequences))
    (tmp_path / "Syn01.txt").write_text(ROW * 4)
    assert "4 boxes for 5 frames" in raises(lambda: read_results(tmp_path, sequences))
    (root / "Syn01/img/0003.jpg").write_bytes(b"")
    assert "0003.jpg" in raises(lambda: evaluate(Counting(), sequences, tmp_path, "key"))
    assert not (tmp_path / "key").exists() or not any((tmp_path / "key").iterdir())
    (root / "Syn01/groundtruth_rect.txt").write_text("500,6,10,8\n" * 5)
    assert "outside" in raises(
        lambda: evaluate(Counting(), read_otb(root, ["Syn01"]), tmp_path, "key")
    )
    assert "nothing" in raises(lambda: score(np.ones((0, 4)), np.ones((0, 4))))
    assert "no scored" in raises(lambda: summarise([]))


def test_records_are_json(root, tmp_path):
    evaluate(Counting(), read_otb(root, ["Syn01"]), tmp_path, "key")
    record = json.loads((tmp_path / "key/Syn01.json").read_text())
    assert (
        record["frames"] == 5
        and record["timed_frames"] == 4
        and record["seconds"] > 0
        and record["decode_seconds"] > 0
    )


def test_the_attributes_of_otb2015_are_those_of_its_list(real_data):
    listed, ours = attributes(real_data / "OTB2015"), otb_attributes()
    names = {
        entry["name"]
        for entry in json.loads((real_data / "OTB2015" / "annotations.json").read_text()).values()
    }
    assert set(ours) == names and all(ours[name] == listed[name] for name in names)
    assert {code for codes in ours.values() for code in codes} == set(ATTRIBUTES)
