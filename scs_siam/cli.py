"""The command line, scs-siam: track, train, evaluate, plan, reproduce, data, sweep."""
import argparse
import re
import sys
from pathlib import Path

from . import commands
from .config import PRESETS, VARIANTS
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
    group = top.add_subparsers(dest="command", required=True, metavar="COMMAND", parser_class=Parser)

    def command(name, run, text):
        made = group.add_parser(name, help=text, description=text)
        made.set_defaults(run=run)
        return made

    made = command("track", commands.track, "Follow one target through a video file or a folder of images.")
    made.add_argument("source", help="video file, or folder of images in the order of their names")
    made.add_argument("--box", required=True, metavar="X,Y,W,H",
                      help="the target in the first frame, pixels from 0 (a negative x: --box=-9,8,7,6)")
    made.add_argument("--output", type=Path, metavar="CLIP.mp4", help="write a clip with the boxes drawn")
    made.add_argument("--boxes", type=Path, metavar="BOXES.txt", help="write the boxes, 0-based x,y,w,h, a line a frame")
    _add_weights(made)

    made = command("train", commands.train, "Train one variant on a GOT-10k-layout set; the same command goes on after an interruption.")
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

    made = command("evaluate", commands.evaluate, "One-pass evaluation on a benchmark; finished sequences are not run again.")
    made.add_argument("--layout", choices=["otb", "tc128", "uav123"], default="otb", help="how the benchmark's folders are laid out")
    made.add_argument("--root", required=True, type=Path, metavar="DIR")
    made.add_argument("--sequences", metavar="A,B", help="only these")
    made.add_argument("--out", required=True, type=Path, metavar="DIR", help="raw boxes, 1-based x,y,w,h, and scores.csv")
    _add_weights(made)

    for name, run, text in (("plan", commands.plan, "Print which runs are current, stale or missing, and how long the rest takes."),
                            ("reproduce", commands.reproduce, "Bring all runs, figures and tables of a profile up to date."),
                            ("data", commands.data, "Write the synthetic benchmark of a profile.")):
        made = command(name, run, text)
        made.add_argument("--profile", default="mini", help="smoke, mini, reference, quarter or paper")
        made.add_argument("--train", default="", metavar="ROOT", help="training set in GOT-10k layout, instead of the profile's")
        made.add_argument("--vid", default="", metavar="ROOT", help="ImageNet VID, for the row SiameseFC of Table 9")
        made.add_argument("--test", nargs="*", default=[], metavar="NAME=ROOT",
                          help="benchmarks instead of the profile's; the name tells the layout, else NAME=LAYOUT:ROOT (otb, vot, ...)")
        made.add_argument("--rows", default="", metavar="A,B", help="only these rows")
        made.add_argument("--seeds", type=_seeds, default=(), metavar="0,1", help="only these seeds")
        if name == "plan":
            made.add_argument("--confirm", action="store_true",
                              help="accept trainings made by older code if today's repeats their first losses")
        if name == "reproduce":
            made.add_argument("--jobs", type=_whole(1), default=None, help="runs side by side (CPU only; default: one a core)")
            made.add_argument("--device", default="auto", help="auto, cpu or cuda")
            made.add_argument("--no-notebooks", action="store_true", help="runs only")

    made = command("bench", commands.bench, "Measure the speed of tracking or training: all forms in one process, in turn.")
    made.add_argument("what", choices=["track", "train"])
    made.add_argument("--width", type=float, default=1.0, help="factor on the channels (1: the paper's)")
    made.add_argument("--variant", default="SCS-Siam", help=f"one of {', '.join(VARIANTS)}")
    made.add_argument("--batch", type=_whole(1), default=8, help="pairs a training step")
    made.add_argument("--rounds", type=_whole(1), default=15)
    made.add_argument("--store", type=Path, metavar="DIR", help="crop store to train from (default: that of the smoke profile)")
    made.add_argument("--json", action="store_true", help="print one JSON object instead of a table")
    made.add_argument("--device", default="auto", help="auto, cpu or cuda")

    made = command("sweep", commands.sweep, "Run a notebook over a grid of parameters and collect one table.")
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
