"""Crops: the warp against a plain loop, boxes against the warp."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scs_siam.data.crops import box_in_crop, context_side, crop, crop_matrix, mean_colour


def bilinear(image, center, side, size, padding):
    """The crop by definition: pixel i of the crop looks at centre + (i - (size - 1) / 2) side / size."""
    height, width = image.shape[:2]
    out = np.zeros((size, size, 3))
    for row, column in np.ndindex(size, size):
        x, y = np.array(center) + (np.array([column, row]) - (size - 1) / 2) * side / size
        for i, j in ((int(np.floor(y)) + a, int(np.floor(x)) + b) for a in (0, 1) for b in (0, 1)):
            value = image[i, j] if 0 <= i < height and 0 <= j < width else np.array(padding)
            out[row, column] += (1 - abs(y - i)) * (1 - abs(x - j)) * value
    return out


@pytest.mark.parametrize(
    "center, side, size",
    [
        ((30.3, 20.7), 40.5, 31),
        ((33.1, 28.46), 33, 33),
        ((30, 25), 25, 25),
        ((35.2, 31.9), 9.7, 24),
        ((4, 52), 70, 25),
    ],
)
def test_the_warp_is_bilinear(texture, center, side, size):
    image = texture(60, 70).astype(np.float32)
    steepest = max(
        np.abs(
            np.diff(np.pad(image, ((1, 1), (1, 1), (0, 0)), constant_values=128), axis=axis)
        ).max()
        for axis in (0, 1)
    )
    limit = steepest / 32  # OpenCV 4 rounds positions to 1/32 pixel
    expected = bilinear(image, center, side, size, (128, 128, 128))
    ours = crop(image, center, side, size, (128, 128, 128))
    assert np.abs(ours - expected).max() <= limit and np.abs(ours - expected).mean() < 0.15
    assert (
        np.abs(crop(image.astype(np.uint8), center, side, size, (128, 128, 128)) - expected).max()
        <= limit + 1
    )


def test_whole_pixels_are_copied_and_padding_continues_them(texture):
    image = texture(40, 50)
    out = crop(image, (10, 30), 31, 31, (7, 8, 9))
    np.testing.assert_array_equal(out[:25, 5:], image[15:40, :26])
    assert (out[25:] == (7, 8, 9)).all() and (out[:, :5] == (7, 8, 9)).all()


FRACTION = st.floats(-200, 200)


@settings(max_examples=50)
@given(
    FRACTION,
    FRACTION,
    st.floats(1, 300),
    st.floats(1, 300),
    FRACTION,
    FRACTION,
    st.floats(5, 900),
    st.integers(9, 400),
)
def test_a_box_in_a_crop_is_mapped_by_its_edges(x, y, w, h, cx, cy, side, size):
    box = box_in_crop((x, y, w, h), (cx, cy), side, size)
    edges = np.array(
        [[box[0] - 0.5, box[1] - 0.5, 1], [box[0] + box[2] - 0.5, box[1] + box[3] - 0.5, 1]]
    )
    back = edges @ crop_matrix((cx, cy), side, size).T  # in the frame
    np.testing.assert_allclose(back, [[x - 0.5, y - 0.5], [x + w - 0.5, y + h - 0.5]], atol=1e-6)


def test_a_drawn_box_is_found_where_box_in_crop_says():
    boxes = np.array([[40, 30, 24, 12], [70, 55, 9, 30]])
    for box, expected in zip(boxes, box_in_crop(boxes, (60.5, 50.25), 100, 255)):
        frame = np.zeros((100, 120, 3), np.uint8)
        frame[box[1] : box[1] + box[3], box[0] : box[0] + box[2]] = 255
        rows, columns = np.nonzero(crop(frame, (60.5, 50.25), 100, 255, (0, 0, 0))[:, :, 0] > 127)
        found = [columns.min(), rows.min(), np.ptp(columns) + 1, np.ptp(rows) + 1]
        np.testing.assert_allclose(found, expected, atol=1)


def test_context_and_mean(texture):
    assert context_side(50, 50) == 100 and context_side(30, 10) == pytest.approx(
        np.sqrt(50 * 30)
    ) == context_side(10, 30)
    assert context_side(3 * 17, 3 * 40) == pytest.approx(3 * context_side(17, 40))
    np.testing.assert_allclose(mean_colour(texture(31, 17)), texture(31, 17).reshape(-1, 3).mean(0))
