"""Training pairs: which crops meet (Algorithm 1), and augmentation, masks and labels for a whole batch on the device (Sec. 3.2, 3.5).

The random numbers are drawn on the host by a NumPy generator, so one seed gives the same batch on a CPU and on a GPU.
"""

from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F

from scs_siam.model import STRIDE, response_side
from scs_siam.runtime.files import BadInput
from scs_siam.soft_mask import blend


@dataclass(frozen=True)
class Batch:
    """Images (B, 3, size, size) float 0..255, labels (B, 1, r, r) in {-1, +1}."""

    template: torch.Tensor
    template_masked: torch.Tensor
    search: torch.Tensor
    search_masked: torch.Tensor
    label: torch.Tensor


class PairSampler:
    """Draws pairs of rows of a store's index: a sequence, a template of it, a search at most `max_distance` frames away.

    `held_out` draws from the sequences that training.hold_out keeps for validation.
    """

    def __init__(self, index, config, held_out=False):
        sequence, self.frame = index["sequence"].astype(np.int64), index["frame"].astype(np.int64)
        first = np.flatnonzero(np.diff(sequence, prepend=-1))
        count = np.diff(np.append(first, len(sequence)))
        out = (
            sequence[first] % config.hold_out == config.hold_out - 1
            if config.hold_out
            else np.zeros(len(first), bool)
        )
        kept = out == held_out
        if not kept.any():
            raise BadInput(
                "the sampler has no sequence to draw from; choose another training.hold_out"
            )
        self.first, self.count = first[kept], count[kept]
        self.weight = np.cumsum(self.count ** float(config.sequence_weight))
        self.distance = config.max_distance
        self.span = (
            int(self.frame.max()) + 2 * self.distance + 1
        )  # keeps the frames of two sequences apart in one sorted key
        self.key = sequence * self.span + self.frame

    def draw(self, n, rng):
        """Rows (n,) of templates and of searches."""
        sequence = np.searchsorted(self.weight, rng.random(n) * self.weight[-1], side="right")
        template = self.first[sequence] + rng.integers(self.count[sequence])
        low = np.searchsorted(self.key, self.key[template] - self.distance, side="left")
        high = np.searchsorted(self.key, self.key[template] + self.distance, side="right")
        return template, low + rng.integers(high - low)


def draw_augmentation(n, config, rng):
    """Random numbers of one batch, host arrays: what happens to template and search, and to their masked twins (D16, D18)."""

    def geometry(shift):
        return {
            "shift": rng.uniform(-shift, shift, (n, 2)),
            "stretch": 1 + rng.uniform(-1, 1, (n, 2)) * config.max_stretch,
        }

    def colour():
        return {
            "gain": 1 + rng.uniform(-1, 1, (n, 3)) * config.colour,
            "offset": 128 * rng.uniform(-1, 1, (n, 3)) * config.colour,
        }

    draws = {
        "mirror": np.where(rng.random(n) < config.flip, -1.0, 1.0),
        "grey": (rng.random(n) < config.grey).astype(float),
        "blurred": np.flatnonzero(rng.random(n) < config.blur),
        "sigma_blur": rng.uniform(0.5, 2.0, n),
    }
    for name, shift in zip(("template", "search"), config.max_shift):
        draws[name] = {**geometry(shift), **colour()}
        draws[name + "_masked"] = (
            draws[name] if config.aligned else {**draws[name], **geometry(shift)}
        )  # D16
    return draws


@dataclass(frozen=True)
class Drawn:
    """A batch as the host leaves it: rows of templates and searches, the augmentation's random numbers, crops uint8 by name."""

    rows: tuple
    draws: dict
    crops: dict


def draw_batch(store, rows, config, rng, part=slice(None)):
    """What the host does for a batch: the random numbers of all its pairs, and the crops of those in `part`, read from the store."""
    draws = _share(draw_augmentation(len(rows[0]), config, rng), part)
    rows = tuple(ids[part] for ids in rows)
    return Drawn(
        rows, draws, {name: store.read(ids) for name, ids in zip(("template", "search"), rows)}
    )


def make_batch(store, rows, config, rng, device="cpu"):
    """The Batch of a pair of row arrays: crops are read, sent to the device and augmented there."""
    return augment(store, draw_batch(store, rows, config, rng), config, device)


