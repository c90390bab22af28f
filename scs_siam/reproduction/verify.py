"""Verification: are the stored results what their own boxes, weights and ground truth give?

Every run is checked from below: box files against their hashes, a random share of the boxes against
the tracker (where the weights and the frames are at hand), scores against the boxes (where the
ground truth is at hand), means against the scores, and then the tables, the verdicts and README's
measured block against the means.
"""

import csv
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch

from scs_siam import __version__, weights
from scs_siam.config import Config
from scs_siam.data import benchmarks
from scs_siam.data.boxes import center, from_one_based, read_boxes
from scs_siam.data.images import read_image
from scs_siam.data.video import Frames
from scs_siam.evaluation import metrics, one_pass, vot
from scs_siam.model import SiameseNet
from scs_siam.reproduction import claims, profiles, report, results, tables
from scs_siam.reproduction.experiments import synthetic_sequences
from scs_siam.reproduction.runs import finished_runs
from scs_siam.runtime import hardware
from scs_siam.runtime.files import (
    BadInput,
    figures_folder,
    read_json,
    read_text,
    root,
    sha256,
    write_json,
)
from scs_siam.track import Tracker

OUTCOMES = ("exact", "within tolerance", "different", "not verifiable")
DIGITS, TOLERANCE = 1e-6, 1e-3  # of a score: it is stored with six digits (a curve with five)
PIXEL, OVERLAP = 1e-3, 0.9  # of a box tracked again: equal up to rounding, or about the same box
CRATE = "ro-crate-metadata.json"


class Check(NamedTuple):
    """One stored value that was compared: its kind, one of OUTCOMES, and where it stands."""

    kind: str
    outcome: str
    where: str


def verify(profile: profiles.Profile, run_id: str = "", share: float = 0.01, seed: int = 0) -> list:
    """Return a Check for every stored value of a profile's finished runs, or of one of them.

    `profile.tests` names the folders of the benchmarks; synthetic ones are written. `share` of the
    boxes are drawn with `seed` and tracked again. BadInput if there is no such finished run.
    """
    chosen = [run for run in finished_runs(profile) if run_id in ("", run.id)]
    if not chosen:
        problem = f"has no finished run {run_id}".rstrip()
        raise BadInput(f"{profile.folder}: {problem}; scs-siam plan lists the runs of a profile")
    rng, sets, found = np.random.default_rng(seed), {}, []
    for run in chosen:
        found += _run(run, sets, share, rng)
    if not run_id:
        for path in sorted(profile.folder.glob("published-*/scores.csv")):
            count = len(results._read(path))
            found += [Check("scores", OUTCOMES[3], f"{path.parent.name}: no boxes kept")] * count
        found += _shown(profile)
    return found


def count(found: list) -> dict[str, dict[str, int]]:
    """Return how many checks of each kind have each outcome."""
    table = {check.kind: dict.fromkeys(OUTCOMES, 0) for check in found}
    for check in found:
        table[check.kind][check.outcome] += 1
    return table


def _run(run, sets, share, rng) -> Iterator[Check]:
    manifest = read_json(run.folder / "manifest.json", "results", "form", "evaluation_key")
    for name, summary in manifest["results"].items():
        if name not in sets:
            sets[name] = _sequences(run.profile, name)
        folder = run.folder / "boxes" / name / manifest["evaluation_key"]
        if "eao" in summary:
            yield from _supervised(run, name, folder, sets[name])
            continue
        stored = results._read(run.folder / "scores.csv")
        stored = stored[stored["benchmark"] == name].set_index("sequence")
        for measure in one_pass.AVERAGED:
            where = f"{run.id}/manifest.json: {name}, {measure}"
            yield Check("means", _close(summary[measure], stored[measure].mean()), where)
        tracked = {}
        for sequence, line in stored.iterrows():
            yield from _hashed(run, folder / f"{sequence}.txt")
            boxes = tracked[sequence] = from_one_based(read_boxes(folder / f"{sequence}.txt"))
            yield from _scored(run, sequence, line, boxes, sets[name].get(sequence), folder)
        yield from _curves(run, name, tracked, sets[name])
        yield from _again(run, manifest, tracked, sets[name], share, rng)
    if (path := run.folder / "validation.csv").is_file():
        where = f"{run.id}/validation.csv: needs the training set and the weights"
        yield from [Check("pairs held out", OUTCOMES[3], where)] * len(results._read(path))


def _sequences(profile, name):
    """The sequences of a benchmark by name; none where its folder is not at hand."""
    source = profile.tests.get(name)
    if source is None:
        return {}
    read = benchmarks.read if isinstance(source, str) else None
    sequences = read(name, source) if read else synthetic_sequences(profile, name)
    return {sequence.name: sequence for sequence in sequences}


def _close(stored, value, digits=DIGITS):
    difference = abs(float(stored) - float(value))
    if not difference <= TOLERANCE:
        return "different"
    return "exact" if difference <= digits else "within tolerance"


