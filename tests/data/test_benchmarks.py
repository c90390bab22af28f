"""Roots in the layouts of TC128, UAV123 and VOT, good and bad; got10k reads them the same where it can."""

import shutil

import numpy as np
import pytest

from scs_siam.data import boxes
from scs_siam.data.benchmarks import READERS, layout_of, read, read_tc128, read_uav123, read_vot

ROW = "5,6,10,8\n"
TURNED = "20,10,30,20,20,30,10,20\n"  # a square of side 14.14, turned by 45 degrees


def make_frames(folder, numbers, pattern="{:04d}.jpg"):
    folder.mkdir(parents=True)
    for number in numbers:
        (folder / pattern.format(number)).touch()  # the readers look at names only


@pytest.fixture
def tc128(tmp_path):
    root = tmp_path / "tc [128]"  # brackets are wildcards to glob
    for name, last in (("Syn_ce1", 6), ("Syn_ce2", 4)):
        make_frames(root / name / "img", range(1, last + 1))
        (root / name / f"{name}_gt.txt").write_text(ROW * 4)
    (root / "Syn_ce1" / "Syn_ce1_frames.txt").write_text("2,5\n")
    (root / "Syn_ce2" / "Syn_ce2_frames.txt").write_text("1,4\n")
    (root / "attributes.txt").write_text("Syn_ce2\tIV, BC\n")
    return root


def make_uav123(root, edition, clips):
    (root / "anno" / edition).mkdir(parents=True)
    for name, (folder, last, count) in clips.items():
        if not (root / "data_seq" / edition / folder).exists():
            make_frames(root / "data_seq" / edition / folder, range(1, last + 1), "{:06d}.jpg")
        (root / "anno" / edition / f"{name}.txt").write_text(
            ROW + "NaN,NaN,NaN,NaN\n" + ROW * (count - 2)
        )
    return root


@pytest.fixture
def uav123(tmp_path):
    clips = {
        "truck4_1": ("truck4", 1261, 577),
        "truck4_2": ("truck4", 1261, 685),
        "uav6": ("uav6", 109, 109),
    }
    return make_uav123(tmp_path / "uav", "UAV123", clips)


@pytest.fixture
def uav123_10fps(tmp_path):
    clips = {
        "truck4_1": ("truck4", 421, 193),
        "truck4_2": ("truck4", 421, 229),
        "car2_s": ("car2_s", 107, 107),
        "Syn01": ("Syn01", 5, 5),
    }
    return make_uav123(tmp_path / "uav 10", "UAV123_10fps", clips)


@pytest.fixture
def vot(tmp_path):
    root = tmp_path / "vot [2016]"
    for name, place in (("ants1", "."), ("bag", "color"), ("Syn01", "img")):
        make_frames(root / name / place, range(1, 5), "{:08d}.jpg")
        (root / name / "groundtruth.txt").write_text(TURNED * 4)
    (root / "bag" / "groundtruth.txt").write_text("5,6,10,8\n" * 4)
    (root / "list.txt").write_text("bag\nants1\nSyn01\n")
    return root


# Good roots


def test_tc128(tc128):
    first, second = read_tc128(tc128)
    assert (
        (first.name, second.name) == ("Syn_ce1", "Syn_ce2")
        and second.attributes == ("IV", "BC")
        and first.attributes == ()
    )
    assert [path.name for path in first.frames] == ["0002.jpg", "0003.jpg", "0004.jpg", "0005.jpg"]
    np.testing.assert_array_equal(first.truth, [[4, 5, 10, 8]] * 4)
    (tc128 / "Syn_ce2" / "Syn_ce2_frames.txt").unlink()
    assert len(read_tc128(tc128, ["Syn_ce2"])[0].frames) == 4