def augment(store, drawn, config, device="cpu"):
    """The Batch that a Drawn becomes on the device: crops, masks and labels of all pairs at once, without a word back to the host."""
    rows, draws, images = drawn.rows, drawn.draws, {}
    for name, ids, size in zip(
        ("template", "search"), rows, (config.template_size, config.search_size)
    ):
        index = {key: _tensor(store.index[key][ids], device) for key in ("box", "image", "mean")}
        patch = torch.as_tensor(drawn.crops[name]).to(device, non_blocking=True)
        moved = (
            _offset_of_masked(store.index, rows)
            if name == "search" and config.mask_centre == "template"
            else 0.0
        )  # D15
        masks = config.mask_template if name == "template" else config.mask_search
        images[name], images[name + "_masked"] = _augment(
            patch, index, size, draws, name, moved, masks, config
        )
    label = make_label(config, draws, device)
    return Batch(
        images["template"],
        images["template_masked"],
        images["search"],
        images["search_masked"],
        label,
    )


def _share(draws, part):
    """The random numbers of some pairs of a batch; a masked twin that shares them with its image still does."""
    first, last, _ = part.indices(len(draws["mirror"]))
    if (first, last) == (0, len(draws["mirror"])):
        return draws
    blurred = draws["blurred"]
    shared = {"blurred": blurred[(blurred >= first) & (blurred < last)] - first}
    shared |= {name: draws[name][part] for name in ("mirror", "grey", "sigma_blur")}
    for name in ("template", "search"):
        for key in (name, name + "_masked"):
            twin = key != name and draws[key] is draws[name]
            shared[key] = (
                shared[name]
                if twin
                else {kind: values[part] for kind, values in draws[key].items()}
            )
    return shared


def _offset_of_masked(index, rows):
    """D15: pixels (B, 2) by which the masked search crop is off, because it is centred on the template's box."""
    template, search = rows
    return (index["centre"][template] - index["centre"][search]) * index["scale"][search, None]


def _augment(patch, index, size, draws, name, moved, masks, config):
    """Image and masked image (B, 3, size, size) from stored crops (B, S, S, 3) uint8."""
    device, twin = patch.device, draws[name + "_masked"]
    margin = 0 if np.ndim(moved) else _margin(patch.shape[1], size, config)
    patch = patch[:, margin : patch.shape[1] - margin, margin : patch.shape[1] - margin].permute(
        0, 3, 1, 2
    )
    layers = torch.empty(
        (len(patch), 6 if masks else 3, *patch.shape[2:]), device=device
    )  # I - mean, and I * inside
    image, mean = _recolour(
        layers[:, :3].copy_(patch), index["mean"][:, :, None, None].clone(), draws, name
    )
    beyond = _inside(image, layers[:, 3:], index, margin, config) if masks else None
    image -= (
        mean  # beyond the stored crop the sampler reads 0, so the mean continues the image (D17)
    )
    grid = _grid(draws[name], draws["mirror"], 0.0, size, patch.shape[-1], device)
    blur = _blur if name == "search" else lambda image, draws: image
    if masks and twin is draws[name] and np.ndim(moved) == 0:
        both = _sample(layers, grid)
        image, inside = both[:, :3].add_(mean), both[:, 3:]
        return blur(image, draws), blur(blend(image, inside.add_(beyond), config.sigma), draws)
    plain = blur(_sample(image, grid).add_(mean), draws)
    if not masks:
        return plain, plain
    both = _sample(layers, _grid(twin, draws["mirror"], moved, size, patch.shape[-1], device))
    return plain, blur(blend(both[:, :3] + mean, both[:, 3:] + beyond, config.sigma), draws)


def _margin(stored, size, config):
    """Pixels of a stored crop, to each side, that no augmented crop of `size` pixels can reach."""
    reach = (size - 1) / 2 * (1 + config.max_stretch) + max(config.max_shift) + 2
    return max(0, int((stored - 1) / 2 - reach))


