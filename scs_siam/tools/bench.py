"""Benchmarks of speed: several forms of one computation in one process, in turn, medians of rounds.

Ratios within one run can be compared; absolute times belong to the machine that the record names.
The plain forms do what the authors' released code does: float32 and NCHW, batch norm as it is, a
first block each for S and S_sm = S; and for training, full frames decoded for every pair, two masks
and four crops made one by one.
"""

import tempfile
import time
from copy import deepcopy
from pathlib import Path

import cv2
import numpy as np
import torch
from torch.utils.flop_counter import FlopCounterMode

from scs_siam.config import Config, TrainingConfig
from scs_siam.data import store as stores
from scs_siam.data.benchmarks import Sequence
from scs_siam.data.images import read_image, write_image
from scs_siam.data.synthetic import Scene, render
from scs_siam.data.training_sets import Video, read_got10k
from scs_siam.data.video import prefetch
from scs_siam.evaluation import one_pass
from scs_siam.model import SiameseNet, multiplications
from scs_siam.pairs import Batch, PairSampler, augment, draw_augmentation, make_batch, make_label
from scs_siam.runtime import hardware
from scs_siam.soft_mask import apply_mask
from scs_siam.track import Tracker
from scs_siam.train import Trainer

GOT10K = {"videos": 9_335, "frames": 1_403_359}  # of its training set
LOOP = 2  # steps of the whole training loop that are timed at once
KINDS = {"int8": torch.int8, "bf16": torch.bfloat16, "fp32": torch.float32}


class PlainTracker(Tracker):
    """The tracker as the released code computes it."""

    def __init__(self, model, config, device="cpu"):
        super().__init__(model, config, device, "exact")
        self.model = model.eval().to(device, torch.float32, memory_format=torch.contiguous_format)

    def _tensor(self, images):
        return super()._tensor(images).contiguous()

    def _embed_search(self, images, masked):
        images = images.to(self.device, self.dtype).contiguous()
        return self.model.embed_search(images, images.clone() if masked is None else masked)


def _record(rounds, device, **values):
    threads = torch.get_num_threads()
    return {"machine": hardware.describe(device), "threads": threads, "rounds": rounds, **values}


def track(config: Config, rounds: int = 20, device: str = "cpu") -> dict:
    """Time the plain, exact and fast tracker per frame, without decoding, and their steps."""
    clip, model, tracking = (
        render(Scene(seed=1, frames=rounds + 3)),
        _model(config),
        config.tracking,
    )
    forms = {"plain": PlainTracker(deepcopy(model), tracking, device)}
    forms["exact"] = Tracker(model, tracking, device, "exact")
    forms["fast"] = Tracker(model, tracking, device)
    form, times = forms["fast"].form, _in_turn(forms, clip)
    milliseconds = {name: float(np.median(values)) for name, values in times.items()}
    steps, ceiling = _time_steps(forms, clip, {"fp32", form}, rounds)
    work = tracking.scales * _search_work(config) / 1e6
    fast, plain = milliseconds["fast"], milliseconds["plain"]
    return _record(
        rounds,
        device,
        form=form,
        milliseconds=milliseconds,
        frames_per_second={name: 1e3 / value for name, value in milliseconds.items()},
        parts=steps["fast"],
        parts_plain=steps["plain"],
        parts_exact=steps["exact"],
        decode=_decode(clip, rounds),
        ceiling=ceiling,
        share_of_ceiling=work / fast / ceiling[form],
        memory=hardware.peak_memory(device),
        speedup=plain / fast,
        speedup_exact=plain / milliseconds["exact"],
    )


def variants(config: Config, rounds: int = 15, device: str = "cpu") -> dict:
    """Time the fast tracker of each row of Table 9, in turn, and its speed over SiameseFC*'s."""
    from scs_siam.reproduction.profiles import TABLE9

    trackers, clip = {}, render(Scene(seed=1, frames=rounds + 3))
    for row, entry in TABLE9.items():
        if entry.data == "train":
            torch.manual_seed(0)
            made = Config.preset(variant=entry.variant, width=config.model.width)
            trackers[row] = Tracker(_model(made), made.tracking, device)
    times = {row: np.array(values) for row, values in _in_turn(trackers, clip).items()}
    found = {}
    for row, values in times.items():
        ratios, median = times["SiameseFC*"] / values, float(np.median(values))
        found[row] = {"milliseconds": median, "frames_per_second": 1e3 / median}
        found[row] |= {"ratio": float(np.median(ratios)), "form": trackers[row].form}
        found[row]["ratios"] = ratios.round(4).tolist()
    return _record(rounds, device, variants=found)


