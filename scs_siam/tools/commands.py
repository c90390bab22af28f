"""The commands of `scs-siam` and their arguments.

Heavy modules are imported inside the functions, so that `scs-siam --help` is quick.
"""

import argparse
import itertools
import json
import math
import re
import sys
import time
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from typing import NamedTuple

from scs_siam.config import PRESETS, VARIANTS, Config
from scs_siam.runtime.files import BadInput, locked
from scs_siam.runtime.progress import Progress, duration


class Command(NamedTuple):
    """A command: its name, function, help, an example, and its arguments (flag, settings)."""

    name: str
    run: Callable
    help: str
    example: str
    arguments: list


def _tracker(args):
    from scs_siam.track import Tracker
    from scs_siam.weights import load_weights, shipped

    model, config = load_weights(args.weights or shipped())
    with memory_checked("track fewer sequences at once, or use --device cpu"):
        return Tracker(model, config.tracking, device(args.device), args.precision), config


class memory_checked:  # noqa: N801
    """Turn an out-of-memory error of a GPU into one line with a remedy."""

    def __init__(self, remedy: str):
        self.remedy = remedy

    def __enter__(self):
        return self

    def __exit__(self, kind, error, trace):
        if kind is not None and kind.__name__ == "OutOfMemoryError":
            reason = (str(error).strip() or "out of memory").splitlines()[0]
            raise BadInput(f"the GPU ran out of memory ({reason}); {self.remedy}") from error


def device(name: str) -> str:
    """Return the device that --device names; BadInput if this machine does not have it."""
    import torch

    from scs_siam.runtime.hardware import default_device

    if name == "auto":
        return default_device()
    if name == "mps":
        raise BadInput("--device mps: Apple's GPUs have not been tried; use --device cpu")
    if name not in ("cpu", "cuda"):
        raise BadInput(f"--device {name}: choose auto, cpu or cuda")
    if name == "cuda" and not torch.cuda.is_available():
        raise BadInput("--device cuda: PyTorch finds no GPU on this machine; use --device cpu")
    return name


def setting(text: str) -> tuple[str, object]:
    """Return name and value of "NAME=VALUE"; the value is JSON where possible, otherwise text."""
    name, equals, value = text.partition("=")
    if not equals:
        raise BadInput(f"--set {text}: write NAME=VALUE, such as training.pairs=20000")
    try:
        return name, json.loads(value)
    except ValueError:
        return name, value


def track(args) -> None:
    """Follow one target through a clip; files hold what was done, also after an interruption."""
    from scs_siam.data.boxes import parse_box
    from scs_siam.data.video import Frames, prefetch
    from scs_siam.tools import interactive

    box = parse_box(args.box) if args.box else None
    if box is None:
        interactive.need_display("give the target with --box X,Y,W,H")
    if args.show:
        interactive.need_display("leave out --show; --output writes a clip")
    interactive.check_outputs(args.source, args.output, args.boxes)
    tracker, _ = _tracker(args)
    frames = Frames(args.source)
    upcoming = prefetch(frames, 1 if frames.live else 4)
    first = next(upcoming)
    box = interactive.draw_first_box(first) if box is None else box
    files = {"clip": args.output, "file": args.boxes, "form": args.format, "source": frames}
    with (
        interactive.Window() if args.show else nullcontext() as window,
        Progress(interactive.length(frames), "frame") as progress,
        memory_checked("use --device cpu"),
    ):
        every = itertools.chain([first], upcoming)
        boxes, stopped = interactive.follow(tracker, every, box, progress, **files, window=window)
    if stopped:
        count = len(boxes)
        raise KeyboardInterrupt(
            f"stopped after {count} frames; the files that were named hold them"
        )
    print(f"{len(boxes)} frames; last box {','.join(f'{value:.1f}' for value in boxes[-1])}")
    if frames.problem:
        print(f"scs-siam track: {args.source}: {frames.problem}", file=sys.stderr)
        raise SystemExit(1)


