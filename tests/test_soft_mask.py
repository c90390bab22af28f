"""The soft mask against a double loop, its equivalent on crops, and its place in a training batch to the pixel."""

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from scs_siam.config import Config
from scs_siam.data.boxes import center
from scs_siam.data.crops import box_in_crop, crop, mean_colour
from scs_siam.data.images import read_image
from scs_siam.pairs import make_batch
from scs_siam.soft_mask import apply_mask, blend, soft_mask

PLACE, SIZE = st.floats(-20, 30), st.floats(0.1, 40)


@settings(max_examples=60)
@given(PLACE, PLACE, SIZE, SIZE, st.floats(0, 1))
@example(3.0, 2.0, 5.0, 4.0, 0.25)
@example(
    3.5, 2.5, 5.0, 4.0, 0.25
)  # edges through the centres of pixels: the first belongs to the box, the last does not
@example(-30.0, 2.0, 10.0, 4.0, 0.5)
def test_mask_is_a_double_loop(x, y, w, h, sigma):
    mask = soft_mask((14, 17), (x, y, w, h), sigma)
    for row, column in np.ndindex(14, 17):
        inside = x - 0.5 <= column < x + w - 0.5 and y - 0.5 <= row < y + h - 0.5
        assert mask[row, column] == (1 if inside else np.float32(sigma))
    assert mask.dtype == np.float32


def test_whole_boxes_and_limits_of_sigma(texture):
    image, box = texture(40, 50), (12, 9, 20, 14)
    expected = np.zeros((40, 50), bool)
    expected[9:23, 12:32] = True
    np.testing.assert_array_equal(soft_mask(image.shape, box, 0) == 1, expected)
    np.testing.assert_array_equal(apply_mask(image, box, 0), image * expected[:, :, None])
    np.testing.assert_array_equal(apply_mask(image, box, 1), image)


def test_bad_sigma_and_bad_box(refused):
    for sigma in (-0.1, 1.1, np.nan, "0.5", None):
        refused(
            lambda sigma=sigma: soft_mask((4, 4), (0, 0, 1, 1), sigma), "sigma", "outside 0 to 1"
        )
    refused(lambda: soft_mask((4, 4), (0, 0, 0, 1), 0.5), "soft mask", "no area")


@pytest.mark.parametrize("box", [(20.3, 14.8, 30.6, 25.2), (-12.4, 30.1, 40.2, 60.7)])
def test_mask_then_crop_is_a_blend_of_two_crops(box, texture):
    image, middle = texture(80, 90).astype(np.float32), center(box)
    inside, mean = apply_mask(image, box, 0.0), mean_colour(image)
    for sigma in (0.0, 0.3, 0.9, 1.0):
        masked = crop(apply_mask(image, box, sigma), middle, 101.7, 63, sigma * mean)
        both = crop(image, middle, 101.7, 63, mean), crop(inside, middle, 101.7, 63, (0, 0, 0))
        np.testing.assert_allclose(blend(*both, sigma), masked, atol=1e-3)


def test_mask_then_crop_equals_crop_then_mask_for_whole_pixels(texture):
    image, box, middle = texture(80, 90), (20.25, 10.5, 31.5, 20.75), np.array([35.0, 20.0])
    mean = np.round(mean_colour(image))
    masked = crop(apply_mask(image, box, 0.5), middle, 127, 127, 0.5 * mean)
    cut = crop(image.astype(np.float32), middle, 127, 127, mean)
    np.testing.assert_array_equal(apply_mask(cut, box_in_crop(box, middle, 127, 127), 0.5), masked)
    np.testing.assert_array_equal(
        masked[0, 0], np.float32(0.5 * mean)
    )  # the padding is background too


# In a training batch

QUIET = {"max_shift": (0, 0), "max_stretch": 0, "flip": 0, "colour": 0, "grey": 0, "blur": 0}


def training(preset, **changes):
    return (
        Config.preset(preset)
        .replace(**{f"training.{name}": value for name, value in changes.items()})
        .training
    )


def quiet(preset, **changes):
    return training(preset, **QUIET, **changes)


def cut(image, middle, size, padding):
    """Square of whole pixels around a whole pixel, by indexing alone."""
    out = np.empty((size, size, 3), np.float32)
    out[:] = padding
    for row, column in np.ndindex(size, size):
        y, x = int(middle[1]) - size // 2 + row, int(middle[0]) - size // 2 + column
        if 0 <= y < image.shape[0] and 0 <= x < image.shape[1]:
            out[row, column] = image[y, x]
    return out


def of(videos, row):
    """Frame, box and centre of one of the first seven crops of the store, those at the frame's own scale."""
    video, number = (videos[0], row) if row < 4 else (videos[1], row - 4)
    return (
        read_image(video.frames[number]).astype(np.float32),
        video.boxes[number],
        center(video.boxes[number]),
    )