def _recolour(image, mean, draws, name):
    """Change gain, offset and greyness of the pixels and of the mean (B, 3, 1, 1) in place, and return both."""
    if np.any(draws["grey"]):
        where = _tensor(np.flatnonzero(draws["grey"]), image.device, np.int64)
        for x in (image, mean):
            x[where] = x[where].mean(1, keepdim=True).expand(-1, 3, -1, -1)
    if np.any(draws[name]["offset"]):
        gain, offset = (
            _tensor(draws[name][key], image.device)[:, :, None, None] for key in ("gain", "offset")
        )
        for x in (image, mean):
            x.mul_(gain).add_(offset).clamp_(0, 255)
    return image, mean


def _inside(image, out, index, margin, config):
    """Write I * inside, less its value beyond the frame, to `out`; return that value (B, 3, 1, 1), by D17 and D27."""
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
    beyond = (
        out.sum((2, 3), keepdim=True) / frame[:, 2:].prod(1)[:, None, None, None]
    )  # D17: mean of I * inside over the frame
    out -= beyond * _between(line, frame[:, :2], frame[:, :2] + frame[:, 2:])
    return beyond


def _between(line, low, high):
    """1 where a pixel's centre lies in the rectangle from `low` to `high` (B, 2), else 0: (B, 1, S, S)."""
    ok = ((line >= low[:, :, None] - 0.5) & (line < high[:, :, None] - 0.5)).float()
    return (ok[:, 1, :, None] * ok[:, 0, None, :])[:, None]


def _grid(draw, mirror, moved, size, patch, device):
    """Sampling grid (B, size, size, 2) of a crop that is shifted, stretched and mirrored about the target's centre."""
    line = np.arange(size) - (size - 1) / 2
    stretch = draw["stretch"] * np.stack([mirror, np.ones_like(mirror)], 1)
    middle = (draw["shift"] + moved) / ((patch - 1) / 2)
    x, y = (
        _tensor(middle[:, k, None] + stretch[:, k, None] * line / ((patch - 1) / 2), device)
        for k in (0, 1)
    )
    return torch.stack(torch.broadcast_tensors(x[:, None, :], y[:, :, None]), -1)


def _sample(image, grid):
    return F.grid_sample(image, grid, mode="bilinear", padding_mode="zeros", align_corners=True)


def _blur(image, draws):
    """Gaussian blur of the rows in draws["blurred"], each with its own standard deviation in pixels."""
    rows = draws["blurred"]
    if not len(rows):
        return image
    taps = np.arange(-4, 5)
    kernel = np.exp(-0.5 * (taps / draws["sigma_blur"][rows, None]) ** 2)
    kernel = _tensor(kernel / kernel.sum(1, keepdims=True), image.device).repeat_interleave(3, 0)
    where = _tensor(rows, image.device, np.int64)
    flat = F.pad(image[where].flatten(0, 1)[None], (4, 4, 4, 4), mode="replicate")
    flat = F.conv2d(
        F.conv2d(flat, kernel[:, None, None, :], groups=len(kernel)),
        kernel[:, None, :, None],
        groups=len(kernel),
    )
    return image.index_copy(0, where, flat[0].unflatten(0, (len(rows), 3)))


def make_label(config, draws, device="cpu"):
    """Labels (B, 1, r, r) of Eq. 7: +1 within `positive_radius` pixels (L1) of the target, -1 elsewhere (D14, D29)."""
    cells = response_side(config.template_size, config.search_size)
    line = (
        np.arange(cells) * STRIDE - (config.search_size - config.template_size) / 2
    )  # displacement that a cell means
    moved = np.zeros((len(draws["mirror"]), 2))
    if config.label_follows:  # D29: a crop that moves right shows the target further left
        direction = np.stack([draws["mirror"], np.ones_like(draws["mirror"])], 1)
        moved = (
            sum(
                sign * draws[name]["shift"] / draws[name]["stretch"]
                for sign, name in ((-1, "search"), (1, "template"))
            )
            * direction
        )
    distance = np.abs(line[None, None, :] - moved[:, 0, None, None]) + np.abs(
        line[None, :, None] - moved[:, 1, None, None]
    )
    return _tensor(np.where(distance <= config.positive_radius, 1.0, -1.0)[:, None], device)


def _tensor(array, device, kind=np.float32):
    """An array on the device; to a card it goes through pinned memory, so that the host does not wait for what is queued there."""
    host = torch.as_tensor(np.asarray(array, kind))
    return (host.pin_memory() if torch.device(device).type == "cuda" else host).to(
        device, non_blocking=True
    )
