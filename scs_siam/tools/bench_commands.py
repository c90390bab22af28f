"""What the command bench does.

Heavy modules are imported where they are used, so that --help is quick.
"""

import json

from scs_siam.config import Config
from scs_siam.runtime.files import BadInput
from scs_siam.tools.commands import device


def bench(args):
    """Measure speed and print a table or one JSON object."""
    import torch

    from scs_siam.model import SiameseNet
    from scs_siam.reproduction.profiles import TABLE9
    from scs_siam.tools import bench, bench_data, throughput, together

    config, where = Config.preset(variant=args.variant, width=args.width), device(args.device)
    torch.manual_seed(0)
    if args.what in ("track", "evaluate"):
        record = getattr(bench, args.what)(
            SiameseNet(config.model), config.tracking, args.rounds, where
        )
    elif args.what == "variants":
        rows = {
            name: Config.preset(variant=row.variant, width=args.width)
            for name, row in TABLE9.items()
            if row.data == "train"
        }
        record = bench.variants(rows, args.rounds, where)
    elif args.what == "data":
        record = bench_data.data(config, args.rounds)
    else:
        (store, videos), config = (
            _training_data(args),
            config.replace(**{"training.batch": args.batch}),
        )
        if args.what == "train":
            record = throughput.train(config, store, videos, args.rounds, where, args.compile)
        else:
            record = together.together(config, store.root, args.jobs, args.rounds, device=where)
    record = {"bench": args.what, "variant": args.variant, "width": args.width, **record}
    if args.json:
        print(json.dumps(record))
        return
    for name, value in record.items():
        for part, number in value.items() if isinstance(value, dict) else [("", value)]:
            number = (
                "  ".join(f"{key} {_short(item)}" for key, item in number.items())
                if isinstance(number, dict)
                else _short(number)
            )
            print(f"{name:18} {part:18} {number}")


def _short(value):
    return f"{value:.2f}" if isinstance(value, float) else value


def _training_data(args):
    """Crop store and videos of a training benchmark: those that were named, or those of the smoke profile."""
    from scs_siam.data.store import CropStore
    from scs_siam.data.training_sets import read_got10k
    from scs_siam.reproduction import experiments
    from scs_siam.reproduction.profiles import get_profile
    from scs_siam.reproduction.runs import list_runs

    if bool(args.root) != bool(args.store):
        raise BadInput(
            f"bench {args.what}: --root and --store belong together; name both or neither"
        )
    if args.root:
        return CropStore.build(videos := read_got10k(args.root), args.store), videos
    data = experiments.write_data(of := get_profile("smoke"))
    return experiments.open_store(list_runs(of)[0], data), read_got10k(data.train)
