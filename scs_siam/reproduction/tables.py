"""Tables 1 to 10 of the paper: every printed row in its order, printed and measured side by side.

A printed number and a measured one never share a column. Where a benchmark of the paper is not at
hand, another stands in for it, and the head of a measured column names it. Scores are in percent as
printed, means over seeds and targets. Measured speeds were timed in turn in one process.
"""

import numpy as np
import pandas

from scs_siam import model
from scs_siam.config import VARIANTS, Config, ModelConfig
from scs_siam.reproduction import claims, paper, results
from scs_siam.reproduction.profiles import ROWS, TABLE9, stand_ins
from scs_siam.reproduction.report import means
from scs_siam.runtime.files import figures_folder, write_text

SIZES = 135, 263  # pixels of template and search region in tracking (Sec. 4.1), as in Table 1
ATTRIBUTES = {
    **{"FM": "fast motion", "BC": "background clutter", "MB": "motion blur"},
    **{"DEF": "deformation", "IV": "illumination variation", "IPR": "in-plane rotation"},
    **{"LR": "low resolution", "OCC": "occlusion", "OPR": "out-of-plane rotation"},
    **{"OV": "out of view", "SV": "scale variation"},
}
BASELINE = "SiameseFC*"  # what a measured speed is divided by
# Published boxes that are scored here, and the paper's name of the tracker.
PUBLISHED = {"SiamFC (published)": "SiameseFC", "CFNet (published)": "CFNet"}
SCORES = {"precision": "precision", "success": "auc"}
ROBUSTNESS = {
    "failures per sequence": "failures_per_sequence",
    "frame-weighted failures": "frame_weighted_failures",
    "failures per 100 frames": "failures_per_100_frames",
    "reliability": "reliability",
}
VOT_SCORES = {"accuracy": "accuracy", **ROBUSTNESS, "EAO": "eao"}
COUNTS = {
    "sequences": len,
    "min_frames": min,
    "mean_frames": lambda frames: round(sum(frames) / len(frames)),
    "max_frames": max,
    "total_frames": sum,
}
LATEX = {"\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}"}
LATEX |= {"×": r"$\times$", "σ": r"$\sigma$", **{sign: "\\" + sign for sign in "&%$#_{}"}}


def write(name: str, frame: pandas.DataFrame) -> pandas.DataFrame:
    """Write a table to figures/<name>.csv, .md and .tex; return its text for a notebook."""
    for suffix, text in texts(frame).items():
        write_text(figures_folder() / f"{name}.{suffix}", text)
    cells, head = _cells(frame)
    return pandas.DataFrame(cells, columns=head)


def texts(frame: pandas.DataFrame) -> dict[str, str]:
    """Return a table as text: {"csv", "md", "tex"}."""
    cells, head = _cells(frame)
    numeric = [pandas.api.types.is_numeric_dtype(kind) for kind in frame.dtypes]
    csv = frame.to_csv(index=False, float_format="%.6g", lineterminator="\n")
    lines = (head, cells, numeric)
    return {"csv": csv, "md": _markdown(*lines), "tex": _latex(*lines)}


def measured(profile) -> dict[str, pandas.DataFrame]:
    """Return the tables that hold results of a profile's runs, {"table3", ..., "table10"}."""
    found, runs = results.read_scores(profile), results.read_supervised(profile)
    summary, timed = results.read_supervised_summary(profile), claims.speeds(profile)
    return {
        "table3": table3(found, timed),
        "table4": table4(found),
        "table5": table5(found, timed),
        "table6": table6(summary, runs),
        "table7": table7(summary, runs, timed),
        "table8": table8(found),
        "table9": table9(found, timed),
        "table10": table10(found),
    }


def _cells(frame):
    """The cells of a table as text, by rows, and its head."""
    cells = [[_text(value) for value in row] for row in frame.itertuples(index=False)]
    return cells, [str(column) for column in frame.columns]


def _text(value):
    if pandas.isna(value):
        return ""
    return f"{value:.6g}" if isinstance(value, float) else str(value)


def _markdown(head, cells, numeric):
    rule = ["--:" if number else "---" for number in numeric]
    rows = [[cell.replace("|", r"\|") for cell in row] for row in (head, rule, *cells)]
    return "".join(f"| {' | '.join(row)} |\n" for row in rows)


