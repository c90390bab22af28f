"""Tables: written as CSV, Markdown and LaTeX; a printed number and a measured one never share a column."""

import pandas

from scs_siam import model
from scs_siam.config import VARIANTS, Config
from scs_siam.figures import folder
from scs_siam.reproduction import paper
from scs_siam.runtime.files import write_text

SIZES = 135, 263  # pixels of template and search at test time (Sec. 4.1), the sizes of Table 1
COUNTS = {
    "sequences": len,
    "min_frames": min,
    "mean_frames": lambda frames: round(sum(frames) / len(frames)),
    "max_frames": max,
    "total_frames": sum,
}


def write(name, frame):
    """Write a DataFrame to figures/<name>.csv, .md and .tex; an empty cell stays empty. Returns its text, for a notebook to show."""
    cells = [[_text(value) for value in row] for row in frame.itertuples(index=False)]
    head = [str(column) for column in frame.columns]
    write_text(
        folder() / f"{name}.csv",
        frame.to_csv(index=False, float_format="%.6g", lineterminator="\n"),
    )
    write_text(folder() / f"{name}.md", _markdown(head, cells, _numeric(frame)))
    write_text(folder() / f"{name}.tex", _latex(head, cells, _numeric(frame)))
    return pandas.DataFrame(cells, columns=head)


def _text(value):
    if pandas.isna(value):
        return ""
    return f"{value:.6g}" if isinstance(value, float) else str(value)


def _numeric(frame):
    return [pandas.api.types.is_numeric_dtype(kind) for kind in frame.dtypes]


def _markdown(head, cells, numeric):
    rule = ["--:" if number else "---" for number in numeric]
    return "".join(
        f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in row)} |\n"
        for row in (head, rule, *cells)
    )


def _latex(head, cells, numeric):
    def line(row):
        return " & ".join(_escape(cell) for cell in row) + r" \\"

    columns = "".join("r" if number else "l" for number in numeric)
    body = [
        rf"\begin{{tabular}}{{{columns}}}",
        r"\toprule",
        line(head),
        r"\midrule",
        *map(line, cells),
        r"\bottomrule",
        r"\end{tabular}",
    ]
    return "\n".join(body) + "\n"


def _escape(text):
    signs = {
        "\\": r"\textbackslash{}",
        "~": r"\textasciitilde{}",
        "^": r"\textasciicircum{}",
        "×": r"$\times$",
        "σ": r"$\sigma$",
    }
    return "".join(signs.get(sign, "\\" + sign if sign in "&%$#_{}" else sign) for sign in text)


def table1(config):
    """Table 1 as printed beside the layers of a ModelConfig at test size: filter, stride, channels in, output of template and search."""
    printed = paper.table(1)
    branches = [{layer.name: layer for layer in model.trace(config, size)} for size in SIZES]
    lines = [
        _table1_row(row, *(branch.get(row["layer"]) for branch in branches))
        for row in printed.to_dict("records")
    ]
    frame = pandas.DataFrame(lines)
    return frame.astype(
        {
            name: "Int64"
            for name in frame.columns
            if name.startswith(("filter", "stride", "channels"))
        }
    )


def _table1_row(row, template, search):
    """A layer's line; `template` and `search` are None where the network lacks the layer."""
    line = {"layer": row["layer"]}
    for name, field in (("filter", "filter"), ("stride", "stride"), ("channels in", "channels_in")):
        line[f"{name}, printed"] = None if pandas.isna(row[field]) else int(row[field])
        line[f"{name}, measured"] = getattr(template, field, None)
    for name, layer in (("template", template), ("search", search)):
        line[f"{name}, printed"] = "{0}×{1}×{1}".format(row["channels"], row[f"{name}_side"])
        line[f"{name}, measured"] = (
            "" if layer is None else f"{layer.channels}×{layer.side}×{layer.side}"
        )
    return line


def table2(sets):
    """Table 2 as printed beside what is at hand: `sets` {benchmark: sequences that have .frames}; others get a line of their own."""
    printed = paper.table(2).set_index("benchmark")
    lines = []
    for name in [*printed.index, *(name for name in sets if name not in printed.index)]:
        frames = [len(sequence.frames) for sequence in sets.get(name, ())]
        line = {"benchmark": name}
        for column, count in COUNTS.items():
            line[f"{column.replace('_', ' ')}, printed"] = (
                int(printed[column][name]) if name in printed.index else None
            )
            line[f"{column.replace('_', ' ')}, measured"] = count(frames) if frames else None
        lines.append(line)
    frame = pandas.DataFrame(lines)
    return frame.astype(dict.fromkeys(frame.columns[1:], "Int64"))


def variants(preset="paper", width=1.0):
    """Parameters by part and multiply-adds at test size (10^9) of every named variant, one line each."""
    lines = []
    for name in VARIANTS:
        config = Config.preset(preset, name, width).model
        counts, work = model.parameters(config), model.branch_multiplications(config, *SIZES)
        counts = {
            "parameters": sum(counts.values()),
            **{part: counts[part] for part in ("B", "psi", "Delta", "Omega")},
        }
        giga = {f"{branch} GMAC": round(work[branch] / 1e9, 2) for branch in ("template", "search")}
        lines.append({"variant": name, **counts, **giga})
    return pandas.DataFrame(lines)