def train(args) -> None:
    """Build or open the crop store and train one variant, alone or under torchrun."""
    from scs_siam.data.store import CropStore, needed_size
    from scs_siam.data.training_sets import read_videos
    from scs_siam.runtime import distributed
    from scs_siam.train import Trainer

    changes = dict(setting(text) for text in args.set)
    config = Config.preset(args.preset, args.variant, args.width).replace(**changes)
    training, where = config.training, distributed.join(device(args.device))
    write = _scalars(args.tensorboard) if args.tensorboard and distributed.first() else None
    videos = read_videos(args.root)
    with Progress(1, "crop store") as progress:

        def build():
            def on_shard(done, total):
                progress.show(done / total)

            size = needed_size(training)
            options = (training.min_area, args.workers, on_shard, size, args.every)
            with locked(args.store):
                return CropStore.build(videos, args.store, *options)

        store = distributed.first_then_others(build)
    left_out = [f"{count} {reason}" for reason, count in store.manifest["skipped"].items() if count]
    if left_out and distributed.first():
        line = f"{args.store}: {len(store)} crops; left out: {', '.join(left_out)}"
        print(line, file=sys.stderr)
    trainer = Trainer(config, store, args.out, args.seed, where, compiled=args.compile)
    with Progress(training.pairs, "pair", args.out / "progress.log") as progress:

        def on_step(record):
            if write:
                write(record)
            progress.show(record["pairs"], f"epoch {record['epoch']}, loss {record['loss']:.3f}")

        with locked(args.out) if distributed.first() else nullcontext():
            trainer.run(on_step)
    if distributed.first():
        print(args.out / "weights.safetensors")
    distributed.leave()


def _scalars(folder):
    """A function that writes loss and learning rate of a training record for TensorBoard."""
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError:
        remedy = "pip install 'scs-siam[tensorboard]'"
        raise BadInput(f"--tensorboard: TensorBoard is not installed; {remedy}") from None
    writer = SummaryWriter(str(folder))

    def write(record):
        for name in ("loss", "learning_rate"):
            writer.add_scalar(f"training/{name}", record[name], record["step"])
        writer.flush()

    return write


def validate(args) -> None:
    """Print loss and hits of a weights file on the sequences that its training held out."""
    from scs_siam.data.store import CropStore
    from scs_siam.evaluation import validation
    from scs_siam.evaluation.statistics import cluster_interval
    from scs_siam.weights import load_weights

    model, config = load_weights(args.weights)
    store, where = CropStore.open(args.store), device(args.device)
    with Progress(args.pairs, "pair") as progress:
        options = (config.training, args.pairs, args.seed, where, progress.show)
        found = validation.validate(model, store, *options)
    columns = {name: [pair[name] for pair in found] for name in found[0]}
    print(f"{len(found)} pairs of {len(set(columns['sequence']))} held-out sequences")
    for text, kind in (("masked as in training", ""), ("unmasked as in tracking", "_unmasked")):
        values = (cluster_interval(columns["sequence"], columns[k + kind]) for k in ("loss", "hit"))
        loss, hits = (f"{mean:.3f} ({low:.3f} to {high:.3f})" for mean, low, high in values)
        print(f"{text}: loss {loss}, hits {hits}")


def evaluate(args) -> None:
    """Run the one-pass evaluation of a weights file on a benchmark."""
    from scs_siam.data import benchmarks
    from scs_siam.evaluation import one_pass
    from scs_siam.reproduction.results import write_scores
    from scs_siam.reproduction.runs import evaluation_key
    from scs_siam.runtime.files import sha256
    from scs_siam.weights import shipped

    wanted = args.sequences.split(",") if args.sequences else None
    sequences = benchmarks.READERS[args.layout](args.root, wanted)
    tracker, config = _tracker(args)
    key = f"{evaluation_key(config, sha256(args.weights or shipped()))}-{tracker.form}"
    lengths = [len(sequence.truth) for sequence in sequences]
    starts = {s.name: sum(lengths[:k]) + 1 for k, s in enumerate(sequences)}
    done = itertools.count(1)  # in lockstep frames come from all sequences in turn
    out = args.out / key
    with Progress(sum(lengths), "frame", args.out / "progress.log") as progress:

        def on_frame(sequence, index, *_):
            count = starts[sequence.name] + index if args.lockstep == 1 else next(done)
            progress.show(count, sequence.name)

        # A second process with these weights waits and then finds everything done.
        with locked(out), memory_checked("choose a smaller --lockstep or --device cpu"):
            rows = one_pass.evaluate(tracker, sequences, args.out, key, on_frame, args.lockstep)
            benchmark = args.root.resolve().name
            write_scores(out / "scores.csv", [{"benchmark": benchmark, **row} for row in rows])
    total = one_pass.summarise(rows)
    scores = f"AUC {total['auc']:.3f}, precision {total['precision']:.3f}"
    fps = f"{total['fps']:.1f} FPS ({total['fps_with_decode']:.1f} with decoding)"
    print(f"{key}: {total['targets']} targets, {scores}, {fps}")


