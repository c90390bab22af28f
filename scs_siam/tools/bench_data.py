"""Benchmark of training data: pairs a second of one core from the crop store, beside whole frames decoded for every pair."""

import tempfile
from pathlib import Path

import cv2
import numpy as np
import torch

from scs_siam.data.store import CropStore
from scs_siam.data.synthetic import Scene
from scs_siam.data.training_sets import Video
from scs_siam.pairs import PairSampler, make_batch
from scs_siam.runtime import hardware
from scs_siam.tools.bench import medians, sequence
from scs_siam.tools.throughput import plain_batch


def data(config, rounds=10, batch=16):
    """Pairs a second of one core: from the crop store, read alone and as a finished batch, and from full frames of 1280 x 720.

    The full-frame path is what the released code does: decode two frames a pair, mask both, crop all four.
    """
    training, threads = config.training, torch.get_num_threads()
    with tempfile.TemporaryDirectory() as folder:
        clip = sequence(Scene(1, (1280, 720), 8), Path(folder) / "clip")
        videos = [Video("clip", clip.frames, clip.truth)]
        store = CropStore.build(videos, Path(folder) / "store")
        rng = np.random.default_rng(0)
        rows = PairSampler(store.index, config.replace(**{"training.hold_out": 0}).training).draw(
            batch, rng
        )
        steps = {
            "store": lambda: [store.read(ids) for ids in rows],
            "batch": lambda: make_batch(store, rows, training, rng),
            "full frames": lambda: plain_batch(videos, store.index, rows, training, rng),
        }
        torch.set_num_threads(1)
        cv2.setNumThreads(1)
        try:
            seconds = medians(list(steps.values()), rounds, "cpu")
        finally:
            torch.set_num_threads(threads)
            cv2.setNumThreads(-1)
    speeds = {name: batch / value for name, value in zip(steps, seconds)}
    return {
        "machine": hardware.describe(),
        "threads": 1,
        "rounds": rounds,
        "batch": batch,
        "pairs_per_second": speeds,
        "speedup": speeds["batch"] / speeds["full frames"],
        "speedup_store": speeds["store"] / speeds["full frames"],
    }
