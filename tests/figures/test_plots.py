"""Plots and moments: legends give means, printed marks stand on the paper's benchmark only, pictures show all boxes."""

import numpy as np
import pandas as pd
import pytest

from scs_siam import figures
from scs_siam.evaluation.metrics import overlap
from scs_siam.figures import plots, qualitative
from scs_siam.reproduction import paper, tables

SKILLS = {
    "SCS-Siam": 0.6,
    "SCA-Siam": 0.7,
    "SiameseFC*": 0.4,
    "SCS-Siam@0.5": 0.5,
    "SCS-Siam@0.9-test": 0.5,
    "CFNet (published)": 0.5,
    "untrained": 0.05,
}


@pytest.fixture(scope="module")
def data(scored):
    return scored("OTB2015", SKILLS)


def marks(axes):
    return [line for line in axes.lines if line.get_gid() == "printed"]


def legend(axes):
    return [text.get_text() for text in axes.get_legend().get_texts()]


def test_figure7_names_the_means_best_first_and_the_printed_scores(data):
    results, curves = data
    for axes, score, column in zip(
        plots.figure7(curves).axes, ("precision", "auc"), ("precision", "success")
    ):
        means = (
            results[results["row"].isin(plots.SHOWN)]
            .groupby("row")[score]
            .mean()
            .sort_values(ascending=False)
        )
        expected = [f"{row}  {value:.3f}" for row, value in means.items()]
        assert [text.split(" (printed")[0] for text in legend(axes)] == expected
        assert f"(printed {paper.cell(9, 'SCS-Siam', column) / 100:.3f})" in next(
            text for text in legend(axes) if "SCS" in text
        )
        drawn = {round(float(line.get_ydata()[0]), 3) for line in marks(axes)}
        names = ("SCS-Siam", "SCA-Siam", "SiameseFC*")
        assert drawn == {round(paper.cell(9, name, column) / 100, 3) for name in names} | {
            paper.cell(3, "CFNet", column) / 100
        }


@pytest.mark.parametrize(
    "benchmark, figure, count",
    [
        ("OTB12", "figure7", 0),
        ("SynOTB", "figure7", 0),
        ("SynUAV123", "figure10", 0),
        ("UAV123", "figure10", 1),
    ],
)
def test_printed_values_are_marked_on_the_paper_s_benchmark_only(data, benchmark, figure, count):
    for axes in getattr(plots, figure)(data[1].assign(benchmark=benchmark)).axes:
        assert (
            len(marks(axes)) == count
            and sum("printed" in text for text in legend(axes)) == count
            and benchmark in axes.get_title()
        )


def test_curves_are_means_with_a_band_where_there_are_seeds(data):
    curves, axes = data[1], plots.figure7(data[1]).axes[1]
    part = curves[
        (curves["row"] == "SCS-Siam")
        & (curves["attribute"] == "all")
        & (curves["curve"] == "success")
    ]
    expected = part.pivot(index="threshold", columns="seed", values="value")
    line = next(line for line in axes.lines if line.get_label().startswith("SCS-Siam "))
    np.testing.assert_allclose(line.get_ydata(), expected.mean(axis=1))
    assert len(axes.collections) == 5 - 1  # published boxes have one seed and no band
    band = plots.spread(curves, "OTB2015", ["SCS-Siam"]).query(
        "attribute == 'all' and curve == 'success'"
    )
    np.testing.assert_allclose(band[["low", "high"]], expected.agg(["min", "max"], axis=1))


def test_the_same_tracker_looks_the_same_in_figures_7_and_8(data):
    pair, panels = plots.figure7(data[1]).axes, plots.figure8(data[1], data[0]).axes
    for axes in (*pair, *panels[:10]):
        for line in axes.lines:
            row = line.get_label().split("  ")[0]
            assert (
                row not in figures.TRACKER_STYLES
                or line.get_color() == figures.TRACKER_STYLES[row].colour
            )