def export(args) -> None:
    """Write template.onnx and search.onnx of a weights file."""
    from scs_siam.tools import export
    from scs_siam.weights import load_weights, shipped

    model, config = load_weights(args.weights or shipped())
    for name, difference in export.export(model, config.tracking, args.out).items():
        print(f"{args.out / name}: opset {export.OPSET}, at most {difference:.1g} from PyTorch")


def import_(args) -> None:
    """Convert a checkpoint of another project into a weights file."""
    from scs_siam.weights import import_checkpoint, save_weights

    model, config, ignored = import_checkpoint(args.checkpoint)
    out = args.out or Path(args.checkpoint).with_suffix(".safetensors")
    save_weights(out, model, config)
    left = f"; ignored: {', '.join(ignored[:3])}{' ...' * (len(ignored) > 3)}" if ignored else ""
    print(f"{out}: {config.variant} with {len(model.state_dict())} tensors{left}")


def trax(args) -> None:
    """Serve the tracker to a TraX client."""
    from scs_siam.tools.trax import serve

    serve(_tracker(args)[0])


def bench(args) -> None:
    """Measure speed and print a table or one JSON object."""
    import torch

    from scs_siam.tools import bench

    torch.manual_seed(0)
    if bool(args.root) != bool(args.store):
        raise BadInput(f"bench {args.what}: give both --root and --store, or neither")
    config = Config.preset(variant=args.variant, width=args.width)
    config = config.replace(**{"training.batch": args.batch})
    record = {"bench": args.what, "variant": args.variant, "width": args.width}
    options = {"rounds": args.rounds, "device": device(args.device)}
    if args.what == "train":
        options |= {"root": args.root, "store": args.store, "compiled": args.compile}
    record |= getattr(bench, args.what)(config, **options)
    if args.json:
        print(json.dumps(record))
        return
    for name, value in record.items():
        for part, number in value.items() if isinstance(value, dict) else [("", value)]:
            numbers = number.items() if isinstance(number, dict) else [("", number)]
            print(
                f"{name:18} {part:18} {'  '.join(f'{k} {_short(v)}'.strip() for k, v in numbers)}"
            )


def _short(value):
    return f"{value:.2f}" if isinstance(value, float) else value


def _profile(args):
    from scs_siam.reproduction.profiles import get_profile

    pairs = (text.split("=", 1) if "=" in text else (Path(text).name, text) for text in args.test)
    options = {"train": args.train, "vid": args.vid, "tests": dict(pairs), "seeds": args.seeds}
    rows = tuple(row for row in args.rows.split(",") if row)
    return get_profile(args.profile, rows=rows, **options)


def plan(args) -> None:
    """Print the state of each run of a profile and the time that is left."""
    from scs_siam.reproduction import experiments

    profile = _profile(args)
    lines, total = experiments.plan(profile)
    for index, (run, state, seconds) in enumerate(lines):
        print(f"{index:3} {run:34} {state:8} {duration(seconds) if state != 'current' else ''}")
    time_left = f"about {duration(total)} on one core here"
    print(f"profile {profile.name}: {len(lines)} runs, {time_left}")


def data(args) -> None:
    """Write the synthetic sets of a profile, or describe a real set and check a folder of it."""
    from scs_siam.reproduction.experiments import write_data

    if args.dataset:
        return _check_dataset(args.dataset, args.root)
    if args.root:
        remedy = "name the data set that the folder should hold, such as --dataset otb2015"
        raise BadInput(f"--root: {remedy}")
    sets = write_data(_profile(args))
    return print("\n".join(filter(None, [sets.train, sets.vid, *sets.tests.values()])))


