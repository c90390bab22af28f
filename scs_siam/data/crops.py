"""Crops around a target with the context of SiameseFC (D23), exact to a fraction of a pixel."""

import cv2
import numpy as np
from numpy.typing import ArrayLike


def context_side(w: ArrayLike, h: ArrayLike) -> ArrayLike:
    """Return the side, in frame pixels, of the square that a template shows (D23).

    It is sqrt((w + p)(h + p)) with p = (w + h) / 2.
    """
    p = (w + h) / 2
    return np.sqrt((w + p) * (h + p))


def crop_matrix(center: ArrayLike, side: float, size: int) -> np.ndarray:
    """Return the 2 x 3 affine matrix from the pixels of a crop to those of the frame.

    The crop shows a square of `side` frame pixels, resampled to `size` pixels.
    """
    scale = side / size
    offset = scale * (size - 1) / 2
    return np.array([[scale, 0, center[0] - offset], [0, scale, center[1] - offset]], np.float64)


def crop(
    image: np.ndarray, center: ArrayLike, side: float, size: int, padding: ArrayLike
) -> np.ndarray:
    """Return a square crop (size, size, 3) of an image (H, W, 3) by one bilinear warp.

    Beyond the image the colour `padding` (3,) continues it (D17).
    """
    matrix, border = crop_matrix(center, side, size), tuple(float(value) for value in padding)
    options = {"flags": cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP, "borderValue": border}
    return cv2.warpAffine(image, matrix, (size, size), borderMode=cv2.BORDER_CONSTANT, **options)


def box_in_crop(box: ArrayLike, center: ArrayLike, side: float, size: int) -> np.ndarray:
    """Convert boxes of the frame to pixels of the crop with this `center`, `side` and `size`."""
    scale, box = size / side, np.asarray(box, np.float64)
    middle = (box[..., :2] + (box[..., 2:] - 1) / 2 - np.asarray(center)) * scale + (size - 1) / 2
    return np.concatenate([middle - (box[..., 2:] * scale - 1) / 2, box[..., 2:] * scale], axis=-1)


def mean_colour(image: np.ndarray) -> np.ndarray:
    """Return the mean colour (3,) of an image, the padding of Section 3.2."""
    return np.array(cv2.mean(image)[:3])
