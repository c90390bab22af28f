"""Tracking: Algorithm 2 and Sec. 4.1, with the habit of OpenCV's trackers: init(frame, box), then update(frame)."""
from copy import deepcopy

import cv2
import numpy as np
import torch

from .boxes import center, check_box, from_center, from_one_based, to_one_based
from .crops import box_in_crop, context_side, crop, crop_matrix, mean_colour
from .files import BadInput
from .machine import default_precision, keep_freed_memory
from .model import STRIDE, folded
from .soft_mask import blend, soft_mask


class Tracker:
    """Follows one target.

    `precision` "fast" folds batch norm and computes in bfloat16 where that pays; "exact" is the plain float32 network.
    """

    def __init__(self, model, config, device="cpu", precision="fast"):
        if precision not in ("fast", "exact"):
            raise BadInput(f"precision: '{precision}' is not one of fast, exact")
        keep_freed_memory()
        self.config, self.device = config, torch.device(device)
        fast = precision == "fast"
        self.dtype = torch.bfloat16 if fast and default_precision(device) == "bf16" else torch.float32
        model = folded(model) if fast else deepcopy(model).eval()
        model.b = None  # b moves every cell alike, so no peak; the factor on the outer scales must not see it (D10, D21)
        self.model = model.to(self.device, self.dtype, memory_format=torch.channels_last)
        self.scales = config.scale_step ** (np.arange(config.scales) - (config.scales - 1) / 2)
        self.penalty = np.where(np.arange(config.scales) == config.scales // 2, 1.0, config.scale_penalty)[:, None, None]  # D21
        self.crops = np.empty((config.scales, config.search_size, config.search_size, 3), np.uint8)
        self.window = None

    @torch.inference_mode()
    def init(self, frame, box):
        """Start at `box` (x, y, w, h) of `frame` (H, W, 3) uint8 RGB; BadInput if either cannot be used."""
        _check_frame(frame)
        box = check_box(box, "first box", frame.shape)
        self.centre, self.size = center(box), box[2:].copy()
        self.limits = np.outer(self.config.size_limits, self.size)  # D26
        side, size = self._side() * self.config.template_size, self.config.template_size
        template = crop(frame, self.centre, side, size, mean_colour(frame))
        masked = None
        if self.config.sigma < 1:
            masked = self._tensor(self._masked(template, side, size, frame.shape)[None])
        self.template = self.model.embed_template(self._tensor(template[None]), masked).float()

    @torch.inference_mode()
    def update(self, frame):
        """The target's box (x, y, w, h) in the next `frame` (H, W, 3) uint8 RGB."""
        if not hasattr(self, "template"):
            raise BadInput("tracker: call init(frame, box) before update(frame)")
        _check_frame(frame)
        response = self._respond(frame)
        if not np.isfinite(response).all():
            raise BadInput("tracker: the response is not finite; the weights file is damaged")
        scale, moved = self._peak(response)
        factor = self.scales[scale]
        self.centre = self.centre + moved * self._side() * factor
        self.response, self.search = response[scale], self.crops[scale]
        damping = self.config.scale_damping
        self.size = np.clip(self.size * (1 - damping + damping * factor), *self.limits)  # D21, D26
        return from_center(self.centre, self.size)

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

    def _respond(self, frame):
        """Response maps (scales, 17, 17) of the search regions around the last position, Eq. 4."""
        sides, masked = self._cut(frame), None
        if self.config.sigma < 1:  # Table 8, last row: the mask comes from the box of the frame before
            size = self.config.search_size
            masked = self._tensor(np.stack([self._masked(pixels, side, size, frame.shape) for pixels, side in zip(self.crops, sides)]))
        features = self._embed_search(self._tensor(self.crops), masked)
        response = self.model.respond(self.template, features.float())  # in bfloat16 neighbouring cells and scales would often tie
        return response[:, 0].float().cpu().numpy()

    def _cut(self, frame):
        """Fill `crops` with the search regions of all scales, one warp each; their sides in frame pixels."""
        size = self.config.search_size
        sides = self._side() * self.scales * size
        padding = self._padding(frame, sides.max())
        for buffer, side in zip(self.crops, sides):
            cv2.warpAffine(frame, crop_matrix(self.centre, side, size), (size, size), dst=buffer,
                           flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP, borderMode=cv2.BORDER_CONSTANT, borderValue=padding)
        return sides

    def _embed_search(self, images, masked):
        return self.model.embed_search(images, masked)

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
        return torch.from_numpy(np.ascontiguousarray(images)).permute(0, 3, 1, 2).to(self.device, self.dtype)

    def _peak(self, response):
        """Scale and displacement (2,) in crop pixels of the best cell: Algorithm 2, D19 to D21, D26."""
        config = self.config
        side = response.shape[-1] * config.upsampling
        fine = [cv2.resize(map_, (side, side), interpolation=cv2.INTER_CUBIC) for map_ in response] * self.penalty
        scale = int(fine.max((1, 2)).argmax())
        best = fine[scale] - fine[scale].min()
        best /= best.sum() + 1e-16
        if self.window is None or self.window.shape != best.shape:
            self.window = np.outer(np.hanning(side), np.hanning(side))
            self.window /= self.window.sum()
        best = (1 - config.window_influence) * best + config.window_influence * self.window  # D20
        row, column = np.unravel_index(best.argmax(), best.shape)
        cells = np.array([column, row]) - config.centre_cell * side / 272  # D26; 272 = 17 x 16
        return scale, cells * STRIDE / config.upsampling


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
    if not (isinstance(frame, np.ndarray) and frame.dtype == np.uint8 and frame.ndim == 3 and frame.shape[2] == 3 and frame.size):
        what = f"{frame.dtype} {frame.shape}" if isinstance(frame, np.ndarray) else type(frame).__name__
        raise BadInput(f"frame: {what} is not an RGB image; give a uint8 array (height, width, 3)")