def _latex(head, cells, numeric):
    def line(row):
        escaped = ("".join(LATEX.get(sign, sign) for sign in cell) for cell in row)
        return " & ".join(escaped) + r" \\"

    columns = "".join("r" if number else "l" for number in numeric)
    body = [rf"\begin{{tabular}}{{{columns}}}", r"\toprule", line(head), r"\midrule"]
    body += [*map(line, cells), r"\bottomrule", r"\end{tabular}"]
    return "\n".join(body) + "\n"


def table1(config: ModelConfig) -> pandas.DataFrame:
    """Return Table 1: the printed layers and those of a network at the sizes of tracking."""
    branches = [{layer.name: layer for layer in model.trace(config, size)} for size in SIZES]
    lines = []
    for row in paper.table(1).to_dict("records"):
        template, search = (branch.get(row["layer"]) for branch in branches)
        line = {"layer": row["layer"]}
        for name in ("filter", "stride", "channels_in"):
            head = name.replace("_", " ")
            line[f"{head}, printed"] = None if pandas.isna(row[name]) else int(row[name])
            line[f"{head}, measured"] = getattr(template, name, None)
        for name, layer in (("template", template), ("search", search)):
            line[f"{name}, printed"] = "{0}×{1}×{1}".format(row["channels"], row[f"{name}_side"])
            shape = f"{layer.channels}×{layer.side}×{layer.side}" if layer else ""
            line[f"{name}, measured"] = shape
        lines.append(line)
    frame = pandas.DataFrame(lines)
    whole = [x for x in frame.columns if x.startswith(("filter", "stride", "channels"))]
    return frame.astype(dict.fromkeys(whole, "Int64"))


def table2(sets: dict) -> pandas.DataFrame:
    """Return Table 2: the printed benchmarks and those at hand.

    `sets` is {benchmark: sequences}; others than the paper's get a line of their own.
    """
    printed, lines = paper.table(2).set_index("benchmark"), []
    for name in [*printed.index, *(name for name in sets if name not in printed.index)]:
        frames, line = (
            [len(sequence.frames) for sequence in sets.get(name, ())],
            {"benchmark": name},
        )
        for column, count in COUNTS.items():
            head, known = column.replace("_", " "), name in printed.index
            line[f"{head}, printed"] = int(printed[column][name]) if known else None
            line[f"{head}, measured"] = count(frames) if frames else None
        lines.append(line)
    frame = pandas.DataFrame(lines)
    return frame.astype(dict.fromkeys(frame.columns[1:], "Int64"))


def variants(preset: str = "paper", width: float = 1.0) -> pandas.DataFrame:
    """Return parameters by part and multiply-adds (10^9) of every named variant."""
    lines = []
    for name in VARIANTS:
        config = Config.preset(preset, name, width).model
        counts, work = model.parameters(config), model.branch_multiplications(config, *SIZES)
        line = {"variant": name, "parameters": sum(counts.values())}
        line |= {part: counts[part] for part in ("B", "psi", "Delta", "Omega")}
        for branch in ("template", "search"):
            line[f"{branch} GMAC"] = round(work[branch] / 1e9, 2)
        lines.append(line)
    return pandas.DataFrame(lines)


def at_hand(frame: pandas.DataFrame, benchmark: str) -> str | None:
    """Return the benchmark in `frame` that is, or stands in for, a benchmark of the paper."""
    return stand_ins(frame["benchmark"].unique()).get(benchmark)


def printed_scores(benchmark: str) -> dict[str, dict[str, float]]:
    """Return what the paper prints on this very benchmark, {row: {"precision", "success"}}, 0 to 1.

    It is empty for a stand-in.
    """
    if benchmark == "UAV123":
        precision, success = (paper.said(number) / 100 for number in ("T69", "T70"))
        return {"SCS-Siam": {"precision": precision, "success": success}}
    if benchmark != "OTB2015":
        return {}
    scores = {}
    for source in ("figure7", 9, 10):
        for line in paper.table(source).to_dict("records"):
            scores[line["tracker"]] = {name: line[name] / 100 for name in SCORES}
    return {**scores, **{row: scores[name] for row, name in PUBLISHED.items()}}


