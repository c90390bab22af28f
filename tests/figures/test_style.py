"""Figures, tables, layers: colours stand out from white, one figure gives the same bytes, sizes are as printed and as brute force finds."""

import numpy as np
import pandas as pd
import pytest
import torch
from torch import nn

from scs_siam import figures, model
from scs_siam.config import VARIANTS, Config
from scs_siam.data import synthetic
from scs_siam.figures import diagrams, panels, plots
from scs_siam.model import SiameseNet
from scs_siam.reproduction import paper, profiles, tables


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv("SCS_FIGURES", str(tmp_path))
    return tmp_path


def luminance(colour):
    """Relative luminance of "#RRGGBB" by WCAG 2.1."""
    parts = [int(colour[k : k + 2], 16) / 255 for k in (1, 3, 5)]
    return np.dot(
        [0.2126, 0.7152, 0.0722],
        [part / 12.92 if part <= 0.03928 else ((part + 0.055) / 1.055) ** 2.4 for part in parts],
    )


def contrast(first, second):
    low, high = sorted((luminance(first), luminance(second)))
    return (high + 0.05) / (low + 0.05)


def test_contrast_of_black_and_white_is_21():
    assert contrast("#000000", "#FFFFFF") == pytest.approx(21)


@pytest.mark.parametrize(
    "role",
    sorted(
        {*figures.ROLES.values(), *figures.TRACKER_STYLES.values(), *figures.OTHER_STYLES}, key=str
    ),
    ids=str,
)
def test_every_line_stands_out_from_the_page(role):
    assert contrast(role.colour, "#FFFFFF") >= 3


@pytest.mark.parametrize("tint", figures.TINTS.values())
def test_text_can_be_read_on_every_tint(tint):
    assert contrast("#000000", tint) >= 7


def test_no_two_roles_and_no_two_trackers_look_alike():
    for drawn in (
        figures.ROLES,
        figures.TRACKER_STYLES,
        {name: figures.ROLES[name] for name in ("truth", "paper")} | figures.TRACKER_STYLES,
    ):
        looks = [(role.colour, str(role.line)) for role in [*drawn.values(), *figures.OTHER_STYLES]]
        assert len(set(looks)) == len(looks)


def test_a_row_of_the_paper_looks_the_same_whatever_else_is_drawn():
    rows = {*profiles.TABLE9, *profiles.TABLE8, *profiles.TABLE10, "untrained"}
    alone, together = (
        {row: figures.tracker_styles([row])[row] for row in rows},
        figures.tracker_styles(["mine", *rows, "yours"]),
    )
    assert {row: together[row] for row in rows} == alone and together["mine"] != together["yours"]


def curves():
    thresholds = np.linspace(0, 1, 21)
    return pd.DataFrame(
        [
            (name, t, value * (1 - t))
            for name, value in (("SCS-Siam", 1.0), ("mine", 0.5))
            for t in thresholds
        ],
        columns=["tracker", "threshold", "value"],
    )


def test_saving_writes_four_files_and_the_same_bytes_again(folder):
    found = []
    for name in ("first", "second"):
        figures.save(
            plots.success_plot(curves(), {"SCS-Siam": 0.618}),
            name,
            curves(),
            "Two lines\n   that fall.",
        )
        found.append({path.suffix: path.read_bytes() for path in folder.glob(f"{name}.*")})
    assert set(found[0]) == {".pdf", ".png", ".csv", ".txt"} and found[0] == found[1]
    assert found[0][".txt"] == b"Two lines that fall.\n"
    pd.testing.assert_frame_equal(pd.read_csv(folder / "first.csv"), curves())
    for stamp in (b"Date", b"matplotlib"):
        assert stamp not in found[0][".pdf"] and stamp not in found[0][".png"]


def test_a_saved_figure_is_opaque(folder):
    from PIL import Image

    figures.save(plots.success_plot(curves()), "plot", curves(), "lines")
    image = np.asarray(Image.open(folder / "plot.png").convert("RGBA"))
    assert image[..., 3].min() == 255 and (image[0, 0] == 255).all()


