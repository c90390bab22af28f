"""Results: the files that runs leave behind, written and read as tables.

scores.csv and curves.csv hold the one-pass evaluation, supervised.csv the supervised evaluation of
VOT, validation.csv the loss on held-out training pairs. Notebooks take their numbers from here.
"""

import csv
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
import pandas as pd

from scs_siam.data import benchmarks
from scs_siam.data.benchmarks import Sequence
from scs_siam.evaluation import metrics, one_pass
from scs_siam.evaluation.statistics import cluster_interval
from scs_siam.reproduction.profiles import Profile
from scs_siam.reproduction.runs import Run, finished_runs
from scs_siam.runtime.files import BadInput, atomic, digest, read_json, reading, sha256, write_json

_ABOUT, _SPEED = ("benchmark", "sequence", "frames"), ("fps", "fps_with_decode", "attributes")
_MEASURES = ("auc", "precision", "success_rate", "normalised_precision", "lost")
SCORES = (*_ABOUT, *_MEASURES, *_SPEED)
CURVES = ("benchmark", "attribute", "curve", "threshold", "value")
SUPERVISED = (*_ABOUT, "repetitions", "accuracy", "failures", *_SPEED)
VALIDATION = ("sequence", "loss", "hit", "loss_unmasked", "hit_unmasked")
MISSING = {"attributes": "", "attribute": "all"}  # what an empty cell means