def _check_dataset(name, root):
    from scs_siam.data import datasets

    about = datasets.describe(name)
    for key in ("title", "source", "licence", "layout", "holds", "sequences"):
        print(f"{key + ':':11}{about[key]}")
    if root is None:
        print(f"to check a folder: scs-siam data --dataset {name} --root DIR")
        return
    problems = datasets.check(name, root)
    print("\n".join(problems or [f"{root}: is complete"]))
    if problems:
        count = f"{len(problems)} problem{'s' * (len(problems) > 1)} above"
        raise BadInput(f"{root}: is not complete, {count}; nothing was changed")


def run(args) -> None:
    """Train and evaluate run number --index of a profile, and the runs that share its training."""
    from scs_siam.reproduction import experiments
    from scs_siam.reproduction.runs import list_runs

    profile = _profile(args)
    chosen = list_runs(profile)
    if args.index >= len(chosen):
        known = f"profile {profile.name} has runs 0 to {len(chosen) - 1}"
        raise BadInput(f"--index {args.index}: {known}; scs-siam plan lists them")
    mine = chosen[args.index]
    if not mine.has_data:
        return print(f"{mine.id}: has no data; name its training set with --vid ROOT")
    if mine.row.weights_of:
        other = f"run {chosen.index(mine.trained_by)}, {mine.trained_by.id}"
        return print(f"{mine.id}: is made by {other}, whose training it shares")
    sets, where = experiments.write_data(profile), device(args.device)
    with Progress(1, "run", mine.folder.parent / f"{mine.id}.log") as progress:

        def on_step(record):
            progress.show(experiments.share_done(mine), f"{mine.id}, training")

        experiments.train_run(mine, sets, where, on_step)
    sharing = [other for other in chosen if other.row.weights_of and other.trained_by == mine]
    for each in [mine, *sharing]:
        if not experiments.is_current(each, sets):
            experiments.evaluate_run(each, sets, where)
        print(f"{each.id}: {each.state()}", flush=True)
    return None


def publish(args) -> None:
    """Score the boxes that another tracker's authors published, as a row of a profile."""
    from scs_siam.data import benchmarks
    from scs_siam.reproduction.results import publish as score

    profile = _profile(args)
    for name, root in profile.tests.items():
        if isinstance(root, str):
            sequences = benchmarks.read(name, root)
            score(profile, args.tracker, args.boxes, args.annotations, name, sequences)
            return print(profile.folder / f"published-{args.tracker}")
    raise BadInput("publish: name the benchmark of the boxes with --test NAME=ROOT")


def reproduce(args) -> None:
    """Bring the runs of a profile up to date, then run its notebooks."""
    from scs_siam.reproduction import experiments
    from scs_siam.reproduction.runs import list_runs
    from scs_siam.runtime import hardware
    from scs_siam.runtime.files import write_json

    profile, started = _profile(args), time.perf_counter()
    missing = [x for x in list_runs(profile) if x.state() not in ("current", "no data")]
    shares = {run.id: 0.0 for run in missing}
    with Progress(len(shares), "run", profile.folder / "progress.log") as progress:

        def on_wait(found):
            shares.update(found)
            running = ", ".join(name for name, share in found.items() if 0 < share < 1)
            progress.show(sum(shares.values()), running)

        experiments.reproduce(profile, args.jobs, device(args.device), on_wait)
    if not args.no_notebooks:
        from scs_siam.tools.notebooks import run_all

        run_all(profile.name)
        minutes, machine = (time.perf_counter() - started) / 60, hardware.describe()
        record = {"profile": profile.name, "runs": len(shares), "minutes": minutes}
        write_json(profile.folder / "reproduce.json", {**record, "machine": machine})


def verify(args) -> None:
    """Check stored results against their boxes, weights and data; leave with 1 if one differs."""
    from random import SystemRandom

    from scs_siam.reproduction import report, verify
    from scs_siam.reproduction.profiles import get_profile

    name, _, run_id = args.what.partition("/")
    seed, found = SystemRandom().randrange(10**6) if args.seed is None else args.seed, []
    tests = dict(
        text.split("=", 1) if "=" in text else (Path(text).name, text) for text in args.test
    )
    for each in [name] if name else [*report.COMMITTED, "held-out"]:
        checks = verify.verify(get_profile(each, tests=tests), run_id, seed=seed)
        if not run_id:
            verify.write_crate(get_profile(each), checks)
        found += checks
    print(f"{'':18}" + "".join(f"{outcome:>18}" for outcome in verify.OUTCOMES))
    for kind, outcomes in verify.count(found).items():
        print(f"{kind:18}" + "".join(f"{outcomes[one]:18}" for one in verify.OUTCOMES))
    print(f"boxes drawn with --seed {seed}")
    wrong = [check.where for check in found if check.outcome == "different"]
    if wrong:
        more = f"\nand {len(wrong) - 20} more" if len(wrong) > 20 else ""
        print("different:\n" + "\n".join(wrong[:20]) + more)
        raise SystemExit(1)


