"""The suites that stand in for benchmarks: read back by our readers and by got10k's, what they show, and scenes that no two share."""

import itertools
import shutil

import numpy as np
import pytest

from scs_siam.data import benchmarks, boxes, suites, synthetic
from scs_siam.data import scene as scene_module
from scs_siam.data.images import read_image
from scs_siam.data.synthetic import Scene, render
from scs_siam.data.training_sets import read_imagenet_vid
from scs_siam.figures import panels

BENCHMARKS = [name for name, suite in suites.SUITES.items() if suite.reader != "vid"]


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    """Folder of each suite, two clips of 12 frames, in a folder whose name is a pattern to glob."""
    place = tmp_path_factory.mktemp("suites [1]")
    return {name: suites.write(name, place / name, 2, 12, seed=3) for name in suites.SUITES}


@pytest.fixture(scope="module")
def clips():
    """The clips of each suite as drawn."""
    return {
        name: {clip: render(scene) for clip, scene in suites.scenes(name, 2, 12, seed=3).items()}
        for name in suites.SUITES
    }


# On disk


@pytest.mark.parametrize("name", BENCHMARKS)
def test_a_suite_is_read_back_as_drawn(name, written, clips):
    found = benchmarks.read(name, written[name])
    assert [sequence.name for sequence in found] == list(clips[name]) and benchmarks.layout_of(
        name
    ) == suites.SUITES[name].reader
    for sequence, clip in zip(found, clips[name].values()):
        assert len(sequence.frames) == 12 and sequence.attributes == clip.attributes
        assert np.abs(read_image(sequence.frames[7]).astype(int) - clip.frames[7]).mean() < 12
        if benchmarks.layout_of(name) == "vot":
            np.testing.assert_allclose(sequence.polygons, suites.polygons(clip), atol=6e-5)
        else:
            np.testing.assert_allclose(sequence.truth, clip.boxes, atol=6e-5)


def test_files_lie_where_the_benchmarks_have_them(written):
    expected = {
        "SynOTB": ["Syn01/img/0012.jpg", "Syn01/groundtruth_rect.txt"],
        "SynTC128": [
            "SynTC01/img/0012.jpg",
            "SynTC01/SynTC01_gt.txt",
            "SynTC01/SynTC01_frames.txt",
        ],
        "SynUAV123": ["data_seq/UAV123/SynUAV01/000012.jpg", "anno/UAV123/SynUAV01.txt"],
        "SynVOT2016": ["SynVOT16_01/color/00000012.jpg", "SynVOT16_01/groundtruth.txt", "list.txt"],
        "SynVOT2017": ["SynVOT17_02/color/00000001.jpg", "SynVOT17_02/groundtruth.txt", "list.txt"],
        "SynVID": [
            f"{kind}/VID/train/ILSVRC2015_VID_train_0000/ILSVRC2015_train_Syn00002/0000{number}"
            for kind, number in (
                ("Data", "00.JPEG"),
                ("Data", "11.JPEG"),
                ("Annotations", "11.xml"),
            )
        ],
    }
    assert [
        path
        for name, paths in expected.items()
        for path in paths
        if not (written[name] / path).is_file()
    ] == []
    assert (written["SynTC128"] / "SynTC01" / "SynTC01_frames.txt").read_text() == "1,12\n"


def test_got10k_reads_the_same(written, clips, tmp_path):
    datasets = pytest.importorskip("got10k.datasets")
    tc128 = shutil.copytree(
        written["SynTC128"],
        tmp_path / "tc128",
        ignore=lambda *_: ["attributes.txt", "synthetic.json"],
    )
    vot = shutil.copytree(written["SynVOT2017"], tmp_path / "vot")
    for frame in vot.glob(
        "*/color/*.jpg"
    ):  # it looks for frames beside groundtruth.txt, where VOT2016 has them
        frame.rename(frame.parent.parent / frame.name)
    for name, reader, truth in (
        (
            "SynTC128",
            datasets.TColor128(str(tc128), download=False),
            lambda clip: boxes.to_one_based(clip.boxes),
        ),
        (
            "SynVOT2017",
            datasets.VOT(str(vot), anno_type="default", download=False),
            suites.polygons,
        ),
    ):
        assert list(reader.seq_names) == list(clips[name])
        for clip_name, clip in clips[name].items():
            files, rows = reader[clip_name]
            assert len(files) == 12
            np.testing.assert_allclose(rows, truth(clip), atol=6e-5)


