"""The tracker: geometry against models whose answer is known, then its borders."""

import time

import cv2
import numpy as np
import pytest
import torch
import torch.nn.functional as F
from got10k.trackers import Tracker as ToolkitTracker

from scs_siam.config import Config
from scs_siam.data.benchmarks import read_otb
from scs_siam.data.boxes import center
from scs_siam.data.crops import box_in_crop, crop, mean_colour
from scs_siam.data.images import read_image
from scs_siam.evaluation.metrics import overlap
from scs_siam.model import SiameseNet, cross_correlation
from scs_siam.runtime.hardware import default_precision
from scs_siam.runtime.int8 import fastest
from scs_siam.soft_mask import apply_mask
from scs_siam.track import Tracker, crop_on_device, got10k_tracker, slide
from scs_siam.weights import load_weights, shipped


def settings(preset="paper", **changes):
    return (
        Config.preset(preset)
        .replace(**{f"tracking.{name}": value for name, value in changes.items()})
        .tracking
    )


class Told(torch.nn.Module):
    """A model that answers a Gaussian around `peak` (x, y in cells of the upsampled response), as high as `gains` says in each scale."""

    def __init__(self, peak=(135.5, 135.5), gains=(1, 2, 1), offset=0.0):
        super().__init__()
        self.peak, self.gains, self.offset, self.seen = peak, gains, offset, []

    def embed_template(self, image, masked=None):
        self.seen.append((image, masked))
        return image[:, :, :7, :7]

    embed_search = embed_template

    def respond(self, template, search):
        line = 16 * torch.arange(17.0) + 7.5  # upsampled positions of the cells' centres
        x, y = (torch.exp(-(((line - place) / 40) ** 2)) for place in self.peak)
        return torch.tensor(self.gains)[:, None, None, None] * y[:, None] * x[None, :] + self.offset


class Oracle(torch.nn.Module):
    """Compares pixels: how near the template is to every eighth window of the search, from 0 to 1."""

    def embed_template(self, image, masked=None):
        return image

    embed_search = embed_template

    def respond(self, template, search):
        products = F.conv2d(search, template, stride=8)
        energy = F.conv2d(
            search.square().sum(1, keepdim=True), torch.ones(1, 1, *template.shape[2:]), stride=8
        )
        distance = energy - 2 * products + template.square().sum((1, 2, 3), keepdim=True)
        return torch.exp(-distance / template[0].numel() / 500)


def tracker(model, **changes):
    return Tracker(model, settings(**changes), precision="exact")


@pytest.mark.parametrize(
    "peak", [(135.5, 135.5), (151.5, 135.5), (103.5, 167.5), (183.5, 119.5)]
)  # centres of cells
@pytest.mark.parametrize("best", [0, 1, 2])
def test_the_box_moves_by_the_displacement_and_scales_by_the_damping(texture, peak, best):
    frame, box = texture(300, 400), np.array([180.0, 130.0, 40.0, 24.0])
    ours = tracker(Told(peak, np.eye(3)[best] + 1), window_influence=0)
    ours.init(frame, box)
    moved = ours.update(frame)
    factor = 1.0375 ** (best - 1)
    pixel = (
        np.sqrt((40 + 32) * (24 + 32)) / 127 * factor
    )  # frame pixels of one pixel of the crop at that scale
    expected = center(box) + (np.array(peak) - 135.5) * 8 / 16 * pixel
    np.testing.assert_allclose(
        center(moved), expected, atol=0.26 * pixel
    )  # half a cell of the upsampled response
    np.testing.assert_allclose(moved[2:], box[2:] * (0.41 + 0.59 * factor), rtol=1e-12)
    assert ours.response.shape == (17, 17) and ours.search.shape == (263, 263, 3)


def test_released_reads_displacement_from_another_cell_and_scale(texture):
    frame, box = texture(200, 200), (90, 90, 30, 30)
    ours = Tracker(Told((136, 136)), settings("released", window_influence=0), precision="exact")
    ours.init(frame, box)
    assert np.abs(ours.update(frame)[:2] - 90).max() < 1e-9  # D26: cell 136 means no displacement
    ours.model.peak = (152, 120)  # a cell further to the right, a cell further up
    np.testing.assert_allclose(
        ours.update(frame)[:2] - 90, np.array([8, -8]) * 60 / 135, atol=1e-9
    )  # D30