def sweep(args) -> None:
    """Run a notebook over a grid of parameters and print the table."""
    from scs_siam.tools import sweeps

    grid = {}
    for text in args.grid:
        name, equals, values = text.partition("=")
        if not equals:
            raise BadInput(f"{text}: write NAME=V1,V2, such as sigma=0.5,0.9")
        grid[name] = [setting(f"x={value}")[1] for value in values.split(",")]
    if args.engine == "ray" and args.jobs:
        reason = "on Ray the cluster's cores and GPUs decide how many points run at once"
        raise BadInput(f"--jobs: {reason}; leave it out")
    if args.engine == "local" and args.gpus is not None:
        raise BadInput("--gpus: only --engine ray places points by GPUs; leave it out")
    pool = sweeps.RayPool(args.gpus or 0.0) if args.engine == "ray" else None
    total = math.prod(map(len, [*grid.values(), args.seeds]))
    with Progress(total, "point", args.out / "progress.log") as progress:

        def on_point(done, total):
            progress.show(done)

        options = (args.seeds, args.jobs or 1, args.out, on_point, pool)
        table = sweeps.sweep(args.notebook, grid, *options)
    print(table)


def _whole(least):
    def whole(text):
        if not re.fullmatch(r"\d+", text) or int(text) < least:
            raise argparse.ArgumentTypeError(f"'{text}' is not a whole number from {least} up")
        return int(text)

    return whole


def _gpus(text):
    if not re.fullmatch(r"\d+|0?\.\d+", text):
        raise argparse.ArgumentTypeError(f"'{text}' is not a whole number of GPUs or a part of one")
    return float(text)


def _seeds(text):
    return tuple(_whole(0)(part) for part in text.split(","))


def _option(flag, text, **settings):
    return flag, {"help": text, **settings}


def _switch(flag, text):
    return flag, {"help": text, "action": "store_true"}


def _path(flag, text, metavar="DIR", **settings):
    return flag, {"help": text, "type": Path, "metavar": metavar, **settings}


def _count(flag, text, default=None, least=1, **settings):
    return flag, {"help": text, "type": _whole(least), "default": default, **settings}


