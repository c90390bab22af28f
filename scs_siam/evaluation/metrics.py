"""Scores of one-pass evaluation (Sec. 4.2): overlap, centre error, success, precision, and intervals over seeds and sequences.

Thresholds and strictness are those of the OTB toolkit and of got10k, so the numbers compare with published ones. An overlap must exceed
its threshold, so nothing passes the threshold 1 and the AUC of a perfect tracker is 20/21.
"""

import numpy as np

from scs_siam.runtime.files import BadInput

SUCCESS_THRESHOLDS = np.linspace(0, 1, 21)  # overlap
PRECISION_THRESHOLDS = np.arange(51.0)  # pixels
NORMALISED_THRESHOLDS = np.arange(51) / 100  # parts of the true box


def overlap(boxes, truth):
    """Intersection over union of boxes (..., 4) and true boxes (..., 4), as (...) in 0..1; boxes without area overlap nothing."""
    boxes, truth = _pair(boxes, truth)
    low = np.maximum(boxes[..., :2], truth[..., :2])
    high = np.minimum(boxes[..., :2] + boxes[..., 2:], truth[..., :2] + truth[..., 2:])
    shared = np.maximum(high - low, 0).prod(-1)
    union = boxes[..., 2:].prod(-1) + truth[..., 2:].prod(-1) - shared
    return np.clip(np.divide(shared, union, out=np.zeros_like(shared), where=union > 0), 0, 1)


def center_error(boxes, truth):
    """Distance in pixels between the centres of boxes (..., 4) and of true boxes (..., 4), as (...)."""
    boxes, truth = _pair(boxes, truth)
    return np.hypot(*np.moveaxis(_offset(boxes, truth), -1, 0))


def normalised_error(boxes, truth):
    """Centre distance with x in widths and y in heights of the true box, as (...); infinite where the true box has no area.

    Source: TrackingNet (Mueller et al., ECCV 2018), so that small and large targets count alike.
    """
    boxes, truth = _pair(boxes, truth)
    size = truth[..., 2:]
    parts = np.divide(_offset(boxes, truth), size, out=np.full(size.shape, np.inf), where=size > 0)
    return np.hypot(parts[..., 0], parts[..., 1])


def success_curve(overlaps):
    """Part of the frames (..., N) whose overlap is above each of SUCCESS_THRESHOLDS, as (..., 21)."""
    return (_scores(overlaps, "overlaps")[..., None] > SUCCESS_THRESHOLDS).mean(-2)


def precision_curve(errors, thresholds=PRECISION_THRESHOLDS):
    """Part of the frames (..., N) whose error is at most each threshold, by default 0..50 pixels, as (..., 51)."""
    return (_scores(errors, "errors")[..., None] <= thresholds).mean(-2)


def success_auc(overlaps):
    """Area under the success curve of the frames (..., N): the mean over its 21 thresholds, at most 20/21."""
    return success_curve(overlaps).mean(-1)


def success_rate(overlaps, threshold=0.5):
    """Part of the frames (..., N) whose overlap is above `threshold`."""
    return (_scores(overlaps, "overlaps") > threshold).mean(-1)


def precision_at(errors, pixels=20):
    """Part of the frames (..., N) whose centre error is at most `pixels`."""
    return (_scores(errors, "errors") <= pixels).mean(-1)


def is_lost(overlaps):
    """Whether the target of frames (..., N) is lost at the end: no overlap at all in the last tenth of them, at least one frame."""
    overlaps = _scores(overlaps, "overlaps")
    return (overlaps[..., -((overlaps.shape[-1] + 9) // 10) :] == 0).all(-1)


def normalised_precision(errors):
    """Area under the precision curve of normalised errors (..., N) over 0, 0.01 .. 0.5 (TrackingNet)."""
    return precision_curve(errors, NORMALISED_THRESHOLDS).mean(-1)


def bootstrap_interval(x, n_boot=10_000, seed=0, level=0.95, weights=None):
    """Mean of scores x (R seeds, S sequences) and its percentile interval when seeds and sequences are both drawn anew: (mean, low, high).

    Pass differences for a paired comparison. `weights` (S,) make it a weighted mean over sequences, such as one over frames. `seed` is a
    number or a numpy Generator. One to three seeds understate the spread over seeds.
    """
    x = np.atleast_2d(_scores(x, "scores"))
    if x.ndim != 2:
        raise BadInput(f"scores: an array (seeds, sequences) is needed, not one of shape {x.shape}")
    rng = np.random.default_rng(seed)
    rows, columns = x.shape
    shares = (
        rng.multinomial(rows, np.full(rows, 1 / rows), size=n_boot) / rows
    )  # how often each seed was drawn
    drawn = rng.integers(columns, size=(n_boot, columns))
    weights = np.ones(columns) if weights is None else np.asarray(weights, np.float64)
    means = np.take_along_axis(shares @ x * weights, drawn, axis=1).mean(1) / weights[drawn].mean(1)
    low, high = np.quantile(means, [(1 - level) / 2, (1 + level) / 2])
    return float(np.average(x.mean(0), weights=weights)), float(low), float(high)


def _offset(boxes, truth):
    return boxes[..., :2] - truth[..., :2] + (boxes[..., 2:] - truth[..., 2:]) / 2


def _pair(boxes, truth):
    pair = [np.asarray(boxes, np.float64), np.asarray(truth, np.float64)]
    if pair[0].shape != pair[1].shape or pair[0].shape[-1:] != (4,):
        raise BadInput(
            f"boxes of shape {pair[0].shape} cannot be scored against true boxes of shape {pair[1].shape}; make both (..., 4)"
        )
    for values, name in zip(pair, ("boxes", "true boxes")):
        if not np.isfinite(values).all():
            row = int(np.argmin(np.isfinite(values).all(-1)))
            raise BadInput(
                f"{name}: number {row + 1} of {values.size // 4} is not finite and cannot be scored"
            )
    return pair


def _scores(values, name):
    values = np.asarray(values, np.float64)
    if values.size == 0:
        raise BadInput(f"{name}: there are none, so there is nothing to average")
    if np.isnan(values).any():
        raise BadInput(
            f"{name}: number {int(np.argmax(np.isnan(values))) + 1} of {values.size} is not a number and cannot be averaged"
        )
    return values