def _in_turn(trackers, clip):
    """Milliseconds of each `update` of {name: tracker} over a clip, every frame by all of them."""
    times = {name: [] for name in trackers}
    for tracker in trackers.values():
        tracker.init(clip.frames[0], clip.boxes[0])
        for frame in clip.frames[1:3]:  # to warm up
            tracker.update(frame)
    for frame in clip.frames[3:]:
        for name, tracker in trackers.items():
            hardware.keep_freed_memory(name != "plain")
            start = time.perf_counter()
            tracker.update(frame)  # ends with a box on the CPU
            times[name].append(1e3 * (time.perf_counter() - start))
    hardware.keep_freed_memory()
    return times


def _model(config):
    """A network whose batch norm has seen one batch, so that activations have known ranges."""
    model, frames = SiameseNet(config.model).train(), render(Scene(seed=2, frames=4)).frames
    for module in model.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.momentum = 1.0
    images = torch.from_numpy(frames[:, :239, 40:279].copy()).permute(0, 3, 1, 2).float()
    template = images[:, :, 56:183, 56:183]
    with torch.no_grad():
        model(template, template, images, images)
    return model.eval()


def _search_work(config):
    """Multiply-adds of one search region through the network."""
    plain = Config(model=config.model).replace(**{"training.sigma": 1.0})
    template, search = config.tracking.template_size, config.tracking.search_size
    both = multiplications(plain, template, search)
    return both - multiplications(plain, template, template) // 2


def _time_steps(trackers, clip, ceilings, rounds):
    """Milliseconds per frame of each step of each tracker, and the ceilings of some forms."""
    target = trackers["fast"].device
    products = {name: _product(name, target, 2048) for name in sorted(ceilings)}
    steps = {}
    with torch.inference_mode():
        for name, tracker in trackers.items():
            for part, call in _steps(tracker, clip.frames[2]).items():
                steps[name, part] = call
        seconds = medians([*steps.values(), *products.values()], rounds, target)
    parts = {name: {} for name in trackers}
    for (name, part), value in zip(steps, seconds):
        parts[name][part] = 1e3 * value
    rates = {name: 2048**3 / 1e9 / value for name, value in zip(products, seconds[len(steps) :])}
    return parts, rates


def _steps(tracker, frame):
    """The steps of one `update` as functions: crop, first block, body, correlation, peak."""
    images, _ = tracker._cut(frame)

    def block():
        if tracker.integers is not None:
            return tracker.integers.block(images)
        ready = images.to(tracker.device, tracker.dtype)
        if isinstance(tracker, PlainTracker):
            ready = ready.contiguous()
            return tracker.model.fuse(ready, ready.clone())
        return tracker.model.fuse(ready)

    body = tracker.model.psi if tracker.integers is None else tracker.integers.psi
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


def _product(form, device, size):
    a, b = (torch.randn(size, size, device=device).to(KINDS[form]) for _ in "ab")
    return lambda: torch._int_mm(a, b) if form == "int8" else a @ b


def matrix_ceiling(form: str, device="cpu", size: int = 2048) -> float:
    """Return 1e9 multiply-adds per second of a plain matrix product in "fp32", "bf16" or "int8"."""
    return size**3 / 1e9 / medians([_product(form, device, size)], 5, device)[0]


