"""The command line, scs-siam: track, train, validate, evaluate, export, trax, bench, data, plan, run, publish, reproduce, sweep, site."""

import argparse
import re
import sys
from pathlib import Path

from scs_siam.config import PRESETS, VARIANTS
from scs_siam.runtime.files import BadInput
from scs_siam.tools import bench_commands, commands, run_commands


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
    except (
        OSError,
        MemoryError,
    ) as error:  # a folder that may not be searched, a name that is too long, a clip beyond all memory
        what = f"{error.filename}: " if getattr(error, "filename", None) else ""
        reason = getattr(error, "strerror", None) or " ".join(
            f"{type(error).__name__} {error}".split()
        )
        print(
            f"scs-siam {parsed.command}: {what}{reason}; check the path, its permissions and the size of what it holds",
            file=sys.stderr,
        )
        raise SystemExit(2) from None
    except KeyboardInterrupt as error:
        kept = (
            str(error) or "stopped; what was finished is kept, the same command goes on from there"
        )
        print(f"scs-siam {parsed.command}: {kept}", file=sys.stderr)
        raise SystemExit(130) from None


def parser():
    """The argument parser with all commands, each with an example."""
    top = Parser(
        "scs-siam",
        description="Train, run and check the SCS-Siam tracker (Sensors 2020, 20(14), 4021).",
        epilog="examples:\n"
        + "\n".join(f"  {example}" for _, _, _, example, _ in COMMANDS)
        + "\n\n"
        "exit codes:\n  0 done; 2 bad input, said in one line on stderr; 130 stopped by Ctrl-C, what was finished is kept",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    group = top.add_subparsers(
        dest="command", required=True, metavar="COMMAND", parser_class=Parser, title="commands"
    )
    for name, run, text, example, add in COMMANDS:
        made = group.add_parser(
            name,
            help=text,
            description=text,
            epilog=f"example:\n  {example}",
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        made.set_defaults(run=run)
        add(made)
    return top


def _track(made):
    made.add_argument(
        "source",
        help="video file, folder of images in the order of their names, camera number (0) or stream (rtsp://...)",
    )
    made.add_argument(
        "--box",
        metavar="X,Y,W,H",
        help="the target in the first frame, pixels from 0 (a negative x: --box=-9,8,7,6); "
        "without it you draw the box with the mouse",
    )
    made.add_argument("--show", action="store_true", help="show a window while tracking; q ends")
    made.add_argument(
        "--output", type=Path, metavar="CLIP.mp4", help="write a clip with the boxes drawn"
    )
    made.add_argument(
        "--boxes", type=Path, metavar="BOXES.txt", help="write the boxes, a line a frame"
    )
    made.add_argument(
        "--format",
        choices=["plain", "otb", "got10k", "vot"],
        default="plain",
        help="of --boxes: plain (0-based x,y,w,h), otb or got10k (1-based), vot (a line 1, then 0-based)",
    )
    _add_weights(made)


def _train(made):
    made.add_argument("--root", required=True, metavar="DIR", help="folder with list.txt")
    made.add_argument(
        "--store",
        required=True,
        type=Path,
        metavar="DIR",
        help="where the crop store is, or is to be built",
    )
    made.add_argument(
        "--out",
        required=True,
        type=Path,
        metavar="DIR",
        help="folder of checkpoints, log and weights",
    )
    _add_network(made)
    made.add_argument("--preset", default="paper", help=f"one of {', '.join(PRESETS)}")
    made.add_argument("--seed", type=_whole(0), default=0)
    made.add_argument("--workers", type=_whole(1), default=2, help="processes that build the store")
    made.add_argument(
        "--every",
        type=_whole(1),
        default=1,
        metavar="K",
        help="store only every K-th frame of a video (GOT-10k: 10)",
    )
    made.add_argument(
        "--compile",
        default="",
        choices=["default", "reduce-overhead"],
        metavar="MODE",
        help="torch.compile: default, or reduce-overhead (CUDA graphs)",
    )
    made.add_argument(
        "--set",
        nargs="*",
        default=[],
        metavar="NAME=VALUE",
        help="settings, such as training.pairs=20000",
    )
    made.add_argument(
        "--tensorboard",
        type=Path,
        metavar="DIR",
        help="also write loss and learning rate for TensorBoard (an extra)",
    )
    _add_device(made)


def _validate(made):
    made.add_argument(
        "--weights",
        required=True,
        type=Path,
        metavar="FILE",
        help="of a training with --set training.hold_out=N",
    )
    made.add_argument(
        "--store", required=True, type=Path, metavar="DIR", help="the crop store of that training"
    )
    made.add_argument(
        "--pairs", type=_whole(1), default=1024, help="random pairs of held-out sequences"
    )
    made.add_argument("--seed", type=_whole(0), default=0)
    _add_device(made)


def _evaluate(made):
    made.add_argument(
        "--layout",
        choices=["otb", "tc128", "uav123"],
        default="otb",
        help="how the benchmark's folders are laid out",
    )
    made.add_argument("--root", required=True, type=Path, metavar="DIR")
    made.add_argument("--sequences", metavar="A,B", help="only these")
    made.add_argument(
        "--out",
        required=True,
        type=Path,
        metavar="DIR",
        help="raw boxes, 1-based x,y,w,h, and scores.csv",
    )
    made.add_argument(
        "--lockstep",
        type=_whole(1),
        default=1,
        metavar="N",
        help="sequences tracked at once, for a GPU",
    )
    _add_weights(made)


def _export(made):
    made.add_argument(
        "--out",
        required=True,
        type=Path,
        metavar="DIR",
        help="folder of template.onnx and search.onnx",
    )
    made.add_argument(
        "--weights",
        type=Path,
        metavar="FILE",
        help="safetensors of this project (default: the shipped ones)",
    )


def _bench(made):
    made.add_argument(
        "what", choices=["track", "evaluate", "variants", "train", "together", "data"]
    )
    _add_network(made)
    made.add_argument("--batch", type=_whole(1), default=8, help="pairs a training step")
    made.add_argument("--rounds", type=_whole(1), default=15)
    made.add_argument(
        "--jobs", type=_whole(2), default=2, help="of together: trainings side by side"
    )
    made.add_argument(
        "--root",
        metavar="DIR",
        help="training set in GOT-10k layout (default: that of the smoke profile)",
    )
    made.add_argument(
        "--store", type=Path, metavar="DIR", help="its crop store, built if it is not there"
    )
    made.add_argument(
        "--compile",
        default="",
        choices=["default", "reduce-overhead"],
        metavar="MODE",
        help="time a training step by torch.compile too",
    )
    made.add_argument(
        "--json", action="store_true", help="print one JSON object instead of a table"
    )
    _add_device(made)


def _data(made):
    made.add_argument(
        "--dataset",
        metavar="NAME",
        help="a real set, such as otb2015: where it comes from, its licence, its layout",
    )
    made.add_argument(
        "--root",
        type=Path,
        metavar="DIR",
        help="with --dataset: check this folder; nothing in it is changed",
    )
    _add_profile(made)


def _plan(made):
    _add_profile(made)


def _publish(made):
    made.add_argument(
        "--tracker", required=True, metavar="NAME", help="its name in the tables, such as CFNet"
    )
    made.add_argument(
        "--boxes",
        required=True,
        type=Path,
        metavar="DIR",
        help="a file of 1-based x,y,w,h a target; they are not kept",
    )
    made.add_argument(
        "--annotations",
        required=True,
        type=Path,
        metavar="FILE",
        help="the benchmark's ground truth as JSON",
    )
    _add_profile(made)


def _run(made):
    made.add_argument(
        "--index",
        type=_whole(0),
        required=True,
        metavar="N",
        help="number of the run, as scs-siam plan lists them",
    )
    _add_profile(made)
    _add_device(made)


def _reproduce(made):
    _add_profile(made)
    made.add_argument(
        "--jobs",
        type=_whole(1),
        default=None,
        help="runs side by side (default: one a core, one on a card)",
    )
    made.add_argument("--no-notebooks", action="store_true", help="runs only")
    _add_device(made)


def _sweep(made):
    made.add_argument("notebook", help="number or path, such as 04")
    made.add_argument("grid", nargs="*", metavar="NAME=V1,V2", help="values of each parameter")
    made.add_argument("--seeds", type=_seeds, default=(0,), metavar="0,1")
    made.add_argument(
        "--jobs",
        type=_whole(1),
        default=None,
        help="points side by side (default: 1; Ray: one a core or as --gpus asks)",
    )
    made.add_argument(
        "--engine",
        choices=["local", "ray"],
        default="local",
        help="ray (an extra): on all machines of the Ray cluster at RAY_ADDRESS; where that is not set, on this one",
    )
    made.add_argument(
        "--gpus",
        type=_cards,
        default=None,
        metavar="N",
        help="cards that Ray gives to each point: 0 (default), 0.5 (two points share one), 1, ...",
    )
    made.add_argument("--out", type=Path, default=Path("build/sweep"))


def _site(made):
    made.add_argument("--out", type=Path, default=Path("build/site"), metavar="DIR")


def _add_profile(made):
    made.add_argument(
        "--profile", default="mini", help="smoke, mini, reference, quarter, held-out, full or paper"
    )
    made.add_argument(
        "--train",
        default="",
        metavar="ROOT",
        help="training set in GOT-10k layout, instead of the profile's",
    )
    made.add_argument(
        "--vid", default="", metavar="ROOT", help="ImageNet VID, for the row SiameseFC of Table 9"
    )
    made.add_argument(
        "--test",
        nargs="*",
        default=[],
        metavar="NAME=ROOT",
        help="benchmarks instead of the profile's; the name tells the layout, else NAME=LAYOUT:ROOT (otb, vot, ...)",
    )
    made.add_argument("--rows", default="", metavar="A,B", help="only these rows")
    made.add_argument("--seeds", type=_seeds, default=(), metavar="0,1", help="only these seeds")


def _add_network(made):
    made.add_argument("--variant", default="SCS-Siam", help=f"one of {', '.join(VARIANTS)}")
    made.add_argument(
        "--width", type=float, default=1.0, help="factor on the channels (1: the paper's)"
    )


def _add_weights(made):
    made.add_argument(
        "--weights",
        type=Path,
        metavar="FILE",
        help="safetensors of this project (default: the shipped ones)",
    )
    made.add_argument(
        "--precision",
        choices=["fast", "exact", "int8", "bf16"],
        default="fast",
        help="exact: plain float32; fast: what is fastest here",
    )
    _add_device(made)


def _add_device(made):
    made.add_argument("--device", default="auto", help="auto, cpu or cuda")


def _whole(least):
    def whole(text):
        if not re.fullmatch(r"\d+", text) or int(text) < least:
            raise argparse.ArgumentTypeError(f"'{text}' is not a whole number from {least} up")
        return int(text)

    return whole


def _cards(text):
    if not re.fullmatch(r"\d+|0?\.\d+", text):
        raise argparse.ArgumentTypeError(
            f"'{text}' is neither a whole number of cards nor a part of one"
        )
    return float(text)


def _seeds(text):
    return tuple(_whole(0)(part) for part in text.split(","))


COMMANDS = (  # name, function, what it does, an example, its arguments
    (
        "track",
        commands.track,
        "Follow one target through a video, a folder of images, a camera or a stream.",
        "scs-siam track clip.mp4 --box 120,80,60,90 --output tracked.mp4 --boxes boxes.txt",
        _track,
    ),
    (
        "train",
        commands.train,
        "Train one variant on a GOT-10k-layout set; the same command goes on after an interruption.",
        "scs-siam train --root GOT-10k/train --store data/stores/got10k --out data/results/mine",
        _train,
    ),
    (
        "validate",
        commands.validate,
        "Loss and hits on the training sequences that were held out: where settings are chosen.",
        "scs-siam validate --weights data/results/mine/weights.safetensors --store data/stores/got10k",
        _validate,
    ),
    (
        "evaluate",
        commands.evaluate,
        "One-pass evaluation on a benchmark; finished sequences are not run again.",
        "scs-siam evaluate --layout otb --root OTB2015 --out results",
        _evaluate,
    ),
    (
        "export",
        commands.export,
        "Write the network's template and search halves as ONNX and check them against PyTorch (an extra).",
        "scs-siam export --out build/onnx",
        _export,
    ),
    (
        "trax",
        commands.trax,
        "Serve the tracker to the VOT toolkit over the TraX protocol (an extra).",
        "scs-siam trax --weights data/results/mine/weights.safetensors",
        _add_weights,
    ),
    (
        "bench",
        bench_commands.bench,
        "Measure speed: all forms of one computation in one process, in turn.",
        "scs-siam bench track --width 0.5",
        _bench,
    ),
    (
        "data",
        run_commands.data,
        "Write the synthetic benchmark of a profile, or tell of a real one and check a folder of it.",
        "scs-siam data --dataset otb2015 --root OTB2015",
        _data,
    ),
    (
        "plan",
        run_commands.plan,
        "List the runs of a profile by number: current, stale or missing, and how long the rest takes.",
        "scs-siam plan --profile paper --train GOT-10k/train --test OTB2015=OTB2015",
        _plan,
    ),
    (
        "run",
        run_commands.run,
        "Train and evaluate one run of a profile by its number: one task of a job array.",
        "scs-siam run --profile mini --index 5",
        _run,
    ),
    (
        "publish",
        run_commands.publish,
        "Score a published tracker's raw boxes as a row of a profile.",
        "scs-siam publish --tracker CFNet --boxes CFNet --annotations OTB100.json --profile paper --test OTB2015=OTB2015",
        _publish,
    ),
    (
        "reproduce",
        run_commands.reproduce,
        "Bring all runs, figures and tables of a profile up to date.",
        "scs-siam reproduce --profile mini",
        _reproduce,
    ),
    (
        "sweep",
        run_commands.sweep,
        "Run a notebook over a grid of parameters and collect one table.",
        "scs-siam sweep 02 sigma=0.5,0.7,0.9 --seeds 0,1 --jobs 2",
        _sweep,
    ),
    (
        "site",
        run_commands.site,
        "Render notebooks, API, claims and figures as a static site that needs no network.",
        "scs-siam site --out build/site",
        _site,
    ),
)
