"""Crops around a target with SiameseFC's context (D23), exact to a fraction of a pixel."""

import cv2
import numpy as np


def context_side(w, h):
    """Side in frame pixels of the square that a template shows: sqrt((w + p)(h + p)), p = (w + h) / 2 (D23)."""
    p = (w + h) / 2
    return np.sqrt((w + p) * (h + p))


def crop_matrix(center, side, size):
    """2 x 3 affine matrix from a crop's pixels to the frame's, for a square of `side` pixels resampled to `size` pixels."""
    scale = side / size
    half = (size - 1) / 2
    return np.array(
        [[scale, 0, center[0] - scale * half], [0, scale, center[1] - scale * half]], np.float64
    )


def crop(image, center, side, size, padding):
    """Square crop (size, size, 3) of an image (H, W, 3) by one bilinear warp; beyond the image `padding` (3,) continues it (D17)."""
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    border = tuple(float(value) for value in padding)
    return cv2.warpAffine(
        image,
        crop_matrix(center, side, size),
        (size, size),
        flags=flags,
        borderMode=cv2.BORDER_CONSTANT,
        borderValue=border,
    )


def box_in_crop(box, center, side, size):
    """A frame's box (x, y, w, h) in the pixels of the crop with the same `center`, `side` and `size`."""
    scale = size / side
    box = np.asarray(box, np.float64)
    middle = (box[..., :2] + (box[..., 2:] - 1) / 2 - np.asarray(center)) * scale + (size - 1) / 2
    return np.concatenate([middle - (box[..., 2:] * scale - 1) / 2, box[..., 2:] * scale], axis=-1)


def mean_colour(image):
    """Mean colour (3,) of an image, the padding of Sec. 3.2."""
    return np.array(cv2.mean(image)[:3])
