"""What the commands on one network do: track, train, validate, evaluate, export, trax.

Heavy modules are imported where they are used, so that --help is quick.
"""

import itertools
import json
import sys
from contextlib import nullcontext

from scs_siam.config import Config
from scs_siam.runtime.files import BadInput, locked
from scs_siam.runtime.progress import Progress


def _tracker(args):
    from scs_siam.track import Tracker
    from scs_siam.weights import load_weights, shipped

    model, config = load_weights(args.weights or shipped())
    return Tracker(model, config.tracking, device(args.device), args.precision), config


def device(name):
    import torch

    from scs_siam.runtime.hardware import default_device

    if name == "auto":
        return default_device()
    if name not in ("cpu", "cuda"):
        raise BadInput(f"--device {name}: choose auto, cpu or cuda")
    if name == "cuda" and not torch.cuda.is_available():
        raise BadInput("--device cuda: no card is at hand; use --device cpu")
    return name


def track(args):
    """Follow one target through a clip; boxes and clip hold what was done, also after an interruption."""
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
    coming = prefetch(frames, 1 if frames.live else 4)
    first = next(coming)
    box = interactive.draw_first_box(first) if box is None else box
    with (
        interactive.Window() if args.show else nullcontext() as window,
        Progress(interactive.length(frames), "frame") as progress,
    ):
        boxes, stopped = interactive.follow(
            tracker,
            itertools.chain([first], coming),
            box,
            progress,
            args.output,
            args.boxes,
            args.format,
            window,
        )
    if stopped:
        raise KeyboardInterrupt(f"stopped after {len(boxes)} frames; clip and boxes hold them")
    print(f"{len(boxes)} frames; last box {','.join(f'{value:.1f}' for value in boxes[-1])}")


def train(args):
    """Build or open the crop store and train one variant, alone or with the other processes of torchrun."""
    from scs_siam.data.store import CropStore, needed_size
    from scs_siam.data.training_sets import read_videos
    from scs_siam.runtime import distributed
    from scs_siam.train import Trainer

    config = Config.preset(args.preset, args.variant, args.width).replace(
        **dict(setting(text) for text in args.set)
    )
    where = distributed.join(device(args.device))
    write = _scalars(args.tensorboard) if args.tensorboard and distributed.first() else None
    videos = read_videos(args.root)
    with Progress(1, "crop store") as progress:

        def build():
            with locked(args.store):
                return CropStore.build(
                    videos,
                    args.store,
                    config.training.min_area,
                    args.workers,
                    lambda done, total: progress.show(done / total),
                    needed_size(config.training),
                    args.every,
                )

        store = distributed.first_then_others(build)
    left_out = ", ".join(
        f"{count} {reason}" for reason, count in store.manifest["skipped"].items() if count
    )
    if left_out and distributed.first():
        print(f"{args.store}: {len(store)} crops; left out: {left_out}", file=sys.stderr)
    trainer = Trainer(config, store, args.out, args.seed, where, compiled=args.compile)
    with Progress(config.training.pairs, "pair", args.out / "progress.log") as progress:

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
        raise BadInput(
            "--tensorboard: TensorBoard is not installed; pip install 'scs-siam[tensorboard]'"
        ) from None
    writer = SummaryWriter(str(folder))

    def write(record):
        for name in ("loss", "learning_rate"):
            writer.add_scalar(f"training/{name}", record[name], record["step"])
        writer.flush()

    return write


def setting(text):
    name, equals, value = text.partition("=")
    if not equals:
        raise BadInput(f"--set {text}: write NAME=VALUE, such as training.pairs=20000")
    try:
        return name, json.loads(value)
    except ValueError:
        return name, value


def validate(args):
    """Print loss and hits of a weights file on the sequences that its training held out."""
    from scs_siam.data.store import CropStore
    from scs_siam.evaluation.validation import mean, validate
    from scs_siam.weights import load_weights

    model, config = load_weights(args.weights)
    with Progress(args.pairs, "pair") as progress:
        found = validate(
            model,
            CropStore.open(args.store),
            config.training,
            args.pairs,
            args.seed,
            device(args.device),
            progress.show,
        )
    columns = {name: [pair[name] for pair in found] for name in found[0]}
    print(f"{len(found)} pairs of {len(set(columns['sequence']))} held-out sequences")
    for text, kind in (("masked as in training", ""), ("unmasked as in tracking", "_unmasked")):
        loss, hits = (
            "{:.3f} ({:.3f} to {:.3f})".format(*mean(columns["sequence"], columns[name + kind]))
            for name in ("loss", "hit")
        )
        print(f"{text}: loss {loss}, hits {hits}")


def evaluate(args):
    """One-pass evaluation of a weights file on a benchmark."""
    from scs_siam.data import benchmarks
    from scs_siam.evaluation import one_pass
    from scs_siam.reproduction.results import write_scores
    from scs_siam.reproduction.runs import evaluation_key
    from scs_siam.runtime.files import sha256
    from scs_siam.weights import shipped

    weights = args.weights or shipped()
    sequences = benchmarks.READERS[args.layout](
        args.root, args.sequences.split(",") if args.sequences else None
    )
    tracker, config = _tracker(args)
    key = f"{evaluation_key(config, sha256(weights))}-{tracker.form}"
    starts = dict(
        zip(
            (sequence.name for sequence in sequences),
            itertools.accumulate((len(s.truth) for s in sequences), initial=1),
        )
    )
    done = itertools.count(1)  # in lockstep frames come from all sequences in turn
    with Progress(
        sum(len(sequence.truth) for sequence in sequences), "frame", args.out / "progress.log"
    ) as progress:

        def on_frame(sequence, index, *_):
            progress.show(
                starts[sequence.name] + index if args.lockstep == 1 else next(done), sequence.name
            )

        with locked(
            args.out / key
        ):  # a second process with these weights waits, then finds all done
            rows = one_pass.evaluate(tracker, sequences, args.out, key, on_frame, args.lockstep)
            write_scores(
                args.out / key / "scores.csv",
                [{"benchmark": args.root.resolve().name, **row} for row in rows],
            )
    total = one_pass.summarise(rows)
    print(
        f"{key}: {total['targets']} targets, AUC {total['auc']:.3f}, precision {total['precision']:.3f}, "
        f"{total['fps']:.1f} frames/s ({total['fps_with_decode']:.1f} with decoding)"
    )


def export(args):
    """Write template.onnx and search.onnx of a weights file."""
    from scs_siam.tools import export
    from scs_siam.weights import load_weights, shipped

    model, config = load_weights(args.weights or shipped())
    for name, difference in export.export(model, config.tracking, args.out).items():
        print(f"{args.out / name}: opset {export.OPSET}, at most {difference:.1g} from PyTorch")


def trax(args):
    """Serve the tracker to a TraX client."""
    from scs_siam.tools.trax import serve

    serve(_tracker(args)[0])