def test_vid_is_read_back_as_drawn(written, clips, tmp_path):
    datasets = pytest.importorskip("got10k.datasets")
    (tmp_path / "vid").symlink_to(written["SynVID"])  # got10k takes brackets for patterns
    theirs = datasets.ImageNetVID(str(tmp_path / "vid"), "train", str(tmp_path / "cache"))
    ours = read_imagenet_vid(written["SynVID"])
    assert (
        [video.name for video in ours]
        == theirs.seq_names
        == [f"{name}.0" for name in clips["SynVID"]]
    )
    for video, clip in zip(ours, clips["SynVID"].values()):
        files, rows = theirs[video.name]
        assert [file.split("/VID/")[1] for file in files] == [
            file.split("/VID/")[1] for file in video.frames
        ] and len(files) == 12
        np.testing.assert_array_equal(rows, video.boxes)
        np.testing.assert_array_equal(clip.boxes, video.boxes)
        assert np.abs(read_image(video.frames[7]).astype(int) - clip.frames[7]).mean() < 12


def test_the_suite_of_otb_is_the_test_set(written, tmp_path):
    assert synthetic.fingerprint(written["SynOTB"]) == synthetic.fingerprint(
        synthetic.write_test(tmp_path / "set", 2, 12, seed=3)
    )


@pytest.mark.parametrize(
    "name", ["SynUAV123", "SynVID"]
)  # their boxes lie outside the folders of their frames
def test_a_suite_is_continued_kept_and_checked(name, written, tmp_path, monkeypatch, refused):
    drawn = []

    def failing(scene):
        drawn.append(scene.seed)
        if len(drawn) == 2:
            raise KeyboardInterrupt
        return render(scene)

    monkeypatch.setattr(synthetic, "render", failing)
    with pytest.raises(KeyboardInterrupt):
        suites.write(name, tmp_path / name, 2, 12, seed=3)
    assert not (tmp_path / name).exists()
    folder = suites.write(name, tmp_path / name, 2, 12, seed=3)
    suites.write(name, tmp_path / name, 2, 12, seed=3)
    assert len(drawn) == 3 and synthetic.fingerprint(folder) == synthetic.fingerprint(written[name])
    assert [path.name for path in tmp_path.iterdir()] == [name] and not list(folder.rglob("*.part"))
    refused(lambda: suites.write(name, tmp_path / name, 2, 12, seed=4), "other settings")
    next(path for path in folder.rglob("*") if path.suffix in (".txt", ".xml")).write_text("")
    refused(lambda: suites.write(name, tmp_path / name, 2, 12, seed=3), "damaged")


# What is shown


def test_no_two_suites_share_a_scene():
    sets = {
        (name, seed): suites.scenes(name, 300, 1, seed)
        for name, seed in itertools.product(suites.SUITES, (0, 1, suites.ROOM - 1))
    }
    sets["train", 0] = synthetic.train_scenes(300, 1, seed=0)
    seeds = [scene.seed for scenes in sets.values() for scene in scenes.values()]
    assert len(set(seeds)) == len(seeds) and max(seeds) < panels.FIRST_SEED
    for (name, _), scenes in sets.items():  # odd seeds are for tests only, whatever the set
        assert {scene.seed % 2 for scene in scenes.values()} == {int(name in BENCHMARKS)}


def test_polygons_are_corners_at_the_centres_of_pixels():
    """A rectangle of 40 x 20 pixels, unturned: its box again; turned: the sides are the distances of the outer pixels' centres."""
    upright = np.array([[9.5, 29.5], [49.5, 29.5], [49.5, 49.5], [9.5, 49.5]])
    angle = 0.6
    turned = upright @ np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
    clip = synthetic.Clip(None, None, np.stack([upright, turned]), ())
    first, second = suites.polygons(clip)
    np.testing.assert_allclose(first, boxes.to_polygon([10, 30, 40, 20]))
    np.testing.assert_allclose(boxes.from_polygon(first), [10, 30, 40, 20])
    corners = second.reshape(4, 2)
    np.testing.assert_allclose(
        np.linalg.norm(corners - np.roll(corners, -1, 0), axis=1), [39, 19, 39, 19]
    )
    np.testing.assert_allclose(corners.mean(0), turned.mean(0))