def pixels(images):
    return [image.permute(1, 2, 0).numpy() for image in images]


def batch_of(store, templates, searches, config):
    return make_batch(
        store, (np.array(templates), np.array(searches)), config, np.random.default_rng(0)
    )


def test_paper_lines_up_to_the_pixel(store, videos):
    rows = [0, 3, 4, 5, 6]
    batch = batch_of(store, rows, rows[::-1], quiet("paper"))
    for name, order, size in (("template", rows, 127), ("search", rows[::-1], 255)):
        for row, ours, ours_masked in zip(
            order, pixels(getattr(batch, name)), pixels(getattr(batch, name + "_masked"))
        ):
            frame, box, middle = of(videos, row)
            mean = mean_colour(frame)
            np.testing.assert_allclose(
                ours, cut(frame, middle, size, mean), atol=0.51
            )  # the stored padding is rounded
            np.testing.assert_allclose(
                ours_masked, cut(apply_mask(frame, box, 0.9), middle, size, 0.9 * mean), atol=0.51
            )
            np.testing.assert_allclose(
                ours_masked,
                ours * cut(soft_mask(frame.shape, box, 0.9)[:, :, None], middle, size, 0.9),
                atol=5e-3,
            )


def test_at_any_scale_the_mask_is_that_of_the_box_in_the_crop(store):
    rows = np.arange(7, len(store))
    batch = batch_of(store, rows, rows, quiet("paper", sigma=0.4))
    for name, size in (("template", 127), ("search", 255)):
        for row, image, masked in zip(
            rows, pixels(getattr(batch, name)), pixels(getattr(batch, name + "_masked"))
        ):
            box = store.index["box"][row] - ((287 - size) / 2) * np.array([1, 1, 0, 0])
            np.testing.assert_allclose(masked, apply_mask(image, box, 0.4), atol=5e-3)


def test_released_crops_the_masked_search_around_the_template(store, videos):
    batch = batch_of(
        store, [0, 3], [1, 2], quiet("released", aligned=True, mask_padding="dimmed")
    )  # D15
    for template, search, image, masked in zip(
        (0, 3), (1, 2), pixels(batch.search), pixels(batch.search_masked)
    ):
        frame, box, middle = of(videos, search)
        mean = mean_colour(frame)
        np.testing.assert_allclose(image, cut(frame, middle, 239, mean), atol=0.51)
        np.testing.assert_allclose(
            masked,
            cut(apply_mask(frame, box, 0.9), of(videos, template)[2], 239, 0.9 * mean),
            atol=0.51,
        )


def test_released_pads_with_the_mean_of_the_masked_image(store, videos):
    frame, box, middle = of(videos, 4)
    batch = batch_of(store, [4], [4], quiet("released", sigma=0.2))  # D17
    masked = apply_mask(frame, box, 0.2)
    np.testing.assert_allclose(
        pixels(batch.search_masked)[0], cut(masked, middle, 239, masked.mean((0, 1))), atol=0.51
    )
    np.testing.assert_allclose(
        pixels(batch.template_masked)[0], cut(masked, middle, 127, masked.mean((0, 1))), atol=0.51
    )


def test_released_dims_everything_where_a_box_leaves_left_or_top(store):
    batch = batch_of(
        store, [6, 4], [6, 4], quiet("released", aligned=True, mask_padding="dimmed")
    )  # D27
    share = (batch.search_masked / batch.search.clamp(min=1)).amax((1, 2, 3))
    assert share[0] == pytest.approx(0.9, abs=1e-3) and share[1] > 0.99


def share_aligned(image, masked):
    """Share of the pixels where the masked image is the image or 0.5 times the image."""
    off = np.minimum(np.abs(masked - image).max(1), np.abs(masked - 0.5 * image).max(1))
    return (off < 0.01).mean()


def test_with_augmentation_paper_stays_aligned_and_released_does_not(store):
    rows = np.arange(4).repeat(4)
    for preset, low, high in (("paper", 0.93, 1.0), ("released", 0.0, 0.5)):  # D16
        batch = batch_of(
            store, rows, rows, training(preset, sigma=0.5, blur=0, mask_padding="dimmed")
        )
        for image, masked in (
            (batch.template, batch.template_masked),
            (batch.search, batch.search_masked),
        ):
            assert low <= share_aligned(image.numpy(), masked.numpy()) <= high


def test_without_masks_the_masked_images_are_the_images(store):
    batch = batch_of(
        store, [0, 5], [1, 6], training("paper", mask_template=False, mask_search=False)
    )
    assert (batch.template == batch.template_masked).all() and (
        batch.search == batch.search_masked
    ).all()
