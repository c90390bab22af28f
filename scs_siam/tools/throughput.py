"""Benchmark of training: pairs a second of each part of our path beside a plain one, in one process, in turn, and what GOT-10k would cost.

The plain path does what the released code does: full frames decoded for every pair, two masks and four crops made one by one on the CPU,
a network in float32 and NCHW.
"""

import tempfile
import time
from pathlib import Path

import cv2
import numpy as np
import torch
from torch.utils.flop_counter import FlopCounterMode

from scs_siam.config import TrainingConfig
from scs_siam.data import store
from scs_siam.data.images import read_image, write_image
from scs_siam.data.video import prefetch
from scs_siam.model import SiameseNet
from scs_siam.pairs import Batch, augment, draw_augmentation, make_batch, make_label
from scs_siam.runtime import hardware
from scs_siam.soft_mask import apply_mask
from scs_siam.tools.bench import matrix_ceiling, medians
from scs_siam.train import Trainer

GOT10K = {"videos": 9_335, "frames": 1_403_359}  # of its training set
LOOP = 2  # steps of the whole loop that are timed at once


def plain_batch(videos, index, rows, config, rng):
    """The Batch of rows of a store's index, made pair by pair from whole frames; only shifts, stretches and mirrors augment it."""
    draws, images = draw_augmentation(len(rows[0]), config, rng), {}
    for name, ids, size in zip(
        ("template", "search"), rows, (config.template_size, config.search_size)
    ):
        made = {name: [], name + "_masked": []}
        for k, row in enumerate(ids):
            video, frame = videos[index["sequence"][row]], index["frame"][row]
            image = read_image(video.frames[frame])
            masked = apply_mask(image, video.boxes[frame], config.sigma)
            for key, pixels in ((name, image.astype(np.float32)), (name + "_masked", masked)):
                matrix = _matrix(
                    index["centre"][row],
                    index["scale"][row],
                    draws[key],
                    draws["mirror"][k],
                    k,
                    size,
                )
                mean = tuple(
                    float(value)
                    for value in index["mean"][row] * (config.sigma if pixels is masked else 1)
                )  # D17
                made[key].append(
                    cv2.warpAffine(
                        pixels,
                        matrix,
                        (size, size),
                        flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
                        borderMode=cv2.BORDER_CONSTANT,
                        borderValue=mean,
                    )
                )
        images |= {
            key: torch.from_numpy(np.array(crops).transpose(0, 3, 1, 2).copy())
            for key, crops in made.items()
        }
    return Batch(**images, label=make_label(config, draws))


def _matrix(centre, scale, draw, mirror, k, size):
    """2 x 3 matrix from the pixels of an augmented crop to the frame's."""
    stretch, middle = draw["stretch"][k] * (mirror, 1), (size - 1) / 2
    return np.array(
        [
            [
                stretch[0] / scale,
                0,
                centre[0] + (draw["shift"][k, 0] - stretch[0] * middle) / scale,
            ],
            [
                0,
                stretch[1] / scale,
                centre[1] + (draw["shift"][k, 1] - stretch[1] * middle) / scale,
            ],
        ],
        np.float64,
    )


def train(config, store, videos, rounds=10, device="cpu", compiled=""):
    """Pairs a second of store, batch, first block, step and whole loop, of ours and of the plain path, and the share of the ceiling.

    `store` holds crops of `videos`; `compiled` adds a step by torch.compile in that mode. FLOP count a multiply-add as two.
    """
    ours = Trainer(config, store, "bench", device=device)
    parts = _parts(config, ours, store, videos, device)
    if compiled:
        other = Trainer(config, store, "bench", device=device, compiled=compiled)
        batch = ours.batch(0)[1]
        parts[f"step, compiled ({compiled})"] = lambda: other.step(batch)
    size = config.training.batch
    seconds = dict(zip(parts, medians(list(parts.values()), rounds, device)))
    seconds["training"] /= LOOP
    seconds["plain training"] = seconds["plain batch"] + seconds["plain step"]
    speed = {name: size / value for name, value in seconds.items()}
    side = 8192 if torch.device(device).type == "cuda" else 2048
    ceiling = matrix_ceiling(ours.precision, device, side)
    work = step_flops(config) / 1e9
    return {
        "machine": hardware.describe(device),
        "threads": torch.get_num_threads(),
        "precision": ours.precision,
        "batch": size,
        "store_on": type(ours.store).__name__,
        "pairs_per_second": speed,
        "ceiling": ceiling,
        "gflop_a_pair": work,
        "gflops": {"step": work * speed["step"], "matrix product": 2 * ceiling},
        "share_of_ceiling": work * speed["step"] / (2 * ceiling),
        "speedup_step": speed["step"] / speed["plain step"],
        "speedup": speed["training"] / speed["plain training"],
        "got10k": at_got10k(speed["training"], build_seconds()),
    }


