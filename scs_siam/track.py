"""Tracking: Algorithm 2 and Sec. 4.1, with the habit of OpenCV's trackers: init(frame, box), then update(frame)."""

from copy import deepcopy

import cv2
import numpy as np
import torch
import torch.nn.functional as F

from scs_siam.data.boxes import center, check_box, from_center, from_one_based, to_one_based
from scs_siam.data.crops import box_in_crop, context_side, crop, crop_matrix, mean_colour
from scs_siam.model import STRIDE, folded
from scs_siam.runtime.files import BadInput
from scs_siam.runtime.hardware import default_precision, keep_freed_memory
from scs_siam.runtime.int8 import IntegerSearch, fastest
from scs_siam.soft_mask import blend, soft_mask

TRACKING_VERSION = 1  # raise it when the same weights and settings give other boxes
PRECISIONS = ("fast", "exact", "int8", "bf16")


class Tracker:
    """Follows one target.

    `precision` "exact" is the plain float32 network. "fast" folds batch norm and computes in 8-bit integers, bfloat16 or float32, whichever
    this machine convolves fastest and the network allows; "int8" and "bf16" ask for one. `form` tells which. BadInput if it cannot be.
    """

    @torch.no_grad()
    def __init__(self, model, config, device="cpu", precision="fast"):
        if precision not in PRECISIONS:
            raise BadInput(f"precision: '{precision}' is not one of {', '.join(PRECISIONS)}")
        keep_freed_memory()
        self.config, self.device, self.window = config, torch.device(device), None
        trained, model = model, deepcopy(model).eval() if precision == "exact" else folded(model)
        model.b = None  # b moves every cell alike, so no peak; the factor on the outer scales must not see it (D10, D21)
        self.form, self.integers = self._form(precision, trained, model)
        self.dtype = torch.bfloat16 if self.form == "bf16" else torch.float32
        self.model = model.to(self.device, self.dtype, memory_format=torch.channels_last)
        self.scales = config.scale_step ** (np.arange(config.scales) - (config.scales - 1) / 2)
        self.penalty = np.where(
            np.arange(config.scales) == config.scales // 2, 1.0, config.scale_penalty
        )  # D21

    def _form(self, precision, trained, model):
        """The form to compute in, and the network of integers where that is it."""
        if precision in ("exact", "bf16"):
            return precision, None
        wanted = precision
        if precision == "fast":
            wanted = fastest() if self.device.type == "cpu" else default_precision(self.device)
        if wanted != "int8":
            return wanted, None
        if (
            self.device.type == "cpu" and self.config.sigma == 1 and IntegerSearch.fits(trained)
        ):  # a dimmed image has fractions
            integers = IntegerSearch(deepcopy(trained))
            if integers.agrees(model, self.config.search_size):
                return "int8", integers
        if precision == "int8":
            raise BadInput("precision: this network or device does not allow int8; use fast")
        return default_precision(self.device), None

    @torch.inference_mode()
    def init(self, frame, box):
        """Start at `box` (x, y, w, h) of `frame` (H, W, 3) uint8 RGB; BadInput if either cannot be used."""
        _check_frame(frame)
        box = check_box(box, "first box", frame.shape)
        self.centre, self.size = center(box), box[2:].copy()
        self.limits = np.outer(self.config.size_limits, self.size)  # D26
        self.crops = np.empty(
            (self.config.scales, self.config.search_size, self.config.search_size, 3), np.uint8
        )
        side, size = self._side() * self.config.template_size, self.config.template_size
        template = crop(frame, self.centre, side, size, mean_colour(frame))
        masked = None
        if self.config.sigma < 1:
            masked = self._tensor(self._masked(template, side, size, frame.shape)[None])
        self.template = self.model.embed_template(self._tensor(template[None]), masked).float()

    def update(self, frame):
        """The target's box (x, y, w, h) in the next `frame` (H, W, 3) uint8 RGB."""
        return step([self], [frame])[0]

    @property
    def search(self):
        """The search crop (263, 263, 3) uint8 that the last `update` chose."""
        chosen = self.crops[self.scale]
        return (
            chosen
            if isinstance(chosen, np.ndarray)
            else chosen.permute(1, 2, 0).byte().cpu().numpy()
        )

    def track(self, frames, box, on_frame=None):
        """Boxes (N, 4) of a whole clip from its frames in order and the first box; `on_frame(frame, box)` sees each as it comes."""
        boxes = []
        for frame in frames:
            if boxes:
                boxes.append(self.update(frame))
            else:
                self.init(frame, box)
                boxes.append(np.asarray(box, np.float64))
            if on_frame is not None:
                on_frame(frame, boxes[-1])
        return np.array(boxes)

    def _side(self):
        """Frame pixels of one crop pixel at the middle scale (D30)."""
        return context_side(*self.size) / self.config.scale_at

    def _cut(self, frame):
        """Search regions (scales, 3, 263, 263) around the last position, and their masked twins or None."""
        size = self.config.search_size
        sides = self._side() * self.scales * size
        padding = self._padding(frame, sides.max())
        if self.device.type != "cpu" and self.config.sigma == 1:
            self.crops = cut_on_card(frame, self.centre, sides, size, padding, self.device)
            return self.crops, None
        for buffer, side in zip(
            self.crops, sides
        ):  # one warp a scale, straight from the frame into the same memory
            cv2.warpAffine(
                frame,
                crop_matrix(self.centre, side, size),
                (size, size),
                dst=buffer,
                flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
                borderMode=cv2.BORDER_CONSTANT,
                borderValue=padding,
            )
        masked = None
        if (
            self.config.sigma < 1
        ):  # Table 8, last row: the mask comes from the box of the frame before
            masked = self._tensor(
                np.stack(
                    [
                        self._masked(pixels, side, size, frame.shape)
                        for pixels, side in zip(self.crops, sides)
                    ]
                )
            )
        return torch.from_numpy(self.crops).permute(0, 3, 1, 2), masked

    def _embed_search(self, images, masked):
        """psi(X) of search regions as `_cut` gives them."""
        if self.integers is not None:
            return self.integers(images)
        return self.model.embed_search(images.to(self.device, self.dtype), masked)

    def _respond(self, templates, features):
        """Response maps (N, scales, 17, 17) of templates (N, 1, C, 7, 7) in features (N, scales, C, 23, 23), Eq. 4, in float32.

        In bfloat16 neighbouring cells and scales would often tie.
        """
        if self.form == "exact":
            return torch.stack(
                [self.model.respond(*pair)[:, 0].float() for pair in zip(templates, features)]
            )
        return self.model.config.response_scale * slide(templates[:, 0], features)  # D10

    def _follow(self, response):
        """Take the best place of the response maps (scales, 17, 17); the box there."""
        if not np.isfinite(response).all():
            raise BadInput("tracker: the response is not finite; the weights file is damaged")
        self.scale, moved = self._peak(response)
        self.response, factor = response[self.scale], self.scales[self.scale]
        self.centre = self.centre + moved * self._side() * factor
        damping = self.config.scale_damping
        self.size = np.clip(self.size * (1 - damping + damping * factor), *self.limits)  # D21, D26
        return from_center(self.centre, self.size)

    def _padding(self, frame, side):
        """The frame's mean colour where a crop of `side` pixels leaves the frame; nothing otherwise (D17)."""
        low, high = self.centre - side / 2 - 1, self.centre + side / 2 + 1
        if (low >= 0).all() and high[0] < frame.shape[1] and high[1] < frame.shape[0]:
            return (0, 0, 0)
        return tuple(mean_colour(frame).tolist())

    def _masked(self, pixels, side, size, frame_shape):
        """The masked twin (size, size, 3) of a crop, from the last box; beyond the frame all is background (D17)."""
        rectangles = [from_center(self.centre, self.size), (0, 0, frame_shape[1], frame_shape[0])]
        box, frame = box_in_crop(rectangles, self.centre, side, size)
        inside = soft_mask(pixels.shape, box, 0.0) * soft_mask(pixels.shape, frame, 0.0)
        return blend(pixels.astype(np.float32), pixels * inside[:, :, None], self.config.sigma)

    def _tensor(self, images):
        """(B, size, size, 3) to the model's input; the memory layout is channels_last already."""
        return (
            torch.from_numpy(np.ascontiguousarray(images))
            .permute(0, 3, 1, 2)
            .to(self.device, self.dtype)
        )

    def _peak(self, response):
        """Scale and displacement (2,) in crop pixels of the best cell: Algorithm 2, D19 to D21, D26.

        The whole response is enlarged, not only the part around its peak: its minimum and its sum count too.
        """
        config = self.config
        side = response.shape[-1] * config.upsampling
        fine = [cv2.resize(map_, (side, side), interpolation=cv2.INTER_CUBIC) for map_ in response]
        scale = int(np.argmax([map_.max() for map_ in fine] * self.penalty))
        best = fine[scale] * self.penalty[scale]
        best -= best.min()
        best /= best.sum() + 1e-16
        if self.window is None or self.window.shape != best.shape:
            self.window = np.outer(np.hanning(side), np.hanning(side))
            self.window /= self.window.sum()
        best = (1 - config.window_influence) * best + config.window_influence * self.window  # D20
        row, column = np.unravel_index(best.argmax(), best.shape)
        cells = np.array([column, row]) - config.centre_cell * side / 272  # D26; 272 = 17 x 16
        return scale, cells * STRIDE / config.upsampling


