"""Following a target while one watches: the first box by mouse, a window, files of clip and boxes, a Ctrl-C between two frames."""

import contextlib
import os
import signal
import sys
import threading
from pathlib import Path

import cv2

from scs_siam.data.boxes import check_box
from scs_siam.data.clips import ClipWriter, draw_box
from scs_siam.runtime.files import BadInput

TITLE = "scs-siam (q ends)"


def has_display():
    """Whether a window can be opened: always where the system has a desktop of its own, elsewhere where X or Wayland is named."""
    return sys.platform in ("win32", "darwin") or bool(
        os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")
    )


def need_display(mend):
    """BadInput with the `mend` where no window can be opened."""
    if not has_display():
        raise BadInput(f"there is no display here; {mend}")


def draw_first_box(frame):
    """The box (x, y, w, h) that the reader draws with the mouse on a frame (H, W, 3) uint8 RGB; BadInput if none is drawn."""
    need_display("give the target with --box X,Y,W,H")
    title = "draw a box around the target, then press Enter"
    with _windows():
        box = cv2.selectROI(
            title, cv2.cvtColor(frame, cv2.COLOR_RGB2BGR), showCrosshair=False, printNotice=False
        )
        cv2.destroyWindow(title)
    if not (box[2] and box[3]):
        raise BadInput("no box was drawn; draw one, or give it with --box X,Y,W,H")
    return check_box(box, "the drawn box", frame.shape)


class Window:
    """A window that shows each frame with its box; `ended` once the reader has pressed q or Escape or closed it. For a `with` block."""

    ended = False

    def __init__(self):
        need_display("leave out --show; --output writes a clip")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        with contextlib.suppress(cv2.error):
            cv2.destroyWindow(TITLE)

    def show(self, frame, box):
        """Show a frame (H, W, 3) uint8 RGB with its box."""
        with _windows():
            cv2.imshow(TITLE, cv2.cvtColor(draw_box(frame, box), cv2.COLOR_RGB2BGR))
            key = cv2.waitKey(1) & 0xFF
            self.ended = (
                key in (ord("q"), 27) or cv2.getWindowProperty(TITLE, cv2.WND_PROP_VISIBLE) < 1
            )


@contextlib.contextmanager
def _windows():
    try:
        yield
    except cv2.error as error:  # a build of OpenCV without windows
        raise BadInput(
            f"OpenCV cannot open a window here ({error.err or 'no reason given'}); use --box and --output"
        ) from None


@contextlib.contextmanager
def interruptible():
    """Within the block a first Ctrl-C only sets the event that is yielded, so that work can end between two frames; a second stops."""
    asked = threading.Event()
    if (
        threading.current_thread() is not threading.main_thread()
    ):  # only there can a signal be caught
        yield asked
        return

    def handle(*_):
        if asked.is_set():
            raise KeyboardInterrupt
        asked.set()

    before = signal.signal(signal.SIGINT, handle)
    try:
        yield asked
    finally:
        signal.signal(signal.SIGINT, before)


def keep_apart(source, *written):
    """BadInput if one of the files to be `written` (paths or None) is the source itself."""
    for path in written:
        if (
            path
            and isinstance(source, (str, os.PathLike))
            and path.exists()
            and Path(source).exists()
            and path.samefile(source)
        ):
            raise BadInput(f"{path}: is the source itself; choose another name for what is written")


def length(frames):
    """How many frames a clip says that it has; None for a live source and for a video whose header says nothing."""
    try:
        return len(frames)
    except TypeError:
        return None


def follow(
    tracker, frames, box, progress, clip=None, file=None, form="plain", window=None, on_frame=None
):
    """Track `frames` from the first `box` and write a `clip` and a `file` of boxes in `form` (benchmarks.FORMATS), where they are named.

    Returns the boxes [(4,)] and whether Ctrl-C, or the interrupt of a notebook's kernel, ended it between two frames. Both files hold what
    was done, also after an error. `progress.show(done)` and `on_frame(frame, box)` are called after each frame.
    """
    from scs_siam.evaluation.one_pass import write_track

    boxes = []
    with contextlib.ExitStack() as stack:
        writer = stack.enter_context(ClipWriter(clip)) if clip else None
        if file:
            stack.callback(lambda: boxes and write_track(file, boxes, form))
        asked = stack.enter_context(interruptible())

        def until_asked():
            for frame in frames:
                yield frame
                if asked.is_set() or (window and window.ended):
                    return

        def after(frame, found):
            boxes.append(found)
            if writer:
                writer.write(frame, found)
            if window:
                window.show(frame, found)
            if on_frame:
                on_frame(frame, found)
            progress.show(len(boxes))

        tracker.track(until_asked(), box, after)
    return boxes, asked.is_set()