def test_uav123(uav123):
    first, second, third = read_uav123(uav123)
    assert [len(sequence.frames) for sequence in (first, second, third)] == [577, 685, 109]
    assert [path.name for path in second.frames[::684]] == ["000577.jpg", "001261.jpg"]
    assert np.isnan(second.truth[1]).all() and second.truth[2].tolist() == [4, 5, 10, 8]


def test_uav123_at_ten_frames_a_second(uav123_10fps):
    found = {sequence.name: sequence for sequence in read_uav123(uav123_10fps)}
    assert {name: len(sequence.frames) for name, sequence in found.items()} == {
        "truck4_1": 193,
        "truck4_2": 229,
        "car2_s": 107,
        "Syn01": 5,
    }
    assert [path.name for path in found["truck4_2"].frames[::228]] == [
        "000193.jpg",
        "000421.jpg",
    ]  # every third of 577 .. 1261


def test_vot(vot):
    synthetic, ants, bag = read_vot(vot)
    assert [synthetic.name, ants.name, bag.name] == ["Syn01", "ants1", "bag"]
    assert [sequence.frames[-1].parent.name for sequence in (synthetic, ants, bag)] == [
        "img",
        "ants1",
        "color",
    ]
    np.testing.assert_array_equal(ants.polygons, [[20, 10, 30, 20, 20, 30, 10, 20]] * 4)
    side = 1 + np.sqrt(
        200
    )  # the square's own side, for its bounding square is upright and it keeps its area
    np.testing.assert_allclose(boxes.center(ants.truth[0]), [20, 20])
    np.testing.assert_allclose(ants.truth[0, 2:], side)
    np.testing.assert_array_equal(bag.truth, [[5, 6, 10, 8]] * 4)
    np.testing.assert_array_equal(bag.polygons[0], [5, 6, 14, 6, 14, 13, 5, 13])
    (vot / "list.txt").unlink()
    assert len(read_vot(vot)) == 3 and [sequence.name for sequence in read_vot(vot, ["bag"])] == [
        "bag"
    ]


def test_polygons_and_boxes():
    some = np.array([[3.5, -2, 10, 8.25], [0, 0, 2, 40]])
    np.testing.assert_allclose(boxes.from_polygon(boxes.to_polygon(some)), some)
    np.testing.assert_array_equal(
        boxes.to_polygon([4, 5, 0.5, 3]), [4, 5, 4, 5, 4, 7, 4, 7]
    )  # never inside out


def test_got10k_reads_the_same(tc128, uav123, vot, tmp_path):
    datasets = pytest.importorskip("got10k.datasets")
    (tc128 / "attributes.txt").unlink()
    plain = shutil.copytree(tc128, tmp_path / "tc128")
    shutil.copytree(vot / "ants1", tmp_path / "vot" / "ants1")
    (tmp_path / "vot" / "list.txt").write_text("ants1\n")
    pairs = [
        (read_tc128(plain), datasets.TColor128(str(plain), download=False), [1, 1, 0, 0]),
        (
            read_vot(tmp_path / "vot"),
            datasets.VOT(str(tmp_path / "vot"), anno_type="default", download=False),
            0,
        ),
    ]
    (uav123 / "extra").mkdir()  # its reader wants more than three entries in the root
    (uav123 / "more").mkdir()
    pairs.append((read_uav123(uav123), datasets.UAV123(str(uav123)), [1, 1, 0, 0]))
    for ours, theirs, offset in pairs:
        assert [sequence.name for sequence in ours] == list(theirs.seq_names)
        for sequence in ours:
            frames, rows = theirs[sequence.name]
            assert [str(path) for path in sequence.frames] == frames
            np.testing.assert_array_equal(
                (sequence.truth if sequence.polygons is None else sequence.polygons) + offset, rows
            )


# Real frames