def table3(results, speeds) -> pandas.DataFrame:
    """Return Table 3: trackers on OTB2015."""
    board = _board(results, 3, "OTB2015", (*PUBLISHED, BASELINE), speeds=speeds)
    real_time = paper.table(3)["real_time"].reindex(range(len(board)))
    board.insert(board.columns.get_loc("FPS, printed") + 1, "real time, printed", real_time)
    return board


def table4(results) -> pandas.DataFrame:
    """Return Table 4: precision on OTB2015 by attribute, with a column per tracker."""
    printed = paper.table(4).pivot(index="attribute", columns="tracker", values="precision")
    order, benchmark = list(paper.table(4)["tracker"].unique()), at_hand(results, "OTB2015")
    here, codes, parts = results[results["benchmark"] == benchmark], list(ATTRIBUTES), {}
    for code in codes:
        has = here["attributes"].str.split().map(lambda known, code=code: code in known)
        parts[code] = here[has.astype(bool)]
    means_of = {code: part.groupby("row")["precision"].mean() for code, part in parts.items()}
    found = pandas.DataFrame(means_of)
    measured = [row for row in (*order, *PUBLISHED, BASELINE) if row in found.index]
    names = [f"{name} ({code})" for code, name in ATTRIBUTES.items()]
    frame = pandas.DataFrame({"attribute": names})
    for row in [*order, *(row for row in measured if row not in order)]:
        if row in order:
            frame[f"{row}, OTB2015, printed"] = printed.loc[codes, row].to_numpy()
        if row in measured:
            values = (100 * found.loc[row, codes]).round(1).to_numpy()
            frame[f"{row}, measured on {benchmark}"] = values
    targets = [part["sequence"].nunique() or None for part in parts.values()]
    frame["targets"] = pandas.array(targets, "Int64")
    return frame


def table5(results, speeds) -> pandas.DataFrame:
    """Return Table 5: trackers on TC128."""
    return _board(results, 5, "TC128", (*PUBLISHED, BASELINE), speeds=speeds)


def table6(summary, supervised) -> pandas.DataFrame:
    """Return Table 6: trackers on VOT2016, with every meaning of robustness."""
    return _vot_board(summary, supervised, 6, "VOT2016")


def table7(summary, supervised, speeds) -> pandas.DataFrame:
    """Return Table 7: trackers on VOT2017, as Table 6, with speeds."""
    return _vot_board(summary, supervised, 7, "VOT2017", speeds)


def table8(results) -> pandas.DataFrame:
    """Return Table 8: SCS-Siam by the sigma of its training."""
    board = _board(results, 8, "OTB2015", alias={"SCS-Siam@0.9": "SCS-Siam"}, ranks=True)
    for name, column in (("tracking", "sigma_test"), ("training", "sigma_train")):
        board.insert(1, f"sigma in {name}, printed", paper.table(8)[column])
    return board


def table9(results, speeds) -> pandas.DataFrame:
    """Return Table 9: versions of the framework, then rows of TABLE9 that are not printed."""
    extra = [row for row in TABLE9 if row not in set(paper.table(9)["tracker"])]
    return _board(results, 9, "OTB2015", extra, ranks=True, speeds=speeds)


def table10(results) -> pandas.DataFrame:
    """Return Table 10: the sub-networks of the attention modules."""
    return _board(results, 10, "OTB2015", ranks=True)


def _board(results, number, benchmark, extra=(), alias=None, ranks=False, speeds=None):
    """A table of precision, success and perhaps speed; `extra` rows follow the printed ones."""
    alias, printed, place = alias or {}, paper.table(number), at_hand(results, benchmark)
    wanted = {alias.get(name, name) for name in printed.iloc[:, 0]} | {*extra}
    part = results[(results["benchmark"] == place) & results["row"].isin(wanted)]
    found = pandas.DataFrame() if part.empty else means(part).set_index("row")
    names = [*printed.iloc[:, 0], *(row for row in extra if row in found.index)]
    measured = found.reindex([alias.get(name, name) for name in names])
    printed = printed.reindex(range(len(names)))
    frame = pandas.DataFrame({printed.columns[0]: names})
    for name, score in SCORES.items():
        frame[f"{name}, {benchmark}, printed"] = printed[name]
        frame[_head(name, place)] = (100 * _column(measured, score)).round(1)
    if ranks:
        fair = _on_shared_seeds(part).reindex(measured.index).reset_index(drop=True)
        for kind, column in (("printed", printed["success"]), ("measured", fair)):
            order = column.where(fair.notna()).rank(ascending=False, method="min")
            frame[f"rank by success among the rows run, {kind}"] = order.astype("Int64")
    if speeds is not None:
        _add_speeds(frame, printed, speeds, names)
    return _counted(frame, measured, number, names, alias)