def test_figure8_has_a_panel_an_attribute_that_counts_targets_and_one_legend(data):
    results, curves = data
    panels = plots.figure8(curves, results).axes
    titles = [axes.get_title() for axes in panels]
    targets = results.drop_duplicates("sequence")["attributes"]
    for title, (code, name) in zip(titles, tables.ATTRIBUTES.items()):
        assert title.startswith(f"{name} ({targets.str.contains(code).sum()})")
    assert (
        list(tables.ATTRIBUTES) == list(paper.ATTRIBUTES)
        and titles[10] == "scale variation (0)\nno target"
    )
    assert [axes.get_legend() is not None for axes in panels] == [False] * 11 + [True]
    best = (
        results[results["attributes"].str.contains("FM") & results["row"].isin(plots.SHOWN)]
        .groupby("row")["auc"]
        .mean()
    )
    assert titles[0].endswith(f"best: {best.idxmax()} {best.max():.3f}")


def test_without_a_curve_one_line_says_what_to_run(data, refused):
    refused(lambda: plots.figure7(data[1], "TC128"), "TC128", "SCS-Siam")
    refused(lambda: plots.figure10(data[1]), "UAV123", "SCS-Siam")
    refused(lambda: plots.sigma_plot(data[0][:0]), "Table 8")


def test_sigma_plot_keeps_printed_and_measured_in_axes_of_their_own(data):
    results = data[0].assign(benchmark="SynOTB")
    figure, frame = plots.sigma_plot(results), plots.sigmas(results)
    left, right = figure.axes[:2]
    assert (
        "SynOTB" in left.get_title()
        and "printed" in right.get_title()
        and not left.get_shared_y_axes().joined(left, right)
    )
    means = frame[frame["kind"] == "mean"].set_index("row")
    assert means["auc"].to_dict() == pytest.approx(
        results[results["row"].isin(means.index)].groupby("row")["auc"].mean().to_dict()
    )
    assert means["sigma"].to_dict() == {
        "SCS-Siam": 0.9,
        "SCS-Siam@0.5": 0.5,
        "SCS-Siam@0.9-test": 0.9,
    }
    assert (frame["kind"] == "seed").sum() == 9 and frame[frame["kind"] == "printed"][
        "auc"
    ].max() == 0.618


def test_gains_are_over_the_time_of_the_baseline(data):
    work = {"SiameseFC*": 2.9, "SCS-Siam": 8.1, "SSC-Siam": 8.1, "SCA-Siam": 8.1}
    speeds = {"SiameseFC*": 1.0, "SCS-Siam": 0.8, "SCA-Siam": 0.5}
    frame = plots.gains(data[0], work, speeds).set_index("row")
    assert list(frame.index) == ["SiameseFC*", "SCS-Siam", "SCA-Siam"] and frame[
        "gmac"
    ].tolist() == [2.9, 8.1, 8.1]
    assert frame["relative_time"].tolist() == pytest.approx([1, 1.25, 2])
    points = [
        bar.lines[0].get_xdata()[0]
        for bar in plots.gain_plot(frame.reset_index()).axes[1].containers
    ]
    assert (
        points[0] == 2.9
        and points[1] < 8.1 < points[2]
        and np.mean(points[1:]) == pytest.approx(8.1)
    )


def test_an_interval_without_zero_is_filled():
    frame = pd.DataFrame(
        {"row": ["a", "b"], "difference": [0.02, 0.01], "low": [0.01, -0.01], "high": [0.03, 0.03]}
    )
    axes = plots.interval_plot(frame, "SCS-Siam").axes[0]
    assert [bar.lines[0].get_markerfacecolor() for bar in axes.containers] == [
        figures.BLUE,
        "white",
    ]
    assert [text.get_text() for text in axes.get_yticklabels()] == [
        "a",
        "b",
    ] and axes.yaxis_inverted()


