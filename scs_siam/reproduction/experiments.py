"""Experiments: bring the runs of a profile up to date (data, training, evaluation)."""

import shutil
import time
from collections.abc import Callable
from concurrent.futures import wait
from dataclasses import dataclass

import numpy as np
import torch

from scs_siam.data import benchmarks, suites, synthetic
from scs_siam.data.benchmarks import Sequence
from scs_siam.data.store import SIZE, CropStore, needed_size
from scs_siam.data.training_sets import read_imagenet_vid, read_videos
from scs_siam.evaluation import one_pass, vot
from scs_siam.evaluation.validation import validate
from scs_siam.model import SiameseNet, multiplications
from scs_siam.reproduction import results
from scs_siam.reproduction.profiles import EVERYWHERE, Profile
from scs_siam.reproduction.runs import Run, list_runs
from scs_siam.runtime import hardware
from scs_siam.runtime.files import BadInput, locked, read_json, root, sha256, write_json
from scs_siam.runtime.parallel import Pool, cores, threads_each
from scs_siam.track import TRACKING_VERSION, Tracker
from scs_siam.train import TRAINING_VERSION, Trainer, read_metrics
from scs_siam.weights import load_weights, save_weights

Hook = Callable[..., None] | None  # a function that is called now and then, or none


@dataclass(frozen=True)
class Data:
    """Folders of the training sets ("" where there is none) and of the benchmarks by name."""

    train: str
    vid: str
    tests: dict[str, str]

    def tests_of(self, run: Run) -> dict[str, str]:
        """Return the benchmarks of a run; rows of the ablations use the first one and Clips6."""
        first = next(iter(self.tests), "")
        everywhere = run.name in EVERYWHERE
        return {n: r for n, r in self.tests.items() if everywhere or n in (first, "Clips6")}


def write_data(profile: Profile) -> Data:
    """Write the synthetic sets of a profile if they are missing; return the folders of its data.

    Raises BadInput if the profile names no training set or nothing to evaluate on.
    """
    folder, train = root() / "data" / "synthetic" / profile.name, profile.train
    if not train or not (profile.tests or profile.training.get("training.hold_out")):
        ask = "name the data with --train ROOT (GOT-10k layout) and --test NAME=ROOT"
        raise BadInput(f"profile {profile.name}: {ask}")
    with locked(folder):
        if not isinstance(train, str):
            train = synthetic.write_train(folder, *train, seed=0)
        vid = _suite(folder, "SynVID", profile.vid)
        known = {name: source for name, source in profile.tests.items() if _has_clips(name)}
        tests = {name: _suite(folder, name, source) for name, source in known.items()}
    return Data(str(train), vid, tests)


def _has_clips(name):
    """Whether the clips of a benchmark are at hand: an installed package has no data/clips."""
    return name != "Clips6" or (root() / "data" / "clips").is_dir()


def _suite(folder, name, source):
    """The folder of a benchmark; one that is given as (clips, frames) is written if missing."""
    if isinstance(source, str):
        return source
    if name == "Clips6":
        place = folder / f"{name}-{source[0]}x{source[1]}"
        return f"otb:{suites.write_clips(place, root() / 'data' / 'clips', *source)}"
    return str(suites.write(name, folder / name, *source))


def synthetic_sequences(profile: Profile, benchmark: str) -> list[Sequence]:
    """Return the sequences of a synthetic benchmark, which is written if missing.

    Raises BadInput for another benchmark, whose frames are not part of the project.
    """
    source = profile.tests.get(benchmark, "")
    if isinstance(source, str):
        reason = "its frames are not part of this project; choose a synthetic benchmark"
        raise BadInput(f"{benchmark}: {reason}")
    folder = root() / "data" / "synthetic" / profile.name
    with locked(folder):
        return benchmarks.read(benchmark, _suite(folder, benchmark, source))


def open_store(run: Run, data: Data, workers: int = 1) -> CropStore:
    """Return the crop store that a run is trained on, built if missing.

    Settings that need larger crops have a store of their own.
    """
    training, size = run.config.training, needed_size(run.config.training)
    vid = run.row.data == "vid"
    name = run.profile.name + "-vid" * vid + (f"-{size}" if size != SIZE else "")
    videos = read_imagenet_vid(data.vid) if vid else read_videos(data.train)
    folder, every = root() / "data" / "stores" / name, run.profile.every
    with locked(folder):
        return CropStore.build(videos, folder, training.min_area, workers, None, size, every)


