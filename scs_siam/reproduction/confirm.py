"""Confirmation: a finished run whose code has changed since is accepted if today's code repeats what it has left.

A change that moves no number would otherwise cost every training anew. Nothing is accepted unseen: losses and boxes are computed again.
"""

import numpy as np

from scs_siam.data import layouts
from scs_siam.data.video import Frames
from scs_siam.evaluation import one_pass
from scs_siam.reproduction.experiments import scoring_form
from scs_siam.runtime.files import read_json, sha256, write_json
from scs_siam.track import Tracker
from scs_siam.train import Trainer, read_metrics
from scs_siam.weights import load_weights


def confirm_training(run, store, steps=3):
    """Accept a training if the losses of its first steps come back to four digits; returns whether they did."""
    record = read_json(run.folder / "training.json", "precision")
    if run.row.trained:
        trainer = Trainer(
            run.config, store, run.folder / "unused", run.seed, precision=record["precision"]
        )
        losses = [float(trainer.step(trainer.batch(step)[1])) for step in range(steps)]
        if not np.allclose(losses, read_metrics(run.folder)["loss"][:steps], rtol=0, atol=5e-5):
            return False
    write_json(
        run.folder / "training.json",
        {**record, "training_key": run.training_key, "store": store.fingerprint},
    )
    return True


def confirm_boxes(run, data, device="cpu"):
    """Accept the raw boxes of a run on its first benchmark if those of its shortest sequence come back to a thousandth of a pixel.

    Returns whether they did, or there is no benchmark. `evaluate_run` then finds them under today's key, and tracks only what is missing.
    """
    tests = data.tests_of(run)
    if not tests:
        return True
    name, place = next(iter(tests.items()))
    old, new = (
        run.folder / "boxes" / name / read_json(run.folder / "manifest.json")["evaluation_key"],
        run.evaluation_key(),
    )
    if old.name == new:
        return True
    sequences = layouts.read(name, place)
    shortest = min(sequences, key=lambda sequence: len(sequence.frames))
    tracker = Tracker(
        load_weights(run.trained_by.folder / "weights.safetensors")[0],
        run.config.tracking,
        device,
        scoring_form(device),
    )
    again = tracker.track(Frames(shortest.frames), shortest.truth[0])
    if not np.allclose(
        again, one_pass.read_results(old, [shortest])[shortest.name], rtol=0, atol=1e-3
    ):
        return False
    for sequence in sequences:
        path = old / f"{sequence.name}.json"
        write_json(
            path, {**read_json(path), "key": new, "boxes_sha256": sha256(path.with_suffix(".txt"))}
        )
    old.rename(old.with_name(new))
    return True
