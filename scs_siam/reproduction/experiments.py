"""Experiments: bring the runs of a profile up to date."""

import csv
import shutil
import time
from concurrent.futures import wait
from dataclasses import dataclass

import numpy as np
import torch

from scs_siam.data import layouts, suites, synthetic
from scs_siam.data.imagenet_vid import read_imagenet_vid
from scs_siam.data.store import SIZE, CropStore, needed_size, read_videos
from scs_siam.evaluation import one_pass, vot
from scs_siam.evaluation.validation import validate
from scs_siam.model import SiameseNet, multiplications
from scs_siam.reproduction.evidence import (
    CURVES,
    SUPERVISED,
    VALIDATION,
    curves_of,
    write_rows,
    write_scores,
)
from scs_siam.reproduction.paper import root
from scs_siam.reproduction.runs import EVERYWHERE, runs
from scs_siam.runtime import hardware
from scs_siam.runtime.files import BadInput, locked, read_json, sha256, write_json
from scs_siam.runtime.parallel import Pool, cores, threads_each
from scs_siam.track import Tracker
from scs_siam.train import Trainer
from scs_siam.weights import load_weights, save_weights


@dataclass(frozen=True)
class Data:
    """Roots of what a profile trains and tests on: GOT-10k layout, ImageNet VID ("" if there is none), benchmarks by name."""

    train: str
    vid: str
    tests: dict

    def tests_of(self, run):
        """The benchmarks that a run is scored on: a row of an ablation on the first only, as in the paper."""
        return self.tests if run.name in EVERYWHERE else dict(list(self.tests.items())[:1])


def write_data(of):
    """Write the synthetic sets that a profile names, unless they are there; returns its Data."""
    place = root() / "data" / "synthetic" / of.name
    if not of.train or (not of.tests and not of.training.get("training.hold_out")):
        raise BadInput(
            f"profile {of.name}: name the data with --train ROOT (GOT-10k layout) and --test NAME=ROOT"
        )
    with locked(place):
        train = (
            of.train
            if isinstance(of.train, str)
            else synthetic.write_train(place, *of.train, seed=0)
        )
        vid = (
            of.vid if isinstance(of.vid, str) else suites.write("SynVID", place / "SynVID", *of.vid)
        )
        tests = {
            name: spec if isinstance(spec, str) else suites.write(name, place / name, *spec)
            for name, spec in of.tests.items()
        }
    return Data(str(train), str(vid), {name: str(place) for name, place in tests.items()})


def sequences(of, name):
    """The sequences of a synthetic benchmark of a profile, written if they are not there; BadInput for one that the reader has to name."""
    spec = of.tests.get(name, "")
    if isinstance(spec, str):
        raise BadInput(
            f"{name}: its frames are not part of the project; only a synthetic benchmark can be shown"
        )
    place = root() / "data" / "synthetic" / of.name
    with locked(place):
        return layouts.read(name, suites.write(name, place / name, *spec))


def open_store(run, data, workers=1, on_shard=None):
    """The crop store of what a run is trained on, built if it is not there; wider crops, for those that need them, have a store apart."""
    training, size = run.config.training, needed_size(run.config.training)
    name = (
        run.profile.name
        + ("-vid" if run.row.data == "vid" else "")
        + (f"-{size}" if size != SIZE else "")
    )
    videos = read_imagenet_vid(data.vid) if run.row.data == "vid" else read_videos(data.train)
    place = root() / "data" / "stores" / name
    with locked(place):
        return CropStore.build(
            videos, place, training.min_area, workers, on_shard, size, run.profile.every
        )


def train_run(run, data, device="cpu", on_step=None, until=None):
    """Train a run, or go on with its training, and say whether it is trained; weights that are current or another row's stay as they are.

    `until` (seconds of time.monotonic) stops it at a checkpoint, as `Trainer.run` does.
    """
    if run.row.weights_of:
        return True
    store = open_store(run, data)
    with locked(run.folder):
        return _train(run, store, device, on_step, until)