def train_run(
    run: Run, data: Data, device: str = "cpu", on_step: Hook = None, until: float | None = None
) -> bool:
    """Train a run, or resume its training, and return whether it is trained.

    Weights that are current, or those of another row, are left as they are. `on_step` and `until`
    (seconds of time.monotonic, where training stops at a checkpoint) are those of `Trainer.run`.
    """
    if run.row.weights_of:
        return True
    store = open_store(run, data)
    with locked(run.folder):
        return _train(run, store, device, on_step, until)


def _train(run, store, device, on_step, until):
    folder, done = run.folder, run.folder / "training.json"
    started, weights = folder / "started.json", folder / "weights.safetensors"
    key = {"training_key": run.training_key, "store": store.fingerprint}
    if done.is_file() and weights.is_file():
        record = read_json(done)
        if all(record.get(name) == value for name, value in key.items()):
            return True
    if started.is_file() and read_json(started) != key:
        _remove(folder)
    write_json(started, key)
    if run.row.trained:
        if Trainer(run.config, store, folder, run.seed, device).run(on_step, until) is None:
            return False
    else:
        torch.manual_seed(run.seed)
        save_weights(weights, SiameseNet(run.config.model), run.config, half=True)
    frames = np.unique(store.index["sequence"], return_counts=True)[1]
    videos = int((frames > 1).sum())
    record = {
        "training_version": TRAINING_VERSION,
        "data": {"sequences": len(frames), "videos": videos, "frames": int(frames.sum())},
        "precision": hardware.default_precision(device),
        "seconds": round(sum(read_metrics(folder)["seconds"]), 1) if run.row.trained else 0.0,
        "pairs": run.config.training.pairs if run.row.trained else 0,
        "multiplications_a_pair": 3 * multiplications(run.config),
        "weights_sha256": sha256(weights),
    }
    write_json(done, key | record | _now("finished", device))
    for checkpoint in folder.glob("checkpoint-*"):
        shutil.rmtree(checkpoint)
    return True


def _remove(folder):
    """Remove a stale folder, renamed first so that an interruption leaves no part in place."""
    old = folder.with_name(f".{folder.name}.old")
    shutil.rmtree(old, ignore_errors=True)
    folder.rename(old)
    shutil.rmtree(old)


def _now(event, device):
    """The machine, and the time under the name `event`."""
    return {"machine": hardware.describe(device), event: time.strftime("%Y-%m-%d %H:%M")}


def evaluate_run(run: Run, data: Data, device: str = "cpu", on_frame: Hook = None) -> None:
    """Evaluate a trained run on its benchmarks and on the training sequences that it held out.

    Writes the scores, and manifest.json last. `on_frame` is called after each tracked frame.
    """
    source, key = run.trained_by.folder, run.evaluation_key()
    model, _ = load_weights(source / "weights.safetensors")
    # Compared rows share one arithmetic, which must not depend on what is fastest here.
    precision = "bf16" if hardware.default_precision(device) == "bf16" else "exact"
    tracker = Tracker(model, run.config.tracking, device, precision)
    scores, curves, supervised, summaries = [], [], [], {}
    with locked(run.folder):
        for name, folder in data.tests_of(run).items():
            sequences, boxes = benchmarks.read(name, folder), run.folder / "boxes" / name
            about = {"benchmark": name}
            if benchmarks.layout_of(name, folder) == "vot":
                records = vot.evaluate(tracker, sequences, boxes, key, on_frame=on_frame)
                lengths = vot.INTERVALS.get(name, vot.usual_lengths(records))
                supervised += [about | {"attributes": ""} | row for row in vot.score(records)]
                summaries[name] = vot.summarise(records, lengths)
            else:
                rows = one_pass.evaluate(tracker, sequences, boxes, key, on_frame)
                tracked = one_pass.read_results(boxes / key, sequences)
                scores += [about | row for row in rows]
                curves += [about | line for line in results.mean_curves(tracked, sequences)]
                summaries[name] = one_pass.summarise(rows)
            for old in boxes.iterdir():
                if old.name != key:
                    shutil.rmtree(old)
        results.write_scores(run.folder / "scores.csv", scores)
        results.write_rows(run.folder / "curves.csv", curves, results.CURVES)
        if supervised:
            results.write_rows(run.folder / "supervised.csv", supervised, results.SUPERVISED)
        if run.config.training.hold_out:
            pairs = validate(model, open_store(run, data), run.config.training, device=device)
            results.write_rows(run.folder / "validation.csv", pairs, results.VALIDATION)
        which = {"run": run.id, "profile": run.profile.name, "seed": run.seed}
        keys = {"training_key": run.training_key, "evaluation_key": key}
        versions = {"training_version": TRAINING_VERSION, "tracking_version": TRACKING_VERSION}
        found = {"results": summaries, "training": read_json(source / "training.json")}
        made = {"config": run.config.to_dict(), "form": tracker.form, **_now("evaluated", device)}
        write_json(run.folder / "manifest.json", which | keys | versions | found | made)


