"""The synthetic benchmark: boxes against closed forms, dials against what they promise, hardness against two trivial trackers."""

import cv2
import numpy as np
import pytest

from scs_siam.data import objects, synthetic
from scs_siam.data.images import read_image
from scs_siam.data.synthetic import Scene, render
from scs_siam.evaluation import metrics
from scs_siam.runtime.files import BadInput


def test_box_and_rectangle_of_a_turned_block_match_the_closed_form():
    looks = np.zeros((2, 61, 61, 4), np.float32)
    looks[..., 0], looks[:, 20:41, 10:51, 3] = (
        255,
        1,
    )  # red, opaque in 41 x 21 pixels around the centre
    angle, center = np.deg2rad(30), np.array([70.0, 40.0])
    way = objects.Poses(
        center[None], np.array([angle]), np.ones((1, 2)), np.zeros((1, 2)), np.zeros(1)
    )
    frame = np.zeros((96, 128, 3), np.uint8)
    pixels = objects.paint(
        frame, objects.TexturedObject(looks, np.zeros((2, 61, 61, 2), np.float32)), way, 0
    )
    cos, sin = np.cos(angle), np.sin(angle)
    size = np.array([41 * cos + 21 * sin, 41 * sin + 21 * cos])
    expected = np.concatenate([center - (size - 1) / 2, size])
    np.testing.assert_allclose(
        objects.visible_box(pixels, (128, 96)), expected, atol=1.5
    )  # a tip thinner than half a pixel covers none
    corners = (
        np.array([[-20.5, -10.5], [20.5, -10.5], [20.5, 10.5], [-20.5, 10.5]])
        @ [[cos, sin], [-sin, cos]]
        + center
    )
    np.testing.assert_allclose(objects.rotated_rectangle(pixels, angle), corners, atol=1.0)
    red = np.argwhere(frame[..., 0] > 127)
    assert (red.min(0)[::-1] == pixels.min(0)).all() and (red.max(0)[::-1] == pixels.max(0)).all()


def test_the_same_scene_gives_the_same_bytes_and_every_dial_changes_them():
    clips = [
        render(Scene(5, frames=4, attributes=up))
        for up in [(), ()] + [(code,) for code in synthetic.ATTRIBUTES]
    ]
    assert clips[0].frames.shape == (4, 240, 320, 3) and clips[0].polygons.shape == (4, 4, 2)
    assert (clips[0].frames == clips[1].frames).all() and (clips[0].boxes == clips[1].boxes).all()
    assert len({clip.frames.tobytes() for clip in clips}) == 1 + len(synthetic.ATTRIBUTES)


def sides(clip):
    return np.linalg.norm(clip.polygons[:, [1, 2]] - clip.polygons[:, [0, 1]], axis=2)


def heading(clip):
    edge = clip.polygons[:, 1] - clip.polygons[:, 0]
    return np.degrees(np.ptp(np.arctan2(edge[:, 1], edge[:, 0])))


MEASURES = {  # what OTB's definition of the attribute measures, and the least value with the dial up; it stays below with all dials down
    "FM": (lambda clip: np.abs(np.diff(clip.boxes[:, :2], axis=0)).max(), 20),
    "LR": (lambda clip: -clip.boxes[:, 2:].prod(1).min(), -400),
    "SV": (lambda clip: np.ptp(np.log(sides(clip).prod(1))) / 2, np.log(1.5)),
    "OV": (
        lambda clip: (
            np.maximum(-clip.polygons, clip.polygons - [320, 240]).max(1)
            / np.ptp(clip.polygons, axis=1)
        ).max(),
        0.3,
    ),
    "OPR": (lambda clip: np.ptp(np.log(sides(clip)[:, 0] / sides(clip)[:, 1])), np.log(1.5)),
    "IPR": (heading, 40),
    "IV": (lambda clip: np.ptp(clip.frames.mean((1, 2, 3))) / clip.frames.mean(), 0.4),
}


@pytest.mark.parametrize("code", MEASURES)
def test_dial_does_what_the_attribute_says(code):
    measure, least = MEASURES[code]
    up, down = (
        [measure(render(Scene(seed, frames=24, attributes=a))) for seed in (1, 3)]
        for a in ((code,), ())
    )
    assert min(up) >= least > max(down), (up, down)


def test_motion_blur_takes_detail_away():
    sharp, blurred = (
        cv2.Laplacian(render(Scene(1, frames=8, attributes=a)).frames[4], cv2.CV_32F).var()
        for a in ((), ("MB",))
    )
    assert blurred < 0.7 * sharp