DEVICE = [_option("--device", "auto, cpu or cuda", default="auto")]
VARIANT_NAMES = f"one of {', '.join(VARIANTS)}"
NETWORK = [
    _option("--variant", VARIANT_NAMES, default="SCS-Siam"),
    _option("--width", "factor on the channels; 1 is the paper's", type=float, default=1.0),
]
COMPILED = ["default", "reduce-overhead"]
COMPILE = _option("--compile", "mode of torch.compile", default="", choices=COMPILED)
FORMS = ["fast", "exact", "int8", "bf16"]
ARITHMETIC = "exact: plain float32; fast: whatever is fastest on this machine"
WEIGHTS = [
    _path("--weights", "a weights file of this project (default: the one shipped)", "FILE"),
    _option("--precision", ARITHMETIC, choices=FORMS, default="fast"),
    *DEVICE,
]
LAYOUTS = "benchmarks instead of the profile's; NAME=LAYOUT:ROOT names the layout (otb, vot, ...)"
PROFILE = [
    _option(
        "--profile", "smoke, mini, reference, quarter, held-out, full or paper", default="mini"
    ),
    _option("--train", "training set in GOT-10k's layout", default="", metavar="ROOT"),
    _option("--vid", "ImageNet VID, for the row SiameseFC", default="", metavar="ROOT"),
    _option("--test", LAYOUTS, nargs="*", default=[], metavar="NAME=ROOT"),
    _option("--rows", "only these rows", default="", metavar="A,B"),
    _option("--seeds", "only these seeds", type=_seeds, default=(), metavar="0,1"),
]
SOURCE = "video file, folder of images, camera number (0), stream (rtsp://...) or - (stdin)"
BOX = "the target in the first frame, in pixels from 0; without it you draw the box with the mouse"
FORMAT = "of --boxes: plain (0-based x,y,w,h), otb or got10k (1-based), vot"
EVERY = "store only every K-th frame of a video (GOT-10k: 10)"
RAY = "ray (an extra) uses all machines of the Ray cluster at RAY_ADDRESS, or this one"
GPUS = "GPUs of each point on Ray: 0 (default), 0.5 (two points share one), 1, ..."
VERIFIED = "a profile, or a run of it such as reference/SCS-Siam-seed0 (default: all committed)"
FOLDERS = "folders of the benchmarks, as of reproduce; without them boxes and scores stay unchecked"
REQUIRED = {"required": True}
COMMANDS = [
    Command(
        "track",
        track,
        "Follow one target through a video, a folder of images, a camera or a stream.",
        "scs-siam track clip.mp4 --box 120,80,60,90 --output tracked.mp4 --boxes boxes.txt",
        [
            _option("source", SOURCE),
            _option("--box", BOX, metavar="X,Y,W,H"),
            _switch("--show", "show a window while tracking; q quits"),
            _path("--output", "write a clip with the boxes drawn", "CLIP.mp4"),
            _path("--boxes", "write the boxes, one line per frame", "BOXES.txt"),
            _option("--format", FORMAT, choices=["plain", "otb", "got10k", "vot"], default="plain"),
            *WEIGHTS,
        ],
    ),
    Command(
        "train",
        train,
        "Train one variant; the same command resumes after an interruption.",
        "scs-siam train --root GOT-10k/train --store data/stores/got10k --out data/results/mine",
        [
            _option("--root", "training set in GOT-10k's layout", metavar="DIR", **REQUIRED),
            _path("--store", "where the crop store is or is built", **REQUIRED),
            _path("--out", "folder of checkpoints, log and weights", **REQUIRED),
            *NETWORK,
            _option("--preset", f"one of {', '.join(PRESETS)}", default="paper"),
            _count("--seed", "seed of the random numbers", 0, 0),
            _count("--workers", "processes that build the store", 2),
            _count("--every", EVERY, 1, metavar="K"),
            COMPILE,
            _option(
                "--set", "such as training.pairs=20000", nargs="*", default=[], metavar="NAME=VALUE"
            ),
            _path("--tensorboard", "also write loss and learning rate for TensorBoard (an extra)"),
            *DEVICE,
        ],
    ),
    Command(
        "validate",
        validate,
        "Print loss and hits on held-out training sequences, where settings are chosen.",
        "scs-siam validate --weights mine/weights.safetensors --store data/stores/got10k",
        [
            _path("--weights", "of a training with --set training.hold_out=N", "FILE", **REQUIRED),
            _path("--store", "the crop store of that training", **REQUIRED),
            _count("--pairs", "random pairs of held-out sequences", 1024),
            _count("--seed", "seed of the pairs", 0, 0),
            *DEVICE,
        ],
    ),
    Command(
        "evaluate",
        evaluate,
        "Run one-pass evaluation on a benchmark; finished sequences are not run again.",
        "scs-siam evaluate --layout otb --root OTB2015 --out results",
        [
            _option(
                "--layout",
                "layout of the benchmark",
                default="otb",
                choices=["otb", "tc128", "uav123", "vot", "clips"],
            ),
            _path("--root", "folder of the benchmark", **REQUIRED),
            _option("--sequences", "only these sequences", metavar="A,B"),
            _path("--out", "folder of raw boxes (1-based x,y,w,h) and scores.csv", **REQUIRED),
            _count("--lockstep", "sequences tracked at once, for a GPU", 1, metavar="N"),
            *WEIGHTS,
        ],
    ),
    Command(
        "export",
        export,
        "Write the network as ONNX and compare it with PyTorch (an extra).",
        "scs-siam export --out build/onnx",
        [_path("--out", "folder of template.onnx and search.onnx", **REQUIRED), WEIGHTS[0]],
    ),
    Command(
        "import",
        import_,
        "Convert a PyTorch checkpoint of siamfc-pytorch or of the authors' code.",
        "scs-siam import siamfc_alexnet_e50.pth --out siamfc.safetensors",
        [
            _option("checkpoint", "a file of torch.save with a state_dict; it is read safely"),
            _path("--out", "the weights file (default: the checkpoint's name)", "FILE"),
        ],
    ),
    Command(
        "trax",
        trax,
        "Serve the tracker to the VOT toolkit over the TraX protocol (an extra).",
        "scs-siam trax --weights data/results/mine/weights.safetensors",
        WEIGHTS,
    ),
    Command(
        "bench",
        bench,
        "Measure speed: several forms of one computation in one process, in turn.",
        "scs-siam bench track --width 0.5",
        [
            _option(
                "what",
                "what is measured",
                choices=["track", "evaluate", "variants", "train", "data"],
            ),
            *NETWORK,
            _count("--batch", "pairs per training step", 8),
            _count("--rounds", "repetitions", 15),
            _option("--root", "training set (default: that of the smoke profile)", metavar="DIR"),
            _path("--store", "its crop store, built if missing"),
            COMPILE,
            _switch("--json", "print one JSON object instead of a table"),
            *DEVICE,
        ],
    ),
    Command(
        "data",
        data,
        "Write the synthetic sets of a profile, or describe a real data set and check a folder.",
        "scs-siam data --dataset otb2015 --root OTB2015",
        [
            _option("--dataset", "a real set, such as otb2015", metavar="NAME"),
            _path("--root", "with --dataset: check this folder; nothing in it is changed"),
            *PROFILE,
        ],
    ),
    Command(
        "plan",
        plan,
        "List the runs of a profile: current, stale or missing, and the time that is left.",
        "scs-siam plan --profile paper --train GOT-10k/train --test OTB2015=OTB2015",
        PROFILE,
    ),
    Command(
        "run",
        run,
        "Train and evaluate one run of a profile by its number: one task of a job array.",
        "scs-siam run --profile mini --index 5",
        [
            _count("--index", "number of the run in scs-siam plan", None, 0, **REQUIRED),
            *PROFILE,
            *DEVICE,
        ],
    ),
    Command(
        "publish",
        publish,
        "Score the published boxes of another tracker as a row of a profile.",
        "scs-siam publish --tracker CFNet --boxes CFNet --annotations all.json --test OTB2015=OTB",
        [
            _option(
                "--tracker", "its name in the tables, such as CFNet", metavar="NAME", **REQUIRED
            ),
            _path("--boxes", "a file of 1-based x,y,w,h per target; they are not kept", **REQUIRED),
            _path("--annotations", "ground truth of the benchmark as JSON", "FILE", **REQUIRED),
            *PROFILE,
        ],
    ),
    Command(
        "reproduce",
        reproduce,
        "Bring all runs, figures and tables of a profile up to date.",
        "scs-siam reproduce --profile mini",
        [
            *PROFILE,
            _count("--jobs", "runs at once (default: one per core, one on a GPU)"),
            _switch("--no-notebooks", "runs only"),
            *DEVICE,
        ],
    ),
    Command(
        "verify",
        verify,
        "Check stored boxes, scores, tables and verdicts against each other, weights and data.",
        "scs-siam verify reference --test OTB12=OTB2015",
        [
            _option("what", VERIFIED, nargs="?", default="", metavar="PROFILE[/RUN]"),
            _option("--test", FOLDERS, nargs="*", default=[], metavar="NAME=ROOT"),
            _count("--seed", "seed of the boxes that are drawn (default: a new one)", None, 0),
        ],
    ),
    Command(
        "sweep",
        sweep,
        "Run a notebook over a grid of parameters and collect one table.",
        "scs-siam sweep 02 sigma=0.5,0.7,0.9 --seeds 0,1 --jobs 2",
        [
            _option("notebook", "number or path, such as 04"),
            _option("grid", "values of each parameter", nargs="*", metavar="NAME=V1,V2"),
            _option("--seeds", "seeds of each point", type=_seeds, default=(0,), metavar="0,1"),
            _count("--jobs", "points at once (default: 1)"),
            _option("--engine", RAY, choices=["local", "ray"], default="local"),
            _option("--gpus", GPUS, type=_gpus, metavar="N"),
            _path("--out", "folder of the results", default=Path("build/sweep")),
        ],
    ),
]
