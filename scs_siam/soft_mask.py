"""The soft mask of Section 3.2: 1 inside the target's bounding box, sigma outside.

A pixel belongs to the target if its centre lies in the box, so the box alone decides a mask, at
every resolution. Cropping is linear in the image, so a crop of a masked image needs no second mask:

    crop(I * m) = sigma * crop(I) + (1 - sigma) * crop(I * inside)

`blend` is this line. It gives the masked crop for any sigma from the same two crops.
"""

import numpy as np

from scs_siam.data.boxes import check_box
from scs_siam.runtime.files import BadInput
from scs_siam.runtime.shapes import Float


def soft_mask(shape: tuple[int, ...], box, sigma: float) -> Float[np.ndarray, "height width"]:
    """Return the mask m of Section 3.2, float32: 1 inside `box`, `sigma` outside.

    `shape` is that of the image, (height, width, ...). The box (x, y, w, h) may be fractional and
    may leave the image. BadInput names a box without area and a sigma outside [0, 1].
    """
    check_sigma(sigma)
    x, y, w, h = check_box(box, "soft mask")
    columns, rows = np.arange(shape[1]), np.arange(shape[0])
    across = (columns >= x - 0.5) & (columns < x + w - 0.5)
    down = (rows >= y - 0.5) & (rows < y + h - 0.5)
    return np.where(down[:, None] & across[None, :], np.float32(1), np.float32(sigma))


def apply_mask(image: np.ndarray, box, sigma: float) -> Float[np.ndarray, "height width 3"]:
    """Return the masked image I * m of Section 3.2 as float32 from an image (height, width, 3)."""
    return image.astype(np.float32) * soft_mask(image.shape, box, sigma)[:, :, None]


def blend(image, inside, sigma: float):
    """Return masked crops for any sigma, from crops of the image I and of I * inside.

    Arrays or tensors of one shape.
    """
    return sigma * image + (1 - sigma) * inside


def check_sigma(sigma: float) -> float:
    """Return `sigma`, the weight of the background; BadInput unless it lies in [0, 1]."""
    if not (isinstance(sigma, (int, float, np.number)) and 0 <= sigma <= 1):
        raise BadInput(f"sigma: {sigma!r} is outside 0 to 1")
    return sigma
