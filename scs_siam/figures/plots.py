"""Plots of training and of scores: Figures 7, 8 and 10, Tables 8 and 9 as plots, intervals.

Each plot is drawn from a DataFrame. Values that the paper prints are marked only on the paper's own
benchmark, because on a stand-in they cannot be compared.
"""

import numpy as np
import pandas
from matplotlib.lines import Line2D

from scs_siam.figures import (
    BLUE,
    GREEN,
    GREY,
    PURPLE,
    ROLES,
    TRACKER_STYLES,
    VERMILLION,
    chart,
    styled,
    tracker_styles,
)
from scs_siam.reproduction import paper
from scs_siam.reproduction.report import means
from scs_siam.reproduction.tables import ATTRIBUTES, BASELINE, at_hand, printed_scores
from scs_siam.runtime.files import BadInput

SHOWN = (
    "SCS-Siam",
    "SCA-Siam",
    "SSA-Siam",
    "SiameseFC*",
    "SiameseFC",
    "Extended-SiamFC",
    "SiamFC (published)",
    "CFNet (published)",
    "untrained",
)  # rows of Figures 7, 8 and 10
SIGMAS = {
    "SCS-Siam@0.0": 0.0,
    "SCS-Siam@0.3": 0.3,
    "SCS-Siam@0.5": 0.5,
    "SCS-Siam@0.7": 0.7,
    "SCS-Siam": 0.9,
    "SCS-Siam@1.0": 1.0,
}
MASKED_TEST = "SCS-Siam@0.9-test"
STEP_COLOURS = (GREY, VERMILLION, BLUE, GREEN, PURPLE)  # crop, first block, body, correlation, peak
MARKERS = "os^DvPX*<>ph8d"


@styled
def training_curve(metrics):
    """Plot the loss (Eq. 7) and the learning rate over the training pairs seen.

    `metrics` holds the arrays pairs, epoch, loss and learning_rate of a run's metrics.csv.
    """
    figure = chart(2.6)
    top, bottom = figure.subplots(2, 1, sharex=True, height_ratios=(3, 1))
    pairs, loss = np.asarray(metrics["pairs"]), np.asarray(metrics["loss"])
    epochs = np.unique(metrics["epoch"])
    ends = [pairs[metrics["epoch"] == epoch].max() for epoch in epochs]
    means = [loss[metrics["epoch"] == epoch].mean() for epoch in epochs]
    top.plot(pairs, loss, color=ROLES["none"].colour, linewidth=0.5, alpha=0.6, label="a step")
    top.plot(
        ends, means, color=ROLES["ours"].colour, marker="o", markersize=3, label="mean of an epoch"
    )
    top.set(
        ylabel="loss (Eq. 7)", ylim=(0, 1.2 * max(np.quantile(loss, 0.99), *means))
    )  # the loss of the first steps may be cut off
    top.legend()
    bottom.step(pairs, metrics["learning_rate"], where="post", color=ROLES["ours"].colour)
    bottom.set(xlabel="training pairs seen", ylabel="rate", yscale="log")
    figure.align_ylabels()
    return figure


@styled
def learning_rate_plot(rates):
    """Plot the learning rate of each epoch; `rates` is {name: (epochs,)}, the paper's first."""
    figure = chart(2.0)
    axes = figure.subplots()
    for (name, values), role in zip(rates.items(), ("paper", "baseline", "ours")):
        axes.plot(
            np.arange(1, len(values) + 1),
            values,
            color=ROLES[role].colour,
            linestyle=ROLES[role].line,
            label=name,
        )
    axes.set(xlabel="epoch", ylabel="learning rate", yscale="log")
    axes.legend()
    return figure


def success_plot(curves, printed=None):
    """Success plot of a DataFrame with tracker, threshold (overlap) and value (0 to 1).

    The legend gives the area under each curve. `printed` is {tracker: area printed in the paper},
    drawn as short marks at the right edge.
    """

    def mark(axes, value, colour):
        axes.plot([0.97, 1.0], [value, value], color=colour, linewidth=0.8)

    figure = _plot(curves, printed or {}, lambda line: line["value"].mean(), mark)
    figure.axes[0].set(xlabel="overlap threshold", ylabel="success rate", xlim=(0, 1), ylim=(0, 1))
    return figure


