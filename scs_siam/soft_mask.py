"""The soft mask of Sec. 3.2: 1 inside the target's box, sigma outside.

A pixel belongs to the target if its centre lies in the box, so a mask is decided by the box alone and at every resolution.
Cropping is linear in the image, so a crop of a masked image needs no second mask:

    crop(I * m) = sigma * crop(I) + (1 - sigma) * crop(I * inside)

`blend` is that line. It gives the masked crop for any sigma from the same two crops.
"""

import numpy as np

from scs_siam.data.boxes import check_box
from scs_siam.runtime.files import BadInput


def soft_mask(shape, box, sigma):
    """Mask m of Sec. 3.2: float32 (H, W), 1 inside `box`, `sigma` outside; the box may be fractional and may leave the image."""
    check_sigma(sigma)
    x, y, w, h = check_box(box, "soft mask")
    columns, rows = np.arange(shape[1]), np.arange(shape[0])
    across = (columns >= x - 0.5) & (columns < x + w - 0.5)
    down = (rows >= y - 0.5) & (rows < y + h - 0.5)
    return np.where(down[:, None] & across[None, :], np.float32(1), np.float32(sigma))


def apply_mask(image, box, sigma):
    """The masked image I * m: float32 (H, W, 3) from an image (H, W, 3), Sec. 3.2."""
    return image.astype(np.float32) * soft_mask(image.shape, box, sigma)[:, :, None]


def blend(image, inside, sigma):
    """Masked crops from crops of the image I and of I * inside (arrays or tensors of one shape), for any sigma in [0, 1]."""
    return sigma * image + (1 - sigma) * inside


def check_sigma(sigma):
    """Return `sigma`, the weight of the background; BadInput unless it lies in [0, 1]."""
    if not (isinstance(sigma, (int, float, np.number)) and 0 <= sigma <= 1):
        raise BadInput(f"sigma: {sigma!r} is outside 0 to 1")
    return sigma
