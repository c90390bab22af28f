"""Boxes: conventions against closed forms, files in every dialect, bad boxes named."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from scs_siam.data.boxes import (
    LARGEST,
    center,
    check_box,
    from_center,
    from_one_based,
    from_polygon,
    parse_box,
    read_boxes,
    to_one_based,
    to_polygon,
    write_boxes,
)
from scs_siam.runtime.files import BadInput

NUMBERS = st.floats(-1e4, 1e4)
BOXES = st.tuples(NUMBERS, NUMBERS, st.floats(0.01, 1e4), st.floats(0.01, 1e4))


@given(BOXES)
def test_round_trips(box):
    np.testing.assert_allclose(from_center(center(box), box[2:]), box, atol=1e-9)
    np.testing.assert_allclose(from_one_based(to_one_based(box)), box, atol=1e-9)
    np.testing.assert_allclose(center(to_one_based(box)), center(box) + 1, atol=1e-9)


def test_the_centre_is_the_mean_of_the_covered_pixels():
    boxes = np.array([[0, 0, 7, 4], [3, 5, 1, 2], [-2, 8, 6, 9]])
    expected = [[np.mean(range(x, x + w)), np.mean(range(y, y + h))] for x, y, w, h in boxes]
    np.testing.assert_array_equal(center(boxes), expected)
    np.testing.assert_array_equal(
        from_one_based([1, 1, 7, 4]), boxes[0]
    )  # the first pixel of a 1-based file is 1, 1


@given(st.integers(-12, 30), st.integers(-12, 30), st.integers(1, 12), st.integers(1, 12))
def test_a_box_touches_the_frame_if_they_share_a_pixel(x, y, w, h):
    shared = set(range(x, x + w)) & set(range(20)) and set(range(y, y + h)) & set(range(16))
    try:
        assert check_box((x, y, w, h), frame_shape=(16, 20, 3)).tolist() == [x, y, w, h] and shared
    except BadInput:
        assert not shared


@pytest.mark.parametrize(
    "box, words",
    [
        ((1, 2, 3), "four numbers"),
        (None, "four numbers"),
        ("abcd", "four numbers"),
        (((1, 2), (3,)), "four numbers"),
        ((1, 2, 3, 4, 5), "four numbers"),
        ((1, 2, np.nan, 4), "not finite"),
        ((np.inf, 2, 3, 4), "not finite"),
        ((1, 2, 0, 4), "no area"),
        ((1, 2, 3, -4), "no area"),
    ],
)
def test_a_bad_box_is_named(refused, box, words):
    refused(lambda: check_box(box, "first box"), "first box", words)


def test_the_last_boxes_that_are_taken(refused):
    assert check_box((-LARGEST, 0, LARGEST, 1)).tolist() == [-LARGEST, 0, LARGEST, 1]
    refused(
        lambda: check_box((0, 0, 1, np.nextafter(LARGEST, np.inf))),
        "beyond any frame",
        f"{LARGEST:.0f} pixels",
    )
    refused(
        lambda: check_box((30, 1, 2, 3.5), "first box", (16, 20)),
        "first box: the box (30, 1, 2, 3.5) lies outside the 20 x 16 frame",
    )


def test_many_polygons_are_each_by_itself():
    many = np.random.default_rng(1).uniform(0, 50, (2, 3, 4)) + [0, 0, 5, 5]
    polygons = to_polygon(many) @ np.kron(np.eye(4), [[0.8, 0.6], [-0.6, 0.8]])  # turned
    np.testing.assert_allclose(
        from_polygon(polygons), [[from_polygon(one) for one in part] for part in polygons]
    )
    np.testing.assert_allclose(
        (from_polygon(polygons)[..., 2:] - 1).prod(-1), (many[..., 2:] - 1).prod(-1)
    )


@pytest.mark.parametrize(
    "text",
    [
        "3,4,10,20.5",
        "3\t4\t10\t20.5",
        "3 4 10 20.5",
        "  3, 4,\t10 ,20.5,",
        "3;4;10;20.5",
        "\ufeff3,4,10,20.5\r",
        "\n3,4,10,20.5\n\n",
    ],
)
def test_dialects(tmp_path, text):
    (tmp_path / "boxes.txt").write_bytes((text + "\n1,2,3,NaN\n").encode())
    np.testing.assert_array_equal(
        read_boxes(tmp_path / "boxes.txt"), [[3, 4, 10, 20.5], [1, 2, 3, np.nan]]
    )


@pytest.mark.parametrize(
    "content, words",
    [
        (b"1,2,3,4\n1,2,x,4\n", "line 2"),
        (b"1,2,3\n", "3 numbers, 4 are needed"),
        (b"1,2,3,4,5\n", "5 numbers"),
        (b"1,,3,4\n", "line 1"),
        (b"", "no boxes"),
        (b"\n \n", "no boxes"),
        (b"\xff\xfe\x00\x81", "not a text file"),
    ],
)
def test_bad_files(tmp_path, refused, content, words):
    (tmp_path / "boxes.txt").write_bytes(content)
    refused(lambda: read_boxes(tmp_path / "boxes.txt"), "boxes.txt", words)
    refused(lambda: read_boxes(tmp_path / "none.txt"), "none.txt", "No such file")
    refused(lambda: read_boxes(tmp_path), tmp_path, "directory")


def test_files_go_round_and_nothing_that_is_not_finite_is_written(tmp_path, refused):
    boxes = np.random.default_rng(0).uniform(-50, 500, (20, 4))
    write_boxes(tmp_path / "out" / "boxes.txt", boxes)
    np.testing.assert_allclose(read_boxes(tmp_path / "out" / "boxes.txt"), boxes, atol=5e-5)
    assert read_boxes(tmp_path / "out" / "boxes.txt", columns=4).shape == (20, 4)
    boxes[3, 2] = np.nan
    refused(lambda: write_boxes(tmp_path / "bad.txt", boxes), "bad.txt", "not finite")
    assert not (tmp_path / "bad.txt").exists()


def test_a_box_on_the_command_line(refused):
    assert parse_box("10, 20,30.5 ,40").tolist() == [10, 20, 30.5, 40]
    wrong = {
        "": "four numbers",
        "1,2,3": "four numbers",
        "a,b,c,d": "write four numbers",
        "1,2,3,0": "no area",
        "1,2,nan,4": "not finite",
    }
    for text, words in wrong.items():
        refused(lambda text=text: parse_box(text), f'--box "{text}"', words)
