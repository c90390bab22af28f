"""Figures: one look for all (colour by role, line style doubling colour), plots of training and scores, saving with data and words."""

import io
import os
from dataclasses import dataclass
from pathlib import Path

import matplotlib
import numpy as np
from matplotlib.figure import Figure
from PIL import Image

from scs_siam.runtime.files import atomic, root, write_text

WIDTH = 6.14  # inches: the text column of the printed paper
SCREEN = 120  # screen pixels of an inch in a notebook
FILE_DPI = 200

STYLE = {
    "figure.facecolor": "white",
    "savefig.facecolor": "white",
    "axes.facecolor": "white",
    "font.family": "DejaVu Sans",
    "font.size": 8,
    "axes.titlesize": 8,
    "axes.labelsize": 8,
    "xtick.labelsize": 7.5,
    "ytick.labelsize": 7.5,
    "legend.fontsize": 7.5,
    "mathtext.fontset": "dejavusans",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.linewidth": 0.8,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": "#DDDDDD",
    "grid.linewidth": 0.6,
    "lines.linewidth": 1.5,
    "legend.frameon": False,
    "pdf.fonttype": 42,
    "svg.hashsalt": "scs-siam",
}
styled = matplotlib.rc_context(STYLE)  # decorates a function that draws


@dataclass(frozen=True)
class Role:
    """How one kind of thing is drawn in every figure: a colour of Okabe and Ito with at least 3:1 on white, and a line style of its own."""

    colour: str
    line: str | tuple = "-"


BLUE, VERMILLION, GREEN, PURPLE, BLACK, GREY = (
    "#0072B2",
    "#D55E00",
    "#009E73",
    "#CC79A7",
    "#000000",
    "#6B6B6B",
)
ROLES = {
    "ours": Role(BLUE),
    "baseline": Role(VERMILLION, "--"),
    "truth": Role(GREEN, "-."),
    "paper": Role(BLACK, ":"),
    "none": Role(GREY, (0, (1, 1))),  # untrained, or without the part in question
    "channel": Role(GREEN, (0, (5, 1.5))),  # Delta and what has it alone
    "spatial": Role(PURPLE, (0, (6, 1, 1, 1))),  # Omega and what has it alone
}
LOOKS = {  # every tracker that the paper's tables name and a run can be of looks the same in all figures
    "SCS-Siam": ROLES["ours"],
    "SCA-Siam": ROLES["channel"],
    "SSA-Siam": ROLES["spatial"],
    "SiameseFC": ROLES["baseline"],
    "untrained": ROLES["none"],
    "SiameseFC*": Role(VERMILLION),
    "Extended-SiamFC": Role(BLACK),
    "SSC-Siam": Role(BLUE, "--"),
    "B-SCS-Siam": Role(BLUE, "-."),
    "SCA-GMP": Role(GREEN, ":"),
    "SCA-GAP": Role(GREEN),
    "SSA-Context": Role(PURPLE, ":"),
    "SSA-Transform": Role(PURPLE),
    "SiamFC (published)": Role(VERMILLION, "-."),
    "CFNet (published)": Role(GREY),
    "SCS-Siam@0.0": Role(BLACK, "--"),
    "SCS-Siam@0.3": Role(BLACK, "-."),
    "SCS-Siam@0.5": Role(GREY, "--"),
    "SCS-Siam@0.7": Role(GREY, "-."),
    "SCS-Siam@1.0": Role(GREY, ":"),
    "SCS-Siam@0.9-test": Role(BLUE, ":"),
}
OTHERS = [
    Role(colour, line)
    for line in ((0, (2, 1)), (0, (1, 2)), (0, (4, 1, 1, 1, 1, 1)))
    for colour in (BLACK, PURPLE, GREEN, VERMILLION, BLUE, GREY)
]
TINTS = {
    "B": "#CFE5F3",
    "B2": "#FADCC9",
    "psi": "#E6E6E6",
    "Delta": "#CBEBDD",
    "Omega": "#F3DCE9",
}  # of a diagram's parts


