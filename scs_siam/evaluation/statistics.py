"""Intervals by the bootstrap: over seeds and videos at once, and over clusters of pairs."""

import re
from statistics import NormalDist

import numpy as np

from scs_siam.evaluation.metrics import check_scores
from scs_siam.runtime.files import BadInput


def video_of(target: str) -> str:
    """Return the video of a target: "Jogging" for "Jogging.1" and "Jogging-2"."""
    return re.sub(r"[.-]\d+$", "", target)


def bootstrap_interval(x, n_boot=10_000, seed=0, level=0.95, weights=None, targets=None) -> tuple:
    """Return (mean, low, high) of scores x (R seeds, S targets).

    Seeds and videos are both drawn anew, and low and high are percentiles. Pass differences for a
    paired comparison. `weights` (S,) make it a weighted mean over targets, such as one over
    frames. `targets` (S,) names the targets, so that those of one video are drawn as a whole;
    without names each is a video of its own. `seed` is a number or a numpy Generator. One to three
    seeds understate the spread over seeds.
    """
    x = np.atleast_2d(check_scores(x, "scores"))
    if x.ndim != 2:
        raise BadInput(f"scores: an array (seeds, sequences) is needed, not one of shape {x.shape}")
    x, weights = _by_video(x, weights, targets)
    rng, (rows, columns) = np.random.default_rng(seed), x.shape
    shares = rng.multinomial(rows, np.full(rows, 1 / rows), size=n_boot) / rows  # of each seed
    drawn = rng.integers(columns, size=(n_boot, columns))
    means = np.take_along_axis(shares @ x * weights, drawn, axis=1).mean(1) / weights[drawn].mean(1)
    low, high = np.quantile(means, [(1 - level) / 2, (1 + level) / 2])
    return float(np.average(x.mean(0), weights=weights)), float(low), float(high)


def _by_video(x, weights, targets):
    """Merge the targets of a video into one column, their weighted mean, with their weight."""
    weights = np.ones(x.shape[1]) if weights is None else np.asarray(weights, np.float64)
    if targets is None:
        return x, weights
    videos, numbers = np.unique([video_of(str(name)) for name in targets], return_inverse=True)
    member = np.eye(len(videos))[numbers] * weights[:, None]  # (S, videos)
    return x @ member / member.sum(0), member.sum(0)


def detectable_difference(
    gains, level=0.95, power=0.8, weights=None, targets=None, trials=100
) -> float:
    """Return the smallest true difference that data like these would have shown.

    `gains` (R, S) are measured paired differences. Data sets of the same size are drawn from them
    after their mean was removed; the result is the shift whose interval at `level` excludes 0 in a
    fraction `power` of these data sets.
    """
    gains, weights = _by_video(np.atleast_2d(np.asarray(gains, np.float64)), weights, targets)
    gains = gains - np.average(gains.mean(0), weights=weights)
    rng, (rows, columns) = np.random.default_rng(0), gains.shape
    quantile, needed = NormalDist().inv_cdf((1 + level) / 2), []
    for _ in range(trials):
        some = rng.integers(columns, size=columns)
        x, w = gains[rng.integers(rows, size=rows)][:, some], weights[some]
        shares = rng.multinomial(rows, np.full(rows, 1 / rows), size=100) / rows
        drawn = rng.integers(columns, size=(100, columns))
        means = np.take_along_axis(shares @ x * w, drawn, axis=1).mean(1) / w[drawn].mean(1)
        needed.append(quantile * means.std() - np.average(x.mean(0), weights=w))
    return float(np.quantile(needed, power))


def cluster_interval(cluster, values) -> tuple:
    """Return (mean, low, high) of values (N,) when clusters are drawn anew, each as a whole.

    `cluster` (N,) names the cluster of each value, such as the sequence of a pair.
    """
    _, numbers = np.unique(cluster, return_inverse=True)
    counts = np.bincount(numbers)
    sums = np.bincount(numbers, np.asarray(values, float))
    return bootstrap_interval(sums / counts, weights=counts)