def test_a_notebook_gets_one_picture_with_words():
    figure = plots.success_plot(curves())
    figure.alt = "lines"
    (data, beside), none = figure._repr_png_(), figure._repr_jpeg_()
    assert data[1:4] == b"PNG" and beside["alt"] == "lines" and none is None
    figure.photographs = True
    assert figure._repr_png_() is None and figure._repr_jpeg_()[0][:2] == b"\xff\xd8"


def test_legends_name_scores_and_printed_scores():
    texts = [
        text.get_text()
        for text in plots.success_plot(curves(), {"SCS-Siam": 0.618}).legends[0].get_texts()
    ]
    assert texts == ["SCS-Siam  0.500 (printed 0.618)", "mine  0.250"]
    pixels = curves().assign(threshold=curves()["threshold"] * 50)
    texts = [text.get_text() for text in plots.precision_plot(pixels).legends[0].get_texts()]
    assert texts == ["SCS-Siam  0.600", "mine  0.300"]


def test_table1_is_measured_as_printed():
    table, printed = tables.table1(Config.preset().model), paper.table(1)
    assert list(table["layer"]) == list(printed["layer"])
    for name in ("filter", "stride", "channels in", "template", "search"):
        assert list(table[f"{name}, measured"].fillna(0)) == list(
            table[f"{name}, printed"].fillna(0)
        )
    sides = [
        [layer.side for layer in model.trace(Config.preset().model, size)] for size in (135, 263)
    ]
    assert sides == [list(printed["template_side"]), list(printed["search_side"])]


@pytest.mark.parametrize("variant", VARIANTS)
def test_layers_and_parameters_are_those_of_the_network_that_runs(variant):
    config = Config.preset(variant=variant, width=0.0625).model
    net, image = SiameseNet(config).eval(), torch.zeros(1, 3, 127, 127)
    last = model.trace(config, 127)[-1]
    assert tuple(net.psi(net.fuse(image)).shape) == (1, last.channels, last.side, last.side)
    assert sum(model.parameters(config).values()) == sum(
        parameter.numel() for parameter in net.parameters()
    )


@pytest.mark.parametrize("variant", ["SCS-Siam", "SiameseFC"])
def test_views_are_what_gradients_reach(variant):
    """Brute force: positive weights, no rectifier in the way and averages for maxima let the gradient reach all that a cell can see."""
    config = Config.preset(variant=variant, width=0.0625).model
    net = SiameseNet(config).eval()
    stack = nn.Sequential(
        net.block.conv,
        nn.AvgPool2d(3, 2),
        *(
            nn.AvgPool2d(3, 2) if isinstance(part, nn.MaxPool2d) else part
            for part in net.psi
            if isinstance(part, (nn.Conv2d, nn.MaxPool2d))
        ),
    )
    for parameter in stack.parameters():
        nn.init.constant_(parameter, 0.1)
    for depth, layer in zip(
        range(1, len(stack) + 1), [layer for layer in model.trace(config, 127) if layer.filter]
    ):
        image = torch.ones(1, 3, 127, 127, requires_grad=True)
        stack[:depth](image)[0, 0, 1, 2].backward()
        rows, columns = (image.grad[0, 0].abs().sum(axis).nonzero().flatten() for axis in (1, 0))
        assert (rows[0], rows[-1]) == (layer.step, layer.step + layer.view - 1)
        assert (columns[0], columns[-1]) == (2 * layer.step, 2 * layer.step + layer.view - 1)


def test_multiplications_follow_table1():
    """A convolution costs filter^2 x channels in x channels out x cells; attention and correlation by hand."""
    printed = paper.table(1).dropna(subset=["channels_in"])
    cost = model.branch_multiplications(Config.preset().model, 135, 263)
    search = sum(
        row.filter**2 * row.channels_in * row.channels_out * row.search_side**2
        for row in printed.itertuples()
    )
    template = sum(
        row.filter**2 * row.channels_in * row.channels_out * row.template_side**2
        for row in printed.itertuples()
    )
    channel, spatial = 2 * 2 * 384 * 64, 49 * (384 + 2 * 384 * 48)
    assert cost == {
        "template": template + channel + spatial,
        "search": search,
        "response": 17**2 * 7**2 * 384,
    }


