"""What the notebooks look at: a few synthetic frames with the boxes of their targets, as crops and as the network's input."""

import numpy as np
import torch

from scs_siam.data.boxes import center
from scs_siam.data.crops import box_in_crop, context_side, crop, mean_colour
from scs_siam.data.synthetic import Scene, render
from scs_siam.soft_mask import apply_mask, blend

FIRST_SEED = 1_000_000_014  # of the example scenes; those of training and test sets stay below


def frames(n, seed=0, attributes=()):
    """`n` frames (240, 320, 3) uint8, each of another clip that is in no training or test set, and the boxes (n, 4) of their targets."""
    clips = [
        render(Scene(FIRST_SEED + 100 * seed + k, frames=1, attributes=attributes))
        for k in range(n)
    ]
    return [clip.frames[0] for clip in clips], np.array([clip.boxes[0] for clip in clips])


def pair(frame, box, sigma, size=127):
    """T and T_sm of Sec. 3.2 around `box`, float32 (size, size, 3), as training sees them without augmentation (D17: dimmed padding)."""
    middle, side = center(box), context_side(*box[2:]) * size / 127
    image = crop(frame.astype(np.float32), middle, side, size, mean_colour(frame))
    inside = crop(apply_mask(frame, box, 0.0), middle, side, size, (0, 0, 0))
    return image, blend(image, inside, sigma)


def box_in_pair(box, size=127):
    """The target's box (x, y, w, h) in pixels of the crops that `pair` returns."""
    return box_in_crop(box, center(box), context_side(*box[2:]) * size / 127, size)


def batch(images):
    """Images (H, W, 3) as the network's input (B, 3, H, W) float32."""
    return torch.from_numpy(np.stack(images).astype(np.float32)).permute(0, 3, 1, 2).contiguous()
