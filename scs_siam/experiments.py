"""Experiments: bring the runs of a profile up to date, and read what they left behind."""
import csv
import os
import shutil
import time
from concurrent.futures import ProcessPoolExecutor, wait
from multiprocessing import get_context

import numpy as np
import torch

from . import benchmarks, machine, metrics, synthetic
from .config import Config
from .files import BadInput, atomic, read_json, sha256, write_json
from .model import SiameseNet, multiplications
from .paper import root
from .runs import runs
from .store import CropStore, read_got10k
from .track import Tracker
from .train import Trainer, read_metrics
from .weights import load_weights, save_weights

SCORES = ("benchmark", "sequence", "frames", "auc", "precision", "success_rate", "normalised_precision", "fps", "fps_with_decode",
          "attributes")


def write_data(of):
    """Write the synthetic sets that a profile names, unless they are there; returns the roots of training set and benchmarks."""
    place = root() / "data" / "synthetic" / of.name
    if not of.train or not of.tests:
        raise BadInput(f"profile {of.name}: name the data with --train ROOT (GOT-10k layout) and --test NAME=ROOT (OTB layout)")
    train = of.train if isinstance(of.train, str) else synthetic.write_train(place, *of.train, seed=0)
    tests = {name: spec if isinstance(spec, str) else synthetic.write_test(place / name, *spec, seed=0) for name, spec in of.tests.items()}
    return train, tests


def open_store(of, train, workers=1, on_shard=None):
    """The crop store of a profile's training set, built if it is not there."""
    settings = Config.preset(of.preset).replace(**of.training).training
    return CropStore.build(read_got10k(train), root() / "data" / "stores" / of.name, settings.min_area, workers, on_shard)


def train_run(run, store, device="cpu", on_step=None):
    """Train a run, or go on with its training; nothing is done where its weights are current or another row's."""
    if run.row.weights_of:
        return
    folder, done = run.folder, run.folder / "training.json"
    key = {"training_key": run.training_key, "store": store.fingerprint}
    if done.is_file() and (folder / "weights.safetensors").is_file() and {k: read_json(done).get(k) for k in key} == key:
        return
    if (folder / "started.json").is_file() and read_json(folder / "started.json") != key:
        shutil.rmtree(folder)
    write_json(folder / "started.json", key)
    if run.row.trained:
        Trainer(run.config, store, folder, run.seed, device).run(on_step)
    else:
        torch.manual_seed(run.seed)
        save_weights(folder / "weights.safetensors", SiameseNet(run.config.model), run.config, half=True)
    write_json(done, {**key, "machine": machine.describe(device), "precision": machine.default_precision(device),
                      "seconds": _seconds(folder), "pairs": run.config.training.pairs if run.row.trained else 0,
                      "multiplications_a_pair": 3 * multiplications(run.config), "finished": time.strftime("%Y-%m-%d %H:%M"),
                      "weights_sha256": sha256(folder / "weights.safetensors")})
    for checkpoint in folder.glob("checkpoint-*"):
        shutil.rmtree(checkpoint)


def _seconds(folder):
    if not (folder / "metrics.csv").is_file():
        return 0.0
    with open(folder / "metrics.csv", encoding="utf-8") as file:
        return round(sum(float(line["seconds"]) for line in csv.DictReader(file)), 1)


def evaluate_run(run, tests, device="cpu", on_frame=None):
    """Evaluate a trained run on its benchmarks and write scores.csv, curves.csv and, last, manifest.json."""
    source = run.trained_by.folder
    model, _ = load_weights(source / "weights.safetensors")
    tracker, key = Tracker(model, run.config.tracking, device), run.evaluation_key()
    scores, curves, summaries = [], [], {}
    for name, place in tests.items():
        sequences = benchmarks.read_otb(place)
        rows = benchmarks.evaluate(tracker, sequences, run.folder / "boxes" / name, key, on_frame)
        scores += [{"benchmark": name, **row} for row in rows]
        curves += [{"benchmark": name, **line} for line in _curves(run.folder / "boxes" / name / key, sequences)]
        summaries[name] = benchmarks.summarise(rows)
        for old in (run.folder / "boxes" / name).iterdir():
            if old.name != key:
                shutil.rmtree(old)
    write_scores(run.folder / "scores.csv", scores)
    _write_csv(run.folder / "curves.csv", curves, ("benchmark", "curve", "threshold", "value"))
    training = read_json(source / "training.json")
    write_json(run.folder / "manifest.json", {
        "run": run.id, "profile": run.profile.name, "seed": run.seed, "config": run.config.to_dict(), "results": summaries,
        "training_key": run.training_key, "evaluation_key": key, "training": training, "machine": machine.describe(device),
        "evaluated": time.strftime("%Y-%m-%d %H:%M")})