def precision_plot(curves, printed=None):
    """Precision plot of a DataFrame with tracker, threshold (pixels) and value (0 to 1).

    The legend gives the precision at 20 pixels. `printed` is {tracker: precision printed in the
    paper}, drawn as crosses.
    """

    def mark(axes, value, colour):
        axes.plot([20], [value], "+", color=colour, markersize=8, markeredgewidth=0.8)

    figure = _plot(
        curves, printed or {}, lambda line: line["value"][line["threshold"] == 20].item(), mark
    )
    figure.axes[0].set(
        xlabel="location error threshold (pixels)", ylabel="precision", xlim=(0, 50), ylim=(0, 1)
    )
    return figure


@styled
def _plot(curves, printed, score, mark):
    """One curve per tracker, sorted by score; `mark` draws what the paper prints."""
    figure = chart(3.1)
    axes = figure.subplots()
    lines = {name: curves[curves["tracker"] == name] for name in curves["tracker"].unique()}
    styles = tracker_styles(lines)
    for name in sorted(lines, key=lambda name: -score(lines[name])):
        label = f"{name}  {score(lines[name]):.3f}" + (
            f" (printed {printed[name]:.3f})" if name in printed else ""
        )
        axes.plot(
            lines[name]["threshold"],
            lines[name]["value"],
            color=styles[name].colour,
            linestyle=styles[name].line,
            label=label,
        )
        if name in printed:
            mark(axes, printed[name], styles[name].colour)
    figure.legend(loc="outside right upper", handlelength=3.2)
    return figure


def spread(curves, benchmark, rows=SHOWN):
    """Return mean, minimum and maximum over seeds of the curves of Figures 7, 8 and 10.

    Columns: row, attribute, curve, threshold, value (the mean), low, high, seeds.
    """
    part = curves[(curves["benchmark"] == benchmark) & curves["row"].isin(rows)]
    if part.empty:
        raise BadInput(
            f"curves: none of {', '.join(rows)} has a curve on {benchmark}; run one of them"
        )
    lines = part.groupby(["row", "attribute", "curve", "threshold"], sort=False)["value"].agg(
        ["mean", "min", "max", "count"]
    )
    return lines.set_axis(["value", "low", "high", "seeds"], axis=1).reset_index()


def figure7(curves, benchmark=None, rows=SHOWN):
    """Counterpart of Figure 7: precision and success on OTB2015 or its stand-in."""
    return _curve_pair(curves, benchmark or at_hand(curves, "OTB2015") or "OTB2015", rows)


def figure10(curves, benchmark=None, rows=SHOWN):
    """Counterpart of Figure 10: precision and success on UAV123 or its stand-in."""
    return _curve_pair(curves, benchmark or at_hand(curves, "UAV123") or "UAV123", rows)


@styled
def _curve_pair(curves, benchmark, rows):
    lines, printed = spread(curves, benchmark, rows), printed_scores(benchmark)
    lines = lines[lines["attribute"] == "all"]
    figure = chart(2.75 + 0.14 * lines["row"].nunique())
    left, right = figure.subplots(1, 2)
    for axes, curve in ((left, "precision"), (right, "success")):
        part, marks = (
            lines[lines["curve"] == curve],
            {row: scores[curve] for row, scores in printed.items()},
        )
        scores = _scores(part, curve)
        handles = _draw(axes, part, scores)
        for row, handle in zip(scores, handles):
            handle.set_label(
                f"{row}  {scores[row]:.3f}"
                + (f" (printed {marks[row]:.3f})" if row in marks else "")
            )
        _mark(
            axes,
            {row: marks[row] for row in scores if row in marks},
            (17, 23) if curve == "precision" else (0.95, 1.0),
        )
        axes.legend(
            handles=handles,
            loc="upper center",
            bbox_to_anchor=(0.5, -0.22),
            handlelength=3.6,
            borderaxespad=0,
        )
    top = np.clip(0.05 * np.ceil(20 * left.dataLim.y1), 0.9, 1)
    left.set(
        title=f"precision on {benchmark}",
        xlabel="location error threshold (pixels)",
        ylabel="precision",
        xlim=(0, 50),
        ylim=(0, top),
    )
    right.set(
        title=f"success on {benchmark}",
        xlabel="overlap threshold",
        ylabel="success rate",
        xlim=(0, 1),
        ylim=(0, 1),
    )
    return figure