@pytest.mark.parametrize("truth", ["groundtruth.txt", "groundtruth_vot2017.txt"])
def test_bag(real_data, truth):
    datasets = pytest.importorskip("got10k.datasets")
    [bag] = read_vot(real_data / "VOT", truth=truth)
    assert len(bag.frames) == 196 and bag.frames[0].name == "00000001.jpg"
    polygons = np.loadtxt(real_data / "VOT" / "bag" / truth, delimiter=",")
    np.testing.assert_array_equal(bag.polygons, polygons)
    theirs = datasets.VOT._corner2rect(
        None, polygons
    )  # its corner is half a pixel off: it takes x + w / 2 for the centre
    np.testing.assert_allclose(bag.truth, theirs + [0.5, 0.5, 0, 0])
    areas = [_shoelace(corners) for corners in polygons.reshape(-1, 4, 2)]
    np.testing.assert_allclose(
        (bag.truth[:, 2:] - 1).prod(1), areas, rtol=3e-3
    )  # those of 2015 are rectangles only nearly


def _shoelace(corners):
    x, y = corners.T
    return abs(x @ np.roll(y, -1) - y @ np.roll(x, -1)) / 2


def test_wakeboard7(real_data, tmp_path):
    [plain] = read_uav123(real_data / "UAV123_10fps")  # a folder with img/ and groundtruth_rect.txt
    assert len(plain.frames) == 67 and plain.truth[0].tolist() == [622, 298, 11, 38]
    (tmp_path / "data_seq" / "UAV123_10fps").mkdir(parents=True)
    (tmp_path / "anno" / "UAV123_10fps").mkdir(parents=True)
    (tmp_path / "data_seq" / "UAV123_10fps" / "wakeboard7").symlink_to(
        plain.frames[0].parent.resolve()
    )
    shutil.copy(
        plain.frames[0].parent.parent / "groundtruth_rect.txt",
        tmp_path / "anno" / "UAV123_10fps" / "wakeboard7.txt",
    )
    [official] = read_uav123(tmp_path)
    assert official.fingerprint() == plain.fingerprint()


def test_a_benchmark_is_read_by_its_name(real_data):
    assert [len(sequence.frames) for sequence in read("VOT2016", real_data / "VOT")] == [196]
    assert [sequence.name for sequence in read("UAV123_10fps", real_data / "UAV123_10fps")] == [
        "wakeboard7"
    ]
    assert len(read("OTB2015", real_data / "OTB2015")) == 20
    assert read("mine", f"vot:{real_data / 'VOT'}")[0].polygons is not None


def test_a_name_or_a_root_tells_the_layout(tmp_path, refused):
    names = {
        "OTB2015": "otb",
        "OTB100": "otb",
        "TC128": "tc128",
        "UAV123": "uav123",
        "UAV123_10fps": "uav123",
        "VOT2016": "vot",
        "VOT2017": "vot",
        "SynOTB": "otb",
        "SynTC128": "tc128",
        "SynUAV123": "uav123",
        "SynVOT2016": "vot",
        "mine": "otb",
    }
    assert {name: layout_of(name) for name in names} == names
    assert (
        layout_of("mine", "tc128:/data") == "tc128"
        and layout_of("VOT2016", "otb:/data") == "otb"
        and layout_of("x", "C:/data") == "otb"
    )
    refused(lambda: read("mine", "tcolor:/data"), "no layout 'tcolor'", "tc128")
    refused(lambda: read("mine", f"vot:{tmp_path / 'gone'}"), "gone", "no such folder")


# Bad roots


@pytest.mark.parametrize("layout", ["otb", "tc128", "uav123", "vot"])
def test_no_benchmark(layout, tmp_path, refused):
    refused(lambda: READERS[layout](tmp_path / "gone"), "gone", "no such folder")
    (tmp_path / "clip").mkdir()
    refused(lambda: READERS[layout](tmp_path), tmp_path, "holds no sequence")