def is_current(run: Run, data: Data) -> bool:
    """Return whether a run is current and has been evaluated on all of its benchmarks."""
    if run.state() != "current":
        return False
    scored = read_json(run.folder / "manifest.json", "results")["results"]
    return set(data.tests_of(run)) <= set(scored)


def bring_up_to_date(run: Run, data: Data | None = None, device: str = "cpu") -> Run:
    """Train and evaluate one run, with the training that it shares, unless it is current."""
    data = data or write_data(run.profile)
    if not is_current(run, data):
        train_run(run.trained_by, data, device)
        evaluate_run(run, data, device)
    return run


def reproduce(
    profile: Profile, jobs: int | None = None, device: str = "cpu", on_wait: Hook = None
) -> list[Run]:
    """Bring all runs of a profile up to date, `jobs` at a time, and return them.

    Rows without a training set are left out. `on_wait` is called every second with the fraction of
    each run that is done, {id: 0 to 1}.
    """
    data = write_data(profile)
    jobs = jobs or (cores() if device == "cpu" else 1)
    todo = [run for run in list_runs(profile) if run.has_data and not is_current(run, data)]
    for run in {(run.row.data, needed_size(run.config.training)): run for run in todo}.values():
        open_store(run, data, workers=jobs)
    for shared in (False, True):  # weights that are shared are trained first
        wave = [run for run in todo if bool(run.row.weights_of) == shared]
        with Pool(jobs, torch.set_num_threads, threads_each(jobs)) as pool:
            pending = {pool.submit(bring_up_to_date, run, data, device) for run in wave}
            while pending:
                done, pending = wait(pending, timeout=1)
                for future in done:
                    future.result()
                if on_wait:
                    on_wait({run.id: share_done(run) for run in wave})
    return list_runs(profile)


def share_done(run: Run) -> float:
    """Return the fraction of a run that is done; training counts as four fifths."""
    if (run.folder / "manifest.json").is_file():
        return 1.0
    if (run.folder / "training.json").is_file():
        return 0.8
    log, training = run.folder / "metrics.csv", run.config.training
    if not log.is_file():
        return 0.0
    steps = log.read_bytes().count(b"\n")
    return 0.8 * min(1.0, steps * training.batch / training.pairs)


def plan(profile: Profile) -> tuple[list[tuple], float | None]:
    """Return (run id, state, seconds or None) of each run, and the seconds of all unfinished runs.

    The training time on one CPU core is estimated from the finished training that is nearest in
    size; it is None if there is none.
    """
    lines = [(run.id, run.state(), _estimate(run)) for run in list_runs(profile)]
    waiting = [seconds for _, state, seconds in lines if state not in ("current", "no data")]
    return lines, None if None in waiting else sum(waiting)


def _estimate(run):
    """Seconds of a run's training; weights that another row trains cost nothing."""
    if run.row.weights_of or not run.row.trained:
        return 0.0
    work = 3 * multiplications(run.config)
    records = map(read_json, (root() / "data" / "results").glob("*/*/training.json"))
    records = [each for each in records if each["machine"]["kind"] == "cpu" and each["seconds"]]
    if not records:
        return None
    # A narrow network computes less efficiently, so the speed of another size says little.
    nearest = min(records, key=lambda each: abs(np.log(each["multiplications_a_pair"] / work)))
    speed = nearest["pairs"] * nearest["multiplications_a_pair"] / nearest["seconds"]
    return run.config.training.pairs * work / speed
