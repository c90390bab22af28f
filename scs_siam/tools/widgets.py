"""Widgets of the notebooks: a box drawn on a frame, a button that tracks, sliders; each has a static twin that shows the same.

A notebook's parameter `interactive` chooses: False, as every notebook is stored and checked, gives the twins and needs nothing; a reader
who sets it to True gets the widgets, which the extra `widgets` brings.
"""

import html
import itertools
import time
from pathlib import Path

import cv2
import numpy as np

from scs_siam.data.boxes import check_box
from scs_siam.data.clips import COLOUR
from scs_siam.data.video import Frames, prefetch
from scs_siam.figures import responses
from scs_siam.runtime.files import BadInput
from scs_siam.runtime.progress import Progress
from scs_siam.tools import live

EMBEDDED = (
    2_000_000  # bytes; a larger clip is shown from its file, so that it does not fill the notebook
)
PLAIN = ".scs-box .classes, .scs-box svg text { display: none }"  # with one box to draw there are no classes to choose from
NONE = [0.0] * 4  # no box yet
SIDES = ("x", "y", "width", "height")  # of a box, as the box widget calls them


def slide(draw, controls, twin, interactive=False):
    """A slider for each of `controls` {name: (values, first value)} above `draw(value, ...)`, drawn anew as they move; else `twin`.

    `twin` shows the same without widgets: a strip, a table.
    """
    if not interactive:
        draw(
            *(first for _, first in controls.values())
        )  # every run of a notebook tries what only a reader sees
        return twin
    widgets = _widgets()
    sliders = {
        name: widgets.SelectionSlider(
            options=[(f"{value:g}", value) for value in values],
            value=first,
            description=name,
            continuous_update=False,
            layout={"width": "36em"},
            style={"description_width": "initial"},
        )
        for name, (values, first) in controls.items()
    }
    return widgets.VBox(
        [
            *sliders.values(),
            widgets.interactive_output(lambda **values: _display(draw(*values.values())), sliders),
        ]
    )


