"""Widgets of the notebooks: draw a box on a frame, press a button to track, move a slider.

Every widget has a static twin that shows the same. The notebook parameter `interactive` chooses:
False, as every notebook is stored and checked, gives the twins and needs no extra package; True
gives the widgets, which need the extra `widgets`.
"""

import html
import itertools
import time
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np

from scs_siam.data.boxes import check_box
from scs_siam.data.video import COLOUR, Frames, prefetch
from scs_siam.figures import responses
from scs_siam.runtime.files import BadInput
from scs_siam.runtime.progress import Progress
from scs_siam.tools import interactive as watching

EMBEDDED = 2_000_000  # bytes; a larger clip is shown from its file to keep the notebook small
PLAIN = ".scs-box .classes, .scs-box svg text { display: none }"  # one box needs no class labels
NO_BOX = [0.0] * 4
SIDES = ("x", "y", "width", "height")  # of a box, as the box widget calls them


def slide(draw: Callable, controls: dict, twin, interactive: bool = False):
    """Return sliders above `draw(value, ...)`, which is drawn again as they move, or else `twin`.

    `controls` is {name: (values, first value)}; `twin` shows the same as a strip or a table.
    """
    if not interactive:
        draw(*(first for _, first in controls.values()))  # so that every run tries it
        return twin
    widgets = _widgets()
    wide = {"layout": {"width": "36em"}, "style": {"description_width": "initial"}}
    sliders = {}
    for name, (values, first) in controls.items():
        options = [(f"{value:g}", value) for value in values]
        sliders[name] = widgets.SelectionSlider(
            options=options, value=first, description=name, continuous_update=False, **wide
        )
    output = widgets.interactive_output(lambda **v: _display(draw(*v.values())), sliders)
    return widgets.VBox([*sliders.values(), output])


class BoxChooser:
    """Choose the target's box on a frame (H, W, 3), drawn with the mouse or typed into fields.

    Without widgets it is the given `box`, or none yet.
    """

    def __init__(self, frame: np.ndarray, box=(), interactive: bool = False):
        self.frame, self.interactive, self.setting = frame, interactive, False
        self.chosen = check_box(box, "box", frame.shape).tolist() if len(box) else NO_BOX
        given = self.chosen if any(self.chosen) else None
        self.panel = self._build(_widgets()) if interactive else responses.first_frame(frame, given)

    @property
    def box(self) -> np.ndarray:
        """The box (x, y, w, h) in pixels of the frame; BadInput while none is chosen."""
        if not any(self.chosen):
            static = "read it off the first frame and set box = [x, y, w, h]"
            remedy = "draw one on the first frame" if self.interactive else static
            raise BadInput(f"box: none is chosen yet; {remedy}")
        return check_box(self.chosen, "box", self.frame.shape)

    def _ipython_display_(self):
        _display(self.panel)

    def _build(self, widgets):
        from jupyter_bbox_widget import BBoxWidget

        image = cv2.imencode(".jpg", cv2.cvtColor(self.frame, cv2.COLOR_RGB2BGR))[1].tobytes()
        colour = "#{:02x}{:02x}{:02x}".format(*COLOUR)
        picture = type("Picture", (BBoxWidget,), {"_css": BBoxWidget._css + PLAIN})
        self.picture = picture(
            image_bytes=image, classes=["target"], colors=[colour], hide_buttons=True
        )
        self.picture.add_class("scs-box")
        narrow = {"layout": {"width": "9em"}, "style": {"description_width": "1.5em"}}
        self.fields = [widgets.FloatText(description=name, step=1, **narrow) for name in "xywh"]
        self._choose(self.chosen)
        self.picture.observe(lambda change: self._drawn(change["new"]), "bboxes")
        for field in self.fields:
            field.observe(lambda _: self._choose([field.value for field in self.fields]), "value")
        return widgets.VBox([self.picture, widgets.HBox(self.fields)])

    def _drawn(self, boxes):
        """Choose the newest box of the picture; while it is being drawn it has no area yet."""
        newest = [float(boxes[-1][side]) for side in SIDES] if boxes else NO_BOX
        if not boxes or min(newest[2:]) > 0:
            self._choose(newest)

    def _choose(self, box):
        """Choose a box and show it in the fields and in the picture."""
        if self.setting:  # what is set below comes back as a change
            return
        self.setting, self.chosen = True, box
        try:
            for field, value in zip(self.fields, box):
                field.value = value
            if min(box[2:]) > 0:  # not while its numbers are being typed
                self.picture.bboxes = [{**dict(zip(SIDES, box)), "label": "target"}]
        finally:
            self.setting = False


