"""Scoreboards: Tables 3 to 10, each printed row in the paper's order, what is printed and what is measured in columns of their own.

A table of the paper is about one benchmark. Where it is not at hand another stands in for it, and the head of a measured column says
which. Scores are in percent as printed, means over seeds and targets. Measured speeds are those of `claims.speeds`, timed in turn:
runs are made side by side, and what a frame took there says little.
"""

import numpy as np
import pandas

from scs_siam.reproduction import paper
from scs_siam.reproduction.profiles import ROWS, TABLE9, stand_ins
from scs_siam.reproduction.report import means

ATTRIBUTES = dict(
    zip(
        paper.ATTRIBUTES,
        (
            "fast motion",
            "background clutter",
            "motion blur",
            "deformation",
            "illumination variation",
            "in-plane rotation",
            "low resolution",
            "occlusion",
            "out-of-plane rotation",
            "out of view",
            "scale variation",
        ),
        strict=True,
    )
)
BASELINE = "SiameseFC*"  # what a measured speed is divided by
PUBLISHED = {
    "SiamFC (published)": "SiameseFC",
    "CFNet (published)": "CFNet",
}  # published boxes scored here, and the paper's name
SCORES = {"precision": "precision", "success": "auc"}
VOT_SCORES = {
    "accuracy": "accuracy",
    "failures a sequence": "failures_per_sequence",
    "frame-weighted failures": "frame_weighted_failures",
    "failures per 100 frames": "failures_per_100_frames",
    "reliability": "reliability",
    "EAO": "eao",
}


def at_hand(frame, benchmark):
    """The name in `frame["benchmark"]` of a benchmark of the paper or of what stands in for it; None where none has a line."""
    return stand_ins(frame["benchmark"].unique()).get(benchmark)


def printed_scores(benchmark):
    """What the paper prints on this very benchmark as {row: {"precision", "success"}}, 0 to 1; {} on a stand-in."""
    if benchmark == "UAV123":
        return {
            "SCS-Siam": {"precision": paper.said("T69") / 100, "success": paper.said("T70") / 100}
        }
    if benchmark != "OTB2015":
        return {}
    lines = [
        line for source in ("figure7", 9, 10) for line in paper.table(source).to_dict("records")
    ]
    scores = {line["tracker"]: {name: line[name] / 100 for name in SCORES} for line in lines}
    return {**scores, **{row: scores[name] for row, name in PUBLISHED.items()}}


def table3(results, speeds):
    """Table 3: trackers on OTB2015."""
    board, real_time = (
        _board(results, 3, "OTB2015", (*PUBLISHED, BASELINE), speeds=speeds),
        paper.table(3)["real_time"],
    )
    board.insert(
        board.columns.get_loc("fps, printed") + 1,
        "real time, printed",
        real_time.reindex(range(len(board))),
    )
    return board


def table4(results):
    """Table 4: precision by attribute on OTB2015, an attribute a line; a measured column for each tracker of the table that was run."""
    printed = paper.table(4).pivot(index="attribute", columns="tracker", values="precision")
    order, place = list(paper.table(4)["tracker"].unique()), at_hand(results, "OTB2015")
    here = results[results["benchmark"] == place]
    parts = {
        code: here[
            here["attributes"].str.split().map(lambda codes, code=code: code in codes).astype(bool)
        ]
        for code in ATTRIBUTES
    }
    found = pandas.DataFrame(
        {code: part.groupby("row")["precision"].mean() for code, part in parts.items()}
    )
    measured = [row for row in (*order, *PUBLISHED, BASELINE) if row in found.index]
    frame = pandas.DataFrame(
        {"attribute": [f"{name} ({code})" for code, name in ATTRIBUTES.items()]}
    )
    for row in [*order, *(row for row in measured if row not in order)]:
        if row in order:
            frame[f"{row}, OTB2015, printed"] = printed.loc[list(ATTRIBUTES), row].to_numpy()
        if row in measured:
            frame[f"{row}, measured on {place}"] = (
                (100 * found.loc[row, list(ATTRIBUTES)]).round(1).to_numpy()
            )
    frame["targets"] = pandas.array(
        [part["sequence"].nunique() or None for part in parts.values()], "Int64"
    )
    return frame


def table5(results, speeds):
    """Table 5: trackers on TC128."""
    return _board(results, 5, "TC128", (*PUBLISHED, BASELINE), speeds=speeds)


def table6(summary, supervised):
    """Table 6: trackers on VOT2016; the paper does not say which robustness it prints, so every meaning is measured."""
    return _vot_board(summary, supervised, 6, "VOT2016")


def table7(summary, supervised, speeds):
    """Table 7: trackers on VOT2017, as Table 6, with speeds."""
    return _vot_board(summary, supervised, 7, "VOT2017", speeds)


def table8(results):
    """Table 8: SCS-Siam by the sigma of its training."""
    board = _board(results, 8, "OTB2015", alias={"SCS-Siam@0.9": "SCS-Siam"}, places=True)
    for name, column in (("tracking", "sigma_test"), ("training", "sigma_train")):
        board.insert(1, f"sigma in {name}, printed", paper.table(8)[column])
    return board


def table9(results, speeds):
    """Table 9: versions of the framework; a row of profiles.TABLE9 that the paper does not print follows."""
    return _board(
        results,
        9,
        "OTB2015",
        [row for row in TABLE9 if row not in set(paper.table(9)["tracker"])],
        places=True,
        speeds=speeds,
    )


