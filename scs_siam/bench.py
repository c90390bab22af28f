"""Benchmarks of speed: forms of the same computation in one process, in turn, medians of many rounds.

Ratios within one run are what holds; absolute times belong to the machine that the record names.
"""
import time

import numpy as np
import torch

from . import machine
from .config import Config
from .model import multiplications
from .synthetic import Scene, render
from .track import Tracker


class PlainTracker(Tracker):
    """What the released code does: float32, NCHW, batch norm as it is, and a first block each for S and S_sm = S."""

    def __init__(self, model, config, device="cpu"):
        super().__init__(model, config, device, "exact")
        self.model = model.eval().to(device, torch.float32, memory_format=torch.contiguous_format)

    def _tensor(self, images):
        return super()._tensor(images).contiguous()

    def _embed_search(self, images, masked):
        return self.model.embed_search(images, images.clone() if masked is None else masked)


def matrix_ceiling(dtype, device="cpu", size=2048):
    """Fused multiply-adds a second, in units of 1e9, of a plain matrix product: the ceiling to hold a network against."""
    a, b = (torch.randn(size, size, device=device).to(dtype) for _ in range(2))
    return size**3 / 1e9 / medians([lambda: a @ b], 5, device)[0]


def track(model, config, rounds=20, device="cpu"):
    """Milliseconds a frame of the plain, the exact and the fast tracker on one synthetic clip, without decoding, and where they go."""
    clip = render(Scene(seed=1, frames=rounds + 3))
    forms = {"plain": PlainTracker(model, config, device), "exact": Tracker(model, config, device, "exact"),
             "fast": Tracker(model, config, device, "fast")}
    for tracker in forms.values():
        tracker.init(clip.frames[0], clip.boxes[0])
        tracker.update(clip.frames[1]), tracker.update(clip.frames[2])
    times = {name: [] for name in forms}
    for frame in clip.frames[3:]:
        for name, tracker in forms.items():
            machine.keep_freed_memory(name != "plain")
            start = time.perf_counter()
            tracker.update(frame)  # ends with a box on the CPU
            times[name].append(time.perf_counter() - start)
    medians = {name: float(np.median(values)) * 1e3 for name, values in times.items()}
    work = config.scales * _search_work(model, config)
    ceiling = {str(dtype).split(".")[1]: matrix_ceiling(dtype, device) for dtype in (torch.float32, torch.bfloat16)}
    return {"machine": machine.describe(device), "threads": torch.get_num_threads(), "rounds": rounds, "milliseconds": medians,
            "frames_per_second": {name: 1e3 / value for name, value in medians.items()}, "parts": _parts(forms["fast"], clip),
            "ceiling": ceiling, "share_of_ceiling": work / 1e9 / (medians["fast"] / 1e3) / max(ceiling.values()),
            "speedup": medians["plain"] / medians["fast"], "speedup_exact": medians["plain"] / medians["exact"]}


def _search_work(model, config):
    """Multiply-accumulates of one search crop through the network."""
    full = Config(model=model.config)
    both = multiplications(full.replace(**{"training.sigma": 1.0}), config.template_size, config.search_size)
    return both - multiplications(full.replace(**{"training.sigma": 1.0}), config.template_size, config.template_size) // 2


def _parts(tracker, clip, rounds=10):
    """Milliseconds a frame of the fast tracker's steps: crop, first block, body, correlation, peak."""
    crops = tracker._tensor(tracker.crops)
    with torch.inference_mode():
        fused = tracker.model.fuse(crops)
        features = tracker.model.psi(fused).float()
        response = tracker.model.respond(tracker.template, features)[:, 0].float().cpu().numpy()
        steps = {"crop": lambda: tracker._cut(clip.frames[5]), "first block": lambda: tracker.model.fuse(crops),
                 "body": lambda: tracker.model.psi(fused), "correlation": lambda: tracker.model.respond(tracker.template, features),
                 "peak": lambda: tracker._peak(response)}
        return dict(zip(steps, (1e3 * value for value in medians(list(steps.values()), rounds, tracker.device))))


def medians(steps, rounds, device):
    """Median seconds of each of some functions, called in turn on a device; the first round is not counted."""
    times = np.empty((rounds + 1, len(steps)))
    for row in times:
        for k, step in enumerate(steps):
            _wait(device)
            start = time.perf_counter()
            step()
            _wait(device)
            row[k] = time.perf_counter() - start
    return np.median(times[1:], axis=0).tolist()


def _wait(device):
    if torch.device(device).type == "cuda":
        torch.cuda.synchronize()