def _train(run, store, device, on_step, until):
    folder, done = run.folder, run.folder / "training.json"
    key = {"training_key": run.training_key, "store": store.fingerprint}
    if (
        done.is_file()
        and (folder / "weights.safetensors").is_file()
        and {k: read_json(done).get(k) for k in key} == key
    ):
        return True
    if (folder / "started.json").is_file() and read_json(folder / "started.json") != key:
        _remove(folder)
    write_json(folder / "started.json", key)
    if run.row.trained:
        if Trainer(run.config, store, folder, run.seed, device).run(on_step, until) is None:
            return False
    else:
        torch.manual_seed(run.seed)
        save_weights(
            folder / "weights.safetensors", SiameseNet(run.config.model), run.config, half=True
        )
    write_json(
        done,
        {
            **key,
            "data": _contents(store),
            "machine": hardware.describe(device),
            "precision": hardware.default_precision(device),
            "seconds": _seconds(folder),
            "pairs": run.config.training.pairs if run.row.trained else 0,
            "multiplications_a_pair": 3 * multiplications(run.config),
            "finished": time.strftime("%Y-%m-%d %H:%M"),
            "weights_sha256": sha256(folder / "weights.safetensors"),
        },
    )
    for checkpoint in folder.glob("checkpoint-*"):
        shutil.rmtree(checkpoint)
    return True


def _contents(store):
    """What a store holds: sequences, those of them that are videos, and different frames."""
    _, frames = np.unique(store.index["sequence"], return_counts=True)
    return {
        "sequences": len(frames),
        "videos": int((frames > 1).sum()),
        "frames": int(frames.sum()),
    }


def _remove(folder):
    """Remove a folder that is no longer current; moved first, so that an interruption leaves no part of it that could be taken for new."""
    old = folder.with_name(f".{folder.name}.old")
    shutil.rmtree(old, ignore_errors=True)
    folder.rename(old)
    shutil.rmtree(old)


def _seconds(folder):
    if not (folder / "metrics.csv").is_file():
        return 0.0
    with open(folder / "metrics.csv", encoding="utf-8") as file:
        return round(sum(float(line["seconds"]) for line in csv.DictReader(file)), 1)


def scoring_form(device):
    """The tracker's precision for what is compared: one arithmetic for every row, which no timing chooses."""
    return "bf16" if hardware.default_precision(device) == "bf16" else "exact"


def evaluate_run(run, data, device="cpu", on_frame=None):
    """Evaluate a trained run on its benchmarks and on what its training held out; write scores.csv and its like and manifest.json last."""
    source = run.trained_by.folder
    model, _ = load_weights(source / "weights.safetensors")
    tracker, key = (
        Tracker(model, run.config.tracking, device, scoring_form(device)),
        run.evaluation_key(),
    )
    scores, curves, supervised, summaries = [], [], [], {}
    with locked(run.folder):
        for name, place in data.tests_of(run).items():
            sequences, boxes = layouts.read(name, place), run.folder / "boxes" / name
            if layouts.layout_of(name, place) == "vot":
                records = vot.evaluate(tracker, sequences, boxes, key, on_frame=on_frame)
                supervised += [
                    {"benchmark": name, "attributes": "", **row} for row in vot.score(records)
                ]
                summaries[name] = vot.summarise(
                    records, vot.INTERVALS.get(name, vot.usual_lengths(records))
                )
            else:
                rows = one_pass.evaluate(tracker, sequences, boxes, key, on_frame)
                scores += [{"benchmark": name, **row} for row in rows]
                curves += [
                    {"benchmark": name, **line}
                    for line in curves_of(one_pass.read_results(boxes / key, sequences), sequences)
                ]
                summaries[name] = one_pass.summarise(rows)
            for old in boxes.iterdir():
                if old.name != key:
                    shutil.rmtree(old)
        write_scores(run.folder / "scores.csv", scores)
        write_rows(run.folder / "curves.csv", curves, CURVES)
        if supervised:
            write_rows(run.folder / "supervised.csv", supervised, SUPERVISED)
        if run.config.training.hold_out:
            held_out = validate(model, open_store(run, data), run.config.training, device=device)
            write_rows(run.folder / "validation.csv", held_out, VALIDATION)
        write_json(
            run.folder / "manifest.json",
            {
                "run": run.id,
                "profile": run.profile.name,
                "seed": run.seed,
                "config": run.config.to_dict(),
                "results": summaries,
                "training_key": run.training_key,
                "evaluation_key": key,
                "training": read_json(source / "training.json"),
                "machine": hardware.describe(device),
                "form": tracker.form,
                "evaluated": time.strftime("%Y-%m-%d %H:%M"),
            },
        )


