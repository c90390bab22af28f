"""Scores against loops, closed forms, got10k and published numbers."""

import itertools
import math

import numpy as np
import pytest

from scs_siam.data.benchmarks import read_otb, read_published
from scs_siam.evaluation import metrics, statistics
from scs_siam.evaluation.one_pass import score
from scs_siam.runtime.files import BadInput


def random_boxes(count, seed):
    rng = np.random.default_rng(seed)
    return np.concatenate([rng.uniform(0, 60, (count, 2)), rng.uniform(1, 60, (count, 2))], 1)


def test_overlap_counts_pixels():
    rng = np.random.default_rng(0)
    for a, b in rng.integers(1, 12, (100, 2, 4)):
        grids = [np.zeros((30, 30), bool) for _ in range(2)]
        for grid, (x, y, w, h) in zip(grids, (a, b)):
            grid[y : y + h, x : x + w] = True
        assert metrics.overlap(a, b) == pytest.approx(
            (grids[0] & grids[1]).sum() / (grids[0] | grids[1]).sum(), abs=1e-12
        )


def test_overlap_and_error_are_got10ks():
    toolkit = pytest.importorskip("got10k.utils.metrics")
    a, b = random_boxes(500, 1), random_boxes(500, 2)
    np.testing.assert_allclose(metrics.overlap(a, b), toolkit.rect_iou(a, b), atol=1e-12)
    np.testing.assert_allclose(metrics.center_error(a, b), toolkit.center_error(a, b), atol=1e-12)


def test_curves_are_counts():
    a, b = random_boxes(200, 3), random_boxes(200, 4)
    overlaps, errors = metrics.overlap(a, b), metrics.center_error(a, b)
    overlaps[:3], errors[:3] = (
        (0, 0.5, 1),
        (0, 20, 50),
    )  # on the thresholds: success must exceed, precision may equal
    success = [
        sum(value > 0.05 * k - 1e-12 * (k not in (0, 10, 20)) for value in overlaps) / 200
        for k in range(21)
    ]
    precision = [sum(value <= k for value in errors) / 200 for k in range(51)]
    np.testing.assert_allclose(metrics.success_curve(overlaps), success)
    np.testing.assert_allclose(metrics.precision_curve(errors), precision)
    assert metrics.success_auc(overlaps) == pytest.approx(sum(success) / 21)
    assert metrics.success_rate(overlaps) == pytest.approx(success[10])
    assert metrics.precision_at(errors) == pytest.approx(precision[20])
    stacked = metrics.success_curve(overlaps.reshape(4, 50))
    np.testing.assert_allclose(
        stacked, [metrics.success_curve(part) for part in overlaps.reshape(4, 50)]
    )


@pytest.mark.parametrize(
    "score_of",
    [
        metrics.success_rate,
        metrics.success_auc,
        metrics.precision_at,
        metrics.is_lost,
        metrics.normalised_precision,
    ],
    ids=lambda function: function.__name__,
)
def test_scores_of_many_are_each_by_itself(score_of):
    values = np.random.default_rng(6).uniform(0, 0.9, (3, 2, 40))
    values[:2, 0, 30:], values[2, :, :20] = 0, 30  # two that end lost, two far off
    expected = [[score_of(one) for one in part] for part in values]
    assert np.unique(expected).size > 1
    np.testing.assert_allclose(score_of(values), expected)


def test_closed_forms():
    truth = random_boxes(40, 5)
    perfect = score(truth, truth)
    assert perfect == pytest.approx(
        {"auc": 20 / 21, "precision": 1, "success_rate": 1, "normalised_precision": 1, "lost": 0}
    )
    half = truth * [1, 1, 0.5, 1]  # half as wide, same left edge
    np.testing.assert_allclose(metrics.overlap(half, truth), 0.5)
    np.testing.assert_allclose(metrics.center_error(half, truth), truth[:, 2] / 4)
    np.testing.assert_allclose(metrics.normalised_error(half, truth), 0.25)
    assert metrics.normalised_precision(np.full(7, 0.25 - 1e-9)) == pytest.approx(26 / 51)
    assert metrics.overlap([0, 0, 0, 0], [0, 0, 0, 0]) == 0
    assert metrics.normalised_error([0, 0, 2, 2], [0, 0, 0, 0]) == math.inf


def test_frames_without_target_are_not_scored():
    truth = random_boxes(6, 6)
    boxes = truth + [0, 30, 0, 0]
    absent = truth.copy()
    absent[[2, 4]] = np.nan
    keep = [0, 1, 3, 5]
    assert score(boxes, absent) == score(boxes[keep], truth[keep])