@pytest.mark.parametrize(
    "path, text, words",
    [
        ("Syn_ce1_gt.txt", ROW * 3, "3 boxes for 4 frames"),
        ("Syn_ce1_gt.txt", "", "holds no boxes"),
        ("Syn_ce1_gt.txt", ROW * 3 + "1,2,3\n", "line 4 has 3 numbers"),
        ("Syn_ce1_gt.txt", ROW * 2 + "1,2,0,4\n" + ROW, "box 3"),
        ("Syn_ce1_gt.txt", ROW + "NaN,NaN,NaN,NaN\n" + ROW * 2, "box 2"),
        ("Syn_ce1_gt.txt", "\x00\xff", "not a text file"),
        ("Syn_ce1_frames.txt", "2,9\n", "frame 7 is missing"),
        ("Syn_ce1_frames.txt", "5,2\n", "first,last"),
        ("Syn_ce1_frames.txt", "1\n", "line 1 has 1 numbers"),
        ("Syn_ce1_frames.txt", "1,4\n1,4\n", "one line"),
    ],
)
def test_bad_tc128(tc128, refused, path, text, words):
    (tc128 / "Syn_ce1" / path).write_text(text, encoding="latin-1")
    refused(lambda: read_tc128(tc128), path if path.endswith("_gt.txt") else "Syn_ce1", words)
    assert len(read_tc128(tc128, ["Syn_ce2"])) == 1


def test_bad_uav123(uav123_10fps, refused):
    root, clip = uav123_10fps, uav123_10fps / "data_seq" / "UAV123_10fps" / "truck4"
    for text, words in (
        ("NaN,NaN,NaN,NaN\n" + ROW * 4, "box 1"),
        (ROW + "NaN,2,3,4\n" + ROW * 3, "box 2"),
        (ROW * 4, "4 boxes for 5"),
    ):
        (root / "anno" / "UAV123_10fps" / "Syn01.txt").write_text(text)
        refused(lambda: read_uav123(root), "Syn01", words)
    (clip / "000200.jpg").unlink()
    refused(lambda: read_uav123(root, ["truck4_2"]), "truck4_2", "frame 200 is missing")
    assert len(read_uav123(root, ["truck4_1"])) == 1
    shutil.rmtree(clip)
    refused(lambda: read_uav123(root, ["truck4_1"]), "truck4", "no such folder")
    refused(lambda: read_uav123(root, ["bird2"]), "no sequence bird2", "truck4_1")
    (root / "anno" / "UAV123").mkdir()
    refused(lambda: read_uav123(root), "both editions")


@pytest.mark.parametrize(
    "text, words",
    [
        (TURNED * 3, "3 boxes for 4 frames"),
        (TURNED * 3 + ROW, "line 4 has 4 numbers, 8 are needed"),
        ("1,2,3\n", "4 or 8 are needed"),
        (TURNED + "20,10,20,10,20,30,10,20\n" + TURNED * 2, "polygon 2"),
        (TURNED * 3 + "0,0,10,10,20,20,30,30\n", "polygon 4"),
        ("NaN,10,30,20,20,30,10,20\n" + TURNED * 3, "polygon 1"),
        (ROW * 3 + "5,6,10,-1\n", "box 4"),
        ("m0,0,3,3,1,2\n", "not made of numbers"),
    ],
)
def test_bad_vot(vot, refused, text, words):
    (vot / "ants1" / "groundtruth.txt").write_text(text)
    refused(lambda: read_vot(vot), "ants1", words)
    assert len(read_vot(vot, ["bag", "Syn01"])) == 2


def test_vot_sequences_that_are_not_there(vot, refused):
    refused(lambda: read_vot(vot, ["gone"]), "no sequence gone")
    refused(lambda: read_vot(vot, truth="truth.txt"), "truth.txt")
    (vot / "list.txt").write_text("bag\nsoccer1\n")
    refused(lambda: read_vot(vot), "no sequence soccer1")
    shutil.rmtree(vot / "bag" / "color")
    refused(lambda: read_vot(vot, ["bag"]), "bag", "no image files")
