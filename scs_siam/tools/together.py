"""Benchmark of several trainings at once: pairs a second of all of them together on one device, beside those of one training alone."""

import multiprocessing
import time

import numpy as np
import torch

from scs_siam.data.store import CropStore
from scs_siam.runtime import hardware
from scs_siam.runtime.parallel import Pool, threads_each
from scs_siam.train import Trainer


def together(config, store, count=2, rounds=3, seconds=10.0, device="cpu"):
    """Pairs a second of one training with all cores, and of `count` processes that share cores or card, in turn; medians of rounds.

    `store` is a folder. Every process trains the same network on its own seed for `seconds` once all are warm.
    """
    speeds = {number: [] for number in (1, count)}
    for _ in range(rounds):
        for number, found in speeds.items():
            found.append(_all_of(number, config, store, seconds, device))
    medians = {f"{number} at once": float(np.median(found)) for number, found in speeds.items()}
    return {
        "machine": hardware.describe(device),
        "threads": threads_each(1),
        "rounds": rounds,
        "batch": config.training.batch,
        "precision": hardware.default_precision(device),
        "pairs_per_second": medians,
        "speedup": float(np.median(np.divide(speeds[count], speeds[1]))),
    }


def _all_of(number, config, store, seconds, device):
    """Pairs a second of `number` processes together."""
    ready = multiprocessing.get_context("spawn").Barrier(number)
    with Pool(number, _begin, ready, threads_each(number)) as pool:
        return sum(
            pool.map(
                _train, [(config, str(store), seed, seconds, device) for seed in range(number)]
            )
        )


def _begin(ready, threads):
    global _ready
    _ready = ready
    torch.set_num_threads(threads)


def _train(task):
    """Pairs a second of one process, from when all are warm."""
    config, store, seed, seconds, device = task
    try:
        trainer, steps = Trainer(config, CropStore.open(store), "bench", seed, device), 0
        for step in range(2):
            trainer.step(trainer.batch(step)[1]).item()
    except Exception:
        _ready.abort()  # the others would wait for this one
        raise
    _ready.wait()
    started = time.perf_counter()
    while time.perf_counter() - started < seconds:
        trainer.step(trainer.batch(steps)[1]).item()
        steps += 1
    return steps * config.training.batch / (time.perf_counter() - started)
