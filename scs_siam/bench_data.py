"""Benchmark of training data: pairs a second of one core from the crop store, beside whole frames decoded for every pair."""
import tempfile
from pathlib import Path

import cv2
import numpy as np
import torch

from . import machine
from .bench import medians, sequence
from .boxes import center
from .crops import context_side, crop, mean_colour
from .files import read_image
from .pairs import PairSampler, make_batch
from .soft_mask import apply_mask
from .store import CropStore, Video
from .synthetic import Scene


def data(config, rounds=10, batch=16):
    """Pairs a second of one core: from the crop store, read alone and as a finished batch, and from full frames of 1280 x 720.

    The full-frame path is what the released code does: decode two frames, mask both, crop all four.
    """
    training, threads = config.training, torch.get_num_threads()
    with tempfile.TemporaryDirectory() as folder:
        clip = sequence(Scene(1, (1280, 720), 8), Path(folder) / "clip")
        store = CropStore.build([Video("clip", clip.frames, clip.truth)], Path(folder) / "store")
        rng = np.random.default_rng(0)
        rows = PairSampler(store.index, config.replace(**{"training.hold_out": 0}).training).draw(batch, rng)
        steps = {"store": lambda: [store.read(ids) for ids in rows], "batch": lambda: make_batch(store, rows, training, rng),
                 "full frames": lambda: [_from_full_frames(clip, number % 8, training) for number in range(batch)]}
        torch.set_num_threads(1)
        cv2.setNumThreads(1)
        try:
            seconds = medians(list(steps.values()), rounds, "cpu")
        finally:
            torch.set_num_threads(threads)
            cv2.setNumThreads(-1)
    speeds = {name: batch / value for name, value in zip(steps, seconds)}
    return {"machine": machine.describe(), "threads": 1, "rounds": rounds, "batch": batch, "pairs_per_second": speeds,
            "speedup": speeds["batch"] / speeds["full frames"], "speedup_store": speeds["store"] / speeds["full frames"]}


def _from_full_frames(clip, number, config):
    """One pair of images and their masked twins, from two frames as they lie on disk."""
    for index, size in ((number, config.template_size), (7 - number, config.search_size)):
        frame, box = read_image(clip.frames[index]), clip.truth[index]
        side = context_side(*box[2:]) / 127 * size
        for image in (frame, apply_mask(frame, box, config.sigma)):
            crop(image, center(box), side, size, mean_colour(image))