def match_template(clip):
    """Boxes of a tracker that looks for the first patch, by normalised correlation, in twice the last box."""
    x, y, w, h = clip.boxes[0].astype(int)
    patch, result = clip.frames[0][y : y + h, x : x + w], [clip.boxes[0]]
    for frame in clip.frames[1:]:
        left, top = max(x - w // 2, 0), max(y - h // 2, 0)
        score = cv2.matchTemplate(
            frame[top : y + h + h // 2, left : x + w + w // 2], patch, cv2.TM_CCOEFF_NORMED
        )
        x, y = np.array(cv2.minMaxLoc(score)[3]) + (left, top)
        result.append((x, y, w, h))
    return np.array(result)


def score(boxes, truth):
    return metrics.success_auc(metrics.overlap(np.broadcast_to(boxes, truth.shape), truth))


def test_a_still_box_fails_and_plain_clips_can_be_tracked():
    hard = [render(scene) for scene in synthetic.test_scenes(11, 40, seed=0).values()]
    assert np.mean([score(clip.boxes[0], clip.boxes) for clip in hard]) < 0.3
    easy = [render(Scene(seed, frames=40)) for seed in range(1001, 1009, 2)]
    still = np.mean([score(clip.boxes[0], clip.boxes) for clip in easy])
    assert (
        still < 0.3
        and np.mean([score(match_template(clip), clip.boxes) for clip in easy]) > still + 0.3
    )


def test_sets_share_no_scene_and_hold_every_dial_twice():
    train, test = synthetic.train_scenes(50, 2, 0), synthetic.test_scenes(12, 2, 0)
    assert not {scene.seed for scene in train.values()} & {scene.seed for scene in test.values()}
    held = [code for scene in test.values() for code in scene.attributes]
    assert min(held.count(code) for code in synthetic.ATTRIBUTES) >= 2


def test_sets_are_read_as_the_benchmarks_are(tmp_path):
    from got10k.datasets import GOT10k

    synthetic.write_train(tmp_path, 2, 3, seed=1)
    files, truth = GOT10k(str(tmp_path), subset="train")[1]
    clip = render(synthetic.train_scenes(2, 3, 1)["syn_00002"])
    np.testing.assert_array_equal(truth, clip.boxes + [1, 1, 0, 0])
    assert np.abs(read_image(files[2]).astype(int) - clip.frames[2]).mean() < 8
    folder = synthetic.write_test(tmp_path / "otb", 2, 3, seed=1)
    assert sorted(path.name for path in (folder / "Syn02" / "img").iterdir()) == [
        "0001.jpg",
        "0002.jpg",
        "0003.jpg",
    ]
    assert np.loadtxt(folder / "Syn02" / "groundtruth_rect.txt", delimiter=",").shape == (3, 4)
    name, codes = (folder / "attributes.txt").read_text().splitlines()[1].split("\t")
    assert (
        name == "Syn02"
        and tuple(codes.split(", ")) == synthetic.test_scenes(2, 3, 1)["Syn02"].attributes
    )


def test_a_set_is_continued_reused_and_never_mixed(tmp_path, monkeypatch):
    whole = synthetic.fingerprint(synthetic.write_test(tmp_path / "whole", 3, 2, seed=0))
    drawn = []

    def failing(scene):
        drawn.append(scene.seed)
        if len(drawn) == 3:
            raise KeyboardInterrupt
        return render(scene)

    monkeypatch.setattr(synthetic, "render", failing)
    with pytest.raises(KeyboardInterrupt):
        synthetic.write_test(tmp_path / "set", 3, 2, seed=0)
    assert not (tmp_path / "set").exists()
    folder = synthetic.write_test(tmp_path / "set", 3, 2, seed=0)
    synthetic.write_test(tmp_path / "set", 3, 2, seed=0)
    assert drawn == [1, 3, 5, 5] and synthetic.fingerprint(folder) == whole
    assert sorted(path.name for path in tmp_path.iterdir()) == ["set", "whole"]
    with pytest.raises(
        BadInput,
        match="set: holds a synthetic set of other settings; delete it or choose another folder",
    ):
        synthetic.write_test(tmp_path / "set", 3, 2, seed=1)
    (folder / "Syn02" / "img" / "0002.jpg").write_bytes(b"")
    with pytest.raises(BadInput, match="damaged"):
        synthetic.write_test(tmp_path / "set", 3, 2, seed=0)
    (folder / "synthetic.json").unlink()
    with pytest.raises(BadInput, match="holds files that are not a synthetic set"):
        synthetic.write_test(tmp_path / "set", 3, 2, seed=0)


@pytest.mark.parametrize("wrong", [{"attributes": ("XX",)}, {"frames": 0}, {"size": (320, 20)}])
def test_an_impossible_scene_is_refused(wrong):
    with pytest.raises(BadInput, match="scene: "):
        Scene(0, **wrong)
