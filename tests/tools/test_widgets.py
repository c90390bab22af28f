"""Widgets and their static twins: the same boxes as a plain Tracker, the same files as `scs-siam track`; no window, no browser."""

import signal
import sys

import nbformat
import numpy as np
import pytest
import torch

from scs_siam.config import Config
from scs_siam.data.video import Frames
from scs_siam.evaluation.one_pass import read_track
from scs_siam.figures import responses
from scs_siam.model import SiameseNet
from scs_siam.reproduction.paper import root
from scs_siam.runtime.progress import Progress
from scs_siam.tools import interactive, notebooks, widgets
from scs_siam.track import Tracker

BOX, OTHER = [40.0, 30.0, 20.0, 16.0], [60.0, 20.0, 18.0, 24.0]


@pytest.fixture(scope="module")
def frames(texture):
    """Six frames of 96 x 128 in which everything moves by 2 pixels a frame."""
    wide = texture(96, 160)
    return np.stack([wide[:, 2 * k : 2 * k + 128] for k in range(6)])


@pytest.fixture(scope="module")
def tracker():
    torch.manual_seed(0)
    config = Config.preset(width=1 / 64)
    return Tracker(SiameseNet(config.model), config.tracking, precision="exact")


@pytest.fixture(scope="module")
def expected(frames, tracker):
    return {tuple(box): tracker.track(frames, box) for box in (BOX, OTHER)}


@pytest.fixture
def bare(monkeypatch):
    """A machine without the extra."""
    monkeypatch.setitem(sys.modules, "ipywidgets", None)


@pytest.fixture
def ipywidgets():
    pytest.importorskip("jupyter_bbox_widget")
    return pytest.importorskip("ipywidgets")


def test_without_the_extra_each_is_its_twin(bare, frames, tracker, expected, tmp_path, capsys):
    twin, tried = object(), []
    assert (
        widgets.slide(
            lambda *values: tried.append(values),
            {"sigma": ([0, 1], 0), "step": ([1.01, 1.1], 1.1)},
            twin,
        )
        is twin
    )
    assert tried == [(0, 1.1)]
    chooser = widgets.BoxChooser(frames[0], BOX)
    drawn = chooser.panel.axes[0].patches[0]
    assert (*drawn.get_xy(), drawn.get_width(), drawn.get_height()) == (
        39.5,
        29.5,
        20,
        16,
    ) and chooser.panel.axes[0].get_xticks().size > 3
    found = widgets.Following(tracker, frames, chooser, tmp_path)
    found._ipython_display_()
    assert (
        capsys.readouterr().out.startswith("6 frames, ")
        and found.view(lambda: len(found.seen)) == 6
    )
    np.testing.assert_array_equal(found.boxes, expected[tuple(BOX)])
    np.testing.assert_allclose(read_track(tmp_path / "boxes.csv"), found.boxes, atol=1e-4)
    assert len(list(Frames(tmp_path / "tracked.mp4"))) == 6
    assert (
        found.seen[0] is None
        and found.seen[5][0].shape == (263, 263, 3)
        and found.seen[5][1].shape == (17, 17)
    )
    np.testing.assert_array_equal(found.seen[5][1], tracker.response)
    assert "data:video/mp4;base64," in widgets.video(found.clip)._repr_html_()


def test_a_large_clip_stays_out_of_the_notebook(tmp_path, monkeypatch):
    (tmp_path / "tracked.mp4").write_bytes(bytes(9))
    monkeypatch.setattr(widgets, "EMBEDDED", 8)
    assert "base64" not in widgets.video(tmp_path / "tracked.mp4")._repr_html_()


def test_bad_input_is_one_line(bare, refused, frames, tracker, tmp_path):
    for ask in (
        lambda: widgets.slide(None, {}, None, True),
        lambda: widgets.BoxChooser(frames[0], BOX, True),
    ):
        refused(
            ask, "interactive: the widgets are not installed", "pip install 'scs-siam[widgets]'"
        )
    refused(lambda: widgets.BoxChooser(frames[0], [1, 2, 3]), "box: a box is four numbers")
    refused(
        lambda: widgets.BoxChooser(frames[0], [128, 0, 9, 9]),
        "box: the box (128, 0, 9, 9) lies outside the 128 x 96 frame",
    )
    chooser = widgets.BoxChooser(frames[0])  # shows the frame to read a box off
    assert not chooser.panel.axes[0].patches
    refused(
        lambda: widgets.Following(tracker, frames, chooser, tmp_path),
        "box: none is chosen yet",
        "set box = [x, y, w, h]",
    )
    chooser = widgets.BoxChooser(frames[0], BOX)
    refused(
        lambda: widgets.Following(tracker, tmp_path / "gone.mp4", chooser, tmp_path),
        "gone.mp4: no such file",
    )
    refused(lambda: widgets.Following(tracker, frames[:1], chooser, tmp_path), "only one frame")
    widgets.Following(tracker, frames, chooser, tmp_path)
    refused(
        lambda: widgets.Following(tracker, str(tmp_path / "tracked.mp4"), chooser, tmp_path),
        "tracked.mp4: is the source itself",
    )


def test_an_interrupt_keeps_the_frames_done(frames, tracker, expected, tmp_path):
    class Interrupted(Progress):
        def show(self, done, text=""):
            if done == 3:
                signal.raise_signal(signal.SIGINT)

    found = widgets.Following(tracker, frames, widgets.BoxChooser(frames[0], BOX), tmp_path, most=2)
    assert len(found.boxes) == 2 == len(found.seen)  # no more than `most`
    found.most = 300
    found.track(Interrupted(6, "frame"))
    np.testing.assert_array_equal(found.boxes, expected[tuple(BOX)][:3])
    assert found.line.startswith("3 frames until stopped, ") and len(
        read_track(found.file)
    ) == 3 == len(list(Frames(found.clip)))


