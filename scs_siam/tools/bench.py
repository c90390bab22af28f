"""Benchmarks of the speed of tracking: forms of the same computation in one process, in turn, medians of many rounds.

Ratios within one run are what holds; absolute times belong to the machine that the record names.
"""

import tempfile
import time
from copy import deepcopy
from pathlib import Path

import numpy as np
import torch

from scs_siam.config import Config
from scs_siam.data.benchmarks import Sequence
from scs_siam.data.images import read_image, write_image
from scs_siam.data.synthetic import Scene, render
from scs_siam.evaluation.one_pass import evaluate as one_pass
from scs_siam.model import SiameseNet, multiplications
from scs_siam.runtime import hardware
from scs_siam.track import Tracker


class PlainTracker(Tracker):
    """What the released code does: float32, NCHW, batch norm as it is, and a first block each for S and S_sm = S."""

    def __init__(self, model, config, device="cpu"):
        super().__init__(model, config, device, "exact")
        self.model = model.eval().to(device, torch.float32, memory_format=torch.contiguous_format)

    def _tensor(self, images):
        return super()._tensor(images).contiguous()

    def _embed_search(self, images, masked):
        images = images.to(self.device, self.dtype).contiguous()
        return self.model.embed_search(images, images.clone() if masked is None else masked)


def matrix_ceiling(form, device="cpu", size=2048):
    """Multiply-adds a second, in units of 1e9, of a plain matrix product in "fp32", "bf16" or "int8": what to hold a network against."""
    return size**3 / 1e9 / medians([_product(form, device, size)], 5, device)[0]


def _product(form, device, size):
    kind = {"int8": torch.int8, "bf16": torch.bfloat16}.get(form, torch.float32)
    a, b = (torch.randn(size, size, device=device).to(kind) for _ in "ab")
    return lambda: torch._int_mm(a, b) if form == "int8" else a @ b


def track(model, config, rounds=20, device="cpu"):
    """Milliseconds a frame of the plain, the exact and the fast tracker on one synthetic clip, without decoding, and where they go."""
    clip, model = render(Scene(seed=1, frames=rounds + 3)), _settled(model)
    forms = {
        "plain": PlainTracker(deepcopy(model), config, device),
        "exact": Tracker(model, config, device, "exact"),
        "fast": Tracker(model, config, device),
    }
    form = forms["fast"].form
    milliseconds = {
        name: float(np.median(values)) for name, values in _in_turn(forms, clip).items()
    }
    parts, ceiling = _parts(forms, clip, {"fp32", form}, rounds)
    return {
        "machine": hardware.describe(device),
        "threads": torch.get_num_threads(),
        "rounds": rounds,
        "form": form,
        "milliseconds": milliseconds,
        "frames_per_second": {name: 1e3 / value for name, value in milliseconds.items()},
        **{
            "parts" if name == "fast" else f"parts_{name}": values for name, values in parts.items()
        },
        "decode": _decode(clip, rounds),
        "ceiling": ceiling,
        "share_of_ceiling": config.scales
        * _search_work(model, config)
        / 1e6
        / milliseconds["fast"]
        / ceiling[form],
        "memory": hardware.peak_memory(device),
        "speedup": milliseconds["plain"] / milliseconds["fast"],
        "speedup_exact": milliseconds["plain"] / milliseconds["exact"],
    }


def variants(configs, rounds=15, device="cpu"):
    """Milliseconds a frame of the fast tracker of each row in {row: Config}, in turn, and its speed over SiameseFC*'s, round by round."""
    trackers, clip = {}, render(Scene(seed=1, frames=rounds + 3))
    for row, config in configs.items():
        torch.manual_seed(0)
        trackers[row] = Tracker(_settled(SiameseNet(config.model)), config.tracking, device)
    times = {row: np.array(values) for row, values in _in_turn(trackers, clip).items()}
    rows = {
        row: {
            "milliseconds": float(np.median(values)),
            "frames_per_second": float(1e3 / np.median(values)),
            "ratio": float(np.median(times["SiameseFC*"] / values)),
            "form": trackers[row].form,
            "ratios": (times["SiameseFC*"] / values).round(4).tolist(),
        }
        for row, values in times.items()
    }
    return {
        "machine": hardware.describe(device),
        "threads": torch.get_num_threads(),
        "rounds": rounds,
        "variants": rows,
    }


def _in_turn(trackers, clip):
    """Milliseconds of each `update` of each of {name: tracker} over a clip, every frame by all of them; two frames to warm up."""
    times = {name: [] for name in trackers}
    for tracker in trackers.values():
        tracker.init(clip.frames[0], clip.boxes[0])
        tracker.update(clip.frames[1]), tracker.update(clip.frames[2])
    for frame in clip.frames[3:]:
        for name, tracker in trackers.items():
            hardware.keep_freed_memory(name != "plain")
            start = time.perf_counter()
            tracker.update(frame)  # ends with a box on the CPU
            times[name].append(1e3 * (time.perf_counter() - start))
    hardware.keep_freed_memory()
    return times


def _settled(model):
    """A copy whose batch norm has seen one batch, as a trained network's has: without that the range of an activation is not known."""
    model, frames = deepcopy(model).train(), render(Scene(seed=2, frames=4)).frames
    for module in model.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.momentum = 1.0
    images = torch.from_numpy(frames[:, :239, 40:279].copy()).permute(0, 3, 1, 2).float()
    template = images[:, :, 56:183, 56:183]
    with torch.no_grad():
        model(template, template, images, images)
    return model.eval()


def _search_work(model, config):
    """Multiply-accumulates of one search crop through the network."""
    full = Config(model=model.config).replace(**{"training.sigma": 1.0})
    both = multiplications(full, config.template_size, config.search_size)
    return both - multiplications(full, config.template_size, config.template_size) // 2