def step_flops(config):
    """Operations of a training step for one pair, forward and backward, a multiply-add counted as two; convolutions and products only."""
    sizes = config.training.template_size, config.training.search_size
    with torch.device("meta"):
        model, (template, search) = (
            SiameseNet(config.model),
            (torch.empty(2, 3, size, size) for size in sizes),
        )
        with FlopCounterMode(display=False) as counter:
            model(template, template, search, search).sum().backward()
    return counter.get_total_flops() / 2


def _parts(config, ours, store, videos, device):
    """The parts that are timed, {name: function}; each does its work for one batch, "training" for LOOP of them."""
    plain = Trainer(config, store, "bench", device=device, precision="fp32")
    plain.model.to(memory_format=torch.contiguous_format)
    rng, drawn = np.random.default_rng(0), ours.draw(0)
    rows, batch = drawn.rows, augment(ours.store, drawn, config.training, device)
    block = ours.model.block

    def loop():
        for drawn in prefetch(ours.draw(step) for step in range(LOOP)):
            ours.step(augment(ours.store, drawn, config.training, device))

    def first_block():
        with torch.autocast(
            torch.device(device).type, torch.bfloat16, enabled=ours.precision == "bf16"
        ):
            values = sum(
                block(image).float().mean()
                for name, image in vars(batch).items()
                if name != "label"
            )
        values.backward()

    return {
        "store": lambda: [
            store.read(ids) for ids in rows
        ],  # the same rows each time: not the speed of a cold disk
        "batch": lambda: make_batch(ours.store, rows, config.training, rng, device),
        "first block": first_block,
        "step": lambda: ours.step(batch),
        "training": loop,
        "plain batch": lambda: plain_batch(videos, store.index, rows, config.training, rng),
        "plain step": lambda: plain.step(batch),
    }


def build_seconds(frames=8):
    """Seconds of one core for a frame of a store: a JPEG of 1920 x 1080 pixels is read and its crop is cut."""
    picture = cv2.resize(
        np.random.default_rng(0).integers(0, 256, (68, 120, 3), np.uint8),
        (1920, 1080),
        interpolation=cv2.INTER_CUBIC,
    )
    with tempfile.TemporaryDirectory() as folder:
        path, times = Path(folder) / "frame.jpg", []
        write_image(path, picture)
        for _ in range(frames):
            started = time.perf_counter()
            store.cut(read_image(path), (900, 500, 240, 180))
            times.append(time.perf_counter() - started)
    return float(np.median(times))


def at_got10k(pairs_per_second, frame_seconds, every=10):
    """Disk, core hours of building and hours of training for all of GOT-10k and for every k-th frame of it, from unit costs."""
    crop = store.SIZE**2 * 3
    frames = {f"every {k}": GOT10K["frames"] / k for k in (1, every)}
    return {
        **{f"disk GB, {name}": count * crop / 1e9 for name, count in frames.items()},
        **{
            f"build core hours, {name}": count * frame_seconds / 3600
            for name, count in frames.items()
        },
        "pairs": TrainingConfig().pairs,
        "training hours": TrainingConfig().pairs / pairs_per_second / 3600,
    }
