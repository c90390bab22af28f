"""Training pairs: drawing them (Algorithm 1), augmentation, masks and labels (Sec. 3.2, 3.5).

A NumPy generator on the host draws the random numbers, so a seed gives the same batch on a CPU and
on a GPU. Everything else happens for a whole batch at once on the device.
"""

from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from scs_siam.config import TrainingConfig
from scs_siam.model import STRIDE, Images, Response, response_side
from scs_siam.runtime.files import BadInput
from scs_siam.runtime.shapes import Float
from scs_siam.soft_mask import blend

BRANCHES = ("template", "search")
Colours = Float[Tensor, "batch 3 1 1"]
Mask = Float[Tensor, "batch 1 height width"]
Grid = Float[Tensor, "batch height width 2"]


@dataclass(frozen=True)
class Batch:
    """Images (B, 3, size, size) with values 0..255 and labels (B, 1, r, r) of -1 and +1."""

    template: Tensor
    template_masked: Tensor
    search: Tensor
    search_masked: Tensor
    label: Tensor


class PairSampler:
    """Draw pairs of rows of a store's index: a sequence, a template frame, a search frame.

    The search frame is at most `max_distance` frames away. With `held_out` the pairs come from the
    sequences that `training.hold_out` keeps for validation.
    """

    def __init__(self, index: dict, config: TrainingConfig, held_out: bool = False):
        sequence, self.frame = index["sequence"].astype(np.int64), index["frame"].astype(np.int64)
        first = np.flatnonzero(np.diff(sequence, prepend=-1))
        count = np.diff(np.append(first, len(sequence)))
        out = np.zeros(len(first), bool)
        if config.hold_out:
            out = sequence[first] % config.hold_out == config.hold_out - 1
        kept = out == held_out
        if not kept.any():
            remedy = "choose another training.hold_out"
            raise BadInput(f"the sampler has no sequence to draw from; {remedy}")
        self.first, self.count = first[kept], count[kept]
        self.weight = np.cumsum(self.count ** float(config.sequence_weight))
        self.distance = config.max_distance
        # One sorted key for all frames; the span keeps the frames of two sequences apart.
        self.span = int(self.frame.max()) + 2 * self.distance + 1
        self.key = sequence * self.span + self.frame

    def draw(self, n: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        """Return the rows (n,) of the templates and of the search frames."""
        sequence = np.searchsorted(self.weight, rng.random(n) * self.weight[-1], side="right")
        template = self.first[sequence] + rng.integers(self.count[sequence])
        low = np.searchsorted(self.key, self.key[template] - self.distance, side="left")
        high = np.searchsorted(self.key, self.key[template] + self.distance, side="right")
        return template, low + rng.integers(high - low)


def draw_augmentation(n: int, config: TrainingConfig, rng: np.random.Generator) -> dict:
    """Draw the random numbers of one batch, for the images and their masked twins (D16, D18)."""

    def geometry(shift):
        shifts = rng.uniform(-shift, shift, (n, 2))
        return {"shift": shifts, "stretch": 1 + rng.uniform(-1, 1, (n, 2)) * config.max_stretch}

    def colour():
        gain = 1 + rng.uniform(-1, 1, (n, 3)) * config.colour
        return {"gain": gain, "offset": 128 * rng.uniform(-1, 1, (n, 3)) * config.colour}

    draws = {
        "mirror": np.where(rng.random(n) < config.flip, -1.0, 1.0),
        "grey": (rng.random(n) < config.grey).astype(float),
        "blurred": np.flatnonzero(rng.random(n) < config.blur),
        "sigma_blur": rng.uniform(0.5, 2.0, n),
    }
    for name, shift in zip(BRANCHES, config.max_shift):
        draws[name] = {**geometry(shift), **colour()}
        masked = draws[name] if config.aligned else {**draws[name], **geometry(shift)}  # D16
        draws[name + "_masked"] = masked
    return draws


@dataclass(frozen=True)
class Drawn:
    """The host's part of a batch: rows of templates and search frames, random numbers, crops."""

    rows: tuple
    draws: dict
    crops: dict


def draw_batch(store, rows: tuple, config: TrainingConfig, rng, part=slice(None)) -> Drawn:
    """Draw the random numbers of all pairs and read the crops of those in the slice `part`."""
    draws = _share(draw_augmentation(len(rows[0]), config, rng), part)
    rows = tuple(ids[part] for ids in rows)
    return Drawn(rows, draws, {name: store.read(ids) for name, ids in zip(BRANCHES, rows)})


def make_batch(store, rows: tuple, config: TrainingConfig, rng, device="cpu") -> Batch:
    """Return the Batch of two arrays of rows: read the crops, send them to the device, augment."""
    return augment(store, draw_batch(store, rows, config, rng), config, device)


def augment(store, drawn: Drawn, config: TrainingConfig, device="cpu") -> Batch:
    """Return the Batch of a Drawn: crops, masks and labels of all pairs at once on the device.

    The host never waits for the device.
    """
    rows, draws, images = drawn.rows, drawn.draws, {}
    for name, ids in zip(BRANCHES, rows):
        index = {key: _tensor(store.index[key][ids], device) for key in ("box", "image", "mean")}
        patch = torch.as_tensor(drawn.crops[name]).to(device, non_blocking=True)
        moved = 0.0
        if name == "search" and config.mask_centre == "template":  # D15
            moved = _offset_of_masked(store.index, rows)
        images |= _augment(patch, index, draws, name, moved, config)
    return Batch(**images, label=make_label(config, draws, device))


def _share(draws, part):
    """The random numbers of some pairs of a batch; a masked twin that shares them still does."""
    first, last, _ = part.indices(len(draws["mirror"]))
    if (first, last) == (0, len(draws["mirror"])):
        return draws
    blurred = draws["blurred"]
    shared = {"blurred": blurred[(blurred >= first) & (blurred < last)] - first}
    shared |= {name: draws[name][part] for name in ("mirror", "grey", "sigma_blur")}
    for name in BRANCHES:
        shared[name] = {kind: values[part] for kind, values in draws[name].items()}
        twin = name + "_masked"
        same = draws[twin] is draws[name]
        own = {kind: values[part] for kind, values in draws[twin].items()}
        shared[twin] = shared[name] if same else own
    return shared


def _offset_of_masked(index, rows):
    """D15: pixels (B, 2) by which the masked search crop, centred on the template's box, is off."""
    template, search = rows
    return (index["centre"][template] - index["centre"][search]) * index["scale"][search, None]


def _augment(patch, index, draws, name, moved, config):
    """Image and masked image (B, 3, size, size) from stored crops (B, S, S, 3) uint8."""
    device, twin, mirror = patch.device, draws[name + "_masked"], draws["mirror"]
    template = name == "template"
    size = config.template_size if template else config.search_size
    masks = config.mask_template if template else config.mask_search
    margin = 0 if np.ndim(moved) else _margin(patch.shape[1], size, config)
    inner = slice(margin, patch.shape[1] - margin)
    patch = patch[:, inner, inner].permute(0, 3, 1, 2)
    # The first three channels become I - mean, the others I * inside.
    layers = torch.empty((len(patch), 6 if masks else 3, *patch.shape[2:]), device=device)
    mean = index["mean"][:, :, None, None].clone()
    image, mean = _recolour(layers[:, :3].copy_(patch), mean, draws, name)
    beyond = _inside(image, layers[:, 3:], index, margin, config) if masks else None
    image -= mean  # beyond the crop the sampler reads 0, so the mean continues the image (D17)
    grid = _grid(draws[name], mirror, 0.0, size, patch.shape[-1], device)
    if masks and twin is draws[name] and np.ndim(moved) == 0:
        both = _sample(layers, grid)
        plain, inside = both[:, :3].add_(mean), both[:, 3:]
        masked = blend(plain, inside.add_(beyond), config.sigma)
    else:
        plain = masked = _sample(image, grid).add_(mean)
        if masks:
            grid = _grid(twin, mirror, moved, size, patch.shape[-1], device)
            both = _sample(layers, grid)
            masked = blend(both[:, :3] + mean, both[:, 3:] + beyond, config.sigma)
    if not template:
        blurred = _blur(plain, draws)
        plain, masked = blurred, blurred if masked is plain else _blur(masked, draws)
    return {name: plain, name + "_masked": masked}


def _margin(stored, size, config):
    """Pixels on each side of a stored crop that no augmented crop of `size` pixels can reach."""
    reach = (size - 1) / 2 * (1 + config.max_stretch) + max(config.max_shift) + 2
    return max(0, int((stored - 1) / 2 - reach))


def _recolour(image: Images, mean: Colours, draws, name) -> tuple[Images, Colours]:
    """Change gain, offset and greyness of the pixels and of the mean in place; return both."""
    if np.any(draws["grey"]):
        where = _tensor(np.flatnonzero(draws["grey"]), image.device, np.int64)
        for x in (image, mean):
            x[where] = x[where].mean(1, keepdim=True).expand(-1, 3, -1, -1)
    if np.any(draws[name]["offset"]):
        gain, offset = (draws[name][key][:, :, None, None] for key in ("gain", "offset"))
        gain, offset = _tensor(gain, image.device), _tensor(offset, image.device)
        for x in (image, mean):
            x.mul_(gain).add_(offset).clamp_(0, 255)
    return image, mean


def _inside(image: Images, out: Images, index, margin, config):
    """Write I * inside minus its value beyond the frame to `out`; return that value (D17, D27)."""
    line = torch.arange(margin, margin + image.shape[-1], device=image.device)
    box, frame = index["box"], index["image"]
    low = torch.maximum(box[:, :2], frame[:, :2])
    high = torch.minimum(box[:, :2] + box[:, 2:], frame[:, :2] + frame[:, 2:])
    mask = _between(line, low, high)
    if not config.mask_clip:  # D27
        mask *= (box[:, :2] >= frame[:, :2] - 1e-3).all(1)[:, None, None, None]
    torch.mul(image, mask, out=out)
    if config.mask_padding == "dimmed":
        return 0.0
    area = frame[:, 2:].prod(1)[:, None, None, None]
    beyond = out.sum((2, 3), keepdim=True) / area  # D17: mean of I * inside over the frame
    out -= beyond * _between(line, frame[:, :2], frame[:, :2] + frame[:, 2:])
    return beyond


def _between(line, low: Float[Tensor, "batch 2"], high: Float[Tensor, "batch 2"]) -> Mask:
    """1 where the centre of a pixel lies in the rectangle from `low` to `high`, otherwise 0."""
    ok = ((line >= low[:, :, None] - 0.5) & (line < high[:, :, None] - 0.5)).float()
    return (ok[:, 1, :, None] * ok[:, 0, None, :])[:, None]


def _grid(draw, mirror, moved, size, patch, device) -> Grid:
    """Sampling grid of a crop that is shifted, stretched and mirrored about the target's centre."""
    half, line = (patch - 1) / 2, np.arange(size) - (size - 1) / 2
    stretch = draw["stretch"] * np.stack([mirror, np.ones_like(mirror)], 1)
    middle = (draw["shift"] + moved) / half
    axes = (middle[:, k, None] + stretch[:, k, None] * line / half for k in (0, 1))
    x, y = (_tensor(axis, device) for axis in axes)
    return torch.stack(torch.broadcast_tensors(x[:, None, :], y[:, :, None]), -1)


def _sample(image, grid: Grid):
    return F.grid_sample(image, grid, mode="bilinear", padding_mode="zeros", align_corners=True)


def _blur(image: Images, draws) -> Images:
    """Blur the rows draws["blurred"], each by a Gaussian with its own deviation in pixels."""
    rows = draws["blurred"]
    if not len(rows):
        return image
    kernel = np.exp(-0.5 * (np.arange(-4, 5) / draws["sigma_blur"][rows, None]) ** 2)
    kernel = _tensor(kernel / kernel.sum(1, keepdims=True), image.device).repeat_interleave(3, 0)
    where = _tensor(rows, image.device, np.int64)
    flat = F.pad(image[where].flatten(0, 1)[None], (4, 4, 4, 4), mode="replicate")
    flat = F.conv2d(flat, kernel[:, None, None, :], groups=len(kernel))
    flat = F.conv2d(flat, kernel[:, None, :, None], groups=len(kernel))
    return image.index_copy(0, where, flat[0].unflatten(0, (len(rows), 3)))


def make_label(config: TrainingConfig, draws: dict, device="cpu") -> Response:
    """Return the labels of Eq. 7: +1 near the target, -1 elsewhere (D14, D29).

    Near means at most `positive_radius` pixels (L1 distance) from the target's centre.
    """
    cells, mirror = response_side(config.template_size, config.search_size), draws["mirror"]
    # The displacement in pixels that each cell of the response map means.
    line = np.arange(cells) * STRIDE - (config.search_size - config.template_size) / 2
    moved = np.zeros((len(mirror), 2))
    if config.label_follows:  # D29: a crop that moves right shows the target further left
        shifts = {name: draws[name]["shift"] / draws[name]["stretch"] for name in BRANCHES}
        direction = np.stack([mirror, np.ones_like(mirror)], 1)
        moved = (-shifts["search"] + shifts["template"]) * direction
    across = np.abs(line[None, None, :] - moved[:, 0, None, None])
    distance = across + np.abs(line[None, :, None] - moved[:, 1, None, None])
    return _tensor(np.where(distance <= config.positive_radius, 1.0, -1.0)[:, None], device)


def _tensor(array, device, kind=np.float32):
    """An array on the device; to a GPU it goes through pinned memory, so the host does not wait."""
    host = torch.as_tensor(np.asarray(array, kind))
    host = host.pin_memory() if torch.device(device).type == "cuda" else host
    return host.to(device, non_blocking=True)
