"""Laws that hold for any box, mask, crop and score; and readers that, whatever bytes they are given, return something sound or refuse."""

import json
import random
import struct

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from scs_siam.config import Config
from scs_siam.data.benchmarks import ATTRIBUTES, attributes
from scs_siam.data.boxes import (
    LARGEST,
    check_box,
    from_center,
    from_polygon,
    read_boxes,
    to_polygon,
    write_boxes,
)
from scs_siam.data.crops import box_in_crop, crop
from scs_siam.data.training_sets import read_imagenet_vid
from scs_siam.evaluation import metrics
from scs_siam.evaluation.vot import read_record
from scs_siam.model import SiameseNet
from scs_siam.runtime.files import BadInput, read_json, read_names
from scs_siam.soft_mask import apply_mask, blend, soft_mask
from scs_siam.weights import load_weights, save_weights

LIGHT = settings(max_examples=40, derandomize=True, deadline=None, database=None)
PLACE, SIZE = st.floats(-500, 500), st.floats(1, 500)
BOX = st.tuples(PLACE, PLACE, SIZE, SIZE)
SHIFT = st.tuples(PLACE, PLACE)


def moved(box, shift, scale=1.0):
    """The box after the plane was stretched about its origin and moved; edges lie half a pixel outside the first and last centre."""
    edge, size = np.array(box[:2]) - 0.5, np.array(box[2:])
    return np.concatenate([scale * edge + shift + 0.5, scale * size])


@LIGHT
@given(BOX, BOX, SHIFT, st.floats(0.25, 4))
def test_overlap_is_symmetric_bounded_and_of_no_place_or_unit(a, b, shift, scale):
    value = metrics.overlap(a, b)
    assert (
        0 <= value <= 1
        and metrics.overlap(b, a) == pytest.approx(value)
        and metrics.overlap(a, a) == pytest.approx(1)
    )
    assert metrics.overlap(moved(a, shift, scale), moved(b, shift, scale)) == pytest.approx(
        value, abs=1e-9
    )
    assert metrics.overlap(np.multiply(a, 1e-3), np.multiply(a, 1e-3)) == pytest.approx(
        1
    )  # also far below a pixel
    areas = [box[2] * box[3] for box in (a, b)]
    assert value <= min(areas) / max(areas) + 1e-9


@LIGHT
@given(BOX, BOX, BOX, SHIFT)
def test_centre_errors_are_distances(a, b, c, shift):
    error = metrics.center_error
    assert (
        error(a, b) == pytest.approx(error(b, a))
        and error(a, a) == 0
        and error(a, c) <= error(a, b) + error(b, c) + 1e-9
    )
    assert error(moved(a, shift), a) == pytest.approx(np.hypot(*shift))
    assert metrics.normalised_error(moved(a, np.multiply(shift, a[2:])), a) == pytest.approx(
        np.hypot(*shift)
    )
    tiny = [np.multiply(box, 1e-3) for box in (b, a)]  # far below a pixel
    assert metrics.normalised_error(*tiny) == pytest.approx(metrics.normalised_error(b, a))


@LIGHT
@given(st.lists(st.floats(0, 1), min_size=1, max_size=30), st.randoms())
def test_curves_fall_or_rise_and_know_no_order(values, rng):
    shuffled = rng.sample(values, len(values))
    success, precision = (
        metrics.success_curve(values),
        metrics.precision_curve(np.multiply(values, 60)),
    )
    assert (np.diff(success) <= 0).all() and (np.diff(precision) >= 0).all() and success[-1] == 0
    np.testing.assert_allclose(metrics.success_curve(shuffled), success)
    assert metrics.success_auc(values) <= 20 / 21 + 1e-12
    assert (
        abs(metrics.success_auc(values) - np.mean(values)) <= 1 / 21 + 1e-9
    )  # a sum over 21 thresholds of an integral


