"""Intervals by the bootstrap: over seeds and sequences at once, and over clusters of pairs."""

import numpy as np

from scs_siam.evaluation.metrics import check_scores
from scs_siam.runtime.files import BadInput


def bootstrap_interval(x, n_boot=10_000, seed=0, level=0.95, weights=None) -> tuple:
    """Return (mean, low, high) of scores x (R seeds, S sequences).

    Seeds and sequences are both drawn anew, and low and high are percentiles. Pass differences for
    a paired comparison. `weights` (S,) make it a weighted mean over sequences, such as one over
    frames. `seed` is a number or a numpy Generator. One to three seeds understate the spread over
    seeds.
    """
    x = np.atleast_2d(check_scores(x, "scores"))
    if x.ndim != 2:
        raise BadInput(f"scores: an array (seeds, sequences) is needed, not one of shape {x.shape}")
    rng, (rows, columns) = np.random.default_rng(seed), x.shape
    shares = rng.multinomial(rows, np.full(rows, 1 / rows), size=n_boot) / rows  # of each seed
    drawn = rng.integers(columns, size=(n_boot, columns))
    weights = np.ones(columns) if weights is None else np.asarray(weights, np.float64)
    means = np.take_along_axis(shares @ x * weights, drawn, axis=1).mean(1) / weights[drawn].mean(1)
    low, high = np.quantile(means, [(1 - level) / 2, (1 + level) / 2])
    return float(np.average(x.mean(0), weights=weights)), float(low), float(high)


def cluster_interval(cluster, values) -> tuple:
    """Return (mean, low, high) of values (N,) when clusters are drawn anew, each as a whole.

    `cluster` (N,) names the cluster of each value, such as the sequence of a pair.
    """
    _, numbers = np.unique(cluster, return_inverse=True)
    counts = np.bincount(numbers)
    sums = np.bincount(numbers, np.asarray(values, float))
    return bootstrap_interval(sums / counts, weights=counts)