class BoxChooser:
    """The target's box on a frame (H, W, 3): drawn with the mouse or typed into fields; without widgets the given `box`, or none."""

    def __init__(self, frame, box=(), interactive=False):
        self.frame, self.interactive, self.setting = frame, interactive, False
        self.chosen = check_box(box, "box", frame.shape).tolist() if len(box) else NONE
        self.panel = (
            self._build(_widgets())
            if interactive
            else responses.first_frame(frame, self.chosen if any(self.chosen) else None)
        )

    @property
    def box(self):
        """(x, y, w, h) in pixels of the frame; BadInput where there is none yet, or none that touches the frame."""
        if not any(self.chosen):
            mend = (
                "draw one on the first frame"
                if self.interactive
                else "read it off the first frame and set box = [x, y, w, h]"
            )
            raise BadInput(f"box: none is chosen yet; {mend}")
        return check_box(self.chosen, "box", self.frame.shape)

    def _ipython_display_(self):
        _display(self.panel)

    def _build(self, widgets):
        from jupyter_bbox_widget import BBoxWidget

        image = cv2.imencode(".jpg", cv2.cvtColor(self.frame, cv2.COLOR_RGB2BGR))[1].tobytes()
        self.picture = type("Picture", (BBoxWidget,), {"_css": BBoxWidget._css + PLAIN})(
            image_bytes=image,
            classes=["target"],
            colors=["#%02x%02x%02x" % COLOUR],
            hide_buttons=True,
        )
        self.picture.add_class("scs-box")
        self.fields = [
            widgets.FloatText(
                description=name,
                step=1,
                layout={"width": "9em"},
                style={"description_width": "1.5em"},
            )
            for name in "xywh"
        ]
        self._take(self.chosen)
        self.picture.observe(lambda change: self._drawn(change["new"]), "bboxes")
        for field in self.fields:
            field.observe(lambda _: self._take([field.value for field in self.fields]), "value")
        return widgets.VBox([self.picture, widgets.HBox(self.fields)])

    def _drawn(self, boxes):
        """Take the newest box of the picture, in place of an older one; while it is being drawn it has no area yet."""
        newest = [float(boxes[-1][side]) for side in SIDES] if boxes else NONE
        if not boxes or min(newest[2:]) > 0:
            self._take(newest)

    def _take(self, box):
        """Choose a box, and show it in the fields and in the picture."""
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
    """A clip that is tracked from the chooser's box: at once, or with widgets each time that the reader presses a button.

    `source` is what Frames takes, of which at most `most` frames are tracked. Clip and boxes are written to the folder `out` as
    `scs-siam track` writes them. Then there are `boxes` (N, 4), `seen` [N of search region (263, 263, 3) and response (17, 17), None for
    the first frame] and `line`, which says how many frames and how fast.
    """

    def __init__(self, tracker, source, chooser, out, most=300, interactive=False):
        self.tracker, self.source, self.chooser, self.most = tracker, source, chooser, most
        self.clip, self.file, self.boxes, self.views = (
            Path(out) / "tracked.mp4",
            Path(out) / "boxes.csv",
            None,
            [],
        )
        live.keep_apart(source, self.clip, self.file)
        frames = live.length(Frames(source))
        self.total = min(frames, most) if frames else None
        self.panel = self._build(_widgets()) if interactive else None
        if not interactive:
            self.track(Progress(self.total, "frame"))

    def _ipython_display_(self):
        if self.panel is not None:
            _display(self.panel)
        else:
            print(self.line)

    def track(self, progress):
        """Track anew from the chosen box; Ctrl-C or an interrupt of the kernel ends it, and what was done is kept."""
        seen, box, start = [], self.chooser.box, time.perf_counter()
        frames = prefetch(itertools.islice(Frames(self.source), self.most))
        boxes, stopped = live.follow(
            self.tracker,
            frames,
            box,
            progress,
            self.clip,
            self.file,
            on_frame=lambda *_: seen.append(
                (self.tracker.search.copy(), self.tracker.response) if seen else None
            ),
        )
        if len(boxes) < 2:
            raise BadInput(
                f"{self.source}: only one frame was tracked, which is the given one; take a longer clip"
            )
        self.boxes, self.seen, seconds = np.array(boxes), seen, time.perf_counter() - start
        self.line = f"{len(boxes)} frames{' until stopped' if stopped else ''}, {len(boxes) / seconds:.1f} frames/s"

    def view(self, draw):
        """What `draw()` gives of the tracked clip; with widgets it comes, and comes anew, whenever the clip has been tracked."""
        if self.panel is None:
            return draw()
        out = _widgets().Output()
        self.views.append((out, draw))
        self._redraw(out, draw)
        return out

    def _redraw(self, out, draw):
        with out:
            out.clear_output(wait=True)
            _display(draw()) if self.boxes is not None else print(
                "press track above; this appears then"
            )

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
    """Progress as a bar and words of a notebook's widgets, ten times a second at most."""

    def __init__(self, total, bar, words):
        super().__init__(total, "frame")
        self.bar_widget, self.words = bar, words

    def show(self, done, text=""):
        """Say that `done` frames are done."""
        self.first = done if self.first is None else self.first
        if done == self.total or self.clock() - self.spoken >= 0.1:
            self.spoken, self.bar_widget.value, self.words.value = (
                self.clock(),
                done,
                self.line(done, text),
            )


def video(path):
    """The clip, playable in a notebook: within it if it is small, otherwise from its file."""
    from IPython.display import Video

    return Video(
        str(path),
        embed=path.stat().st_size <= EMBEDDED,
        html_attributes='controls loop muted style="max-width: 100%"',
    )


def _widgets():
    """The module ipywidgets; BadInput where the extra is not installed."""
    try:
        import ipywidgets
        import jupyter_bbox_widget  # noqa: F401
    except ImportError:
        raise BadInput(
            "interactive: the widgets are not installed; pip install 'scs-siam[widgets]', or set interactive = False"
        ) from None
    return ipywidgets


def _display(shown):
    from IPython.display import display

    display(shown)