def _mark(axes, marks, where):
    """Mark the printed {row: score} by short horizontal lines between the two x of `where`."""
    for row, score in marks.items():
        axes.plot(
            where, [score] * 2, color=TRACKER_STYLES[row].colour, linewidth=0.9, gid="printed"
        )
    if marks:
        axes.text(where[1], max(marks.values()) + 0.012, "printed", fontsize=6.5, ha="right")


def _scores(lines, curve):
    """{row: precision at 20 pixels, or area under the success curve}, highest first."""
    part = lines[lines["threshold"] == 20] if curve == "precision" else lines
    return part.groupby("row")["value"].mean().sort_values(ascending=False, kind="stable").to_dict()


def _draw(axes, lines, rows):
    """Draw one curve per row, the first on top, with a band from the lowest to the highest seed."""
    handles, styles = [], tracker_styles(list(rows))
    for depth, row in enumerate(rows):
        part = lines[lines["row"] == row]
        x, style = part["threshold"].to_numpy(float), styles[row]
        handles += axes.plot(
            x,
            part["value"],
            color=style.colour,
            linestyle=style.line,
            linewidth=1.2,
            label=row,
            zorder=3 - 0.01 * depth,
        )
        if part["seeds"].max() > 1:
            axes.fill_between(
                x,
                part["low"].to_numpy(float),
                part["high"].to_numpy(float),
                color=style.colour,
                alpha=0.15,
                linewidth=0,
            )
    return handles


@styled
def figure8(curves, results, benchmark=None, rows=SHOWN):
    """Counterpart of Figure 8: success by attribute, in eleven panels with one legend.

    `results` gives the number of targets that have each attribute.
    """
    benchmark = benchmark or at_hand(curves, "OTB2015") or "OTB2015"
    lines, figure = spread(curves, benchmark, rows), chart(7.6)
    lines = lines[lines["curve"] == "success"]
    order = list(_scores(lines[lines["attribute"] == "all"], "success"))
    grid = figure.subplots(4, 3, sharex=True, sharey=True).ravel()
    tagged = (
        results[results["benchmark"] == benchmark]
        .drop_duplicates("sequence")["attributes"]
        .str.split()
    )
    for axes, (code, name) in zip(grid, ATTRIBUTES.items()):
        part = lines[lines["attribute"] == code]
        scores = _scores(part, "success")
        best = "best: {} {:.3f}".format(*next(iter(scores.items()))) if scores else "no target"
        axes.set_title(
            f"{name} ({sum(code in codes for codes in tagged)})\n{best}",
            fontsize=7.5,
            linespacing=1.1,
        )
        axes.set(xlim=(0, 1), ylim=(0, 1))
        _draw(axes, part, [row for row in order if row in scores])
    grid[8].xaxis.set_tick_params(labelbottom=True)
    styles = tracker_styles(order)
    handles = [
        Line2D([], [], color=styles[row].colour, linestyle=styles[row].line, label=row)
        for row in order
    ]
    grid[11].set_axis_off()
    grid[11].legend(
        handles=handles,
        loc="center",
        handlelength=3.6,
        title=f"{benchmark}\n(n): targets",
        title_fontsize=7.5,
    )
    figure.supxlabel("overlap threshold", fontsize=8)
    figure.supylabel("success rate", fontsize=8)
    return figure


def sigmas(results, benchmark=None):
    """Return the values of `sigma_plot`.

    Columns: row, sigma, kind (mean, seed or printed), benchmark, seed, AUC and precision (0 to 1)
    with the 95 % intervals of the means.
    """
    place = benchmark or at_hand(results, "OTB2015") or "OTB2015"
    part = results[(results["benchmark"] == place) & results["row"].isin([*SIGMAS, MASKED_TEST])]
    if part.empty:
        raise BadInput(
            "results: hold no row of Table 8; run some of " + ", ".join([*SIGMAS, MASKED_TEST])
        )
    parts = [
        means(part).assign(kind="mean", benchmark=place),
        part.groupby(["row", "seed"])[["auc", "precision"]]
        .mean()
        .reset_index()
        .assign(kind="seed", benchmark=place),
    ]
    table = paper.table(8).replace({"variant": {"SCS-Siam@0.9": "SCS-Siam"}})
    parts.append(
        pandas.DataFrame(
            {
                "row": table["variant"],
                "auc": table["success"] / 100,
                "precision": table["precision"] / 100,
                "kind": "printed",
                "benchmark": "OTB2015",
            }
        )
    )
    frame = pandas.concat(parts, ignore_index=True)
    frame.insert(1, "sigma", frame["row"].map({**SIGMAS, MASKED_TEST: 0.9}))
    return frame[
        [
            "row",
            "sigma",
            "kind",
            "benchmark",
            "seed",
            "auc",
            "auc_low",
            "auc_high",
            "precision",
            "precision_low",
            "precision_high",
        ]
    ]