def test_tables_are_written_three_times_with_empty_cells(folder):
    frame = pd.DataFrame(
        {"name": ["a_b", "50 %|"], "n": pd.array([1, None], "Int64"), "x": [0.5, float("nan")]}
    )
    assert tables.write("t", frame).to_numpy().tolist() == [["a_b", "1", "0.5"], ["50 %|", "", ""]]
    assert (folder / "t.csv").read_text() == "name,n,x\na_b,1,0.5\n50 %|,,\n"
    lines = ["| name | n | x |", "| --- | --: | --: |", "| a_b | 1 | 0.5 |", r"| 50 %\| |  |  |"]
    assert (folder / "t.md").read_text().splitlines() == lines
    assert (
        r"a\_b & 1 & 0.5 \\" in (folder / "t.tex").read_text()
        and r"50 \%| &  &  \\" in (folder / "t.tex").read_text()
    )


def test_table2_counts_what_is_at_hand():
    class Clip:
        def __init__(self, n):
            self.frames = [None] * n

    table = tables.table2({"OTB2015": [Clip(3), Clip(6)], "mine": [Clip(5)]}).set_index("benchmark")
    assert (
        table.loc["OTB2015", "sequences, printed"] == 100
        and table.loc["OTB2015", "sequences, measured"] == 2
    )
    assert list(
        table.loc["mine", [f"{name} frames, measured" for name in ("min", "mean", "max", "total")]]
    ) == [5, 5, 5, 5]
    assert pd.isna(table.loc["mine", "sequences, printed"]) and pd.isna(
        table.loc["VOT2016", "sequences, measured"]
    )


def test_examples_are_in_no_set():
    make = synthetic.train_scenes, synthetic.test_scenes
    seeds = {
        scene.seed for seed in range(3) for scenes in make for scene in scenes(50, 2, seed).values()
    }
    assert max(seeds) < panels.FIRST_SEED


def test_the_mask_leaves_features_inside_the_box_alone():
    config = Config.preset(width=0.0625)
    torch.manual_seed(0)
    net = SiameseNet(config.model).eval()
    frame, box = (
        np.random.default_rng(0).integers(0, 256, (240, 320, 3), np.uint8),
        np.array([120.0, 80.0, 60.0, 50.0]),
    )
    maps = panels.first_features(net, frame, box, 0.0)
    pool = next(layer for layer in model.trace(config.model, 127) if layer.name == "Max-Pool1")
    inside, outside = panels.inside_and_outside(
        maps["b"] / maps["a"], panels.box_in_template(box), pool
    )
    assert inside == pytest.approx(1, abs=1e-4) and outside == pytest.approx(0, abs=1e-4)


@pytest.mark.parametrize(
    "preset, variant",
    [
        ("paper", "SCS-Siam"),
        ("released", "SCS-Siam"),
        ("paper", "SiameseFC"),
        ("paper", "B-SCS-Siam"),
    ],
)
def test_figure1_names_the_sizes_of_its_network(preset, variant):
    config = Config.preset(preset, variant).model
    images = [np.zeros((size, size, 3)) for size in (127, 127, 255, 255)]
    axes = diagrams.architecture(config, [*images, np.zeros((17, 17))]).axes[0]
    written = " ".join(text.get_text() for text in axes.texts)
    sizes = model.shapes(config, 127, 255)
    assert all(diagrams.times(shape) in written for shape in sizes.values())
    assert ("B′" in written) == (not config.shared_block) and ("Δ" in written) == (
        "channel" in config.attention
    )
    assert ("Δ′" in written) == config.attention_on_search and ("Eq. 2" in written) == config.fusion
