"""Pairs: who meets whom, where the target lies after augmentation, and the same batch for the same seed."""

import numpy as np
import pytest
import torch

from scs_siam import pairs
from scs_siam.config import Config
from scs_siam.pairs import PairSampler, draw_augmentation, make_batch, make_label

QUIET = {"max_shift": (0, 0), "max_stretch": 0, "flip": 0, "colour": 0, "grey": 0, "blur": 0}


def training(preset="paper", **changes):
    return (
        Config.preset(preset)
        .replace(**{f"training.{name}": value for name, value in changes.items()})
        .training
    )


def index_of(*counts, gap=1):
    return {
        "sequence": np.repeat(np.arange(len(counts)), counts),
        "frame": np.concatenate([gap * np.arange(count) for count in counts]),
    }


# Sampling


def test_pairs_are_near_frames_of_one_sequence():
    index = index_of(200, 1, 37, 500, gap=3)
    template, search = PairSampler(index, training(max_distance=30)).draw(
        20_000, np.random.default_rng(0)
    )
    distance = index["frame"][search] - index["frame"][template]
    assert (index["sequence"][template] == index["sequence"][search]).all() and np.abs(
        distance
    ).max() == 30
    middle = np.isin(index["frame"][template], range(300, 1200)) & (
        index["sequence"][template] == 3
    )  # no end of the sequence near
    seen = np.bincount((distance[middle] + 30) // 3, minlength=21)
    assert (
        chi_square(seen, np.full(21, 1 / 21)) < 60
    )  # 20 degrees of freedom: 60 has a chance of 1e-5


def chi_square(seen, share):
    expected = seen.sum() * np.asarray(share)
    return ((seen - expected) ** 2 / expected).sum()


@pytest.mark.parametrize("weight", [0.0, 0.5, 1.0])
def test_sequences_are_drawn_by_their_weight(weight):
    counts = np.array([1, 10, 40, 150, 7])
    index = index_of(*counts)
    template, _ = PairSampler(index, training(sequence_weight=weight)).draw(
        20_000, np.random.default_rng(1)
    )
    share = counts**weight / (counts**weight).sum()
    assert chi_square(np.bincount(index["sequence"][template], minlength=5), share) < 30
    if weight == 1:
        assert (
            chi_square(np.bincount(template, minlength=208), np.full(208, 1 / 208)) < 320
        )  # every frame alike


def test_held_out_sequences_are_never_trained_on(refused):
    index = index_of(*[5] * 20)
    kept, held = (
        PairSampler(index, training(hold_out=4), held_out=held).draw(
            5_000, np.random.default_rng(0)
        )
        for held in (False, True)
    )
    kept, held = (set(index["sequence"][np.concatenate(rows)]) for rows in (kept, held))
    assert held == {3, 7, 11, 15, 19} and kept == set(range(20)) - held
    for changes, held_out in (({"hold_out": 1}, False), ({}, True), ({"hold_out": 50}, True)):
        refused(
            lambda changes=changes, held_out=held_out: PairSampler(
                index, training(**changes), held_out
            ),
            "hold_out",
        )


# Labels


class Dots:
    """A store of black crops with a bright dot where the target is."""

    def __init__(self, count):
        rows, columns = np.mgrid[-143:144, -143:144]
        dot = 255 * np.exp(-(rows**2 + columns**2) / (2 * 3.0**2))
        self.crop = np.repeat(dot[:, :, None], 3, 2).round().astype(np.uint8)
        box, frame = np.float32([113, 123, 61, 41]), np.float32([-200, -200, 700, 700])
        self.index = {
            "box": np.tile(box, (count, 1)),
            "image": np.tile(frame, (count, 1)),
            "mean": np.zeros((count, 3), np.float32),
            "centre": np.zeros((count, 2)),
            "scale": np.ones(count),
        }

    def read(self, ids):
        return np.repeat(self.crop[None], len(ids), 0)


def centroids(weights):
    """Centre of mass (B, 2), x first, of maps (B, side, side), from the middle of the map."""
    line = np.arange(weights.shape[-1]) - (weights.shape[-1] - 1) / 2
    total = weights.sum((1, 2))
    return (
        np.stack([(weights.sum(1) * line).sum(1), (weights.sum(2) * line).sum(1)], 1)
        / total[:, None]
    )


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"max_shift": (0, 24), "max_stretch": 0, "flip": 0},
        {"max_shift": (20, 0), "max_stretch": 0, "flip": 1},
        {"max_shift": (16, 16), "max_stretch": 0.3},
        {"max_shift": (12, 12), "search_size": 239},
        {"max_shift": (8, 8), "search_size": 251},
    ],
)
def test_the_label_is_where_the_target_is(changes):
    config = training(**{"colour": 0, "grey": 0, "blur": 0, **changes})
    store, rows = Dots(48), (np.arange(48), np.arange(48))
    batch = make_batch(store, rows, config, np.random.default_rng(2))
    template, search, label = (
        value.numpy().mean(1) for value in (batch.template, batch.search, batch.label)
    )
    moved = centroids(search) - centroids(template)
    np.testing.assert_allclose(
        centroids((label > 0).astype(float)) * 8, moved, atol=4 if config.search_size != 251 else 6
    )
    assert np.abs(moved).max() > max(config.max_shift) / 2