def _parts(trackers, clip, ceilings, rounds):
    """Milliseconds a frame of each step of each tracker, and the ceilings of some forms, all in turn."""
    size = 2048
    products = {name: _product(name, trackers["fast"].device, size) for name in sorted(ceilings)}
    with torch.inference_mode():
        steps = {
            (name, step): call
            for name, tracker in trackers.items()
            for step, call in _steps(tracker, clip.frames[2]).items()
        }
        seconds = medians([*steps.values(), *products.values()], rounds, trackers["fast"].device)
    parts = {name: {} for name in trackers}
    for (name, step), value in zip(steps, seconds):
        parts[name][step] = 1e3 * value
    return parts, {
        name: size**3 / 1e9 / value for name, value in zip(products, seconds[len(steps) :])
    }


def _steps(tracker, frame):
    """The steps of one `update` as functions: crop, first block, body, correlation, peak."""
    images, _ = tracker._cut(frame)
    if tracker.integers is not None:
        block, body = (lambda: tracker.integers.block(images)), tracker.integers.psi
    elif isinstance(tracker, PlainTracker):

        def block():
            ready = images.to(tracker.device, tracker.dtype).contiguous()
            return tracker.model.fuse(ready, ready.clone())

        body = tracker.model.psi
    else:
        block, body = (
            (lambda: tracker.model.fuse(images.to(tracker.device, tracker.dtype))),
            tracker.model.psi,
        )
    fused = block()
    features, template = body(fused).float()[None], tracker.template[None]
    maps = tracker._respond(template, features)[0].cpu().numpy()
    return {
        "crop": lambda: tracker._cut(frame),
        "first block": block,
        "body": lambda: body(fused),
        "correlation": lambda: tracker._respond(template, features),
        "peak": lambda: tracker._peak(maps),
    }


def _decode(clip, rounds):
    """Milliseconds to read and decode one frame of the clip from a JPEG file in the page cache."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "frame.jpg"
        write_image(path, clip.frames[0])
        return 1e3 * medians([lambda: read_image(path)], rounds, "cpu")[0]


def evaluate(model, config, rounds=20, device="cpu", places=8):
    """Frames a second of an evaluation of `places` clips of `rounds` frames, one after the other and in lockstep, three times in turn."""
    tracker, found = Tracker(_settled(model), config, device), {"one by one": [], "lockstep": []}
    with tempfile.TemporaryDirectory() as folder:
        sequences = [
            sequence(Scene(seed, frames=rounds), Path(folder) / f"clip{seed}")
            for seed in range(places)
        ]
        for repeat in range(4):
            for name, lockstep in zip(found, (1, places)):
                start = time.perf_counter()
                rows = one_pass(
                    tracker, sequences, folder, f"{lockstep}-{repeat}", lockstep=lockstep
                )
                found[name].append(
                    (sum(row["seconds"] for row in rows), time.perf_counter() - start)
                )
    frames = places * (rounds - 1)
    seconds = {name: np.median(values[1:], axis=0).tolist() for name, values in found.items()}
    return {
        "machine": hardware.describe(device),
        "threads": torch.get_num_threads(),
        "rounds": rounds,
        "form": tracker.form,
        "frames_per_second": {name: frames / tracking for name, (tracking, _) in seconds.items()},
        "with_decoding": {name: frames / whole for name, (_, whole) in seconds.items()},
        "speedup": seconds["one by one"][1] / seconds["lockstep"][1],
        "memory": hardware.peak_memory(device),
    }


def sequence(scene, folder):
    """A clip on disk, JPEG, as a Sequence."""
    clip, paths = (
        render(scene),
        [folder / f"{number:04d}.jpg" for number in range(1, scene.frames + 1)],
    )
    for path, frame in zip(paths, clip.frames):
        write_image(path, frame)
    return Sequence(folder.name, tuple(paths), clip.boxes)


def in_words(record):
    """What a record of any benchmark measured, and its values, as two cells of a Markdown table."""

    def values(numbers, digits):
        return ", ".join(f"{name} {value:.{digits}f}" for name, value in numbers.items())

    if record["bench"] == "track":
        form = f" ({record['form']})" if "form" in record else ""
        return f"tracking | {values(record['milliseconds'], 0)} ms a frame; fast{form} is {record['speedup']:.1f} times as fast as plain"
    if record["bench"] == "variants":
        return f"tracking | {values({row: found['ratio'] for row, found in record['variants'].items()}, 2)} times the speed of SiameseFC*"
    if record["bench"] == "evaluate":
        return f"evaluation | {values(record['with_decoding'], 1)} frames/s with decoding ({record['form']})"
    if record["bench"] == "data":
        return f"training pairs | {values(record['pairs_per_second'], 0)} pairs/s of one core"
    if record["bench"] == "together":
        return f"trainings side by side | {values(record['pairs_per_second'], 1)} pairs/s of all; {record['speedup']:.2f} times one"
    text = f"training | {values(record['pairs_per_second'], 1)} pairs/s; {record['precision']}"
    if "got10k" not in record:
        return text
    cost = record["got10k"]
    whole, tenth = (
        [cost[f"{what}, every {k}"] for what in ("disk GB", "build core hours")] for k in (1, 10)
    )
    return (
        f"{text}, step at {record['share_of_ceiling']:.0%} of a matrix product; {record['speedup']:.1f} times as fast as plain. "
        f"GOT-10k at these costs: {whole[0]:.0f} GB and {whole[1]:.1f} core hours for a store of all frames, {tenth[0]:.0f} GB and "
        f"{tenth[1]:.1f} for every tenth; {cost['pairs']:,} pairs in {cost['training hours']:.0f} hours"
    )


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
