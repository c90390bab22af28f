"""What each command of scs-siam does with its parsed arguments. Heavy modules are imported where they are used, so that --help is quick."""
import json
import sys
import time
from pathlib import Path

from .config import Config
from .files import BadInput


def _tracker(args):
    from .track import Tracker
    from .weights import load_weights, shipped

    model, config = load_weights(args.weights or shipped())
    return Tracker(model, config.tracking, _device(args.device), args.precision), config


def _device(name):
    import torch

    from .machine import default_device
    if name == "auto":
        return default_device()
    if name not in ("cpu", "cuda"):
        raise BadInput(f"--device {name}: choose auto, cpu or cuda")
    if name == "cuda" and not torch.cuda.is_available():
        raise BadInput("--device cuda: no card is at hand; use --device cpu")
    return name


def track(args):
    """Follow one target through a clip; boxes and clip hold what was done, also after an interruption."""
    from contextlib import ExitStack

    from tqdm import tqdm

    from .boxes import parse_box, write_boxes
    from .clips import ClipWriter
    from .frames import Frames, prefetch

    box, boxes = parse_box(args.box), []
    tracker, _ = _tracker(args)
    frames = Frames(args.source)
    for path in (args.output, args.boxes):
        if path and path.exists() and path.samefile(args.source):
            raise BadInput(f"{path}: is the source itself; choose another name for what is written")
    try:
        with ExitStack() as stack:
            clip = stack.enter_context(ClipWriter(args.output)) if args.output else None

            def on_frame(frame, found):
                boxes.append(found)
                if clip:
                    clip.write(frame, found)
            tracker.track(tqdm(prefetch(frames), unit="frame", file=sys.stderr, disable=None), box, on_frame)
    finally:
        if args.boxes and boxes:
            write_boxes(args.boxes, boxes)
    print(f"{len(boxes)} frames; last box {','.join(f'{value:.1f}' for value in boxes[-1])}")


def train(args):
    """Build or open the crop store and train one variant."""
    from tqdm import tqdm

    from .store import CropStore, read_got10k
    from .train import Trainer

    config = Config.preset(args.preset, args.variant, args.width).replace(**dict(_setting(text) for text in args.set))
    store = CropStore.build(read_got10k(args.root), args.store, config.training.min_area, args.workers)
    trainer = Trainer(config, store, args.out, args.seed, _device(args.device))
    with tqdm(total=config.training.pairs, unit="pair", file=sys.stderr, smoothing=0.05) as bar:
        def on_step(record):
            bar.update(record["pairs"] - bar.n)
            bar.set_postfix(loss=f"{record['loss']:.3f}", epoch=record["epoch"], refresh=False)
        trainer.run(on_step)
    print(args.out / "weights.safetensors")


def _setting(text):
    name, equals, value = text.partition("=")
    if not equals:
        raise BadInput(f"--set {text}: write NAME=VALUE, such as training.pairs=20000")
    try:
        return name, json.loads(value)
    except ValueError:
        return name, value


def evaluate(args):
    """One-pass evaluation of a weights file on a benchmark."""
    from . import benchmarks, layouts
    from .evidence import write_scores
    from .files import sha256
    from .runs import evaluation_key
    from .weights import shipped

    weights = args.weights or shipped()
    sequences = layouts.READERS[args.layout](args.root, args.sequences.split(",") if args.sequences else None)
    tracker, config = _tracker(args)
    key = evaluation_key(config, sha256(weights)) + ("-exact" if args.precision == "exact" else "")
    rows = benchmarks.evaluate(tracker, sequences, args.out, key, _progress(sequences))
    write_scores(args.out / key / "scores.csv", [{"benchmark": args.root.resolve().name, **row} for row in rows])
    total = benchmarks.summarise(rows)
    print(f"{key}: {total['targets']} targets, AUC {total['auc']:.3f}, precision {total['precision']:.3f}, "
          f"{total['fps']:.1f} frames/s ({total['fps_with_decode']:.1f} with decoding)")


def _progress(sequences):
    from tqdm import tqdm

    bar = tqdm(total=sum(len(sequence.truth) for sequence in sequences), unit="frame", file=sys.stderr, disable=None)

    def on_frame(sequence, index, frame, box):
        bar.set_description(sequence.name, refresh=False)
        bar.update()
    return on_frame