def _decode(clip, rounds):
    """Milliseconds to read and decode one frame of the clip from a JPEG file in the page cache."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "frame.jpg"
        write_image(path, clip.frames[0])
        return 1e3 * medians([lambda: read_image(path)], rounds, "cpu")[0]


def evaluate(config: Config, rounds: int = 20, device: str = "cpu", clips: int = 8) -> dict:
    """Time an evaluation of some clips, one by one and in lockstep, three times in turn."""
    tracker = Tracker(_model(config), config.tracking, device)
    found = {"one by one": [], "lockstep": []}
    with tempfile.TemporaryDirectory() as folder:
        scenes = {f"clip{seed}": Scene(seed, frames=rounds) for seed in range(clips)}
        sequences = [write_clip(scene, Path(folder) / name) for name, scene in scenes.items()]
        for repeat in range(4):
            for name, lockstep in zip(found, (1, clips)):
                start, key = time.perf_counter(), f"{lockstep}-{repeat}"
                rows = one_pass.evaluate(tracker, sequences, folder, key, lockstep=lockstep)
                seconds = sum(row["seconds"] for row in rows)
                found[name].append((seconds, time.perf_counter() - start))
    frames = clips * (rounds - 1)
    seconds = {name: np.median(values[1:], axis=0).tolist() for name, values in found.items()}
    return _record(
        rounds,
        device,
        form=tracker.form,
        frames_per_second={name: frames / alone for name, (alone, _) in seconds.items()},
        with_decoding={name: frames / whole for name, (_, whole) in seconds.items()},
        speedup=seconds["one by one"][1] / seconds["lockstep"][1],
        memory=hardware.peak_memory(device),
    )


def write_clip(scene: Scene, folder: Path) -> Sequence:
    """Write a synthetic clip as JPEG files and return it as a Sequence."""
    clip = render(scene)
    paths = [folder / f"{number:04d}.jpg" for number in range(1, scene.frames + 1)]
    for path, frame in zip(paths, clip.frames):
        write_image(path, frame)
    return Sequence(folder.name, tuple(paths), clip.boxes)


def data(config: Config, rounds: int = 10, device: str = "cpu", batch: int = 16) -> dict:
    """Time one core: pairs from the crop store, finished batches, and pairs from full frames."""
    training, threads = config.training, torch.get_num_threads()
    with tempfile.TemporaryDirectory() as folder:
        clip = write_clip(Scene(1, (1280, 720), 8), Path(folder) / "clip")
        videos = [Video("clip", clip.frames, clip.truth)]
        store = stores.CropStore.build(videos, Path(folder) / "store")
        rng, every = np.random.default_rng(0), config.replace(**{"training.hold_out": 0})
        rows = PairSampler(store.index, every.training).draw(batch, rng)
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
    record = _record(rounds, "cpu", batch=batch, pairs_per_second=speeds)
    record |= {"threads": 1, "speedup": speeds["batch"] / speeds["full frames"]}
    return {**record, "speedup_store": speeds["store"] / speeds["full frames"]}


def plain_batch(videos, index, rows, config: TrainingConfig, rng) -> Batch:
    """Return a Batch made pair by pair from whole frames; shift, stretch and mirror only."""
    draws, images = draw_augmentation(len(rows[0]), config, rng), {}
    sizes = (config.template_size, config.search_size)
    border = {"flags": cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP, "borderMode": cv2.BORDER_CONSTANT}
    for name, ids, size in zip(("template", "search"), rows, sizes):
        made = {name: [], name + "_masked": []}
        for k, row in enumerate(ids):
            video, frame = videos[index["sequence"][row]], index["frame"][row]
            image = read_image(video.frames[frame])
            masked = apply_mask(image, video.boxes[frame], config.sigma)
            pixels = {name: (image.astype(np.float32), 1), name + "_masked": (masked, config.sigma)}
            for key, (picture, factor) in pixels.items():
                matrix = _matrix(index, row, draws[key], draws["mirror"][k], k, size)
                mean = tuple((index["mean"][row].astype(float) * factor).tolist())  # D17
                crop = cv2.warpAffine(picture, matrix, (size, size), borderValue=mean, **border)
                made[key].append(crop)
        for key, crops in made.items():
            images[key] = torch.from_numpy(np.array(crops).transpose(0, 3, 1, 2).copy())
    return Batch(**images, label=make_label(config, draws))


def _matrix(index, row, draw, mirror, k, size):
    """2 x 3 matrix from the pixels of an augmented crop to those of the frame."""
    (x, y), scale = index["centre"][row], index["scale"][row]
    stretch, shift = draw["stretch"][k] * (mirror, 1), draw["shift"][k]
    corner = (shift - stretch * (size - 1) / 2) / scale
    across = [stretch[0] / scale, 0, x + corner[0]]
    return np.array([across, [0, stretch[1] / scale, y + corner[1]]], np.float64)


def train(
    config: Config,
    rounds: int = 10,
    device: str = "cpu",
    root=None,
    store=None,
    compiled: str = "",
    videos=None,
) -> dict:
    """Time the store, a batch, the first block, a step and the whole loop, ours and plain.

    `root` and `store` name a training set in GOT-10k's layout and its crop store; without them the
    set of the smoke profile is used. `compiled` adds a step by torch.compile. A multiply-add counts
    as two FLOP.
    """
    if videos is None:
        store, videos = _training_data(root, store)
    ours = Trainer(config, store, "bench", device=device)
    parts = _training_steps(config, ours, store, videos, device)
    if compiled:
        other = Trainer(config, store, "bench", device=device, compiled=compiled)
        batch = ours.batch(0)[1]
        parts[f"step, compiled ({compiled})"] = lambda: other.step(batch)
    seconds = dict(zip(parts, medians(list(parts.values()), rounds, device)))
    seconds["training"] /= LOOP
    seconds["plain training"] = seconds["plain batch"] + seconds["plain step"]
    size = config.training.batch
    speed = {name: size / value for name, value in seconds.items()}
    side = 8192 if torch.device(device).type == "cuda" else 2048
    ceiling, work = matrix_ceiling(ours.precision, device, side), step_flops(config) / 1e9
    return _record(
        rounds,
        device,
        precision=ours.precision,
        batch=size,
        store_on=type(ours.store).__name__,
        pairs_per_second=speed,
        ceiling=ceiling,
        gflop_a_pair=work,
        gflops={"step": work * speed["step"], "matrix product": 2 * ceiling},
        share_of_ceiling=work * speed["step"] / (2 * ceiling),
        speedup_step=speed["step"] / speed["plain step"],
        speedup=speed["training"] / speed["plain training"],
        memory=hardware.peak_memory(device),
        got10k=at_got10k(speed["training"], build_seconds()),
    )


def _training_data(root, folder):
    """Crop store and videos that were named, or those of the smoke profile."""
    from scs_siam.reproduction import experiments, profiles, runs

    if root:
        return stores.CropStore.build(videos := read_got10k(root), folder), videos
    sets = experiments.write_data(profile := profiles.get_profile("smoke"))
    return experiments.open_store(runs.list_runs(profile)[0], sets), read_got10k(sets.train)


def step_flops(config: Config) -> float:
    """Return the FLOP of a training step per pair, forward and backward."""
    sizes = config.training.template_size, config.training.search_size
    with torch.device("meta"):
        model = SiameseNet(config.model)
        template, search = (torch.empty(2, 3, size, size) for size in sizes)
        with FlopCounterMode(display=False) as counter:
            model(template, template, search, search).sum().backward()
    return counter.get_total_flops() / 2


def _training_steps(config, ours, store, videos, device):
    """The parts that are timed; each does its work for one batch, "training" for LOOP of them."""
    plain, training = (
        Trainer(config, store, "bench", device=device, precision="fp32"),
        config.training,
    )
    plain.model.to(memory_format=torch.contiguous_format)
    rng, drawn = np.random.default_rng(0), ours.draw(0)
    rows, batch = drawn.rows, augment(ours.store, drawn, training, device)
    images = (batch.template, batch.template_masked, batch.search, batch.search_masked)
    kind, bf16 = torch.device(device).type, ours.precision == "bf16"

    def loop():
        for drawn in prefetch(ours.draw(step) for step in range(LOOP)):
            ours.step(augment(ours.store, drawn, training, device))

    def first_block():
        with torch.autocast(kind, torch.bfloat16, enabled=bf16):
            values = sum(ours.model.block(image).float().mean() for image in images)
        values.backward()

    return {
        "store": lambda: [store.read(ids) for ids in rows],  # from the page cache
        "batch": lambda: make_batch(ours.store, rows, training, rng, device),
        "first block": first_block,
        "step": lambda: ours.step(batch),
        "training": loop,
        "plain batch": lambda: plain_batch(videos, store.index, rows, training, rng),
        "plain step": lambda: plain.step(batch),
    }


def build_seconds(frames: int = 8) -> float:
    """Return the seconds of one core to read a JPEG of 1920 x 1080 pixels and cut its crop."""
    coarse = np.random.default_rng(0).integers(0, 256, (68, 120, 3), np.uint8)
    picture = cv2.resize(coarse, (1920, 1080), interpolation=cv2.INTER_CUBIC)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "frame.jpg"
        write_image(path, picture)
        work = [lambda: stores.cut(read_image(path), (900, 500, 240, 180))]
        return medians(work, frames, "cpu")[0]


def at_got10k(pairs_per_second: float, frame_seconds: float, every: int = 10) -> dict:
    """Return disk, core hours and training hours for GOT-10k and for every k-th frame of it."""
    crop, cost = stores.SIZE**2 * 3, {}
    for k in (1, every):
        cost[f"disk GB, every {k}"] = GOT10K["frames"] / k * crop / 1e9
    for k in (1, every):
        cost[f"build core hours, every {k}"] = GOT10K["frames"] / k * frame_seconds / 3600
    pairs = TrainingConfig().pairs
    return {**cost, "pairs": pairs, "training hours": pairs / pairs_per_second / 3600}


def medians(steps: list, rounds: int, device) -> list[float]:
    """Return the median seconds of each of some functions, called in turn on a device."""
    wait = torch.cuda.synchronize if torch.device(device).type == "cuda" else lambda: None
    times = np.empty((rounds + 1, len(steps)))
    for row in times:
        for k, step in enumerate(steps):
            wait()
            start = time.perf_counter()
            step()
            wait()
            row[k] = time.perf_counter() - start
    return np.median(times[1:], axis=0).tolist()  # the first round warms up
