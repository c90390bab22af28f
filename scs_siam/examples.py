"""What the notebooks look at: a few synthetic frames with the boxes of their targets, and the shipped network."""
import numpy as np
import torch

from . import weights
from .boxes import center
from .config import Config
from .crops import box_in_crop, context_side, crop, mean_colour
from .model import SiameseNet
from .soft_mask import apply_mask, blend
from .synthetic import Scene, render

FIRST_SEED = 1_000_000_014  # of the example scenes; those of training and test sets stay below


def frames(n, seed=0, attributes=()):
    """`n` frames (240, 320, 3) uint8, each of another clip that is in no training or test set, and the boxes (n, 4) of their targets."""
    clips = [render(Scene(FIRST_SEED + 100 * seed + k, frames=1, attributes=attributes)) for k in range(n)]
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


def network(seed=0, width=0.5):
    """A network to look into, (model, Config, "shipped" or "random"): the shipped one, or without it a random one of `seed` and `width`."""
    if weights.SHIPPED.is_file():
        return *weights.load_weights(weights.shipped()), "shipped"
    config = Config.preset(width=width)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = SiameseNet(config.model)
    return _settle(model, seed), config, "random"


@torch.no_grad()
def _settle(model, seed):
    """Give the batch norms of an untrained network the means and variances of example crops, so that its features have a scale."""
    images, masked = (batch(side) for side in zip(*(pair(frame, box, 0.9) for frame, box in zip(*frames(8, seed)))))
    norms = [module for module in model.modules() if isinstance(module, torch.nn.BatchNorm2d)]
    momentum = norms[0].momentum
    for norm in norms:
        norm.momentum = None  # plain mean over the batches seen
    model.train().embed_template(images, masked)
    for norm in norms:
        norm.momentum = momentum
    return model.eval()
