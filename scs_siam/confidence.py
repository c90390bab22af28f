"""Confidence: how likely is it that the box still overlaps the target by at least 0.5?

The raw peak of the response does not tell: a distractor can answer as strongly as the target. The
shape of the response map and its change over time tell more. Six numbers that tracking has at hand
anyway are weighed by a logistic regression whose coefficients lie in confidence.json, a card that
says on which frames they were fitted. The paper has nothing of the kind, and no box depends on it.
"""

from functools import cache
from pathlib import Path

import numpy as np

from scs_siam.runtime.files import read_json
from scs_siam.runtime.shapes import Float

CARD = Path(__file__).with_name("confidence.json")
FEATURES = ("peak ratio", "sidelobe ratio", "second peak", "entropy", "jump", "scale")
MEMORY = 0.8  # weight of the past in the running means of the first four features
FIRST = 3  # frames after the first whose mean peak is the one that later peaks are compared with
RADIUS = 2  # cells around the peak that belong to it
TINY = 1e-9


class Confidence:
    """The confidence of one track, from the target's first `size` (w, h) in pixels.

    `value` is the estimated probability, 1 at the given first box; `features` holds the numbers of
    FEATURES at the last frame.
    """

    def __init__(self, size: np.ndarray):
        self.first, self.peaks, self.recent = size.copy(), [], None
        self.features, self.value = None, 1.0

    def update(self, response: Float[np.ndarray, "rows columns"], moved, before, after) -> float:
        """Return the probability after a frame.

        `response` is the map of the chosen scale, `moved` (2,) the displacement of the box, and
        `before` and `after` (w, h) are its sizes, all in pixels of the frame.
        """
        self.peaks.append(float(response.max()))
        first = np.mean(self.peaks[:FIRST])
        ratio = np.clip(self.peaks[-1] / (abs(first) + TINY) - 1, -2, 2)
        now = np.array([ratio, *shape(response)])
        self.recent = now if self.recent is None else MEMORY * self.recent + (1 - MEMORY) * now
        jump = np.hypot(*moved) / np.sqrt(np.prod(before))
        scale = abs(np.log(np.prod(after) / np.prod(self.first))) / 2
        self.features = np.array([*self.recent, jump, scale])
        self.value = float(probability(self.features, *_coefficients()))
        return self.value


def shape(response: Float[np.ndarray, "rows columns"]) -> tuple[float, float, float]:
    """Return peak-to-sidelobe ratio, height of the peak above the second one, and entropy (0 to 1).

    Heights are in standard deviations of the map outside the peak (the ratio) and of the whole map
    (the others), so that they do not depend on the scale of the response.
    """
    row, column = np.unravel_index(response.argmax(), response.shape)
    rows, columns = (np.abs(np.arange(n) - k) for n, k in zip(response.shape, (row, column)))
    rest = response[np.maximum.outer(rows, columns) > RADIUS]
    peak, spread = response[row, column], response.std() + TINY
    weights = np.exp((response - peak) / spread)
    weights /= weights.sum()
    entropy = -(weights * np.log(weights)).sum() / np.log(response.size)
    sidelobes = (peak - rest.mean()) / (rest.std() + TINY)
    return float(sidelobes), float((peak - rest.max()) / spread), float(entropy)


def probability(features, mean, deviation, slopes, intercept):
    """Return the logistic regression at features (..., 6)."""
    return 1 / (1 + np.exp(-((np.asarray(features) - mean) / deviation @ slopes + intercept)))


def fit(features, overlaps, penalty: float = 10.0) -> dict:
    """Return mean, deviation, slopes and intercept of a logistic regression as lists and numbers.

    It is fitted to whether the overlaps (N,) are at least 0.5 by Newton's method; `penalty` is
    that of the squared slopes of the standardised features (N, 6).
    """
    features, good = np.asarray(features), (np.asarray(overlaps) >= 0.5).astype(float)
    mean, deviation = features.mean(0), features.std(0) + TINY
    inputs = np.c_[np.ones(len(features)), (features - mean) / deviation]
    beta, ridge = np.zeros(inputs.shape[1]), penalty * np.eye(inputs.shape[1])
    ridge[0, 0] = 0
    for _ in range(30):
        p = 1 / (1 + np.exp(-inputs @ beta))
        curvature = inputs.T @ (inputs * (p * (1 - p))[:, None]) + ridge
        beta += np.linalg.solve(curvature, inputs.T @ (good - p) - ridge @ beta)
    lists = {"mean": mean.tolist(), "deviation": deviation.tolist(), "slopes": beta[1:].tolist()}
    return {**lists, "intercept": float(beta[0])}


@cache
def _coefficients():
    names = ("mean", "deviation", "slopes", "intercept")
    card = read_json(CARD, *names)
    return [np.array(card[name]) for name in names]