def test_what_the_mask_gives_away_is_drawn_beside_what_is_left_without_it():
    held = pd.DataFrame(
        {
            "row": ["SCS-Siam@0.0", "SCS-Siam@1.0"],
            "loss": [0.1, 0.3],
            "loss_unmasked": [0.6, 0.3],
            "hits": [0.99, 0.9],
            "hits_unmasked": [0.7, 0.9],
        }
    )
    ends = {"_low": -0.05, "_high": 0.05}
    held = held.assign(
        **{
            name + end: held[name] + shift
            for name in held.columns[1:]
            for end, shift in ends.items()
        }
    )
    for axes, name in zip(plots.leak_plot(held).axes, ("loss", "hits")):
        for bar, end, fill in zip(axes.containers, ("", "_unmasked"), (figures.BLUE, "white")):
            assert (
                bar.lines[0].get_xdata().tolist() == held[name + end].tolist()
                and bar.lines[0].get_markerfacecolor() == fill
            )


def clip(shift, frames=9):
    truth = np.tile([60.0, 40, 20, 16], (frames, 1))
    truth[3] = np.nan
    return truth, truth + np.arange(frames)[:, None] * [shift, 0, 0, 0]


def test_moments_are_spread_over_the_frames_that_have_a_true_box():
    truth, boxes = clip(1)
    drawn = qualitative.sample_frames("a", truth, {"SCS-Siam": boxes}, count=3)
    assert (
        drawn["frame"].tolist() == [3, 3, 7, 7, 9, 9]
        and drawn["row"].tolist() == ["truth", "SCS-Siam"] * 3
    )
    np.testing.assert_allclose(drawn["overlap"][1::2], [(20 - k) / (20 + k) for k in (2, 6, 8)])


def test_failures_are_the_first_worst_frames_of_the_worst_clips():
    clips = [
        (name, "SCS-Siam", *clip(shift))
        for name, shift in (("good", 0.5), ("lost", 8), ("fair", 2))
    ]
    drawn = qualitative.worst_frames(clips, count=2)
    assert drawn["sequence"].tolist() == ["lost"] * 2 + ["fair"] * 2 and drawn[
        "place"
    ].tolist() == [1, 1, 2, 2]
    lost = clips[1]
    first = next(k for k in range(9) if k != 3 and overlap(lost[3][k], lost[2][k]) == 0)
    assert drawn["frame"].tolist() == [first + 1] * 2 + [9] * 2 and drawn["overlap"][1] == 0


def test_a_window_holds_all_boxes_in_its_proportions():
    boxes = np.array([[60.0, 40, 20, 16], [70, 50, 20, 16]])
    left, top, width, height = qualitative.window(boxes, (240, 320, 3))
    assert (
        left <= 60
        and top <= 40
        and left + width >= 90
        and top + height >= 66
        and height == pytest.approx(0.75 * width)
    )
    assert left >= 0 and top >= 0
    assert qualitative.window(np.array([[0.0, 0, 20, 16], [300, 200, 20, 16]]), (240, 320, 3)) == (
        0,
        0,
        320,
        240,
    )


def test_every_figure_is_saved_with_words_and_data(data, texture, tmp_path, monkeypatch):
    monkeypatch.setenv("SCS_FIGURES", str(tmp_path))
    truth, boxes = clip(1)
    frames = {"a": [texture(120, 160, k) for k in range(9)]}
    drawn, failed = (
        qualitative.sample_frames("a", truth, {"SCS-Siam": boxes}),
        qualitative.worst_frames([("a", "SCS-Siam", truth, boxes)]),
    )
    made = {
        "figure7": plots.figure7(data[1]),
        "figure9": qualitative.figure9(drawn, frames),
        "failures": qualitative.failure_gallery(failed, frames),
    }
    for name, figure in made.items():
        figures.save(figure, name, drawn, f"words of {name}")
        assert figure.get_figwidth() == figures.WIDTH and figure.photographs == (
            name in ("figure9", "failures")
        )
    assert {path.name for path in tmp_path.iterdir()} == {
        f"{name}.{kind}" for name in made for kind in ("pdf", "png", "csv", "txt")
    }
    assert [text.get_text() for axes in made["figure9"].axes for text in axes.texts] == [
        "#3",
        "#6",
        "#7",
        "#9",
    ]
    assert made["failures"].axes[0].get_title() == "a #9\noverlap 0.43"
