"""Track a target while a person watches: draw the first box, show a window, write the files."""

import collections
import contextlib
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterable
from pathlib import Path

import cv2
import numpy as np

from scs_siam.data.boxes import check_box
from scs_siam.data.video import ClipWriter, draw_box
from scs_siam.runtime.files import BadInput

TITLE = "scs-siam (press q to quit)"


def need_display(remedy: str) -> None:
    """Raise BadInput with the `remedy` where no window can be opened."""
    names_one = os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")
    if sys.platform not in ("win32", "darwin") and not names_one:
        raise BadInput(f"there is no display here; {remedy}")


def draw_first_box(frame: np.ndarray) -> np.ndarray:
    """Return the box (x, y, w, h) that the user draws with the mouse on an RGB frame (H, W, 3)."""
    need_display("give the target with --box X,Y,W,H")
    title = "draw a box around the target, then press Enter"
    image = cv2.cvtColor(frame, cv2.COLOR_RGB2BGR)
    with _windows():
        box = cv2.selectROI(title, image, showCrosshair=False, printNotice=False)
        cv2.destroyWindow(title)
    if not (box[2] and box[3]):
        raise BadInput("no box was drawn; draw one, or give it with --box X,Y,W,H")
    return check_box(box, "the drawn box", frame.shape)


class Window:
    """A window that shows each frame with its box; `ended` once it is closed. Use it in `with`."""

    ended = False

    def __init__(self):
        need_display("leave out --show; --output writes a clip")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        with contextlib.suppress(cv2.error):
            cv2.destroyWindow(TITLE)

    def show(self, frame: np.ndarray, box: np.ndarray) -> None:
        """Show an RGB uint8 frame (H, W, 3) with its box."""
        with _windows():
            cv2.imshow(TITLE, cv2.cvtColor(draw_box(frame, box), cv2.COLOR_RGB2BGR))
            quit_pressed = cv2.waitKey(1) & 0xFF in (ord("q"), 27)
            self.ended = quit_pressed or cv2.getWindowProperty(TITLE, cv2.WND_PROP_VISIBLE) < 1


@contextlib.contextmanager
def _windows():
    try:
        yield
    except cv2.error as error:  # a build of OpenCV without windows
        reason = error.err or "no reason given"
        remedy = "use --box and --output"
        raise BadInput(f"OpenCV cannot open a window here ({reason}); {remedy}") from None


@contextlib.contextmanager
def interruptible():
    """Let a first Ctrl-C, SIGTERM or SIGHUP only set the yielded event, to end between two frames.

    A second Ctrl-C raises KeyboardInterrupt.
    """
    requested = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield requested  # signals can be handled in the main thread only
        return

    def handle(*_):
        if requested.is_set():
            raise KeyboardInterrupt
        requested.set()

    names = [name for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)]
    before = {name: signal.signal(getattr(signal, name), handle) for name in names}
    try:
        yield requested
    finally:
        for name, handler in before.items():
            signal.signal(getattr(signal, name), handler)


def check_outputs(source, *outputs: Path | None) -> None:
    """Raise BadInput if one of the files to be written is the source itself."""
    if not isinstance(source, (str, os.PathLike)) or not Path(source).exists():
        return
    for path in outputs:
        if path and path.exists() and path.samefile(source):
            raise BadInput(f"{path}: is the source itself; choose another name for the output")


def length(frames) -> int | None:
    """Return how many frames a clip announces; None for a live source or a header without it."""
    try:
        return len(frames)
    except TypeError:
        return None


def follow(
    tracker,
    frames: Iterable[np.ndarray],
    box: np.ndarray,
    progress,
    clip: Path | None = None,
    file: Path | None = None,
    form: str = "plain",
    window: Window | None = None,
    on_frame: Callable | None = None,
    source=None,
) -> tuple[list[np.ndarray], bool]:
    """Track `frames` from the first `box`; write a `clip` and a `file` of boxes where named.

    Returns the boxes and whether Ctrl-C (or another request to end) stopped the work between two
    frames. Both files are checked before the first frame and hold what was done at any moment, also
    after a kill. `form` is one of `one_pass.FORMATS`. The clip takes frame rate, time stamps and
    pixel aspect from `source`, the Frames that are tracked. `progress.show` and
    `on_frame(frame, box)` are called after each frame.
    """
    from scs_siam.evaluation.one_pass import TrackWriter

    boxes, look = [], (source.fps, source.pixel_aspect) if source is not None else ()
    with contextlib.ExitStack() as stack:
        lines = stack.enter_context(TrackWriter(file, form)) if file else None
        writer = stack.enter_context(ClipWriter(clip, *look)) if clip else None
        requested = stack.enter_context(interruptible())

        times = collections.deque()

        def until_stopped():
            for frame in frames:
                times.append(getattr(frame, "time", None))
                yield frame
                if requested.is_set() or (window and window.ended):
                    return

        def after(frame, found):
            boxes.append(found)
            if lines:
                lines.write(found)
            if writer:
                writer.write(frame, found, times.popleft() if times else None)
            if window:
                window.show(frame, found)
            if on_frame:
                on_frame(frame, found)
            progress.show(len(boxes))

        tracker.track(until_stopped(), box, after)
    return boxes, requested.is_set()
