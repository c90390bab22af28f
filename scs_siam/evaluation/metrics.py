"""Scores of one-pass evaluation (Sec. 4.2): overlap, centre error, success and precision.

Thresholds and strictness are those of the OTB toolkit and of got10k, so the numbers compare with
published ones. An overlap must exceed its threshold, so nothing passes the threshold 1, and the AUC
of a perfect tracker is 20/21.
"""

import numpy as np

from scs_siam.runtime.files import BadInput

SUCCESS_THRESHOLDS = np.linspace(0, 1, 21)  # overlap
PRECISION_THRESHOLDS = np.arange(51.0)  # pixels
NORMALISED_THRESHOLDS = np.arange(51) / 100  # parts of the true box


def overlap(boxes, truth) -> np.ndarray:
    """Return the intersection over union (...) of boxes (..., 4) and true boxes (..., 4).

    A box without area overlaps nothing.
    """
    boxes, truth = _pair(boxes, truth)
    low = np.maximum(boxes[..., :2], truth[..., :2])
    high = np.minimum(boxes[..., :2] + boxes[..., 2:], truth[..., :2] + truth[..., 2:])
    shared = np.maximum(high - low, 0).prod(-1)
    union = boxes[..., 2:].prod(-1) + truth[..., 2:].prod(-1) - shared
    return np.clip(np.divide(shared, union, out=np.zeros_like(shared), where=union > 0), 0, 1)


def center_error(boxes, truth) -> np.ndarray:
    """Return the distance (...) in pixels between the centres of boxes and of true boxes."""
    boxes, truth = _pair(boxes, truth)
    return np.hypot(*np.moveaxis(_offset(boxes, truth), -1, 0))


def normalised_error(boxes, truth) -> np.ndarray:
    """Return the centre distance with x in widths and y in heights of the true box.

    It is infinite where the true box has no area. Source: TrackingNet (Mueller et al., ECCV 2018).
    """
    boxes, truth = _pair(boxes, truth)
    size = truth[..., 2:]
    parts = np.divide(_offset(boxes, truth), size, out=np.full(size.shape, np.inf), where=size > 0)
    return np.hypot(parts[..., 0], parts[..., 1])


def success_curve(overlaps) -> np.ndarray:
    """Return the share of frames (..., N) whose overlap exceeds each threshold, as (..., 21)."""
    return (check_scores(overlaps, "overlaps")[..., None] > SUCCESS_THRESHOLDS).mean(-2)


def precision_curve(errors, thresholds=PRECISION_THRESHOLDS) -> np.ndarray:
    """Return the share of frames (..., N) whose error is at most each threshold, as (..., 51)."""
    return (check_scores(errors, "errors")[..., None] <= thresholds).mean(-2)


def success_auc(overlaps) -> np.ndarray:
    """Return the area under the success curve: the mean over its 21 thresholds."""
    return success_curve(overlaps).mean(-1)


def success_rate(overlaps, threshold: float = 0.5) -> np.ndarray:
    """Return the share of frames (..., N) whose overlap exceeds `threshold`."""
    return (check_scores(overlaps, "overlaps") > threshold).mean(-1)


def precision_at(errors, pixels: float = 20) -> np.ndarray:
    """Return the share of frames (..., N) whose centre error is at most `pixels`."""
    return (check_scores(errors, "errors") <= pixels).mean(-1)


def is_lost(overlaps) -> np.ndarray:
    """Tell whether the target is lost: no overlap in the last tenth of the frames (..., N)."""
    overlaps = check_scores(overlaps, "overlaps")
    return (overlaps[..., -((overlaps.shape[-1] + 9) // 10) :] == 0).all(-1)


def normalised_precision(errors) -> np.ndarray:
    """Return the area under the precision curve of normalised errors, 0 to 0.5 (TrackingNet)."""
    return precision_curve(errors, NORMALISED_THRESHOLDS).mean(-1)


def check_scores(values, name: str) -> np.ndarray:
    """Return scores as floats; BadInput if there are none or one is not a number."""
    values = np.asarray(values, np.float64)
    if values.size == 0:
        raise BadInput(f"{name}: there are none, so there is nothing to average")
    if np.isnan(values).any():
        number = int(np.argmax(np.isnan(values))) + 1
        problem = f"number {number} of {values.size} is not a number"
        raise BadInput(f"{name}: {problem} and cannot be averaged")
    return values


def _offset(boxes, truth):
    return boxes[..., :2] - truth[..., :2] + (boxes[..., 2:] - truth[..., 2:]) / 2


def _pair(boxes, truth):
    pair = [np.asarray(boxes, np.float64), np.asarray(truth, np.float64)]
    if pair[0].shape != pair[1].shape or pair[0].shape[-1:] != (4,):
        shapes = f"boxes of shape {pair[0].shape} cannot be scored against true boxes of shape"
        raise BadInput(f"{shapes} {pair[1].shape}; make both (..., 4)")
    for values, name in zip(pair, ("boxes", "true boxes")):
        if not np.isfinite(values).all():
            row = int(np.argmin(np.isfinite(values).all(-1)))
            count = f"number {row + 1} of {values.size // 4}"
            raise BadInput(f"{name}: {count} is not finite and cannot be scored")
    return pair