def write_rows(path: Path, rows: Iterable[dict], columns: tuple) -> None:
    """Write these columns of the rows as CSV, floats rounded to six digits."""

    def rounded(row):
        return {k: round(v, 6) if isinstance(v, float) else v for k, v in row.items()}

    with atomic(path) as part, open(part, "w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, columns, extrasaction="ignore")
        writer.writeheader()
        writer.writerows(map(rounded, rows))


def write_scores(path: Path, rows: Iterable[dict]) -> None:
    """Write rows of `one_pass.evaluate`, each with its benchmark, as scores.csv."""
    write_rows(path, [{**row, "attributes": " ".join(row["attributes"])} for row in rows], SCORES)


def mean_curves(tracked: dict[str, np.ndarray], sequences: list[Sequence]) -> Iterator[dict]:
    """Yield mean success and precision curves of a benchmark as rows of curves.csv.

    `tracked` maps names of sequences to boxes (N, 4). The curves of all sequences have the
    attribute "all"; success is also averaged over the sequences with each attribute.
    """
    pairs = {}
    for s in sequences:
        seen = np.isfinite(s.truth).all(-1)
        pairs[s.name] = tracked[s.name][seen], s.truth[seen]
    measures = {
        "success": (metrics.SUCCESS_THRESHOLDS, metrics.success_curve, metrics.overlap),
        "precision": (metrics.PRECISION_THRESHOLDS, metrics.precision_curve, metrics.center_error),
    }
    for name, (thresholds, curve, measure) in measures.items():
        each = {s.name: curve(measure(*pairs[s.name])) for s in sequences}
        groups = {"all": [s.name for s in sequences]}
        for code in benchmarks.ATTRIBUTES if name == "success" else ():
            groups[code] = [s.name for s in sequences if code in s.attributes]
        for attribute, members in groups.items():
            values = np.mean([each[member] for member in members], axis=0) if members else ()
            for threshold, value in zip(thresholds, values):
                point = round(float(threshold), 3), round(float(value), 5)
                yield dict(zip(CURVES[1:], (attribute, name, *point)))


def publish(
    profile: Profile,
    tracker: str,
    folder: Path,
    annotations: Path,
    benchmark: str,
    sequences: list[Sequence],
) -> None:
    """Score another tracker's raw boxes; the scores become the row "`tracker` (published)".

    `folder` and `annotations` are those of `benchmarks.read_published`. Scores, curves and a hash
    of the boxes are kept, but not the boxes. Raises BadInput if a sequence or a frame has no box.
    """
    published = benchmarks.read_published(folder, annotations)
    tracked, rows, out = {}, [], profile.folder / f"published-{tracker}"
    for s in sequences:
        boxes = tracked[s.name] = published.get(s.name, ((), ()))[0]
        if len(boxes) != len(s.truth):
            problem = f"the {benchmark} sequence {s.name} does not have one box per frame"
            raise BadInput(f"{folder}: {problem}; leave the folder out")
        about = {"benchmark": benchmark, "sequence": s.name, "frames": len(s.truth)}
        rows.append(about | one_pass.score(boxes, s.truth) | {"attributes": s.attributes})
    curves = [{"benchmark": benchmark, **line} for line in mean_curves(tracked, sequences)]
    write_scores(out / "scores.csv", rows)
    write_rows(out / "curves.csv", curves, CURVES)
    rounded = {name: np.round(boxes, 4).tolist() for name, boxes in tracked.items()}
    hashes = {"annotations_sha256": sha256(annotations), "boxes_sha256": digest(rounded, 64)}
    write_json(out / "published.json", {"tracker": tracker, **hashes})


def read_scores(profile: Profile) -> pd.DataFrame:
    """Return the one-pass scores (0 to 1) of all finished runs, one line per sequence.

    Columns: row, seed, variant, sigma and width, then those of SCORES. Raises BadInput if no run is
    finished or a file is damaged.
    """
    parts = []
    for run in finished_runs(profile):
        config = read_json(run.folder / "manifest.json", "config")["config"]
        facts = {"variant": config["variant"], "sigma": config["training"]["sigma"]}
        facts["width"] = config["model"]["width"]
        parts.append(_read_of(run, "scores.csv", **facts))
    if not parts:
        raise BadInput(
            f"{profile.folder}: there is no finished run; start with: "
            f"scs-siam reproduce --profile {profile.name}"
        )
    parts += _published(profile, "scores.csv", variant="published", sigma=float("nan"))
    return pd.concat(parts, ignore_index=True)


def read_curves(profile: Profile) -> pd.DataFrame:
    """Return the mean curves of all finished runs: row, seed and the columns of CURVES."""
    parts = [_read_of(run, "curves.csv") for run in finished_runs(profile)]
    return pd.concat([*parts, *_published(profile, "curves.csv")], ignore_index=True)


def read_boxes(run: Run, benchmark: str, sequences: list[Sequence]) -> dict[str, np.ndarray]:
    """Return the raw boxes of a finished run by sequence, each (N, 4) x, y, w, h, 0-based."""
    key = read_json(run.folder / "manifest.json", "evaluation_key")["evaluation_key"]
    return one_pass.read_results(run.folder / "boxes" / benchmark / key, sequences)


def read_supervised(profile: Profile) -> pd.DataFrame:
    """Return the supervised scores of all finished runs: row, seed and those of SUPERVISED."""
    found = [run for run in finished_runs(profile) if (run.folder / "supervised.csv").is_file()]
    parts = [_read_of(run, "supervised.csv") for run in found]
    empty = pd.DataFrame(columns=["row", "seed", *SUPERVISED])
    return pd.concat(parts or [empty], ignore_index=True)


def read_supervised_summary(profile: Profile) -> pd.DataFrame:
    """Return accuracy, robustness and EAO of each finished run on each VOT benchmark."""
    lines = []
    for run in finished_runs(profile):
        results = read_json(run.folder / "manifest.json", "results")["results"]
        for name, scores in results.items():
            if "eao" in scores:
                lines.append({"row": run.name, "seed": run.seed, "benchmark": name, **scores})
    return pd.DataFrame(lines)


def read_validation(profile: Profile, rows: Iterable[str], base: str = "SCS-Siam") -> pd.DataFrame:
    """Return the means over held-out training pairs for some rows of a profile, one line per run.

    loss and hits are measured with the masks of training, loss_unmasked and hits_unmasked without
    masks, as in tracking; leak is hits minus hits_unmasked; minus_loss and minus_hits_unmasked are
    differences to the row `base` on the same pairs. The 95 % interval of each, over sequences, is
    in loss_low, loss_high and so on.
    """
    order, found = list(rows), {}
    for run in finished_runs(profile):
        if run.name in order:
            pairs = _read(run.folder / "validation.csv")
            found[run.seed, run.name] = pairs.rename(
                columns=lambda name: name.replace("hit", "hits")
            )
    lines = []
    for seed, row in sorted(found, key=lambda key: (key[0], order.index(key[1]))):
        pairs, other = found[seed, row], found.get((seed, base))
        values = {**pairs.drop(columns="sequence"), "leak": pairs["hits"] - pairs["hits_unmasked"]}
        for name in ("loss", "hits_unmasked") if other is not None else ():
            values[f"minus_{name}"] = pairs[name] - other[name]
        sequences = pairs["sequence"].nunique()
        line = {"row": row, "seed": seed, "pairs": len(pairs), "sequences": sequences}
        for name, column in values.items():
            interval = cluster_interval(pairs["sequence"], column)
            line.update(zip((name, f"{name}_low", f"{name}_high"), interval))
        lines.append(line)
    return pd.DataFrame(lines)


def _published(profile, file, **columns):
    parts = []
    for path in sorted(profile.folder.glob("published-*/published.json")):
        row = f"{read_json(path, 'tracker')['tracker']} (published)"
        parts.append(_read(path.with_name(file), row=row, seed=0, **columns))
    return parts


def _read_of(run, file, **columns):
    return _read(run.folder / file, row=run.name, seed=run.seed, **columns)


def _read(path, **columns):
    with reading(path):
        text = dict.fromkeys(MISSING, object)
        table = pd.read_csv(path, keep_default_na=False, na_values=[""], dtype=text)
    return table.fillna(MISSING).assign(**columns)