class Following:
    """Track a clip from the chooser's box: at once, or with widgets whenever a button is pressed.

    At most `most` frames of `source`, which is what Frames takes, are tracked. The clip and the
    boxes go to the folder `out`, as `scs-siam track` writes them. Afterwards `boxes` is (N, 4),
    `seen` holds a search region (263, 263, 3) and a response map (17, 17) per frame (None for the
    first), and `line` says how many frames were tracked and how fast.
    """

    def __init__(
        self, tracker, source, chooser, out: Path, most: int = 300, interactive: bool = False
    ):
        self.tracker, self.source, self.chooser, self.most = tracker, source, chooser, most
        self.clip, self.file = Path(out) / "tracked.mp4", Path(out) / "boxes.csv"
        self.boxes, self.views = None, []
        watching.check_outputs(source, self.clip, self.file)
        frames = watching.length(Frames(source))
        self.total = min(frames, most) if frames else None
        self.panel = self._build(_widgets()) if interactive else None
        if not interactive:
            self.track(Progress(self.total, "frame"))

    def _ipython_display_(self):
        if self.panel is not None:
            _display(self.panel)
        else:
            print(self.line)

    def track(self, progress: Progress) -> None:
        """Track again from the chosen box; an interrupt ends it and keeps what was done."""
        seen, box, start = [], self.chooser.box, time.perf_counter()
        frames = prefetch(itertools.islice(Frames(self.source), self.most))

        def keep(*_):
            views = (self.tracker.search.copy(), self.tracker.response) if seen else None
            seen.append(views)

        files = {"clip": self.clip, "file": self.file, "on_frame": keep}
        boxes, stopped = watching.follow(self.tracker, frames, box, progress, **files)
        if len(boxes) < 2:
            problem = "only one frame was tracked, which is the given one; choose a longer clip"
            raise BadInput(f"{self.source}: {problem}")
        self.boxes, self.seen = np.array(boxes), seen
        fps = len(boxes) / (time.perf_counter() - start)
        self.line = f"{len(boxes)} frames{' until stopped' if stopped else ''}, {fps:.1f} FPS"

    def view(self, draw: Callable):
        """Return what `draw()` gives; with widgets it is drawn whenever the clip was tracked."""
        if self.panel is None:
            return draw()
        out = _widgets().Output()
        self.views.append((out, draw))
        self._redraw(out, draw)
        return out

    def _redraw(self, out, draw):
        with out:
            out.clear_output(wait=True)
            if self.boxes is None:
                print("press track above, then this appears")
            else:
                _display(draw())

    def _build(self, widgets):
        self.button = widgets.Button(description="track", button_style="primary")
        self.bar, self.words = widgets.IntProgress(max=self.total or self.most), widgets.HTML()
        self.button.on_click(self._press)
        return widgets.VBox([widgets.HBox([self.button, self.bar]), self.words])

    def _press(self, _):
        self.button.disabled = True
        try:
            self.track(Bar(self.total, self.bar, self.words))
            self.words.value = self.line
            for out, draw in self.views:
                self._redraw(out, draw)
        except BadInput as problem:
            self.words.value = html.escape(str(problem))
        finally:
            self.button.disabled = False


class Bar(Progress):
    """Progress as a bar and a line of text in a notebook, updated at most ten times a second."""

    def __init__(self, total, bar, words):
        super().__init__(total, "frame")
        self.bar_widget, self.words = bar, words

    def show(self, done: int, text: str = "") -> None:
        """Show that `done` frames are done."""
        self.first = done if self.first is None else self.first
        if done == self.total or self.clock() - self.spoken >= 0.1:
            self.spoken, self.bar_widget.value = self.clock(), done
            self.words.value = self.line(done, text)


def video(path: Path):
    """Return a clip that plays in a notebook, embedded if it is small."""
    from IPython.display import Video

    small = path.stat().st_size <= EMBEDDED
    attributes = 'controls loop muted style="max-width: 100%"'
    return Video(str(path), embed=small, html_attributes=attributes)


def _widgets():
    """Return the module ipywidgets; BadInput where the extra is not installed."""
    try:
        import ipywidgets
        import jupyter_bbox_widget  # noqa: F401
    except ImportError:
        remedy = "pip install 'scs-siam[widgets]', or set interactive = False"
        raise BadInput(f"interactive: the widgets are not installed; {remedy}") from None
    return ipywidgets


def _display(shown):
    from IPython.display import display

    display(shown)