@styled
def sigma_plot(results, benchmark=None):
    """Table 8 as a plot: AUC and precision over the sigma of training, measured and printed.

    Small dots are seeds, and bars are 95 % intervals over seeds and targets. Open squares are
    networks that use sigma 0.9 in tracking as well. The two columns have different scales.
    """
    frame, figure = sigmas(results, benchmark), chart(3.6)
    place = frame["benchmark"].iloc[0]
    grid = figure.subplots(2, 2, sharex=True)
    for pair, (score, label) in zip(
        grid, (("auc", "success (AUC)"), ("precision", "precision at 20 px"))
    ):
        means_, seeds, printed = (
            frame[frame["kind"] == kind].sort_values("sigma")
            for kind in ("mean", "seed", "printed")
        )
        for masked, style, shift in ((False, ROLES["ours"], 0), (True, ROLES["baseline"], 0.03)):
            mean, dots, marks = (
                part[(part["row"] == MASKED_TEST) == masked] for part in (means_, seeds, printed)
            )
            bars = np.abs(
                mean[[f"{score}_low", f"{score}_high"]].to_numpy().T - mean[score].to_numpy()
            )
            shape = {
                "color": style.colour,
                "marker": "s" if masked else "o",
                "markerfacecolor": "white" if masked else style.colour,
            }
            pair[0].errorbar(
                mean["sigma"] + shift,
                mean[score],
                bars,
                elinewidth=0.8,
                capsize=2,
                markersize=4,
                **shape,
            )
            pair[0].plot(
                dots["sigma"] + shift + 0.012,
                dots[score],
                ".",
                color=style.colour,
                markersize=2.5,
                alpha=0.7,
            )
            pair[1].plot(
                marks["sigma"] + shift,
                marks[score],
                linewidth=0.7,
                linestyle=":",
                markersize=3,
                **shape,
            )
        pair[0].set_ylabel(label)
    grid[0, 0].set_title(f"measured on {place}")
    grid[0, 1].set_title("printed, OTB2015 (another scale)")
    for axes in grid[1]:
        axes.set(xlabel="σ in training", xticks=[0, 0.3, 0.5, 0.7, 0.9, 1.0])
    handles = [
        Line2D(
            [],
            [],
            color=ROLES["ours"].colour,
            marker="o",
            markersize=4,
            label="σ = 1 when tracking",
        ),
        Line2D(
            [],
            [],
            color=ROLES["ours"].colour,
            marker=".",
            markersize=2.5,
            linestyle="",
            label="a seed",
        ),
        Line2D(
            [],
            [],
            color=ROLES["baseline"].colour,
            marker="s",
            markerfacecolor="white",
            markersize=4,
            linestyle="",
            label="σ = 0.9 when tracking too",
        ),
    ]
    figure.legend(handles=handles, loc="outside lower center", ncols=3)
    return figure


def gains(results, work, speeds, benchmark=None):
    """Return the values of `gain_plot`: AUC with its interval, relative time per frame, and GMAC.

    `work` is {row: GMAC per frame} and `speeds` {row: FPS divided by that of SiameseFC*}, from a
    benchmark that alternates between the networks.
    """
    place = benchmark or at_hand(results, "OTB2015") or "OTB2015"
    table = means(
        results[(results["benchmark"] == place) & results["row"].isin(list(work))]
    ).set_index("row")
    frame = table.loc[
        [row for row in work if row in table.index], ["benchmark", "auc", "auc_low", "auc_high"]
    ]
    frame["relative_time"], frame["gmac"] = 1 / pandas.Series(speeds), pandas.Series(work)
    return frame.reset_index()


