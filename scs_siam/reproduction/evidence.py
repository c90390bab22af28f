"""Evidence: what the runs of a profile left behind, as tables. Every number that a notebook shows comes from here.

scores.csv and curves.csv hold one-pass evaluation, supervised.csv that of VOT, validation.csv held-out training pairs; `publish` scores
the raw boxes of another tracker in the same way and keeps scores and curves, never the boxes.
"""

import csv
from pathlib import Path

import numpy as np

from scs_siam.evaluation import metrics, one_pass
from scs_siam.evaluation.validation import mean
from scs_siam.reproduction.runs import row as row_of
from scs_siam.reproduction.runs import runs
from scs_siam.runtime.files import BadInput, atomic, digest, read_json, reading, sha256, write_json

SCORES = (
    "benchmark",
    "sequence",
    "frames",
    "auc",
    "precision",
    "success_rate",
    "normalised_precision",
    "lost",
    "fps",
    "fps_with_decode",
    "attributes",
)
CURVES = ("benchmark", "attribute", "curve", "threshold", "value")
SUPERVISED = (
    "benchmark",
    "sequence",
    "frames",
    "repetitions",
    "accuracy",
    "failures",
    "fps",
    "fps_with_decode",
    "attributes",
)
VALIDATION = ("sequence", "loss", "hit", "loss_unmasked", "hit_unmasked")
MISSING = {"attributes": "", "attribute": "all"}  # what an empty cell means


def write_scores(path, rows):
    """Write rows of `one_pass.evaluate`, each with its benchmark, as scores.csv."""
    write_rows(path, [{**row, "attributes": " ".join(row["attributes"])} for row in rows], SCORES)


