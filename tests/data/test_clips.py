"""The real clips of data/clips: they are complete, and the shipped tracker follows them."""

import shutil

import numpy as np
import pytest

from scs_siam import Tracker, load_pretrained
from scs_siam.data import benchmarks, suites
from scs_siam.data.images import read_image
from scs_siam.data.video import Frames
from scs_siam.runtime.files import BadInput, root

CLIPS = root() / "data/clips"
NAMES = ["ball", "bush", "car", "cups", "dog", "head"]


@pytest.mark.parametrize("name", NAMES)
def test_a_clip_has_a_box_inside_each_of_its_frames(name):
    (clip,) = benchmarks.read_clips(CLIPS, [name])
    frames = list(clip.frames)
    assert len(frames) == len(clip.truth) == len(clip.frames) > 100
    height, width, _ = frames[0].shape
    x, y, w, h = clip.truth.T
    assert (x > -w / 2).all() and (x + w / 2 < width).all()
    assert (y > -h / 2).all() and (y + h / 2 < height).all()
    one_based = np.loadtxt(CLIPS / name / "groundtruth.txt", delimiter=",")
    np.testing.assert_allclose(clip.truth, one_based - [1, 1, 0, 0])


def test_the_shipped_tracker_follows_the_dog_much_better_than_a_box_that_stands_still():
    (clip,) = benchmarks.read_clips(CLIPS, ["dog"])
    model, config = load_pretrained()
    count = 60
    frames = [frame for frame, _ in zip(clip.frames, range(count))]
    boxes = Tracker(model, config.tracking).track(np.stack(frames), box=clip.truth[0])

    def overlaps(found):
        low = np.maximum(found[:, :2], clip.truth[:count, :2])
        high = np.minimum(
            found[:, :2] + found[:, 2:], clip.truth[:count, :2] + clip.truth[:count, 2:]
        )
        common = np.clip(high - low, 0, None).prod(1)
        return common / (found[:, 2:].prod(1) + clip.truth[:count, 2:].prod(1) - common)

    still = overlaps(np.repeat(clip.truth[:1], count, 0)).mean()
    assert overlaps(np.asarray(boxes)).mean() > max(0.5, still + 0.2)


def test_faults_of_a_folder_of_clips_are_named(tmp_path):
    with pytest.raises(BadInput, match="holds no clip"):
        benchmarks.read_clips(tmp_path)
    shutil.copytree(CLIPS / "car", tmp_path / "car")
    with pytest.raises(BadInput, match="has no clip van; it has car"):
        benchmarks.read_clips(tmp_path, ["van"])
    truth = tmp_path / "car/groundtruth.txt"
    lines = truth.read_text().splitlines()
    truth.write_text("\n".join(lines[:-1]))
    with pytest.raises(BadInput, match="car: true boxes of shape"):
        benchmarks.read_clips(tmp_path)
    truth.unlink()
    with pytest.raises(BadInput, match=r"groundtruth\.txt is missing"):
        benchmarks.read_clips(tmp_path)


def test_a_sequence_is_the_same_until_its_video_changes(tmp_path):
    shutil.copytree(CLIPS / "car", tmp_path / "car")
    first = benchmarks.read_clips(tmp_path)[0].fingerprint()
    assert first == benchmarks.read_clips(CLIPS, ["car"])[0].fingerprint()
    with open(tmp_path / "car/clip.mp4", "ab") as file:
        file.write(b"\0")
    assert benchmarks.read_clips(tmp_path)[0].fingerprint() != first
    assert isinstance(Frames(benchmarks.read_clips(tmp_path)[0].frames), Frames)


def test_the_beginnings_of_the_clips_are_written_in_the_layout_of_otb(tmp_path):
    """The frames are the clip's up to JPEG's loss, the boxes are the same."""
    folder = suites.write_clips(tmp_path / "Clips6", CLIPS, 2, 4)
    written, real = benchmarks.read("Clips6", f"otb:{folder}"), benchmarks.read_clips(CLIPS)[:2]
    assert [one.name for one in written] == [one.name for one in real]
    for one, other in zip(written, real):
        np.testing.assert_allclose(one.truth, other.truth[:4], atol=1e-3)
        assert len(one.frames) == 4
        for first, second in zip(one.frames, other.frames):
            assert np.abs(read_image(first).astype(float) - second).mean() < 4
