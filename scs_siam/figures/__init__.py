"""The style that all figures share, and saving a figure with its data and alternative text.

A colour stands for a role (ours, baseline, truth, ...), and a line style repeats the distinction.
"""

import io
from dataclasses import dataclass

import matplotlib
from matplotlib.figure import Figure
from PIL import Image

from scs_siam.runtime.files import atomic, write_text
from scs_siam.runtime.files import figures_folder as folder

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
class Style:
    """Colour and line style of one role; the colours have a contrast of at least 3:1 on white."""

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
    "ours": Style(BLUE),
    "baseline": Style(VERMILLION, "--"),
    "truth": Style(GREEN, "-."),
    "paper": Style(BLACK, ":"),
    "none": Style(GREY, (0, (1, 1))),  # untrained, or without the part in question
    "channel": Style(GREEN, (0, (5, 1.5))),  # Delta, and networks with channel attention only
    "spatial": Style(PURPLE, (0, (6, 1, 1, 1))),  # Omega, and networks with spatial attention only
}
TRACKER_STYLES = {  # the same in all figures
    "SCS-Siam": ROLES["ours"],
    "SCA-Siam": ROLES["channel"],
    "SSA-Siam": ROLES["spatial"],
    "SiameseFC": ROLES["baseline"],
    "untrained": ROLES["none"],
    "SiameseFC*": Style(VERMILLION),
    "Extended-SiamFC": Style(BLACK),
    "SSC-Siam": Style(BLUE, "--"),
    "B-SCS-Siam": Style(BLUE, "-."),
    "SCA-GMP": Style(GREEN, ":"),
    "SCA-GAP": Style(GREEN),
    "SSA-Context": Style(PURPLE, ":"),
    "SSA-Transform": Style(PURPLE),
    "SiamFC (published)": Style(VERMILLION, "-."),
    "CFNet (published)": Style(GREY),
    "SCS-Siam@0.0": Style(BLACK, "--"),
    "SCS-Siam@0.3": Style(BLACK, "-."),
    "SCS-Siam@0.5": Style(GREY, "--"),
    "SCS-Siam@0.7": Style(GREY, "-."),
    "SCS-Siam@1.0": Style(GREY, ":"),
    "SCS-Siam@0.9-test": Style(BLUE, ":"),
}
OTHER_STYLES = [
    Style(colour, line)
    for line in ((0, (2, 1)), (0, (1, 2)), (0, (4, 1, 1, 1, 1, 1)))
    for colour in (BLACK, PURPLE, GREEN, VERMILLION, BLUE, GREY)
]
TINTS = {
    "B": "#CFE5F3",
    "B2": "#FADCC9",
    "psi": "#E6E6E6",
    "Delta": "#CBEBDD",
    "Omega": "#F3DCE9",
}  # backgrounds of the parts of a diagram


class Chart(Figure):
    """A figure that a notebook shows at its printed size, with its alternative text.

    Figures with photographs are shown as JPEG, all others as PNG.
    """

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
        """Bytes and metadata of the picture for a notebook."""
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
    """Return an empty Chart of `width` x `height` inches."""
    figure = Chart(figsize=(width, height), layout=layout, facecolor="white")
    figure.photographs = photographs
    return figure


def tracker_styles(names):
    """Return {name: Style}; trackers without a style of their own get the next of OTHER_STYLES."""
    others = [name for name in names if name not in TRACKER_STYLES]
    return {
        name: TRACKER_STYLES[name]
        if name in TRACKER_STYLES
        else OTHER_STYLES[others.index(name) % len(OTHER_STYLES)]
        for name in names
    }


@styled
def save(figure, name, data, alt):
    """Write figures/<name>.pdf and .png, the numbers as .csv, and the alternative text as .txt.

    `data` is a DataFrame and `alt` a description for readers who cannot see the figure. Equal
    figures give equal bytes. Returns the figure, so that a notebook shows it.
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