def test_penalty_and_window(texture):
    frame, box = texture(200, 200), (90, 90, 30, 30)
    for gain, factor in ((1.02, 1), (1.03, 1.0375)):  # another scale must win by 1 / 0.9745 (D21)
        ours = tracker(Told(gains=(1, 1, gain)))
        ours.init(frame, box)
        np.testing.assert_allclose(ours.update(frame)[2:], 30 * (0.41 + 0.59 * factor))
    near = []
    for influence in (0.0, 0.27, 1.0):  # the window pulls to the middle (D20)
        ours = tracker(Told((200, 135.5)), window_influence=influence)
        ours.init(frame, box)
        near.append(ours.update(frame)[0] - 90)
    assert near[0] > near[1] > 0 and near[2] == pytest.approx(0, abs=0.2)


def test_an_offset_of_the_response_does_not_move_the_box(texture):
    found = []
    for offset in (0.0, 4.0, -4.0):  # b of Eq. 4
        ours = tracker(Told((200, 120), gains=(2,), offset=offset), scales=1)
        ours.init(texture(200, 200), (90, 90, 30, 30))
        found.append(ours.update(texture(200, 200)))
    np.testing.assert_allclose(found, found[:1] * 3, atol=1e-9)


@pytest.mark.parametrize("best, limit", [(2, 5.0), (0, 0.2)])
def test_the_size_stays_within_its_limits(texture, best, limit):
    frame = texture(120, 160)
    for preset, clamped in (("paper", True), ("released", False)):  # D26
        ours = Tracker(Told(gains=np.eye(3)[best] + 1), settings(preset), precision="exact")
        ours.init(frame, (70, 50, 20, 16))
        for _ in range(80):
            box = ours.update(frame)
        assert np.isfinite(box).all() and (
            np.allclose(box[2:], [20 * limit, 16 * limit]) == clamped
        )


def moving_clip(texture, count=12, growth=1.0):
    """A textured rectangle that moves over a plain background; frames and boxes."""
    background, target = np.full((240, 320, 3), 60, np.uint8), texture(64, 64, 2)
    frames, boxes = [], []
    for k in range(count):
        middle, size = np.array([90.3 + 6 * k, 80.7 + 4 * k]), np.array([44.0, 36.0]) * growth**k
        box = np.concatenate([middle - (size - 1) / 2, size])
        x, y = np.meshgrid(np.arange(320), np.arange(240))
        u, v = (x - box[0] + 0.5) / size[0], (y - box[1] + 0.5) / size[1]
        inside = (u >= 0) & (u < 1) & (v >= 0) & (v < 1)
        frame = background.copy()
        frame[inside] = target[(64 * v[inside]).astype(int), (64 * u[inside]).astype(int)]
        frames.append(frame)
        boxes.append(box)
    return frames, np.array(boxes)


def test_an_oracle_follows_a_moving_target(texture):
    frames, truth = moving_clip(texture)
    boxes = tracker(Oracle(), window_influence=0.0).track(frames, truth[0])
    assert np.abs(center(boxes) - center(truth)).max() < 3 and overlap(boxes, truth).min() > 0.75
    np.testing.assert_array_equal(boxes[0], truth[0])


@pytest.mark.parametrize("growth", [1.03, 1 / 1.03])
def test_an_oracle_follows_a_target_that_changes_size(texture, growth):
    frames, truth = moving_clip(texture, growth=growth)
    boxes = tracker(Oracle(), window_influence=0.0).track(frames, truth[0])
    assert overlap(boxes, truth).min() > 0.65
    assert abs(np.log(boxes[-1, 2] / truth[0, 2])) > 0.5 * abs(np.log(truth[-1, 2] / truth[0, 2]))


@pytest.mark.parametrize(
    "box",
    [
        (110, 80, 20, 20),
        (5, 80, 20, 20),
        (110, 3, 20, 20),
        (215, 80, 20, 20),
        (110, 158, 20, 20),
        (-10, 90, 40, 60),
    ],
)
def test_search_crops_continue_the_frame_with_its_mean(texture, box):
    frame, ours = (
        texture(180, 240),
        tracker(Told()),
    )  # in the middle, over one border each, over several
    ours.init(frame, box)
    middle, side = center(box), ours._side()
    ours.update(frame)
    template, search = (image.permute(0, 2, 3, 1).numpy() for image, _ in ours.model.seen)
    np.testing.assert_array_equal(
        template[0], crop(frame, middle, 135 * side, 135, mean_colour(frame))
    )
    for scale in range(3):
        np.testing.assert_array_equal(
            search[scale],
            crop(frame, middle, 263 * side * 1.0375 ** (scale - 1), 263, mean_colour(frame)),
        )