@torch.inference_mode()
def step(trackers, frames):
    """Boxes of some trackers that share a network and settings, each in its own next frame, from one batch and one wait for the device."""
    parts = []
    for tracker, frame in zip(trackers, frames):
        if not hasattr(tracker, "template"):
            raise BadInput("tracker: call init(frame, box) before update(frame)")
        _check_frame(frame)
        parts.append(tracker._cut(frame))
    images, masked = (
        part[0] if len(part) == 1 or part[0] is None else torch.cat(part) for part in zip(*parts)
    )
    features = trackers[0]._embed_search(images, masked).float().unflatten(0, (len(trackers), -1))
    responses = trackers[0]._respond(
        torch.stack([tracker.template for tracker in trackers]), features
    )
    return [
        tracker._follow(response) for tracker, response in zip(trackers, responses.cpu().numpy())
    ]


def slide(templates, features):
    """Cross-correlation, Eq. 1, of (N, C, h, w) with (N, S, C, H, W) -> (N, S, H-h+1, W-w+1).

    A convolution to one channel is slow; one matrix product gives every cell of a template with every cell of the features, and the sum
    over a diagonal of it is a response.
    """
    (count, channels, h, w), (scales, _, height, width) = templates.shape, features.shape[1:]
    rows = features.permute(0, 1, 3, 4, 2).reshape(count, -1, channels)
    products = rows @ templates.flatten(2)  # (N, S H W, h w)
    cells, line = h * w, width * h * w
    shape, strides = (height - h + 1, width - w + 1, h, w), (line, cells, line + w, cells + 1)
    return products.as_strided(
        (count, scales, *shape), (scales * height * line, height * line, *strides)
    ).sum((4, 5))