@LIGHT
@given(st.integers(1, 60), st.integers(1, 9))
def test_lost_is_a_zero_in_every_frame_of_the_last_tenth(frames, last):
    overlaps = np.zeros(frames)
    assert metrics.is_lost(overlaps)
    overlaps[-min(last, frames)] = 0.01  # the tenth is rounded up
    assert metrics.is_lost(overlaps) == (min(last, frames) > -(-frames // 10))


@LIGHT
@given(BOX)
def test_polygons_of_boxes_are_boxes(box):
    x, y, w, h = box
    corners = to_polygon(box).reshape(4, 2)
    np.testing.assert_allclose(
        [corners.min(0), corners.max(0)], [[x, y], [x + w - 1, y + h - 1]], atol=1e-9
    )
    if min(w, h) > 1.01:
        np.testing.assert_allclose(from_polygon(to_polygon(box)), box, atol=1e-6)


@LIGHT
@given(st.integers(2, 60), st.integers(2, 60), st.floats(0, np.pi), SHIFT)
def test_a_turned_rectangle_keeps_its_centre_and_area(w, h, angle, middle):
    turn = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
    corners = np.array([[-w, -h], [w, -h], [w, h], [-w, h]]) / 2 @ turn + middle
    box = from_polygon(corners.reshape(-1))
    np.testing.assert_allclose(box[:2] + (box[2:] - 1) / 2, middle, atol=1e-6)
    assert (box[2:] - 1).prod() == pytest.approx(w * h, rel=1e-6)
    extent = np.ptp(corners, axis=0)
    assert (box[2] - 1) / (box[3] - 1) == pytest.approx(extent[0] / extent[1], rel=1e-6)


@LIGHT
@given(BOX, st.floats(0, 1), st.integers(-20, 20), st.integers(-20, 20))
def test_masks_are_two_valued_and_move_with_their_box(box, sigma, dx, dy):
    mask = soft_mask((60, 70), box, sigma)
    assert set(np.unique(mask)) <= {np.float32(1), np.float32(sigma)}
    shifted = soft_mask((100, 110), (box[0] + 20 + dx, box[1] + 20 + dy, *box[2:]), sigma)
    edges = np.array([box[0] - 0.5, box[0] + box[2] - 0.5, box[1] - 0.5, box[1] + box[3] - 0.5])
    if (
        np.abs(edges - np.round(edges)).min() > 1e-6
    ):  # where an edge runs through centres, rounding decides
        np.testing.assert_array_equal(shifted[20 + dy : 80 + dy, 20 + dx : 90 + dx], mask)


@LIGHT
@given(
    st.floats(5, 60),
    st.floats(5, 40),
    st.floats(4, 40),
    st.floats(4, 30),
    st.floats(0, 1),
    st.integers(0, 3),
)
def test_a_masked_crop_is_the_blend_of_two_crops(x, y, w, h, sigma, seed):
    image, box = (
        np.random.default_rng(seed).uniform(0, 255, (50, 70, 3)).astype(np.float32),
        (x, y, w, h),
    )
    where = np.array([30.3, 22.7]), 41.5, 33
    whole, inside = (
        crop(image, *where, (9, 8, 7)),
        crop(apply_mask(image, box, 0), *where, (0, 0, 0)),
    )
    masked = crop(apply_mask(image, box, sigma), *where, np.multiply(sigma, (9, 8, 7)))
    np.testing.assert_allclose(blend(whole, inside, sigma), masked, atol=2e-3)


@LIGHT
@given(BOX, SHIFT, st.floats(5, 250), st.integers(9, 150))
def test_the_square_of_a_crop_is_the_whole_crop(box, middle, side, size):
    np.testing.assert_allclose(
        box_in_crop(from_center(middle, (side, side)), middle, side, size),
        [0, 0, size, size],
        atol=1e-6,
    )
    inner = box_in_crop(box, middle, side, size)
    assert inner[2] / inner[3] == pytest.approx(box[2] / box[3]) and metrics.overlap(
        inner, inner
    ) == pytest.approx(1)


@LIGHT
@given(st.lists(BOX, min_size=1, max_size=5))
def test_boxes_go_through_a_file(tmp_path_factory, boxes):
    path = tmp_path_factory.mktemp("boxes") / "boxes.txt"
    write_boxes(path, boxes)
    np.testing.assert_allclose(read_boxes(path), boxes, atol=5e-5)


# Readers under fire: seeded, so that a failure can be repeated

CHUNKS = [
    b"",
    b"\0",
    b"\n",
    b"\r",
    b",",
    b"-",
    b"NaN",
    b"inf",
    b"1e999",
    b"9" * 400,
    b"\xff",
    b"\xe2\x82",
    "跟".encode(),
    b"{",
    b"[",
    b'"',
    b"<",
    b">",
    b"&",
    b"../",
    b"/",
    b"0x",
    b"1_0",
    b"null",
    b" " * 40,
    b"\xef\xbb\xbf",
]


def damaged(data, rng):
    """The bytes `data` after one to four random wounds."""
    data = bytearray(data)
    for _ in range(rng.randint(1, 4)):
        at, kind = rng.randrange(len(data) + 1), rng.randrange(4)
        if kind == 0:
            data[at:at] = rng.choice(CHUNKS)
        elif kind == 1:
            del data[at : at + rng.randint(1, 30)]
        elif kind == 2 and at < len(data):
            data[at] = rng.randrange(256)
        else:
            data[at:at] = data[at : at + rng.randint(1, 60)]
    return bytes(data)


def fire(path, data, read, sound, shots):
    """Damage `data` in `shots` ways; each time `read` must return what `sound` accepts, or refuse in one line."""
    rng, outcomes = random.Random(0), {"sound": 0, "refused": 0}
    for shot in range(shots):
        wounded = damaged(data, rng)
        path.write_bytes(wounded)
        try:
            value = read()
        except BadInput as error:
            assert "\n" not in str(error)
            outcomes["refused"] += 1
        except Exception as error:
            raise AssertionError(
                f"shot {shot}, {wounded[:200]!r}: {type(error).__name__} {error}"
            ) from error
        else:
            assert sound(value), (shot, wounded[:200], value)
            outcomes["sound"] += 1
    assert outcomes["refused"], outcomes  # a fire that hits nothing proves nothing


def numbers(rows):
    return rows.ndim == 2 and rows.shape[1] == 4 and rows.dtype == np.float64


def test_files_of_boxes_under_fire(tmp_path):
    path = tmp_path / "boxes.txt"
    fire(
        path,
        b"1,2,3,4\n1.5\t2\t3\t4\nNaN,NaN,NaN,NaN\n5 6 7 8\n",
        lambda: read_boxes(path),
        numbers,
        250,
    )


def test_boxes_under_fire(tmp_path):
    path = tmp_path / "boxes.txt"

    def read():
        return [check_box(row, frame_shape=(100, 100)) for row in read_boxes(path)]

    fire(
        path,
        b"1,2,3,4\n10,20,30,40\n",
        read,
        lambda found: all((np.abs(box) <= LARGEST).all() and (box[2:] > 0).all() for box in found),
        250,
    )


def test_records_under_fire(tmp_path):
    path = tmp_path / "clip_001.txt"
    fire(
        path,
        b"1\n1.0000,2.0000,3.0000,4.0000\n2\n0\n",
        lambda: read_record(path, 4),
        lambda record: (
            set(record.codes) <= {-1, 0, 1, 2}
            and np.isfinite(record.boxes[record.codes == -1]).all()
        ),
        250,
    )


def test_lists_under_fire(tmp_path):
    path = tmp_path / "list.txt"
    fire(
        path,
        b"clip\nclip 2\ndeep/er\n",
        lambda: read_names(path),
        lambda names: all(
            tmp_path in (tmp_path / name).resolve().parents for name in names if name.strip("./")
        ),
        250,
    )


def test_lists_of_attributes_under_fire(tmp_path):
    fire(
        tmp_path / "attributes.txt",
        b"clip\tIV,SV\nother: OCC, FM\nthird IV ,DEF,\n",
        lambda: attributes(tmp_path),
        lambda table: all(name and set(codes) <= set(ATTRIBUTES) for name, codes in table.items()),
        250,
    )


def test_annotations_of_vid_under_fire(tmp_path):
    folder = tmp_path / "Annotations" / "VID" / "val" / "ILSVRC2015_val_0"
    (tmp_path / "Data" / "VID" / "val" / "ILSVRC2015_val_0").mkdir(parents=True)
    folder.mkdir(parents=True)
    box = "<bndbox><xmax>20</xmax><xmin>5</xmin><ymax>20</ymax><ymin>5</ymin></bndbox>"
    text = f"<annotation><folder>f</folder><object><trackid>0</trackid><name>n</name>{box}</object></annotation>".encode()
    (folder / "000000.xml").write_bytes(text)
    fire(
        folder / "000001.xml",
        text,
        lambda: read_imagenet_vid(tmp_path),
        lambda videos: all(numbers(v.boxes) for v in videos),
        250,
    )


def test_records_of_json_under_fire(tmp_path):
    path = tmp_path / "manifest.json"
    fire(
        path,
        json.dumps({"a": [1, 2.5, None], "b": {"c": "d"}}).encode(),
        lambda: read_json(path, "a"),
        lambda value: "a" in value,
        250,
    )


def test_configurations_under_fire(tmp_path):
    path = tmp_path / "config.json"
    fire(
        path,
        json.dumps(Config().to_dict()).encode(),
        lambda: Config.from_dict(read_json(path)),
        lambda config: Config.from_dict(config.to_dict()) == config,
        150,
    )


@pytest.mark.parametrize("where", ["head", "anywhere"])
def test_weights_under_fire(tmp_path, where):
    torch.manual_seed(0)
    config, path = Config.preset(variant="SiameseFC", width=1 / 64), tmp_path / "w.safetensors"
    save_weights(path, SiameseNet(config.model), config)
    data = path.read_bytes()
    end = 8 + struct.unpack("<Q", data[:8])[0] if where == "head" else len(data)

    def read():
        if (
            where == "head"
        ):  # the length of the head is told anew, so that damage is met behind the first check
            head = path.read_bytes()[8:]
            path.write_bytes(struct.pack("<Q", len(head)) + head + data[end:])
        return load_weights(path)[0]

    fire(
        path,
        data[:end],
        read,
        lambda model: all(torch.isfinite(value).all() for value in model.state_dict().values()),
        80,
    )
