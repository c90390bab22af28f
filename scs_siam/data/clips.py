"""Clips: a tracked video as H.264, frame by frame, with the boxes drawn."""

import contextlib
from pathlib import Path

import cv2
import numpy as np

from scs_siam.runtime.files import BadInput, writing

COLOUR = (0, 158, 115)  # bluish green of Okabe and Ito


def draw_box(frame, box, colour=COLOUR):
    """A copy of the frame (H, W, 3) with the box (x, y, w, h) outlined."""
    corner, size = np.round(box[:2]).astype(int), np.round(box[2:]).astype(int)
    thickness = max(2, min(frame.shape[:2]) // 160)
    return cv2.rectangle(
        frame.copy(),
        tuple(corner.tolist()),
        tuple((corner + size).tolist()),
        colour,
        thickness,
        cv2.LINE_AA,
    )


class ClipWriter:
    """Writes an .mp4; use it in a `with` block. What was written before an interruption plays; BadInput if the disk is full."""

    def __init__(self, path, fps=25):
        self.path, self.fps, self.container = Path(path), fps, None
        if self.path.suffix.lower() != ".mp4":
            raise BadInput(f"{path}: a clip is written as .mp4; choose such a name")

    def __enter__(self):
        return self

    def write(self, frame, box):
        """Append a frame (H, W, 3) uint8 RGB with its box."""
        import av

        if self.container is None:
            self._open(frame)
        height, width = self.stream.height, self.stream.width
        image = av.VideoFrame.from_ndarray(
            np.ascontiguousarray(draw_box(frame, box)[:height, :width]), format="rgb24"
        )
        with self._writing():
            self.container.mux(self.stream.encode(image))

    def _open(self, frame):
        import av

        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self.container = av.open(str(self.path), "w")
        except OSError as error:
            raise BadInput(
                f"{self.path}: cannot be written ({error.strerror}); choose another place"
            ) from None
        self.stream = self.container.add_stream("libx264", rate=self.fps)
        self.stream.height, self.stream.width = (
            frame.shape[0] // 2 * 2,
            frame.shape[1] // 2 * 2,
        )  # H.264 wants even sides
        self.stream.pix_fmt = "yuv420p"

    def __exit__(self, *_):
        if self.container is not None:
            with self._writing():
                self.container.mux(self.stream.encode(None))
                self.container.close()

    @contextlib.contextmanager
    def _writing(self):
        """Remove a clip whose end cannot be written, since it would not play."""
        try:
            with writing(self.path):
                yield
        except BadInput:
            container, self.container = self.container, None
            with contextlib.suppress(OSError):
                container.close()
            self.path.unlink(missing_ok=True)
            raise