def _profile(args):
    from .runs import profile

    tests = dict(text.split("=", 1) if "=" in text else (Path(text).name, text) for text in args.test)
    rows = tuple(row for row in args.rows.split(",") if row)
    return profile(args.profile, train=args.train, vid=args.vid, tests=tests, seeds=args.seeds, rows=rows)


def plan(args):
    """Print the state of each run of a profile and the time that is left."""
    from . import experiments
    from .runs import runs

    of = _profile(args)
    if args.confirm:
        data = experiments.write_data(of)
        for run in runs(of):
            if (run.folder / "training.json").is_file() and not experiments.confirm(run, experiments.open_store(run, data)):
                print(f"{run.id}: today's code gives other losses; the run must be repeated")
    lines, total = experiments.plan(of)
    for run, state, seconds in lines:
        print(f"{run:34} {state:8} {_time(seconds) if state != 'current' else ''}")
    print(f"profile {of.name}: {len(lines)} runs, about {_time(total)} on one core here")


def _time(seconds):
    if seconds is None:
        return "unknown (nothing was measured yet)"
    return f"{seconds:.0f} s" if seconds < 90 else f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


def data(args):
    """Write a profile's synthetic sets and print their folders."""
    from .experiments import write_data

    data = write_data(_profile(args))
    print("\n".join(filter(None, [data.train, data.vid, *data.tests.values()])))


def reproduce(args):
    """Bring the runs of a profile up to date, then run its notebooks."""
    from . import experiments, machine
    from .files import write_json
    from .runs import runs

    of, bar, started = _profile(args), _Bar(), time.perf_counter()
    todo = sum(run.state() not in ("current", "no data") for run in runs(of))
    experiments.reproduce(of, args.jobs, _device(args.device), bar.show)
    bar.close()
    if not args.no_notebooks:
        from .notebooks import run_all
        run_all(of.name)
        write_json(of.folder / "reproduce.json", {"profile": of.name, "runs": todo, "minutes": (time.perf_counter() - started) / 60,
                                                  "machine": machine.describe()})


class _Bar:
    """One line on a terminal, or a line every tenth in a log: share done, runs at work, time left."""

    def __init__(self):
        self.bar = None

    def show(self, shares):
        from tqdm import tqdm
        if self.bar is None:
            self.bar = tqdm(total=len(shares), unit="run", file=sys.stderr, bar_format="{l_bar}{bar}| {elapsed} < {remaining} {desc}",
                            mininterval=1 if sys.stderr.isatty() else 30)
        self.bar.set_description_str(", ".join(name for name, share in shares.items() if 0 < share < 1), refresh=False)
        self.bar.update(sum(shares.values()) - self.bar.n)

    def close(self):
        if self.bar is not None:
            self.bar.close()


def bench(args):
    """Measure speed and print a table or one JSON object."""
    import torch

    from . import bench, experiments
    from .model import SiameseNet
    from .runs import profile, runs
    from .store import CropStore

    config, device = Config.preset(variant=args.variant, width=args.width), _device(args.device)
    torch.manual_seed(0)
    if args.what == "track":
        record = bench.track(SiameseNet(config.model), config.tracking, args.rounds, device)
    else:
        of = profile("smoke")
        store = CropStore.open(args.store) if args.store else experiments.open_store(runs(of)[0], experiments.write_data(of))
        record = bench.train(config.replace(**{"training.batch": args.batch}), store, args.rounds, device)
    record = {"bench": args.what, "variant": args.variant, "width": args.width, **record}
    if args.json:
        print(json.dumps(record))
        return
    for name, value in record.items():
        for part, number in value.items() if isinstance(value, dict) else [("", value)]:
            print(f"{name:18} {part:18} {f'{number:.2f}' if isinstance(number, float) else number}")


def sweep(args):
    """Run a notebook over a grid and print the table."""
    from . import sweeps

    grid = {}
    for text in args.grid:
        name, equals, values = text.partition("=")
        if not equals:
            raise BadInput(f"{text}: write NAME=V1,V2, such as sigma=0.5,0.9")
        grid[name] = [_setting(f"x={value}")[1] for value in values.split(",")]
    print(sweeps.sweep(args.notebook, grid, args.seeds, args.jobs, args.out))