@pytest.mark.parametrize("box", [(80, 60, 43, 31), (-12, 100, 43, 31)])
def test_below_sigma_1_the_masks_come_from_the_last_box(texture, box):
    frame, ours = texture(160, 200), tracker(Told(), sigma=0.25)
    ours.init(frame, box)
    middle, side = center(box), ours._side()
    ours.update(frame)
    sides = [135 * side], [263 * side * 1.0375**k for k in (-1, 0, 1)]
    for (images, masked), size, places in zip(ours.model.seen, (135, 263), sides):
        for image, twin, place in zip(
            images.permute(0, 2, 3, 1).numpy(), masked.permute(0, 2, 3, 1).numpy(), places
        ):
            x, y, w, h = box_in_crop(
                (max(box[0], 0), box[1], box[0] + box[2] - max(box[0], 0), box[3]),
                middle,
                place,
                size,
            )
            np.testing.assert_allclose(twin, apply_mask(image, (x, y, w, h), 0.25), atol=1e-3)
    assert len(ours.model.seen) == 2
    ours = tracker(Told())
    ours.init(frame, box)
    ours.update(frame)
    assert [masked for _, masked in ours.model.seen] == [
        None,
        None,
    ]  # one pass of the first block (Table 8)


def network(width=1 / 8):
    torch.manual_seed(0)
    return SiameseNet(Config.preset(width=width).model)


def test_an_older_torch_that_knows_no_short_forms_is_used_without(monkeypatch):
    for feature in ("vnni", "avx512_bf16", "amx_tile"):
        monkeypatch.delattr(torch.cpu, f"_is_{feature}_supported", raising=False)
    assert default_precision() == fastest.__wrapped__() == "fp32"


def test_fast_and_exact_agree(texture):
    frames, truth = moving_clip(texture, 3)
    model = network().train()
    maps = []
    for precision in ("exact", "fast"):
        ours = Tracker(model, settings(), precision=precision)
        ours.init(frames[0], truth[0])
        assert overlap(ours.update(frames[0])[None], truth[:1]).min() > 0.8
        maps.append(ours.response)
    assert np.abs(maps[0] - maps[1]).max() < 0.05 * np.ptp(maps[0])
    frames = [
        np.ascontiguousarray(frame[:, ::-1])[:, ::-1] for frame in frames
    ]  # a view with another memory layout
    np.testing.assert_allclose(
        ours.track(frames, truth[0]),
        Tracker(model, settings()).track(moving_clip(texture, 3)[0], truth[0]),
    )


def test_a_tracker_can_start_again(texture):
    frames, truth = moving_clip(texture, 4)
    ours = tracker(network())
    first, seen = ours.track(frames, truth[0]), []
    np.testing.assert_array_equal(
        ours.track(frames, truth[0], lambda frame, box: seen.append(box)), first
    )
    np.testing.assert_array_equal(seen, first)


def test_the_toolkits_tracker_is_one_based(texture, write_clips, tmp_path):
    frames, truth = moving_clip(texture, 4)
    root = write_clips(tmp_path, {"clip": (frames, truth)})
    files = sorted(map(str, (root / "clip").glob("*.jpg")))
    theirs = got10k_tracker(network(), settings(), name="ours", precision="exact")
    assert isinstance(theirs, ToolkitTracker) and theirs.name == "ours" and theirs.is_deterministic
    boxes, times = theirs.track(files, truth[0] + [1, 1, 0, 0])
    expected = tracker(network()).track(map(read_image, files), truth[0])
    np.testing.assert_allclose(
        boxes - [1, 1, 0, 0], expected, atol=0.5
    )  # the toolkit decodes with PIL
    assert boxes.shape == (4, 4) and len(times) == 4


@pytest.mark.parametrize(
    "frame",
    [
        None,
        "frame.jpg",
        np.zeros((40, 40)),
        np.zeros((40, 40), np.uint8),
        np.zeros((40, 40, 4), np.uint8),
        np.zeros((40, 40, 3)),
        np.zeros((0, 40, 3), np.uint8),
    ],
)
def test_a_bad_frame_is_refused(texture, refused, frame):
    ours = tracker(Told())
    refused(lambda: ours.init(frame, (1, 1, 9, 9)), "frame", "uint8 array")
    ours.init(texture(40, 40), (1, 1, 9, 9))
    refused(lambda: ours.update(frame), "frame", "uint8 array")


@pytest.mark.parametrize(
    "box", [(1, 1, 9), (1, 1, 0, 9), (1, np.nan, 9, 9), (60, 1, 9, 9), (-9, 1, 9, 9), None]
)
def test_a_bad_box_is_refused(texture, refused, box):
    refused(lambda: tracker(Told()).init(texture(40, 50), box), "first box")