def _on_shared_seeds(part):
    """Mean AUC of each row over the seeds that all rows have; more seeds would change the order."""
    shared = set.intersection(*part.groupby("row")["seed"].agg(set)) if len(part) else set()
    return part[part["seed"].isin(shared)].groupby("row")["auc"].mean()


def _vot_board(summary, supervised, number, benchmark, speeds=None):
    printed, place = paper.table(number), at_hand(summary, benchmark)
    summary, runs = (part[part["benchmark"] == place] for part in (summary, supervised))
    found = summary.groupby("row")[list(VOT_SCORES.values())].mean()
    found["seeds"] = summary.groupby("row")["seed"].nunique()
    found["targets"] = runs.groupby("row")["sequence"].nunique()
    names = [*printed["tracker"], *(row for row in (BASELINE,) if row in found.index)]
    measured, printed = found.reindex(names), printed.reindex(range(len(names)))
    frame = pandas.DataFrame({"tracker": names})
    for head in ("accuracy", "robustness", "EAO"):
        meaning = " (meaning not said)" if head == "robustness" else ""
        frame[f"{head}{meaning}, {benchmark}, printed"] = printed[head.lower()]
        for name in ROBUSTNESS if head == "robustness" else [head]:
            frame[_head(name, place)] = measured[VOT_SCORES[name]].round(3).to_numpy()
    if speeds is not None:
        _add_speeds(frame, printed, speeds, names)
    return _counted(frame, measured, number, names, {})


def _add_speeds(frame, printed, speeds, names):
    """Append speeds, and their ratios to the printed SiameseFC and to the measured BASELINE."""
    exact = printed["fps"]
    if "fps_bound" in printed:
        exact = exact.where(printed["fps_bound"].isna())  # "< 1" gives no ratio
    timed = speeds.groupby("row")[["fps", "ratio"]].median().reindex(names)
    device = next(iter(speeds["device"]), None)
    frame["FPS, printed"] = printed["fps"]
    frame[_head("FPS", device)] = timed["fps"].round(1).to_numpy()
    frame["speed over SiameseFC, printed"] = (exact / paper.cell(9, "SiameseFC", "fps")).round(2)
    frame[_head(f"speed over {BASELINE}", device)] = timed["ratio"].round(2).to_numpy()


def _counted(frame, measured, number, names, alias):
    """`frame` with the counts behind what is measured and a note per line."""
    for name in ("seeds", "targets"):
        counts = [None if np.isnan(n) else int(n) for n in _column(measured, name)]
        frame[name] = pandas.array(counts, "Int64")
    run = zip(names, ~np.isnan(_column(measured, "seeds")))
    frame["note"] = [_note(number, name, alias.get(name, name), done) for name, done in run]
    return frame


def _note(number, name, row, done):
    lost = paper.open_cells().query("table == @number and row == @name")["column"]
    printed = paper.table(number).set_index(paper.table(number).columns[0])
    notes = [f"lost in the PDF's text: {', '.join(lost).replace('_', ' ')}"] * bool(len(lost))
    if name not in printed.index:
        here = name in PUBLISHED
        notes.append("published boxes, scored here" if here else "not in the paper's table")
    elif "fps_bound" in printed and printed["fps_bound"][name] == "<":
        notes.append("printed as < 1 FPS")
    if row in ROWS and not done:
        notes.append("not run" if ROWS[row].data == "train" else "no data: ImageNet VID")
    return "; ".join(notes)


def _head(name, place):
    return f"{name}, measured on {place}" if place else f"{name}, measured"


def _column(frame, name):
    """A column as an array of floats, NaN where there is no such column."""
    return frame[name].to_numpy(float) if name in frame else np.full(len(frame), np.nan)