def cut_on_card(frame, centre, sides, size, padding, device):
    """The crops of `Tracker._cut` as a tensor (scales, 3, size, size) of whole grey levels, sampled on `device`; tested on a CPU."""
    pixels = torch.from_numpy(np.ascontiguousarray(frame)).to(device).permute(2, 0, 1).float()
    beyond = torch.tensor(padding, dtype=torch.float32).to(device)[:, None, None]
    line = torch.from_numpy(np.multiply.outer(sides / size, np.arange(size) - (size - 1) / 2)).to(
        device
    )  # (scales, size), frame pixels
    x, y = (
        2 * (line + middle) / (extent - 1) - 1
        for middle, extent in zip(centre, (frame.shape[1], frame.shape[0]))
    )
    grid = torch.stack(torch.broadcast_tensors(x[:, None, :], y[:, :, None]), -1).float()
    sampled = F.grid_sample(
        (pixels - beyond).expand(len(sides), -1, -1, -1), grid, align_corners=True
    )  # reads 0 beyond the frame
    return (sampled + beyond).round()


def got10k_tracker(model, config, name="SCS-Siam", device="cpu", precision="fast"):
    """The same tracker as a got10k.trackers.Tracker, for got10k's experiments; boxes are 1-based there."""
    from got10k.trackers import Tracker as Base

    class Got10kTracker(Base):
        def __init__(self):
            super().__init__(name=name, is_deterministic=True)
            self.tracker = Tracker(model, config, device, precision)

        def init(self, image, box):
            self.tracker.init(np.asarray(image), from_one_based(box))

        def update(self, image):
            return to_one_based(self.tracker.update(np.asarray(image)))

    return Got10kTracker()


def _check_frame(frame):
    if not (
        isinstance(frame, np.ndarray)
        and frame.dtype == np.uint8
        and frame.ndim == 3
        and frame.shape[2] == 3
        and frame.size
    ):
        what = (
            f"{frame.dtype} {frame.shape}"
            if isinstance(frame, np.ndarray)
            else type(frame).__name__
        )
        raise BadInput(f"frame: {what} is not an RGB image; give a uint8 array (height, width, 3)")