class Chart(Figure):
    """A figure that a notebook shows at its printed proportions, with its alternative text; one with photographs is shown as JPEG."""

    alt, photographs = "", False

    def _repr_png_(self):
        return (
            None
            if self.photographs
            else self._shown("png", SCREEN if self.get_figheight() < 5 else 0.8 * SCREEN)
        )

    def _repr_jpeg_(self):
        return self._shown("jpeg", SCREEN, quality=65, subsampling=2) if self.photographs else None

    def _shown(self, kind, dpi, **options):
        """The picture's bytes and what a notebook keeps beside them."""
        raw, out = io.BytesIO(), io.BytesIO()
        with matplotlib.rc_context(STYLE):
            self.savefig(raw, dpi=dpi)
        image = Image.open(raw).convert("RGB")
        if kind == "png":  # one byte a pixel keeps a notebook small
            image = image.quantize(64, Image.Quantize.MEDIANCUT, dither=Image.Dither.NONE)
        image.save(out, kind, optimize=True, **options)
        width, height = self.get_size_inches() * SCREEN
        return out.getvalue(), {"width": round(width), "height": round(height), "alt": self.alt}


def chart(height, width=WIDTH, photographs=False, layout="constrained"):
    """An empty Chart of `width` x `height` inches."""
    figure = Chart(figsize=(width, height), layout=layout, facecolor="white")
    figure.photographs = photographs
    return figure


def looks(names):
    """{name: Role} of trackers: those of LOOKS their own, the others one of OTHERS in their order."""
    others = [name for name in names if name not in LOOKS]
    return {
        name: LOOKS[name] if name in LOOKS else OTHERS[others.index(name) % len(OTHERS)]
        for name in names
    }


def folder():
    """Where figures and tables are written: the environment variable SCS_FIGURES, or figures/ of the project."""
    return Path(os.environ.get("SCS_FIGURES") or root() / "figures")


@styled
def save(figure, name, data, alt):
    """Write figures/<name>.pdf, .png, .csv (`data`, a DataFrame: the numbers drawn) and .txt (`alt`, the text for who cannot see it).

    The same figure gives the same bytes. Returns the figure, so that a notebook shows it.
    """
    figure.alt = " ".join(alt.split())
    for suffix, metadata in (
        (".pdf", {"CreationDate": None, "Producer": None, "Creator": None}),
        (".png", {"Software": None}),
    ):
        with atomic(folder() / f"{name}{suffix}") as part:
            figure.savefig(part, metadata=metadata, dpi=FILE_DPI)
    write_text(
        folder() / f"{name}.csv", data.to_csv(index=False, float_format="%.6g", lineterminator="\n")
    )
    write_text(folder() / f"{name}.txt", figure.alt + "\n")
    return figure


@styled
def training_curve(metrics):
    """Loss and learning rate over the pairs seen; `metrics` holds the arrays pairs, epoch, loss, learning_rate of a run's metrics.csv."""
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
    )  # the first steps may leave the picture
    top.legend()
    bottom.step(pairs, metrics["learning_rate"], where="post", color=ROLES["ours"].colour)
    bottom.set(xlabel="training pairs seen", ylabel="rate", yscale="log")
    figure.align_ylabels()
    return figure


@styled
def learning_rate_plot(rates):
    """Learning rate of each epoch, on a logarithmic scale; `rates`: {name: (epochs,)}, up to three, the paper's first."""
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
    """Success plot of a DataFrame tracker, threshold (overlap), value (0..1); its legend gives the area under each curve.

    `printed`: {tracker: area that the paper prints, 0..1}, drawn as thin marks on the right edge and named in the legend.
    """

    def mark(axes, value, colour):
        axes.plot([0.97, 1.0], [value, value], color=colour, linewidth=0.8)

    figure = _plot(curves, printed or {}, lambda line: line["value"].mean(), mark)
    figure.axes[0].set(xlabel="overlap threshold", ylabel="success rate", xlim=(0, 1), ylim=(0, 1))
    return figure


def precision_plot(curves, printed=None):
    """Precision plot of a DataFrame tracker, threshold (pixels), value (0..1); its legend gives the precision at 20 pixels.

    `printed`: {tracker: precision at 20 pixels that the paper prints, 0..1}, drawn as thin crosses and named in the legend.
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
    """A curve a tracker, best score first in the legend; `mark(axes, value, colour)` draws what the paper prints."""
    figure = chart(3.1)
    axes = figure.subplots()
    lines = {name: curves[curves["tracker"] == name] for name in curves["tracker"].unique()}
    styles = looks(lines)
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