@styled
def gain_plot(frame):
    """Table 9 as a plot: AUC with its 95 % interval over time per frame and over multiply-adds.

    Points with nearly equal multiply-adds are drawn side by side around their mean.
    """
    figure = chart(3.0)
    pair, styles = figure.subplots(1, 2, sharey=True), tracker_styles(list(frame["row"]))
    for marker, line, work in zip(
        MARKERS, frame.itertuples(), _apart(frame["gmac"].to_numpy(float))
    ):
        for axes, cost in zip(pair, (line.relative_time, work)):
            bar = [[line.auc - line.auc_low], [line.auc_high - line.auc]]
            axes.errorbar(
                cost,
                line.auc,
                bar,
                fmt=marker,
                color=styles[line.row].colour,
                markersize=5,
                elinewidth=0.8,
                capsize=2,
                label=line.row,
            )
    pair[0].set(
        xlabel=f"time a frame, {BASELINE} = 1",
        ylabel=f"success (AUC) on {frame['benchmark'].iloc[0]}",
    )
    pair[1].set(xlabel="multiply-adds a frame (10$^9$)\n(nearly equal ones side by side)")
    handles, labels = pair[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside right upper")
    return figure


def _apart(values):
    """Spread values (N,) that lie within 5 % of the range of each other around their mean."""
    step, shown = 0.05 * np.ptp(values), values.copy()
    for value in values:
        near = np.flatnonzero(np.abs(values - value) <= step)
        shown[near] = values[near].mean() + step * (np.arange(len(near)) - (len(near) - 1) / 2)
    return shown


@styled
def interval_plot(frame, base, label="difference in AUC"):
    """Plot paired differences to the row `base` with their 95 % intervals.

    `frame` has the columns row, difference, low and high. A point is filled if its interval does
    not contain 0.
    """
    figure = chart(0.75 + 0.2 * len(frame))
    axes = figure.subplots()
    for place, line in enumerate(frame.itertuples()):
        settled = line.low > 0 or line.high < 0
        colour = ROLES["ours" if settled else "none"].colour
        bar = [[line.difference - line.low], [line.high - line.difference]]
        axes.errorbar(
            line.difference,
            place,
            xerr=bar,
            fmt="o",
            color=colour,
            markerfacecolor=colour if settled else "white",
            markersize=5,
            elinewidth=1.2,
            capsize=2.5,
        )
    axes.axvline(0, color=ROLES["paper"].colour, linewidth=0.8)
    axes.set(
        yticks=range(len(frame)),
        yticklabels=frame["row"],
        ylim=(len(frame) - 0.5, -0.5),
        xlabel=f"{label}, row minus {base}",
    )
    return figure


@styled
def leak_plot(held):
    """Plot loss and hits on held-out pairs, with the masks of training and without masks.

    `held` is a table of `results.read_validation`.
    """
    figure, places = chart(0.95 + 0.24 * len(held)), np.arange(len(held))
    grid = figure.subplots(1, 2, sharey=True)
    for axes, name, label in zip(
        grid, ("loss", "hits"), ("loss of held-out pairs", "share of pairs that are hit")
    ):
        for shift, end, colour, fill, what in (
            (-0.13, "", BLUE, BLUE, "masks as in training"),
            (0.13, "_unmasked", VERMILLION, "white", "no mask, as in tracking"),
        ):
            values = held[[f"{name}{end}{part}" for part in ("", "_low", "_high")]].to_numpy().T
            axes.errorbar(
                values[0],
                places + shift,
                xerr=np.abs(values[1:] - values[0]),
                fmt="o",
                color=colour,
                markerfacecolor=fill,
                markersize=5,
                elinewidth=1.2,
                capsize=2.5,
                label=what,
            )
        axes.set_xlabel(label)
    grid[0].set(yticks=places, yticklabels=held["row"], ylim=(len(held) - 0.5, -0.5))
    figure.legend(*grid[0].get_legend_handles_labels(), loc="outside upper center", ncols=2)
    return figure


@styled
def time_plot(steps):
    """Plot milliseconds per frame as stacked bars; a column is a tracker, an index entry a step."""
    figure = chart(0.9 + 0.3 * steps.shape[1])
    axes, left = figure.subplots(), np.zeros(steps.shape[1])
    for (step, values), colour in zip(steps.iterrows(), STEP_COLOURS):
        axes.barh(
            steps.columns,
            values,
            left=left,
            height=0.6,
            color=colour,
            edgecolor="white",
            label=step,
        )
        left = left + values.to_numpy()
    axes.invert_yaxis()
    axes.set(xlabel="milliseconds a frame")
    axes.grid(axis="y", visible=False)
    figure.legend(loc="outside upper center", ncols=len(steps), handlelength=1.2)
    return figure
