"""Tracking: Algorithm 2 and Section 4.1, with the interface of OpenCV's trackers.

Call `init(frame, box)` once, then `update(frame)` for every further frame.
"""

from collections.abc import Callable, Iterable
from copy import deepcopy

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from scs_siam.config import TrackingConfig
from scs_siam.data.boxes import center, check_box, from_center, from_one_based, to_one_based
from scs_siam.data.crops import box_in_crop, context_side, crop, crop_matrix, mean_colour
from scs_siam.model import STRIDE, SiameseNet, folded
from scs_siam.runtime.files import BadInput
from scs_siam.runtime.hardware import default_precision, keep_freed_memory
from scs_siam.runtime.int8 import IntegerSearch, fastest
from scs_siam.runtime.shapes import Float
from scs_siam.soft_mask import blend, soft_mask

TRACKING_VERSION = 1  # raise it when the same weights and settings give other boxes
PRECISIONS = ("fast", "exact", "int8", "bf16")
Maps = Float[np.ndarray, "scales rows columns"]


class Tracker:
    """Follow one target.

    `precision` "exact" runs the plain float32 network. "fast" folds batch norm and computes in
    8-bit integers, bfloat16 or float32, whichever this machine convolves fastest and the network
    allows; "int8" and "bf16" request one of them, and BadInput says so if that is impossible.
    `form` names the arithmetic in use.
    """

    @torch.no_grad()
    def __init__(
        self,
        model: SiameseNet,
        config: TrackingConfig,
        device: str = "cpu",
        precision: str = "fast",
    ):
        if precision not in PRECISIONS:
            raise BadInput(f"precision: '{precision}' is not one of {', '.join(PRECISIONS)}")
        keep_freed_memory()
        self.config, self.device, self.window = config, torch.device(device), None
        trained, model = model, deepcopy(model).eval() if precision == "exact" else folded(model)
        # b moves every cell alike and so no peak, and the factor on the outer scales must not
        # multiply it (D10, D21).
        model.b = None
        self.form, self.integers = self._form(precision, trained, model)
        self.dtype = torch.bfloat16 if self.form == "bf16" else torch.float32
        self.model = model.to(self.device, self.dtype, memory_format=torch.channels_last)
        scales = np.arange(config.scales)
        self.scales = config.scale_step ** (scales - (config.scales - 1) / 2)
        self.penalty = np.where(scales == config.scales // 2, 1.0, config.scale_penalty)  # D21

    def _form(self, precision, trained, model):
        """The arithmetic to use, and the network of integers where that is it."""
        if precision in ("exact", "bf16"):
            return precision, None
        wanted = precision
        if precision == "fast":
            wanted = fastest() if self.device.type == "cpu" else default_precision(self.device)
        if wanted != "int8":
            return wanted, None
        whole = self.device.type == "cpu" and self.config.sigma == 1  # a dimmed image has fractions
        if whole and IntegerSearch.fits(trained):
            integers = IntegerSearch(deepcopy(trained))
            if integers.agrees(model, self.config.search_size):
                return "int8", integers
        if precision == "int8":
            raise BadInput("precision: this network or device does not allow int8; use fast")
        return default_precision(self.device), None

    @torch.inference_mode()
    def init(self, frame: np.ndarray, box) -> None:
        """Start at `box` (x, y, w, h) in an RGB uint8 `frame` (H, W, 3).

        BadInput if either cannot be used.
        """
        _check_frame(frame)
        box = check_box(box, "first box", frame.shape)
        self.centre, self.size = center(box), box[2:].copy()
        self.limits = np.outer(self.config.size_limits, self.size)  # D26
        search = self.config.search_size
        self.crops = np.empty((self.config.scales, search, search, 3), np.uint8)
        side, size = self._side() * self.config.template_size, self.config.template_size
        template = crop(frame, self.centre, side, size, mean_colour(frame))
        masked = None
        if self.config.sigma < 1:
            masked = self._tensor(self._masked(template, side, size, frame.shape)[None])
        self.template = self.model.embed_template(self._tensor(template[None]), masked).float()

    def update(self, frame: np.ndarray) -> np.ndarray:
        """Return the target's box (x, y, w, h) in the next RGB uint8 `frame` (H, W, 3)."""
        return step([self], [frame])[0]

    @property
    def search(self) -> np.ndarray:
        """The search region (263, 263, 3), uint8, at the scale that the last `update` chose."""
        chosen = self.crops[self.scale]
        if isinstance(chosen, np.ndarray):
            return chosen
        return chosen.permute(1, 2, 0).byte().cpu().numpy()

    def track(
        self, frames: Iterable[np.ndarray], box, on_frame: Callable | None = None
    ) -> np.ndarray:
        """Return the boxes (N, 4) of a clip from its frames in order and the first box.

        `on_frame(frame, box)` is called after each frame.
        """
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
        """Frame pixels per crop pixel at the middle scale (D30)."""
        return context_side(*self.size) / self.config.scale_at

    def _cut(self, frame):
        """Search regions (scales, 3, 263, 263) at the last position; their masked twins or None."""
        size, config = self.config.search_size, self.config
        sides = self._side() * self.scales * size
        padding = self._padding(frame, sides.max())
        if self.device.type != "cpu" and config.sigma == 1:
            self.crops = crop_on_device(frame, self.centre, sides, size, padding, self.device)
            return self.crops, None
        options = {"flags": cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP, "borderValue": padding}
        options["borderMode"] = cv2.BORDER_CONSTANT
        for buffer, side in zip(self.crops, sides):  # one warp per scale into memory that is reused
            matrix = crop_matrix(self.centre, side, size)
            cv2.warpAffine(frame, matrix, (size, size), dst=buffer, **options)
        masked = None
        if config.sigma < 1:  # Table 8, last row: the mask comes from the previous box
            pairs = zip(self.crops, sides)
            masked = np.stack([self._masked(*pair, size, frame.shape) for pair in pairs])
            masked = self._tensor(masked)
        return torch.from_numpy(self.crops).permute(0, 3, 1, 2), masked

    def _embed_search(self, images, masked):
        """psi(X) of search regions as `_cut` gives them."""
        if self.integers is not None:
            return self.integers(images)
        return self.model.embed_search(images.to(self.device, self.dtype), masked)

    def _respond(
        self,
        templates: Float[Tensor, "targets 1 channels h w"],
        features: Float[Tensor, "targets scales channels height width"],
    ) -> Float[Tensor, "targets scales rows columns"]:
        """Response maps of Eq. 4 in float32; in bfloat16 neighbouring cells would often tie."""
        if self.form == "exact":
            maps = [self.model.respond(*pair)[:, 0] for pair in zip(templates, features)]
            return torch.stack(maps).float()
        return self.model.config.response_scale * slide(templates[:, 0], features)  # D10

    def _follow(self, response: Maps) -> np.ndarray:
        """Move to the best position of the response maps and return the box there."""
        if not np.isfinite(response).all():
            raise BadInput("tracker: the response is not finite; the weights file is damaged")
        self.scale, moved = self._peak(response)
        self.response, factor = response[self.scale], self.scales[self.scale]
        self.centre = self.centre + moved * self._side() * factor
        damping = self.config.scale_damping
        self.size = np.clip(self.size * (1 - damping + damping * factor), *self.limits)  # D21, D26
        return from_center(self.centre, self.size)

    def _padding(self, frame, side):
        """The frame's mean colour where a crop of `side` pixels leaves the frame (D17)."""
        low, high = self.centre - side / 2 - 1, self.centre + side / 2 + 1
        if (low >= 0).all() and high[0] < frame.shape[1] and high[1] < frame.shape[0]:
            return (0, 0, 0)
        return tuple(mean_colour(frame).tolist())

    def _masked(self, pixels, side, size, frame_shape):
        """The masked crop, from the last box; everything beyond the frame is background (D17)."""
        rectangles = [from_center(self.centre, self.size), (0, 0, frame_shape[1], frame_shape[0])]
        box, frame = box_in_crop(rectangles, self.centre, side, size)
        inside = soft_mask(pixels.shape, box, 0.0) * soft_mask(pixels.shape, frame, 0.0)
        return blend(pixels.astype(np.float32), pixels * inside[:, :, None], self.config.sigma)

    def _tensor(self, images):
        """Images (B, size, size, 3) as input of the model; they are channels_last already."""
        tensor = torch.from_numpy(np.ascontiguousarray(images)).permute(0, 3, 1, 2)
        return tensor.to(self.device, self.dtype)

    def _peak(self, response: Maps):
        """Scale and displacement (2,), in crop pixels, of the best cell (Algorithm 2, D19 to D21).

        The whole map is upsampled, not only the part around its peak, because its minimum and its
        sum count too.
        """
        config, side = self.config, response.shape[-1] * self.config.upsampling
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
def step(trackers: list[Tracker], frames: list[np.ndarray]) -> list[np.ndarray]:
    """Return the boxes of several trackers, each in its own next frame, from one batch.

    The trackers share a network and settings; the host waits for the device once.
    """
    parts = []
    for tracker, frame in zip(trackers, frames):
        if not hasattr(tracker, "template"):
            raise BadInput("tracker: call init(frame, box) before update(frame)")
        _check_frame(frame)
        parts.append(tracker._cut(frame))
    images, masked = (x[0] if len(x) == 1 or x[0] is None else torch.cat(x) for x in zip(*parts))
    first = trackers[0]
    features = first._embed_search(images, masked).float().unflatten(0, (len(trackers), -1))
    responses = first._respond(torch.stack([tracker.template for tracker in trackers]), features)
    pairs = zip(trackers, responses.cpu().numpy())
    return [tracker._follow(response) for tracker, response in pairs]


def slide(
    templates: Float[Tensor, "targets channels h w"],
    features: Float[Tensor, "targets scales channels height width"],
) -> Float[Tensor, "targets scales rows columns"]:
    """Cross-correlate (Eq. 1) each template with the features of its own scales.

    A convolution to a single channel is slow. One matrix product gives every cell of a template
    times every cell of the features, and the sum over a diagonal of it is a cell of the response.
    """
    (count, channels, h, w), (scales, _, height, width) = templates.shape, features.shape[1:]
    rows = features.permute(0, 1, 3, 4, 2).reshape(count, -1, channels)
    products = rows @ templates.flatten(2)  # (targets, scales x height x width, h x w)
    cells, line = h * w, width * h * w
    shape = (count, scales, height - h + 1, width - w + 1, h, w)
    strides = (scales * height * line, height * line, line, cells, line + w, cells + 1)
    return products.as_strided(shape, strides).sum((4, 5))


def crop_on_device(frame: np.ndarray, centre, sides, size: int, padding, device) -> Tensor:
    """Return the crops of `Tracker._cut` (scales, 3, size, size), sampled on `device`."""
    pixels = torch.from_numpy(np.ascontiguousarray(frame)).to(device).permute(2, 0, 1).float()
    beyond = torch.tensor(padding, dtype=torch.float32).to(device)[:, None, None]
    line = np.multiply.outer(sides / size, np.arange(size) - (size - 1) / 2)  # frame pixels
    line, extents = torch.from_numpy(line).to(device), (frame.shape[1], frame.shape[0])
    x, y = (2 * (line + middle) / (extent - 1) - 1 for middle, extent in zip(centre, extents))
    grid = torch.stack(torch.broadcast_tensors(x[:, None, :], y[:, :, None]), -1).float()
    images = (pixels - beyond).expand(len(sides), -1, -1, -1)  # beyond the frame it reads 0
    return (F.grid_sample(images, grid, align_corners=True) + beyond).round()


def got10k_tracker(
    model: SiameseNet,
    config: TrackingConfig,
    name: str = "SCS-Siam",
    device: str = "cpu",
    precision: str = "fast",
):
    """Return the tracker as a got10k.trackers.Tracker for got10k's experiments (1-based boxes)."""
    from got10k.trackers import Tracker as Base
    from PIL import ImageOps

    def pixels(image):  # got10k opens images with PIL, which leaves their EXIF rotation to us
        return np.asarray(ImageOps.exif_transpose(image) if hasattr(image, "getexif") else image)

    class Got10kTracker(Base):
        def __init__(self):
            super().__init__(name=name, is_deterministic=True)
            self.tracker = Tracker(model, config, device, precision)

        def init(self, image, box):
            self.tracker.init(pixels(image), from_one_based(box))

        def update(self, image):
            return to_one_based(self.tracker.update(pixels(image)))

    return Got10kTracker()


def _check_frame(frame):
    if isinstance(frame, np.ndarray):
        image = frame.dtype == np.uint8 and frame.ndim == 3 and frame.shape[2] == 3
        if image and frame.size:
            return
    array = isinstance(frame, np.ndarray)
    what = f"{frame.dtype} {frame.shape}" if array else type(frame).__name__
    raise BadInput(f"frame: {what} is not an RGB image; give a uint8 array (height, width, 3)")