def _hashed(run, path):
    record = read_json(path.with_suffix(".json"), "boxes_sha256", "frames")
    outcome = "exact" if sha256(path) == record["boxes_sha256"] else "different"
    yield Check("box files", outcome, f"{run.id}: {path.name}, hash")


def _scored(run, sequence, line, boxes, truth, folder):
    """The scores of one sequence, from its boxes and the ground truth."""
    where = f"{run.id}/scores.csv: {line['benchmark']}, {sequence}"
    times = read_json(folder / f"{sequence}.json", *vot.TIMES)
    for name, value in vot.frames_per_second([times]).items():
        yield Check("scores", _close(line[name], value), f"{where}, {name}")
    known = truth is not None and len(truth.truth) == len(boxes)
    found = one_pass.score(boxes, truth.truth) if known else {}
    for name in results._MEASURES:
        outcome = _close(line[name], found[name]) if known else "not verifiable"
        yield Check("scores", outcome, f"{where}, {name}")


def _curves(run, name, tracked, known):
    stored = results._read(run.folder / "curves.csv")
    stored = stored[stored["benchmark"] == name]
    if not set(tracked) <= set(known):
        where = f"{run.id}/curves.csv: {name}"
        yield from [Check("curve points", OUTCOMES[3], where)] * len(stored)
        return
    names = ("attribute", "curve", "threshold")
    points = results.mean_curves(tracked, [known[sequence] for sequence in tracked])
    found = {tuple(point[x] for x in names): point["value"] for point in points}
    for point in stored.to_dict("records"):
        key = tuple(point[x] for x in names)
        outcome = _close(point["value"], found.get(key, np.nan), 10 * DIGITS)
        yield Check("curve points", outcome, f"{run.id}/curves.csv: {name}, {key}")


def _supervised(run, name, folder, known):
    stored = results._read(run.folder / "supervised.csv")
    stored = stored[stored["benchmark"] == name].set_index("sequence")
    try:
        found = {row["sequence"]: row for row in vot.score(vot.read_runs(folder, known.values()))}
    except BadInput as error:
        yield Check("scores", "different", str(error))
        return
    for sequence, line in stored.iterrows():
        for measure in ("accuracy", "failures"):
            value = found[sequence][measure] if sequence in found else None
            outcome = "not verifiable" if value is None else _close(line[measure], value)
            where = f"{run.id}/supervised.csv: {name}, {sequence}, {measure}"
            yield Check("scores", outcome, where)


def _again(run, manifest, tracked, known, share, rng):
    """Track drawn frames again, each from the stored box of the frame before it."""
    every = [(name, k) for name, boxes in tracked.items() for k in range(1, len(boxes))]
    drawn = rng.choice(len(every), max(1, round(share * len(every))), replace=False)
    left = len(every) - len(drawn)
    yield from [Check("boxes not drawn", OUTCOMES[3], run.id)] * left
    network = _network(run, manifest) if known else None
    # bfloat16 is slow where the processor does not compute in it; float32 gives about the same box.
    slow = hardware.default_precision("cpu") != "bf16"
    precision = "bf16" if manifest["form"] == "bf16" and not slow else "exact"
    tracker, last = network and Tracker(*network, precision=precision), None
    for name, k in sorted(every[index] for index in drawn):
        where, boxes = f"{run.id}: box {k + 1} of {name}, tracked again", tracked[name]
        if tracker is None or name not in known:
            yield Check("boxes drawn", OUTCOMES[3], where)
            continue
        if name != last:
            frames = known[name].frames
            if isinstance(frames, Frames):  # a video is read in order
                frames = list(frames)
            tracker.init(_pixels(frames[0]), known[name].truth[0])
            last = name
        tracker.centre, tracker.size = center(boxes[k - 1]), boxes[k - 1][2:].copy()
        box = tracker.update(_pixels(frames[k]))
        outcome = "exact" if np.abs(box - boxes[k]).max() <= PIXEL else "within tolerance"
        if metrics.overlap(box[None], boxes[k][None])[0] < OVERLAP:
            outcome = "different"
        yield Check("boxes drawn", outcome, where)


def _pixels(frame):
    """The pixels of a frame, which is given as an array or as a file."""
    return frame if isinstance(frame, np.ndarray) else read_image(frame)


def _network(run, manifest):
    """The network of a run and its settings of tracking, or None if it is not at hand."""
    config, trainer = Config.from_dict(manifest["config"]), run.trained_by
    wanted = manifest["training"]["weights_sha256"]
    for path in (weights.SHIPPED, trainer.folder / "weights.safetensors"):
        if path.is_file() and sha256(path) == wanted:
            return weights.load_weights(path)[0], config.tracking
    if not trainer.row.trained:  # random weights can be drawn again
        with tempfile.TemporaryDirectory() as folder, torch.random.fork_rng():
            torch.manual_seed(trainer.seed)
            path = Path(folder) / "weights.safetensors"
            made = SiameseNet(config.model)
            weights.save_weights(path, made, config, half=True)
            if sha256(path) == wanted:
                return weights.load_weights(path)[0], config.tracking
    return None