def write_rows(path, rows, columns):
    """Write dicts as CSV with these columns, floats to six digits, whole or not at all."""
    with atomic(path) as part, open(part, "w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, columns, extrasaction="ignore")
        writer.writeheader()
        writer.writerows(
            {
                key: round(value, 6) if isinstance(value, float) else value
                for key, value in row.items()
            }
            for row in rows
        )


def curves_of(tracked, sequences):
    """Mean curves over the targets of a benchmark as rows: success and precision of all, success of those with each attribute.

    `tracked`: {sequence: (N, 4)}. The attribute of all targets is called "all".
    """
    seen = {s.name: np.isfinite(s.truth).all(-1) for s in sequences}
    measures = {
        "success": (metrics.SUCCESS_THRESHOLDS, metrics.success_curve, metrics.overlap),
        "precision": (metrics.PRECISION_THRESHOLDS, metrics.precision_curve, metrics.center_error),
    }
    for name, (thresholds, curve, measure) in measures.items():
        each = {
            s.name: curve(measure(tracked[s.name][seen[s.name]], s.truth[seen[s.name]]))
            for s in sequences
        }
        groups = {"all": sequences}
        if name == "success":
            groups |= {
                code: [s for s in sequences if code in s.attributes] for code in one_pass.ATTRIBUTES
            }
        for attribute, members in groups.items():
            if members:
                mean = np.mean([each[s.name] for s in members], axis=0)
                yield from (
                    {
                        "attribute": attribute,
                        "curve": name,
                        "threshold": round(float(t), 3),
                        "value": round(float(v), 5),
                    }
                    for t, v in zip(thresholds, mean)
                )


def publish(of, name, folder, annotations, benchmark, sequences):
    """Score another tracker's raw boxes on the sequences of a benchmark and keep it as the row "`name` (published)" of a profile.

    `folder` and `annotations` as in `sequences.read_published`. Kept are scores, curves and a hash of the boxes, not the boxes.
    """
    published = one_pass.read_published(folder, annotations)
    missing = [
        s.name
        for s in sequences
        if s.name not in published or len(published[s.name][0]) != len(s.truth)
    ]
    if missing:
        raise BadInput(
            f"{folder}: has no boxes for the {benchmark} sequence {missing[0]}, or not one a frame; leave the folder out"
        )
    tracked, out = (
        {s.name: published[s.name][0] for s in sequences},
        of.folder / f"published-{name}",
    )
    rows = [
        {
            "benchmark": benchmark,
            "sequence": s.name,
            "frames": len(s.truth),
            **one_pass.score(tracked[s.name], s.truth),
            "attributes": s.attributes,
        }
        for s in sequences
    ]
    write_scores(out / "scores.csv", rows)
    write_rows(
        out / "curves.csv",
        [{"benchmark": benchmark, **line} for line in curves_of(tracked, sequences)],
        CURVES,
    )
    write_json(
        out / "published.json",
        {
            "tracker": name,
            "annotations_sha256": sha256(annotations),
            "boxes_sha256": digest({n: np.round(b, 4).tolist() for n, b in tracked.items()}, 64),
        },
    )


def finished(of):
    """The finished runs of a profile."""
    return [run for run in runs(of) if (run.folder / "manifest.json").is_file()]


def results(of):
    """One-pass scores of all finished runs of a profile: row, variant, seed, sigma, width, benchmark, sequence, scores (0..1) and so on."""
    parts = [
        _read(run.folder / "scores.csv", row=run.name, seed=run.seed, **_facts(run))
        for run in finished(of)
    ]
    if not parts:
        raise BadInput(
            f"{of.folder}: holds no finished run; start with: scs-siam reproduce --profile {of.name}"
        )
    parts += [
        _read(folder / "scores.csv", row=row, seed=0, variant="published", sigma=float("nan"))
        for row, folder in _published(of)
    ]
    return _join(parts)


def curves(of):
    """Mean curves of all finished runs of a profile: row, seed, benchmark, attribute, curve, threshold, value."""
    parts = [_read(run.folder / "curves.csv", row=run.name, seed=run.seed) for run in finished(of)]
    return _join(
        parts + [_read(folder / "curves.csv", row=row, seed=0) for row, folder in _published(of)]
    )


def boxes(run, benchmark, sequences):
    """The raw boxes of a finished run, {sequence: (N, 4)}, 0-based."""
    key = read_json(run.folder / "manifest.json", "evaluation_key")["evaluation_key"]
    return one_pass.read_results(run.folder / "boxes" / benchmark / key, sequences)


def supervised(of):
    """Supervised scores of all finished runs: row, seed, benchmark, sequence, frames, repetitions, accuracy, failures, fps."""
    parts = [
        _read(run.folder / "supervised.csv", row=run.name, seed=run.seed)
        for run in finished(of)
        if (run.folder / "supervised.csv").is_file()
    ]
    return _join(parts or [_empty(("row", "seed", *SUPERVISED))])


def supervised_summary(of):
    """Accuracy, the meanings of robustness and EAO of all finished runs on benchmarks of VOT: row, seed, benchmark, scores, interval."""
    import pandas

    lines = [
        {"row": run.name, "seed": run.seed, "benchmark": name, **scores}
        for run in finished(of)
        for name, scores in read_json(run.folder / "manifest.json", "results")["results"].items()
        if "eao" in scores
    ]
    return pandas.DataFrame(lines)


def between_seeds(found, benchmark, metric="auc"):
    """Standard deviation from seed to seed of a row's mean score on a benchmark, and how many rows it is pooled over; (NaN, 0) without any.

    Counted are rows with a training of their own and more than one seed.
    """
    names = [name for name in found["row"].unique() if not name.endswith("(published)")]
    trained = [name for name in names if row_of(name).trained and not row_of(name).weights_of]
    part = found[(found["benchmark"] == benchmark) & found["row"].isin(trained)]
    means = part.groupby(["row", "seed"])[metric].mean().groupby("row")
    variance, freedom = means.var().dropna(), means.size() - 1
    if not len(variance):
        return float("nan"), 0
    return float(np.sqrt(np.average(variance, weights=freedom[variance.index]))), len(variance)


def validations(of, rows, base="SCS-Siam"):
    """What held-out pairs say of some rows of a profile, a line a run: loss and hits, and all else with its 95 % interval over sequences.

    loss, hits: with the masks of training; loss_unmasked, hits_unmasked: without, as in tracking; leak: hits minus hits_unmasked;
    minus_loss, minus_hits_unmasked: the difference to the row `base`, on the same pairs. Intervals are loss_low, loss_high and so on.
    """
    import pandas

    found = {
        (run.name, run.seed): _read(run.folder / "validation.csv")
        for run in finished(of)
        if run.name in rows
    }
    lines = []
    for row, seed in sorted(found, key=lambda key: (key[1], rows.index(key[0]))):
        pairs = found[row, seed].rename(columns=lambda name: name.replace("hit", "hits"))
        columns = {**pairs.drop(columns="sequence"), "leak": pairs["hits"] - pairs["hits_unmasked"]}
        if (other := found.get((base, seed))) is not None:
            columns |= {
                "minus_loss": pairs["loss"] - other["loss"],
                "minus_hits_unmasked": pairs["hits_unmasked"] - other["hit_unmasked"],
            }
        line = {
            "row": row,
            "seed": seed,
            "pairs": len(pairs),
            "sequences": pairs["sequence"].nunique(),
        }
        for name, values in columns.items():
            line |= dict(
                zip((name, f"{name}_low", f"{name}_high"), mean(pairs["sequence"], values))
            )
        lines.append(line)
    return pandas.DataFrame(lines)


def _published(of):
    found = sorted(of.folder.glob("published-*/published.json"))
    return [(f"{read_json(path, 'tracker')['tracker']} (published)", path.parent) for path in found]


def _facts(run):
    config = read_json(run.folder / "manifest.json", "config")["config"]
    return {
        "variant": config["variant"],
        "sigma": config["training"]["sigma"],
        "width": config["model"]["width"],
    }


def _read(path, **columns):
    import pandas

    with reading(path):
        return pandas.read_csv(Path(path), keep_default_na=False, na_values=[""]).assign(**columns)


def _empty(columns):
    import pandas

    return pandas.DataFrame(columns=list(columns))


def _join(parts):
    import pandas

    joined = pandas.concat(parts, ignore_index=True)
    return joined.assign(
        **{
            name: joined[name].astype(object).fillna(missing)
            for name, missing in MISSING.items()
            if name in joined
        }
    )


def differences(found, base, benchmark, metric="auc"):
    """Paired difference of each row to the row `base` on a benchmark: row, seeds, targets, difference, low, high (95 %).

    Pairs are those of one sequence and one seed; intervals come from `metrics.bootstrap_interval` over seeds and sequences.
    """
    import pandas

    grids = {
        row: part.pivot(index="seed", columns="sequence", values=metric)
        for row, part in found[found["benchmark"] == benchmark].groupby("row", sort=False)
    }
    if base not in grids:
        raise BadInput(
            f"{benchmark}: the row {base} was not run, so nothing can be compared with it; run it first"
        )
    lines = []
    for row, grid in grids.items():
        seeds = grid.index.intersection(grids[base].index)
        if row != base and len(seeds):
            apart = (grid.loc[seeds] - grids[base].loc[seeds]).to_numpy()
            difference, low, high = metrics.bootstrap_interval(apart)
            lines.append(
                {
                    "row": row,
                    "seeds": len(seeds),
                    "targets": apart.shape[1],
                    "difference": difference,
                    "low": low,
                    "high": high,
                }
            )
    return pandas.DataFrame(lines, columns=["row", "seeds", "targets", "difference", "low", "high"])