def is_current(run, data):
    """Whether a run is current and has been scored on all of its benchmarks."""
    return run.state() == "current" and set(data.tests_of(run)) <= set(
        read_json(run.folder / "manifest.json", "results")["results"]
    )


def bring_up_to_date(run, data=None, device="cpu"):
    """Train and evaluate one run, with the training that it shares, unless it is current."""
    data = data or write_data(run.profile)
    if not is_current(run, data):
        train_run(run.trained_by, data, device)
        evaluate_run(run, data, device)
    return run


def reproduce(of, jobs=None, device="cpu", on_wait=None):
    """Bring all runs of a profile up to date: data, crop stores, trainings and evaluations, `jobs` runs side by side.

    A row whose training set is not at hand is left out. `on_wait(states)` is called every second with the share done of each run,
    {id: 0 to 1}.
    """
    data = write_data(of)
    jobs = jobs or (cores() if device == "cpu" else 1)
    todo = [run for run in runs(of) if run.has_data and not is_current(run, data)]
    for run in {(run.row.data, needed_size(run.config.training)): run for run in todo}.values():
        open_store(run, data, workers=jobs)
    waves = [
        [run for run in todo if not run.row.weights_of],
        [run for run in todo if run.row.weights_of],
    ]
    for wave in waves:
        with Pool(jobs, torch.set_num_threads, threads_each(jobs)) as pool:
            pending = {pool.submit(bring_up_to_date, run, data, device) for run in wave}
            while pending:
                done, pending = wait(pending, timeout=1)
                for future in done:
                    future.result()
                if on_wait:
                    on_wait({run.id: share_done(run) for run in wave})
    return runs(of)


def share_done(run):
    """How much of a run is done, 0 to 1: training counts four fifths."""
    if (run.folder / "manifest.json").is_file():
        return 1.0
    if (run.folder / "training.json").is_file():
        return 0.8
    log = run.folder / "metrics.csv"
    if not log.is_file():
        return 0.0
    with open(log, "rb") as file:
        lines = sum(block.count(b"\n") for block in iter(lambda: file.read(1 << 16), b""))
    return 0.8 * min(1.0, lines * run.config.training.batch / run.config.training.pairs)


def plan(of):
    """What `reproduce` would do: [(run id, state, seconds or None)] and the seconds of all that is not current.

    Seconds are those of one core, from the finished training on a CPU that is nearest in size; None without any.
    """
    lines = [(run.id, run.state(), _estimate(run)) for run in runs(of)]
    waiting = [seconds for _, state, seconds in lines if state not in ("current", "no data")]
    return lines, None if None in waiting else sum(waiting)


def _estimate(run):
    """Seconds of a run's training; what another row trains for it costs nothing."""
    if run.row.weights_of or not run.row.trained:
        return 0.0
    work = 3 * multiplications(run.config)
    records = [read_json(path) for path in (root() / "data" / "results").glob("*/*/training.json")]
    records = [
        record for record in records if record["machine"]["kind"] == "cpu" and record["seconds"]
    ]
    if not records:
        return None
    nearest = min(
        records, key=lambda record: abs(np.log(record["multiplications_a_pair"] / work))
    )  # a narrow network is less efficient
    speed = nearest["pairs"] * nearest["multiplications_a_pair"] / nearest["seconds"]
    return run.config.training.pairs * work / speed