def test_a_label_that_stays_and_its_extent():
    config = training("released", search_size=255)
    label = make_label(config, draw_augmentation(3, config, np.random.default_rng(0))).numpy()
    line = np.abs(np.arange(17) - 8)
    expected = np.where(
        line[:, None] + line[None, :] <= 2, 1, -1
    )  # L1 distance 16 pixels at stride 8: 13 cells (D14)
    assert (
        label.shape == (3, 1, 17, 17) and (label == expected).all() and (expected > 0).sum() == 13
    )


def test_sizes_and_range(store):
    for preset, search, side in (("paper", 255, 17), ("released", 239, 15)):
        batch = make_batch(
            store, (np.arange(4), np.arange(4)), training(preset), np.random.default_rng(0)
        )
        assert batch.template.shape == batch.template_masked.shape == (
            4,
            3,
            127,
            127,
        ) and batch.label.shape == (4, 1, side, side)
        assert batch.search.shape == batch.search_masked.shape == (4, 3, search, search)
        for value in (batch.template, batch.template_masked, batch.search, batch.search_masked):
            assert (
                value.dtype == torch.float32 and value.min() >= -1e-3 and value.max() <= 255 + 1e-3
            )


# Augmentation


@pytest.mark.parametrize("preset", ["paper", "released"])
def test_a_seed_gives_one_batch(store, preset):
    rows = np.arange(8), np.arange(8)[::-1]
    first, again, other = (
        vars(make_batch(store, rows, training(preset), np.random.default_rng(seed)))
        for seed in (5, 5, 6)
    )
    assert all((first[name] == again[name]).all() for name in first)
    assert all((first[name] != other[name]).any() for name in first if name != "label")


def test_draws_keep_their_bounds():
    config = training(max_shift=(3, 9), max_stretch=0.1, colour=0.3)
    draws = draw_augmentation(4000, config, np.random.default_rng(0))
    for name, shift in (("template", 3), ("search", 9)):
        for kind, low, high in (
            ("shift", -shift, shift),
            ("stretch", 0.9, 1.1),
            ("gain", 0.7, 1.3),
            ("offset", -38.4, 38.4),
        ):
            values = draws[name][kind]
            assert low <= values.min() < low + 0.05 * (
                high - low
            ) and high >= values.max() > high - 0.05 * (high - low)
        assert draws[name + "_masked"] is draws[name]
    shares = (draws["mirror"] < 0).mean(), draws["grey"].mean(), len(draws["blurred"]) / 4000
    np.testing.assert_allclose(shares, (0.5, 0.1, 0.2), atol=0.04)


def plain(store, rows, **changes):
    """Search crops (B, 3, 255, 255) of the paper preset with nothing but the named augmentation, and its draws."""
    config = training(**{**QUIET, **changes})
    return (
        make_batch(store, (rows, rows), config, np.random.default_rng(3))
        .search.numpy()
        .astype(np.float64),
        draw_augmentation(len(rows), config, np.random.default_rng(3)),
    )