def test_vot_boxes_turn(clips):
    for name in ("SynVOT2016", "SynVOT2017"):
        for clip in clips[name].values():
            edge = clip.polygons[:, 1] - clip.polygons[:, 0]
            assert np.degrees(np.ptp(np.arctan2(edge[:, 1], edge[:, 0]))) > 20


def test_colours_are_rich(clips):
    def chroma(
        name,
    ):  # difference of the strongest and the weakest of red, green and blue, in frames and in targets
        drawn = list(clips[name].values())
        targets = [(clip.frames[0], *clip.boxes[0].astype(int)) for clip in drawn]
        parts = [clip.frames for clip in drawn] + [
            frame[y : y + h, x : x + w] for frame, x, y, w, h in targets
        ]
        return np.array([np.ptp(part.astype(int), axis=-1).mean() for part in parts])

    assert chroma("SynTC128").min() > 50 and chroma("SynTC128").mean() > 2 * chroma("SynOTB").mean()


def test_targets_from_above_are_small_and_the_land_passes_by(clips):
    for clip in clips["SynUAV123"].values():
        assert np.nanmedian(clip.boxes[:, 2:].prod(1)) < 0.01 * 320 * 240
    lengths = {
        style: [
            np.linalg.norm(
                np.diff(
                    scene_module.stage(np.random.default_rng(seed), scene).windows[:, :, 2], axis=0
                ),
                axis=1,
            ).mean()
            for seed in (1, 3, 5)
            for scene in [Scene(seed, frames=20, attributes=("LR",), style=style)]
        ]
        for style in ("plain", "aerial")
    }
    assert min(lengths["aerial"]) > max(lengths["plain"])


def test_a_tree_hides_the_target_for_a_while():
    for seed in (1, 3):
        absent = np.isnan(
            render(Scene(seed, frames=40, attributes=("LR", "OCC"), style="aerial")).boxes
        ).all(1)
        assert 0 < absent.sum() < 30 and not absent[0]
    assert not np.isnan(render(Scene(1, frames=20, attributes=("LR",), style="aerial")).boxes).any()
    assert not np.isnan(
        render(Scene(1, frames=1, attributes=("LR", "OCC"), style="aerial")).boxes
    ).any()


def test_share_in_view():
    pixels = np.stack(np.meshgrid(np.arange(-5, 5), np.arange(0, 10)), -1).reshape(
        -1, 2
    )  # half of them left of the frame
    assert synthetic.share_in_view(pixels, [], (64, 48)) == 0.5
    assert synthetic.share_in_view(pixels, [pixels[pixels[:, 1] < 8]], (64, 48)) == 0.1


def test_what_stands_still_moves_with_the_land():
    rng = np.random.default_rng(0)
    windows = scene_module.camera(rng, Scene(0, frames=5), turning=0.7, zooming=0.3)
    way = scene_module.still((150.0, 120.0), 0.2, 5)
    shown = scene_module.in_frames(windows, way)
    for window, center, angle, scale in zip(windows, shown.center, shown.angle, shown.scale):
        np.testing.assert_allclose(window @ [*center, 1], (150, 120))
        tip = center + 10 * scale * [
            np.cos(angle),
            np.sin(angle),
        ]  # 10 pixels along the object's axis
        np.testing.assert_allclose(
            window @ [*tip, 1], (150 + 10 * np.cos(0.2), 120 + 10 * np.sin(0.2))
        )


def test_names_that_are_none_are_refused(tmp_path, refused):
    refused(lambda: suites.write("SynLaSOT", tmp_path / "set", 1, 1), "SynLaSOT", "SynUAV123")
    refused(
        lambda: suites.write("SynVID", tmp_path / "set", 1, 1, seed=suites.ROOM),
        "SynVID",
        suites.ROOM,
    )
    refused(lambda: suites.write("SynTC128", tmp_path / "set", 0, 1), "at least 1 sequence")
    refused(lambda: Scene(0, style="sepia"), "sepia", "vivid")
