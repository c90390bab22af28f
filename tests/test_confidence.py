"""Confidence: its features on maps made by hand, its fit against an optimiser, its place."""

import numpy as np
import pytest
from scipy.optimize import minimize

from scs_siam import confidence
from scs_siam.confidence import Confidence
from scs_siam.config import Config
from scs_siam.model import SiameseNet
from scs_siam.track import Tracker


def test_a_second_peak_lowers_its_feature_and_the_units_do_not_matter():
    one = np.zeros((17, 17))
    one[8, 8] = 1
    two = one.copy()
    two[2, 14] = 0.9
    _, alone, low = confidence.shape(one + np.eye(17) * 1e-3)
    sidelobes, beside, high = confidence.shape(two)
    rest = np.r_[0.9, np.zeros(17 * 17 - 25 - 1)]
    assert sidelobes == pytest.approx((1 - rest.mean()) / rest.std())
    assert beside == pytest.approx(0.1 / two.std()) and beside < alone and high > low
    assert confidence.shape(1e3 * two - 5) == pytest.approx(confidence.shape(two))


def test_the_fit_is_the_optimum_of_the_penalised_likelihood():
    rng = np.random.default_rng(0)
    features = rng.normal(size=(300, 6)) * (1, 5, 0.1, 1, 2, 1) + 3
    overlaps = 1 / (1 + np.exp(-(features[:, 0] - 3 + rng.normal(size=300))))
    card = confidence.fit(features, overlaps, penalty=2.0)
    inputs, good = (features - features.mean(0)) / features.std(0), overlaps >= 0.5

    def loss(beta):
        margin = np.where(good, 1, -1) * (inputs @ beta[1:] + beta[0])
        return np.logaddexp(0, -margin).sum() + (beta[1:] ** 2).sum()

    best = minimize(loss, np.zeros(7)).x
    assert [card["intercept"], *card["slopes"]] == pytest.approx(best, abs=1e-3)


def test_a_track_begins_at_one_and_each_copy_has_its_own(texture):
    from copy import copy

    config = Config.preset(width=1 / 16)
    tracker = Tracker(SiameseNet(config.model), config.tracking, precision="exact")
    other, frame = copy(tracker), texture(120, 160)
    tracker.init(frame, (60, 40, 30, 30))
    assert tracker.confidence == 1
    tracker.update(frame)
    other.init(frame, (20, 20, 30, 30))
    assert 0 < tracker.confidence < 1 and other.confidence == 1


def test_a_steady_peak_is_surer_than_one_that_fades_among_others():
    rng = np.random.default_rng(0)
    noise, peak = rng.normal(size=(20, 17, 17)), np.zeros((17, 17))
    peak[8, 8] = 15
    size, steady, fading = np.array([40.0, 40.0]), None, None
    for track in ("steady", "fading"):
        judge = Confidence(size)
        for k in range(20):
            height = 1 if track == "steady" else 1 - k / 20
            judge.update(noise[k] + height * peak, np.zeros(2), size, size)
        steady, fading = (judge.value, fading) if track == "steady" else (steady, judge.value)
    assert steady > 0.9 > fading