def test_bootstrap_is_the_distribution_of_all_resamples():
    x = np.array([[0.1, 0.9, 0.4], [0.3, 0.5, 0.8]])
    means = [
        x[np.ix_(rows, columns)].mean()
        for rows in itertools.product(range(2), repeat=2)
        for columns in itertools.product(range(3), repeat=3)
    ]
    mean, low, high = statistics.bootstrap_interval(
        x, n_boot=40_000, seed=np.random.default_rng(1), level=0.8
    )
    assert mean == pytest.approx(x.mean())
    assert (low, high) == pytest.approx(np.quantile(means, [0.1, 0.9]), abs=0.01)


def test_a_weighted_bootstrap_is_the_distribution_of_all_resamples():
    x, weights = np.random.default_rng(3).uniform(0, 1, (2, 4)), np.array([1.0, 2.0, 5.0, 0.5])
    means = [
        np.average(x[np.ix_(rows, columns)].mean(0), weights=weights[list(columns)])
        for rows in itertools.product(range(2), repeat=2)
        for columns in itertools.product(range(4), repeat=4)
    ]
    mean, low, high = statistics.bootstrap_interval(
        x, n_boot=40_000, seed=1, level=0.8, weights=weights
    )
    assert mean == pytest.approx(sum(weights * (x[0] + x[1]) / 2) / 8.5)
    assert (low, high) == pytest.approx(np.quantile(means, [0.1, 0.9]), abs=0.01)


def test_bootstrap_of_many_sequences_is_normal():
    x = np.random.default_rng(2).normal(0.6, 0.1, (1, 400))
    mean, low, high = statistics.bootstrap_interval(x)
    assert (high - low) / 2 == pytest.approx(1.96 * x.std() / 20, rel=0.05)
    assert (
        statistics.bootstrap_interval(x[0])
        == statistics.bootstrap_interval(x, 10_000, 0, 0.95)
        == (mean, low, high)
    )
    assert statistics.bootstrap_interval(np.full((3, 5), 0.5)) == pytest.approx((0.5, 0.5, 0.5))


@pytest.mark.parametrize(
    "call, words",
    [
        (
            lambda: metrics.overlap(
                [[1, 1, 2, 2], [1, np.nan, 2, 2], [1, 1, 2, 2]], np.ones((3, 4))
            ),
            "boxes: number 2 of 3 is not finite",
        ),
        (
            lambda: metrics.center_error(np.ones((1, 4)), [[1, 1, np.inf, 1]]),
            "true boxes: number 1 of 1",
        ),
        (lambda: metrics.overlap(np.ones((2, 4)), np.ones((3, 4))), "(3, 4)"),
        (
            lambda: metrics.success_curve([]),
            "overlaps: there are none, so there is nothing to average",
        ),
        (lambda: metrics.success_rate([]), "overlaps: there are none"),
        (lambda: metrics.is_lost([]), "overlaps: there are none"),
        (lambda: metrics.precision_curve([]), "errors: there are none"),
        (lambda: metrics.precision_at([1, np.nan, 2]), "errors: number 2 of 3"),
        (lambda: statistics.bootstrap_interval([[0.5, np.nan]]), "scores: number 2 of 2"),
        (lambda: statistics.bootstrap_interval(np.ones((2, 2, 2))), "(2, 2, 2)"),
        (lambda: score(np.ones((2, 4)), np.ones((3, 4))), "(3, 4)"),
        (lambda: score(np.ones((2, 4)), np.full((2, 4), np.nan)), "nothing to average"),
    ],
)
def test_bad_input(call, words):
    with pytest.raises(BadInput) as error:
        call()
    assert words in str(error.value) and "\n" not in str(error.value)


@pytest.mark.parametrize(
    "tracker, all_targets, twenty",
    [("SiamFC", (0.587, 0.772), (0.584, 0.801)), ("CFNet", (0.587, 0.778), (0.620, 0.844))],
)
def test_published_boxes_have_their_published_scores(real_data, tracker, all_targets, twenty):
    pairs = read_published(
        real_data / "raw-results/OTB2015" / tracker, real_data / "OTB2015/annotations.json"
    )
    scores = {name: score(*pair) for name, pair in pairs.items()}
    assert len(scores) == 100
    here = {sequence.name: sequence for sequence in read_otb(real_data / "OTB2015")}
    assert len(here) == 20
    for names, expected in ((scores, all_targets), (here, twenty)):
        assert (
            tuple(
                round(np.mean([scores[name][key] for name in names]), 3)
                for key in ("auc", "precision")
            )
            == expected
        )
    for (
        name,
        sequence,
    ) in here.items():  # the folders and the JSON hold the same boxes under the same names
        np.testing.assert_array_equal(sequence.truth, pairs[name][1])