def _shown(profile):
    """Tables and badges of the profile they are made from, and the measured blocks."""
    if profile.name == report.judged().name:
        for name, frame in tables.measured(profile).items():
            for suffix, text in tables.texts(frame).items():
                path = figures_folder() / f"{name}.{suffix}"
                yield from _same("table cells", path.name, _cells(read_text(path)), _cells(text))
        for line in claims.verdicts(profile).itertuples():
            stored = read_text(root() / "figures" / "badges" / f"{line.id}.svg")
            whole = stored == claims.badge(line.id, line.verdict)
            yield Check("verdicts", "exact" if whole else "different", f"badge {line.id}")
    if profile.name != report.COMMITTED[0]:
        return
    for name, block in report.BLOCKS.items():
        lines = report.split(root() / name)[1], block(profile)
        yield from _same(f"lines of {name}", name, *(text.splitlines() for text in lines))


def _cells(text):
    mark = "&" if "tabular" in text else "|" if text.startswith("|") else ","
    return [cell for line in csv.reader(text.splitlines(), delimiter=mark) for cell in line]


def _same(kind, where, stored, found):
    if len(stored) != len(found):
        yield Check(kind, "different", f"{where}: {len(stored)} of {len(found)}")
    for number, (old, new) in enumerate(zip(stored, found), 1):
        outcome = "exact" if old == new else "different"
        yield Check(kind, outcome, f"{where}: {number}, '{old.strip()}' for '{new.strip()}'")


def write_crate(profile: profiles.Profile, found: list) -> Path:
    """Write the report on a profile as an RO-Crate 1.1 beside its runs; return its path.

    Each run is a CreateAction with its software, its weights and its files, and the verification is
    one whose result holds the counts.
    """
    graph, parts, dates = [], [], []
    for run in finished_runs(profile):
        made = read_json(run.folder / "manifest.json", "training", "evaluated", "machine")
        dates.append(made["evaluated"])
        files = [path for path in sorted(run.folder.rglob("*")) if path.is_file()]
        names = [path.relative_to(profile.folder).as_posix() for path in files]
        kept = [pair for pair in zip(names, files) if pair[1].parent == run.folder]
        kept = [pair for pair in kept if pair[0].endswith((".json", ".csv"))]
        for name, path in kept:
            size = {"contentSize": str(path.stat().st_size), "sha256": sha256(path)}
            graph.append({"@id": name, "@type": "File", "name": path.name, **size})
        parts += [name for name, _ in kept]
        machine = made["machine"]
        with_what = f"Python {machine['python']}, torch {machine['torch']} on {machine['device']}"
        graph.append(
            {
                **{"@id": f"#{run.id}", "@type": "CreateAction", "name": run.id},
                **{"instrument": {"@id": "#scs-siam"}, "endTime": made["evaluated"]},
                "description": f"{with_what}; weights {made['training']['weights_sha256']}",
                "result": [{"@id": name} for name, _ in kept],
            }
        )
    counts = count(found)
    passed = not any(outcomes["different"] for outcomes in counts.values())
    status = "CompletedActionStatus" if passed else "FailedActionStatus"
    for kind, outcomes in counts.items():
        text = ", ".join(f"{number} {outcome}" for outcome, number in outcomes.items() if number)
        item = {"@id": f"#verified {kind}".replace(" ", "-"), "@type": "PropertyValue"}
        graph.append({**item, "name": kind, "value": text})
    results_of = [{"@id": f"#verified {kind}".replace(" ", "-")} for kind in counts]
    verification = {"@id": "#verification", "@type": "CreateAction", "name": "scs-siam verify"}
    verification |= {"instrument": {"@id": "#scs-siam"}, "result": results_of}
    verification["actionStatus"] = {"@id": f"http://schema.org/{status}"}
    software = {"@id": "#scs-siam", "@type": "SoftwareApplication", "name": "scs-siam"}
    about = {
        **{"@id": "./", "@type": "Dataset", "name": f"Runs of the profile {profile.name}"},
        "description": "Raw boxes, scores and settings of trackers; see README.md of scs-siam.",
        "datePublished": max(dates)[:10],
        "license": {"@id": "https://spdx.org/licenses/MIT"},
        "hasPart": [{"@id": name} for name in parts],
        "mentions": [{"@id": "#verification"}],
    }
    crate = {"@id": CRATE, "@type": "CreativeWork", "about": {"@id": "./"}}
    crate["conformsTo"] = {"@id": "https://w3id.org/ro/crate/1.1"}
    graph = [crate, about, verification, {**software, "version": __version__}, *graph]
    context = "https://w3id.org/ro/crate/1.1/context"
    write_json(profile.folder / CRATE, {"@context": context, "@graph": graph})
    return profile.folder / CRATE
