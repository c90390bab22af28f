"""The command line, scs-siam: track, train, evaluate, plan, reproduce, data, sweep."""
import argparse
import json
import re
import sys
from pathlib import Path

from .config import PRESETS, VARIANTS, Config
from .files import BadInput


class Parser(argparse.ArgumentParser):
    """argparse that answers bad arguments with one line and exit code 2."""

    def error(self, message):
        print(f"{self.prog}: {message}; see {self.prog} --help", file=sys.stderr)
        raise SystemExit(2)


def main(arguments=None):
    """Run one command; bad input ends in one line on stderr and exit code 2, Ctrl-C in exit code 130."""
    parsed = parser().parse_args(arguments)
    try:
        parsed.run(parsed)
    except BadInput as error:
        print(f"scs-siam {parsed.command}: {error}", file=sys.stderr)
        raise SystemExit(2) from None
    except KeyboardInterrupt:
        print(f"scs-siam {parsed.command}: stopped; what was finished is kept, the same command goes on from there", file=sys.stderr)
        raise SystemExit(130) from None


def parser():
    """The argument parser with all commands."""
    top = Parser("scs-siam", description="Train, run and check the SCS-Siam tracker (Sensors 2020, 20(14), 4021).", epilog="""examples:
  scs-siam track clip.mp4 --box 120,80,60,90 --output tracked.mp4
  scs-siam evaluate --layout otb --root data/OTB2015 --out results
  scs-siam reproduce --profile mini""", formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = top.add_subparsers(dest="command", required=True, metavar="COMMAND", parser_class=Parser)

    def command(name, run, text):
        made = commands.add_parser(name, help=text, description=text)
        made.set_defaults(run=run)
        return made

    made = command("track", _track, "Follow one target through a video file or a folder of images.")
    made.add_argument("source", help="video file, or folder of images in the order of their names")
    made.add_argument("--box", required=True, metavar="X,Y,W,H",
                      help="the target in the first frame, pixels from 0 (a negative x: --box=-9,8,7,6)")
    made.add_argument("--output", type=Path, metavar="CLIP.mp4", help="write a clip with the boxes drawn")
    made.add_argument("--boxes", type=Path, metavar="BOXES.txt", help="write the boxes, 0-based x,y,w,h, a line a frame")
    _add_weights(made)

    made = command("train", _train, "Train one variant on a GOT-10k-layout set; the same command goes on after an interruption.")
    made.add_argument("--root", required=True, metavar="DIR", help="folder with list.txt")
    made.add_argument("--store", required=True, type=Path, metavar="DIR", help="where the crop store is, or is to be built")
    made.add_argument("--out", required=True, type=Path, metavar="DIR", help="folder of checkpoints, log and weights")
    made.add_argument("--variant", default="SCS-Siam", help=f"one of {', '.join(VARIANTS)}")
    made.add_argument("--preset", default="paper", help=f"one of {', '.join(PRESETS)}")
    made.add_argument("--width", type=float, default=1.0, help="factor on the channels (1: the paper's)")
    made.add_argument("--seed", type=_whole(0), default=0)
    made.add_argument("--workers", type=_whole(1), default=2, help="processes that build the store")
    made.add_argument("--set", nargs="*", default=[], metavar="NAME=VALUE", help="settings, such as training.pairs=20000")
    made.add_argument("--device", default="auto", help="auto, cpu or cuda")

    made = command("evaluate", _evaluate, "One-pass evaluation on a benchmark; finished sequences are not run again.")
    made.add_argument("--layout", choices=["otb"], default="otb")
    made.add_argument("--root", required=True, type=Path, metavar="DIR")
    made.add_argument("--sequences", metavar="A,B", help="only these")
    made.add_argument("--out", required=True, type=Path, metavar="DIR", help="raw boxes, 1-based x,y,w,h, and scores.csv")
    _add_weights(made)

    for name, run, text in (("plan", _plan, "Print which runs of a profile are current, stale or missing, and how long the rest takes."),
                            ("reproduce", _reproduce, "Bring all runs, figures and tables of a profile up to date."),
                            ("data", _data, "Write the synthetic benchmark of a profile.")):
        made = command(name, run, text)
        made.add_argument("--profile", default="mini", help="smoke, mini, reference or paper")
        made.add_argument("--train", default="", metavar="ROOT", help="training set in GOT-10k layout, instead of the profile's")
        made.add_argument("--test", nargs="*", default=[], metavar="NAME=ROOT", help="benchmarks in OTB layout, instead of the profile's")
        made.add_argument("--rows", default="", metavar="A,B", help="only these rows")
        made.add_argument("--seeds", type=_seeds, default=(), metavar="0,1", help="only these seeds")
        if name == "plan":
            made.add_argument("--confirm", action="store_true",
                              help="accept trainings made by older code if today's repeats their first losses")
        if name == "reproduce":
            made.add_argument("--jobs", type=_whole(1), default=None, help="runs side by side (CPU only; default: one a core)")
            made.add_argument("--device", default="auto", help="auto, cpu or cuda")
            made.add_argument("--no-notebooks", action="store_true", help="runs only")

    made = command("bench", _bench, "Measure the speed of tracking or training: plain, exact and fast form in one process, in turn.")
    made.add_argument("what", choices=["track", "train"])
    made.add_argument("--width", type=float, default=1.0, help="factor on the channels (1: the paper's)")
    made.add_argument("--variant", default="SCS-Siam", help=f"one of {', '.join(VARIANTS)}")
    made.add_argument("--batch", type=_whole(1), default=8, help="pairs a training step")
    made.add_argument("--rounds", type=_whole(1), default=15)
    made.add_argument("--store", type=Path, metavar="DIR", help="crop store to train from (default: that of the smoke profile)")
    made.add_argument("--json", action="store_true", help="print one JSON object instead of a table")
    made.add_argument("--device", default="auto", help="auto, cpu or cuda")

    made = command("sweep", _sweep, "Run a notebook over a grid of parameters and collect one table.")
    made.add_argument("notebook", help="number or path, such as 04")
    made.add_argument("grid", nargs="*", metavar="NAME=V1,V2", help="values of each parameter")
    made.add_argument("--seeds", type=_seeds, default=(0,), metavar="0,1")
    made.add_argument("--jobs", type=_whole(1), default=1)
    made.add_argument("--out", type=Path, default=Path("build/sweep"))
    return top


def _whole(least):
    def whole(text):
        if not re.fullmatch(r"\d+", text) or int(text) < least:
            raise argparse.ArgumentTypeError(f"'{text}' is not a whole number from {least} up")
        return int(text)
    return whole


def _seeds(text):
    return tuple(_whole(0)(part) for part in text.split(","))


def _add_weights(made):
    made.add_argument("--weights", type=Path, metavar="FILE", help="safetensors of this project (default: the shipped ones)")
    made.add_argument("--device", default="auto", help="auto, cpu or cuda")
    made.add_argument("--precision", choices=["fast", "exact"], default="fast", help="exact: plain float32")


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


def _track(args):
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


def _train(args):
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


def _evaluate(args):
    from . import benchmarks
    from .experiments import write_scores
    from .files import sha256
    from .runs import evaluation_key
    from .weights import shipped

    weights = args.weights or shipped()
    sequences = benchmarks.read_otb(args.root, args.sequences.split(",") if args.sequences else None)
    tracker, config = _tracker(args)
    key = evaluation_key(config, sha256(weights))
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
    return profile(args.profile, train=args.train, tests=tests, seeds=args.seeds, rows=tuple(row for row in args.rows.split(",") if row))


def _plan(args):
    from .experiments import confirm, open_store, plan, write_data
    from .runs import runs

    of = _profile(args)
    if args.confirm:
        store = open_store(of, write_data(of)[0])
        for run in runs(of):
            if (run.folder / "training.json").is_file() and not confirm(run, store):
                print(f"{run.id}: today's code gives other losses; the run must be repeated")
    lines, total = plan(of)
    for run, state, seconds in lines:
        print(f"{run:34} {state:8} {_time(seconds) if state != 'current' else ''}")
    print(f"profile {of.name}: {len(lines)} runs, about {_time(total)} on one core here")


def _time(seconds):
    if seconds is None:
        return "unknown (nothing was measured yet)"
    return f"{seconds:.0f} s" if seconds < 90 else f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


def _data(args):
    from .experiments import write_data

    train, tests = write_data(_profile(args))
    print("\n".join([str(train), *map(str, tests.values())]))


def _reproduce(args):
    from .experiments import reproduce

    of, bar = _profile(args), _Bar()
    reproduce(of, args.jobs, _device(args.device), bar.show)
    bar.close()
    if not args.no_notebooks:
        from .notebooks import run_all
        run_all(of.name)


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


def _bench(args):
    import torch

    from . import bench, experiments
    from .model import SiameseNet
    from .runs import profile
    from .store import CropStore

    config, device = Config.preset(variant=args.variant, width=args.width), _device(args.device)
    torch.manual_seed(0)
    if args.what == "track":
        record = bench.track(SiameseNet(config.model), config.tracking, args.rounds, device)
    else:
        of = profile("smoke")
        store = CropStore.open(args.store) if args.store else experiments.open_store(of, experiments.write_data(of)[0])
        record = bench.train(config.replace(**{"training.batch": args.batch}), store, args.rounds, device)
    record = {"bench": args.what, "variant": args.variant, "width": args.width, **record}
    if args.json:
        print(json.dumps(record))
        return
    for name, value in record.items():
        for part, number in value.items() if isinstance(value, dict) else [("", value)]:
            print(f"{name:18} {part:18} {f'{number:.2f}' if isinstance(number, float) else number}")


def _sweep(args):
    from .sweeps import sweep

    grid = {}
    for text in args.grid:
        name, equals, values = text.partition("=")
        if not equals:
            raise BadInput(f"{text}: write NAME=V1,V2, such as sigma=0.5,0.9")
        grid[name] = [_setting(f"x={value}")[1] for value in values.split(",")]
    print(sweep(args.notebook, grid, args.seeds, args.jobs, args.out))