def test_a_slider_draws_for_each_value(ipywidgets):
    asked = []
    panel = widgets.slide(
        lambda step, penalty: asked.append((step, penalty)),
        {"step": ([1.01, 1.1], 1.1), "penalty": ([0.9, 1], 1)},
        None,
        True,
    )
    step, penalty = panel.children[:2]
    step.value = 1.01
    penalty.index = 0
    assert asked == [(1.1, 1), (1.01, 1), (1.01, 0.9)] and step.options == (
        ("1.01", 1.01),
        ("1.1", 1.1),
    )


def test_a_box_is_drawn_or_typed(ipywidgets, refused, frames):
    def shown(box):
        return [{**dict(zip(widgets.SIDES, box)), "label": "target"}]

    chooser = widgets.BoxChooser(frames[0], BOX, True)
    assert chooser.picture.bboxes == shown(BOX) and [field.value for field in chooser.fields] == BOX
    chooser.picture.bboxes = [
        *shown(BOX),
        {"x": 60, "y": 20, "width": 0, "height": 0, "label": ""},
    ]  # the mouse is pressed
    assert chooser.box.tolist() == BOX and len(chooser.picture.bboxes) == 2
    chooser.picture.bboxes = [*shown(BOX), *shown(OTHER)]  # and let go
    assert chooser.box.tolist() == OTHER == [
        field.value for field in chooser.fields
    ] and chooser.picture.bboxes == shown(OTHER)
    for field, value in zip(chooser.fields, BOX):
        field.value = value
    assert chooser.box.tolist() == BOX and chooser.picture.bboxes == shown(BOX)
    chooser.fields[0].value = 128
    refused(lambda: chooser.box, "box: the box (128, 30, 20, 16) lies outside")
    chooser.fields[2].value = 0
    refused(lambda: chooser.box, "has no area")
    chooser.picture.bboxes = []  # the cross at its corner
    refused(lambda: chooser.box, "box: none is chosen yet; draw one")


def test_the_button_tracks_and_what_follows_is_drawn_anew(
    ipywidgets, frames, tracker, expected, tmp_path, capsys
):
    chooser = widgets.BoxChooser(frames[0], (), True)
    found, drawn = widgets.Following(tracker, frames, chooser, tmp_path, interactive=True), []
    assert (
        isinstance(found.view(lambda: drawn.append(found.boxes)), ipywidgets.Output) and not drawn
    )
    found.button.click()
    assert (
        found.words.value == "box: none is chosen yet; draw one on the first frame"
        and not drawn
        and not list(tmp_path.iterdir())
    )
    for box in (BOX, OTHER):
        chooser.picture.bboxes = [dict(zip(widgets.SIDES, box))]
        found.button.click()
        np.testing.assert_array_equal(drawn[-1], expected[tuple(box)])
        assert (
            found.bar.value == 6
            and found.words.value.startswith("6 frames, ")
            and not found.button.disabled
        )
    assert len(drawn) == 2 and len(read_track(found.file)) == 6
    found.source = "<gone>.mp4"
    found.button.click()
    assert found.words.value.startswith("&lt;gone&gt;.mp4: no such file") and len(drawn) == 2


def test_the_bar_moves_ten_times_a_second_at_most(ipywidgets):
    bar, moves, now = ipywidgets.IntProgress(max=100), [], [0.0]
    bar.observe(lambda change: moves.append(change["new"]), "value")
    progress = widgets.Bar(100, bar, ipywidgets.HTML())
    progress.clock, progress.started, progress.spoken = lambda: now[0], 0.0, 0.0
    for done in range(1, 101):
        now[0] = done / 64  # 64 FPS
        progress.show(done)
    assert moves == [*range(7, 100, 7), 100] and progress.words.value.startswith(
        "100% of 100 frames, 63.4 FPS"
    )


def test_second_peak():
    values = np.zeros((17, 17))
    values[8, 8], values[8, 10], values[2, 3], values[16, 16] = 3, 2.9, 2, -1
    assert responses.second_peak(values) == pytest.approx(
        (2 + 1) / (3 + 1)
    )  # not the neighbour two cells away


def test_papermill_and_the_stored_notebooks_take_the_static_form(tmp_path):
    """Also with the extra installed: only a reader sets `interactive`."""
    for path in sorted((root() / "notebooks").glob("*.ipynb")):
        nb = nbformat.read(path, as_version=4)
        given = [
            line
            for cell in nb.cells
            if "parameters" in cell.metadata.get("tags", ())
            for line in cell.source.splitlines()
        ]
        assert all(
            line.startswith("interactive: bool = False  # ")
            for line in given
            if line.startswith("interactive")
        )
    cells = [
        nbformat.v4.new_code_cell(
            "interactive: bool = False  # sliders", metadata={"tags": ["parameters"]}
        ),
        nbformat.v4.new_code_cell(
            "from scs_siam.tools import widgets\nwidgets.slide(abs, {'sigma': ([0, 1], 0)}, 'twin', interactive)"
        ),
    ]
    nbformat.write(nbformat.v4.new_notebook(cells=cells), tmp_path / "a.ipynb")
    ran = notebooks.run_notebook(tmp_path / "a.ipynb", tmp_path / "out.ipynb")
    assert [output["data"] for output in ran.cells[1].outputs] == [{"text/plain": "'twin'"}]


def test_length_of_a_source_that_tells_none():
    assert interactive.length(iter(())) is None and interactive.length([1, 2]) == 2