def _curves(folder, sequences):
    """Mean success and precision curves over the targets of a benchmark."""
    boxes = benchmarks.read_results(folder, sequences)
    measures = {"success": (metrics.SUCCESS_THRESHOLDS, metrics.success_curve, metrics.overlap),
                "precision": (metrics.PRECISION_THRESHOLDS, metrics.precision_curve, metrics.center_error)}
    for name, (thresholds, curve, measure) in measures.items():
        values = np.mean([curve(measure(boxes[s.name], s.truth)) for s in sequences], axis=0)
        yield from ({"curve": name, "threshold": round(float(t), 3), "value": round(float(v), 5)} for t, v in zip(thresholds, values))


def write_scores(path, rows):
    """Write rows of `benchmarks.evaluate`, each with its benchmark, as scores.csv."""
    _write_csv(path, [{**row, "attributes": " ".join(row["attributes"])} for row in rows], SCORES)


def _write_csv(path, rows, columns):
    with atomic(path) as part, open(part, "w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, columns, extrasaction="ignore")
        writer.writeheader()
        writer.writerows({key: round(value, 6) if isinstance(value, float) else value for key, value in row.items()} for row in rows)


def reproduce(of, jobs=None, device="cpu", on_wait=None):
    """Bring all runs of a profile up to date: data, crop store, trainings and evaluations, `jobs` runs side by side on a CPU.

    `on_wait(states)` is called every second with the share done of each run, {id: 0 to 1}.
    """
    train, tests = write_data(of)
    jobs = jobs or (os.cpu_count() if device == "cpu" else 1)
    open_store(of, train, workers=jobs)
    todo = [run for run in runs(of) if run.state() != "current"]
    waves = [[run for run in todo if not run.row.weights_of], [run for run in todo if run.row.weights_of]]
    for wave in waves:
        with ProcessPoolExecutor(jobs, get_context("spawn"), _one_thread, (jobs,)) as pool:  # a fork would inherit held locks
            pending = {pool.submit(_work, run, train, tests, device) for run in wave}
            while pending:
                done, pending = wait(pending, timeout=1)
                for future in done:
                    future.result()
                if on_wait:
                    on_wait({run.id: share_done(run) for run in wave})
    return runs(of)


def _one_thread(jobs):
    torch.set_num_threads(max(1, (os.cpu_count() or 1) // jobs))


def _work(run, train, tests, device):
    store = open_store(run.profile, train)
    train_run(run, store, device)
    evaluate_run(run, tests, device)


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


def confirm(run, store, steps=3):
    """Accept a finished training although its code has changed since, if today's code repeats its first losses to four digits.

    The losses compared are those of metrics.csv. Returns whether they agree; only then is the run's training current again.
    """
    record = read_json(run.folder / "training.json")
    if run.row.trained:
        trainer = Trainer(run.config, store, run.folder / "unused", run.seed, precision=record["precision"])
        losses = [float(trainer.step(trainer.batch(step)[1])) for step in range(steps)]
        if not np.allclose(losses, read_metrics(run.folder)["loss"][:steps], rtol=0, atol=5e-5):
            return False
    write_json(run.folder / "training.json", {**record, "training_key": run.training_key, "store": store.fingerprint})
    return True


def plan(of):
    """What `reproduce` would do: [(run id, state, seconds or None)] and the seconds of all that is not current.

    Seconds are those of one core, from the finished training on a CPU that is nearest in size; None without any.
    """
    lines = [(run.id, run.state(), _estimate(run)) for run in runs(of)]
    waiting = [seconds for _, state, seconds in lines if state != "current"]
    return lines, None if None in waiting else sum(waiting)


def _estimate(run):
    """Seconds of a run's training; what another row trains for it costs nothing."""
    if run.row.weights_of or not run.row.trained:
        return 0.0
    work = 3 * multiplications(run.config)
    records = [read_json(path) for path in (root() / "data" / "results").glob("*/*/training.json")]
    records = [record for record in records if record["machine"]["kind"] == "cpu" and record["seconds"]]
    if not records:
        return None
    nearest = min(records, key=lambda record: abs(np.log(record["multiplications_a_pair"] / work)))  # a narrow network is less efficient
    speed = nearest["pairs"] * nearest["multiplications_a_pair"] / nearest["seconds"]
    return run.config.training.pairs * work / speed


def results(of):
    """The scores of all finished runs of a profile as a DataFrame: run, row, variant, seed, sigma, benchmark, sequence and scores."""
    import pandas

    parts = []
    for run in runs(of):
        if (run.folder / "manifest.json").is_file():
            part = pandas.read_csv(run.folder / "scores.csv", keep_default_na=False)
            config = read_json(run.folder / "manifest.json")["config"]
            parts.append(part.assign(row=run.name, seed=run.seed, variant=config["variant"], sigma=config["training"]["sigma"]))
    if not parts:
        raise BadInput(f"{of.folder}: holds no finished run; start with: scs-siam reproduce --profile {of.name}")
    return pandas.concat(parts, ignore_index=True)


def curves(of):
    """Mean success and precision curves of all finished runs of a profile as a DataFrame: row, seed, benchmark, curve, threshold, value."""
    import pandas

    parts = [pandas.read_csv(run.folder / "curves.csv").assign(row=run.name, seed=run.seed)
             for run in runs(of) if (run.folder / "manifest.json").is_file()]
    return pandas.concat(parts, ignore_index=True)