def test_wrong_use_is_refused(texture, refused):
    refused(lambda: tracker(Told()).update(texture(40, 40)), "init(frame, box) before")
    refused(lambda: Tracker(Told(), settings(), precision="best"), "best", "fast, exact")
    model = network(1 / 64)
    model.block.conv.weight.data.fill_(float("nan"))
    ours = Tracker(model, settings())
    ours.init(texture(60, 60), (20, 20, 20, 20))
    refused(lambda: ours.update(texture(60, 60)), "not finite", "weights")


def test_the_offset_does_not_decide_the_scale(texture):
    """b moves all cells alike; were it in what the factor of D21 is applied to, a very negative b would favour the outer scales."""
    model, frame, steps = network(1 / 64), texture(120, 120), []
    for b in (0.0, -50.0, 50.0):
        model.b.data.fill_(b)
        ours = Tracker(model, settings())
        ours.init(frame, (40, 40, 30, 30))
        steps.append(ours.update(frame))
    np.testing.assert_array_equal(steps, steps[:1] * 3)


def test_fast_and_exact_agree_on_real_frames(real_data):
    """The shipped network on 8 frames of a sequence that it tracks; the first box comes within a few seconds of init."""
    model, config = load_weights(shipped())
    sequence, found = read_otb(real_data / "OTB2015", ["Crossing"])[0], []
    frames = [read_image(path) for path in sequence.frames[:8]]
    for precision in ("exact", "bf16", "fast"):
        ours = Tracker(model, config.tracking, precision=precision)
        start = time.process_time()
        ours.init(frames[0], sequence.truth[0])
        ours.update(frames[1])
        assert time.process_time() - start < 4
        found.append(ours.track(frames, sequence.truth[0]))
    assert min(overlap(boxes, found[0]).min() for boxes in found) > 0.9


def test_the_peak_is_that_of_the_whole_enlarged_response():
    """Against all scales enlarged, penalised, normalised and windowed as arrays, on maps with many near peaks."""
    ours, rng, window = (
        tracker(Told()),
        np.random.default_rng(0),
        np.outer(np.hanning(272), np.hanning(272)),
    )
    for _ in range(20):
        maps = rng.normal(size=(3, 17, 17)).astype(np.float32)
        fine = np.stack(
            [
                cv2.resize(part, (272, 272), interpolation=cv2.INTER_CUBIC).astype(float)
                for part in maps
            ]
        )
        fine *= np.array([0.9745, 1, 0.9745])[:, None, None]
        scale = np.unravel_index(fine.argmax(), fine.shape)[0]
        best = fine[scale] - fine[scale].min()
        y, x = np.unravel_index(
            (0.73 * best / best.sum() + 0.27 * window / window.sum()).argmax(), best.shape
        )
        found, moved = ours._peak(maps)
        assert found == scale and np.array_equal(moved, (np.array([x, y]) - 135.5) / 2)


@pytest.mark.parametrize("count", [1, 2])
def test_sliding_is_cross_correlation(count):
    torch.manual_seed(0)
    templates, features = torch.randn(count, 9, 5, 4), torch.randn(count, 3, 9, 12, 10)
    expected = torch.stack(
        [cross_correlation(templates[k : k + 1], features[k])[:, 0] for k in range(count)]
    )
    torch.testing.assert_close(slide(templates, features), expected, rtol=0, atol=1e-4)
    torch.testing.assert_close(
        slide(templates, features.transpose(3, 4).contiguous().transpose(3, 4)),
        expected,
        rtol=0,
        atol=1e-4,
    )


@pytest.mark.parametrize("centre", [(120, 90), (3, 90), (236, 177)])
def test_crops_made_on_a_card_are_those_of_opencv(texture, centre):
    """The same code on the CPU; OpenCV interpolates in steps of 1/32 pixel, so grey levels may differ a little."""
    frame, sides = texture(180, 240), np.array([90.0, 140.0])
    mean = mean_colour(frame)
    ours = (
        crop_on_device(frame, np.array(centre, float), sides, 101, tuple(mean.tolist()), "cpu")
        .permute(0, 2, 3, 1)
        .numpy()
    )
    theirs = np.stack([crop(frame, centre, side, 101, mean) for side in sides]).astype(float)
    assert (
        ours.shape == theirs.shape
        and np.abs(ours - theirs).max() <= 3
        and np.abs(ours - theirs).mean() < 0.3
    )