def table10(results):
    """Table 10: the sub-networks of the attentions."""
    return _board(results, 10, "OTB2015", places=True)


def _board(results, number, benchmark, extra=(), alias={}, places=False, speeds=None):
    """A table of precision, success and perhaps speed; `extra` rows that were run follow the printed ones, `alias` {printed: row}."""
    printed, place = paper.table(number), at_hand(results, benchmark)
    wanted = {alias.get(name, name) for name in printed.iloc[:, 0]} | {*extra}
    part = results[(results["benchmark"] == place) & results["row"].isin(wanted)]
    found = pandas.DataFrame() if part.empty else means(part).set_index("row")
    names = [*printed.iloc[:, 0], *(row for row in extra if row in found.index)]
    measured, printed = (
        found.reindex([alias.get(name, name) for name in names]),
        printed.reindex(range(len(names))),
    )
    frame = pandas.DataFrame({printed.columns[0]: names})
    for name, score in SCORES.items():
        frame[f"{name}, {benchmark}, printed"] = printed[name]
        frame[_head(name, place)] = (100 * _column(measured, score)).round(1)
    if places:
        fair = _on_shared_seeds(part).reindex(measured.index).reset_index(drop=True)
        for kind, column in (("printed", printed["success"]), ("measured", fair)):
            ranks = column.where(fair.notna()).rank(ascending=False, method="min")
            frame[f"place by success among the rows run, {kind}"] = ranks.astype("Int64")
    if speeds is not None:
        _add_speeds(frame, printed, speeds, names)
    return _counted(frame, measured, number, names, alias)


def _on_shared_seeds(part):
    """Mean AUC of each row over the seeds that all its rows have: with more seeds for some, the seeds would decide the order."""
    shared = set.intersection(*part.groupby("row")["seed"].agg(set)) if len(part) else set()
    return part[part["seed"].isin(shared)].groupby("row")["auc"].mean()


def _vot_board(summary, supervised, number, benchmark, speeds=None):
    printed, place = paper.table(number), at_hand(summary, benchmark)
    summary, runs = (part[part["benchmark"] == place] for part in (summary, supervised))
    found = summary.groupby("row")[list(VOT_SCORES.values())].mean()
    found["seeds"], found["targets"] = (
        summary.groupby("row")["seed"].nunique(),
        runs.groupby("row")["sequence"].nunique(),
    )
    names = [*printed["tracker"], *(row for row in (BASELINE,) if row in found.index)]
    measured, printed = found.reindex(names), printed.reindex(range(len(names)))
    frame = pandas.DataFrame({"tracker": names})
    for head in ("accuracy", "robustness", "EAO"):
        frame[f"{head}{' (meaning not said)' * (head == 'robustness')}, {benchmark}, printed"] = (
            printed[head.lower()]
        )
        for name in (
            [head]
            if head in VOT_SCORES
            else [name for name in VOT_SCORES if name not in ("accuracy", "EAO")]
        ):
            frame[_head(name, place)] = measured[VOT_SCORES[name]].round(3).to_numpy()
    if speeds is not None:
        _add_speeds(frame, printed, speeds, names)
    return _counted(frame, measured, number, names, {})


def _add_speeds(frame, printed, speeds, names):
    """Append speeds and their ratios, the printed to the printed SiameseFC, the measured to BASELINE."""
    exact = (
        printed["fps"].where(printed["fps_bound"].isna())
        if "fps_bound" in printed
        else printed["fps"]
    )  # "< 1" gives no ratio
    timed, place = (
        speeds.groupby("row")[["fps", "ratio"]].median().reindex(names),
        next(iter(speeds["device"]), None),
    )
    frame["fps, printed"] = printed["fps"]
    frame[_head("fps", place)] = timed["fps"].round(1).to_numpy()
    frame["speed over SiameseFC, printed"] = (exact / paper.cell(9, "SiameseFC", "fps")).round(2)
    frame[_head(f"speed over {BASELINE}", place)] = timed["ratio"].round(2).to_numpy()


def _counted(frame, measured, number, names, alias):
    """`frame` with the counts behind what is measured and a note a line."""
    for name in ("seeds", "targets"):
        frame[name] = pandas.array(
            [None if np.isnan(n) else int(n) for n in _column(measured, name)], "Int64"
        )
    run = ~np.isnan(_column(measured, "seeds"))
    frame["note"] = [
        _note(number, name, alias.get(name, name), done) for name, done in zip(names, run)
    ]
    return frame


def _note(number, name, row, done):
    lost = paper.open_cells().query("table == @number and row == @name")["column"]
    printed = paper.table(number).set_index(paper.table(number).columns[0])
    notes = [f"lost in the PDF's text: {', '.join(lost).replace('_', ' ')}"] * bool(len(lost))
    if name not in printed.index:
        notes.append(
            "published boxes, scored here" if name in PUBLISHED else "not in the paper's table"
        )
    elif "fps_bound" in printed and printed["fps_bound"][name] == "<":
        notes.append("printed as < 1 fps")
    if row in ROWS and not done:
        notes.append("not run" if ROWS[row].data == "train" else "no data: ImageNet VID")
    return "; ".join(notes)


def _head(name, place):
    return f"{name}, measured on {place}" if place else f"{name}, measured"


def _column(frame, name):
    """A column as an array of floats, NaN where there is no such column."""
    return frame[name].to_numpy(float) if name in frame else np.full(len(frame), np.nan)