def test_mirror_shift_and_colour_are_what_they_say(store):
    rows = np.arange(6)
    image, _ = plain(store, rows)
    np.testing.assert_allclose(plain(store, rows, flip=1)[0], image[..., ::-1], atol=5e-3)
    grey, _ = plain(store, rows, grey=1)
    np.testing.assert_allclose(grey, image.mean(1, keepdims=True).repeat(3, 1), atol=5e-3)
    coloured, draws = plain(store, rows, colour=0.2)
    gain, offset = (draws["search"][name][:, :, None, None] for name in ("gain", "offset"))
    np.testing.assert_allclose(coloured, np.clip(image * gain + offset, 0, 255), atol=1.0)
    shifted, draws = plain(store, rows, max_shift=(0, 12))
    for before, after, (x, y) in zip(image, shifted, draws["search"]["shift"]):
        i, j, a, b = int(np.floor(y)), int(np.floor(x)), y % 1, x % 1
        corners = [
            np.roll(before, (-i - di, -j - dj), (1, 2))[:, 20:-20, 20:-20]
            for di in (0, 1)
            for dj in (0, 1)
        ]
        expected = (1 - a) * ((1 - b) * corners[0] + b * corners[1]) + a * (
            (1 - b) * corners[2] + b * corners[3]
        )
        np.testing.assert_allclose(after[:, 20:-20, 20:-20], expected, atol=0.02)


def test_beyond_the_stored_crop_the_recoloured_mean_goes_on(store):
    rows = np.arange(16)
    for grey in (0, 1):
        image, draws = plain(store, rows, max_shift=(0, 60), colour=0.2, grey=grey)
        mean = store.index["mean"][rows].astype(np.float64)
        mean = mean.mean(1, keepdims=True).repeat(3, 1) if grey else mean
        expected = np.clip(mean * draws["search"]["gain"] + draws["search"]["offset"], 0, 255)
        far = np.abs(draws["search"]["shift"][:, 0]) > 20  # the stored margin is 16 pixels
        side = np.where(draws["search"]["shift"][:, 0] > 0, -1, 0)
        assert far.sum() > 3
        np.testing.assert_allclose(image[rows, :, 127, side][far], expected[far], atol=0.01)


def test_stretch_is_about_the_centre_of_the_crop(store):
    rows = np.array([0, 1, 12])
    image, _ = plain(store, rows)
    stretched, draws = plain(store, rows, max_stretch=0.2)
    for before, after, stretch in zip(image, stretched, draws["search"]["stretch"]):
        for row, column in ((127, 127), (90, 160), (150, 70)):  # by hand at a few pixels
            y, x = 127 + (row - 127) * stretch[1], 127 + (column - 127) * stretch[0]
            i, j, a, b = int(y), int(x), y % 1, x % 1
            upper, lower = ((1 - b) * before[:, k, j] + b * before[:, k, j + 1] for k in (i, i + 1))
            expected = (1 - a) * upper + a * lower
            np.testing.assert_allclose(after[:, row, column], expected, atol=0.02)


def test_blur_is_a_gaussian_of_nine_taps():
    image = 255 * np.random.default_rng(0).random((3, 3, 12, 15)).astype(np.float32)
    draws = {"blurred": np.array([0, 2]), "sigma_blur": np.array([0.6, 9.9, 1.7])}
    ours = pairs._blur(torch.tensor(image), draws).numpy()
    np.testing.assert_array_equal(ours[1], image[1])
    for row in (0, 2):
        taps = np.exp(-(np.arange(-4, 5) ** 2) / (2 * draws["sigma_blur"][row] ** 2))
        kernel, padded = (
            np.outer(taps, taps) / taps.sum() ** 2,
            np.pad(image[row], ((0, 0), (4, 4), (4, 4)), mode="edge"),
        )
        expected = sum(
            kernel[i, j] * padded[:, i : i + 12, j : j + 15] for i, j in np.ndindex(9, 9)
        )
        np.testing.assert_allclose(ours[row], expected, rtol=1e-4)


@pytest.mark.parametrize("aligned", [True, False])
def test_blur_touches_the_search_and_its_masked_twin_alike(store, aligned):
    rows = np.arange(4)
    settings = {**QUIET, "sigma": 0.0, "aligned": aligned}
    batch = make_batch(
        store, (rows, rows), training(**{**settings, "blur": 1}), np.random.default_rng(0)
    )
    sharp = make_batch(store, (rows, rows), training(**settings), np.random.default_rng(0))
    assert (batch.template == sharp.template).all() and (
        batch.template_masked == sharp.template_masked
    ).all()
    draws = draw_augmentation(4, training(**{**settings, "blur": 1}), np.random.default_rng(0))
    for name in ("search", "search_masked"):
        assert torch.allclose(
            getattr(batch, name), pairs._blur(getattr(sharp, name), draws), atol=1e-2
        )
