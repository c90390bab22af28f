"""What the commands on many runs do: data, plan, run, reproduce, sweep, site.

Heavy modules are imported where they are used, so that --help is quick.
"""

import math
import time
from pathlib import Path

from scs_siam.runtime.files import BadInput
from scs_siam.runtime.progress import Progress, duration
from scs_siam.tools.commands import device, setting


def _profile(args):
    from scs_siam.reproduction.profiles import get_profile

    tests = dict(
        text.split("=", 1) if "=" in text else (Path(text).name, text) for text in args.test
    )
    rows = tuple(row for row in args.rows.split(",") if row)
    return get_profile(
        args.profile, train=args.train, vid=args.vid, tests=tests, seeds=args.seeds, rows=rows
    )


def plan(args):
    """Print the state of each run of a profile and the time that is left."""
    from scs_siam.reproduction import experiments

    of = _profile(args)
    lines, total = experiments.plan(of)
    for index, (run, state, seconds) in enumerate(lines):
        print(f"{index:3} {run:34} {state:8} {duration(seconds) if state != 'current' else ''}")
    print(f"profile {of.name}: {len(lines)} runs, about {duration(total)} on one core here")


def data(args):
    """Write a profile's synthetic sets and print their folders, or describe a real set and check a folder of it."""
    from scs_siam.reproduction.experiments import write_data

    if args.dataset:
        return _check(args.dataset, args.root)
    if args.root:
        raise BadInput(
            "--root: say with --dataset what the folder should hold, such as --dataset otb2015"
        )
    data = write_data(_profile(args))
    print("\n".join(filter(None, [data.train, data.vid, *data.tests.values()])))


def _check(name, root):
    from scs_siam.data import datasets

    about = datasets.describe(name)
    print(
        "\n".join(
            f"{key + ':':11}{about[key]}"
            for key in ("title", "source", "licence", "layout", "holds", "sequences")
        )
    )
    if root is None:
        print(f"to check a folder: scs-siam data --dataset {name} --root DIR")
        return
    problems = datasets.check(name, root)
    print("\n".join([*problems, f"{root}: is complete"][: len(problems) or 1]))
    if problems:
        raise BadInput(
            f"{root}: is not complete, {len(problems)} problem{'s' * (len(problems) > 1)} above; nothing was changed"
        )


def run(args):
    """Train and evaluate run number --index of a profile, and the runs that share its training: one task of a job array."""
    from scs_siam.reproduction import experiments
    from scs_siam.reproduction.runs import list_runs

    of = _profile(args)
    chosen = list_runs(of)
    if args.index >= len(chosen):
        raise BadInput(
            f"--index {args.index}: profile {of.name} has runs 0 to {len(chosen) - 1}; scs-siam plan lists them"
        )
    mine = chosen[args.index]
    if not mine.has_data:
        print(f"{mine.id}: has no data; name its training set with --vid ROOT")
        return
    if mine.row.weights_of:
        print(
            f"{mine.id}: comes with run {chosen.index(mine.trained_by)}, {mine.trained_by.id}, whose training it shares"
        )
        return
    data, where = experiments.write_data(of), device(args.device)
    with Progress(1, "run", mine.folder.parent / f"{mine.id}.log") as progress:
        experiments.train_run(
            mine,
            data,
            where,
            lambda record: progress.show(experiments.share_done(mine), f"{mine.id}, training"),
        )
    for each in [
        mine,
        *(other for other in chosen if other.row.weights_of and other.trained_by == mine),
    ]:
        if not experiments.is_current(each, data):
            experiments.evaluate_run(each, data, where)
        print(f"{each.id}: {each.state()}", flush=True)


def publish(args):
    """Score the raw boxes that another tracker's authors published and keep the scores as a row of a profile."""
    from scs_siam.data import benchmarks
    from scs_siam.reproduction.results import publish as score

    of = _profile(args)
    for name, root in ((name, root) for name, root in of.tests.items() if isinstance(root, str)):
        score(of, args.tracker, args.boxes, args.annotations, name, benchmarks.read(name, root))
        print(of.folder / f"published-{args.tracker}")
        return
    raise BadInput("publish: name the benchmark that the boxes are of with --test NAME=ROOT")


def reproduce(args):
    """Bring the runs of a profile up to date, then run its notebooks."""
    from scs_siam.reproduction import experiments
    from scs_siam.reproduction.runs import list_runs
    from scs_siam.runtime import hardware
    from scs_siam.runtime.files import write_json

    of, started = _profile(args), time.perf_counter()
    shares = {run.id: 0.0 for run in list_runs(of) if run.state() not in ("current", "no data")}
    with Progress(len(shares), "run", of.folder / "progress.log") as progress:

        def on_wait(found):
            shares.update(found)
            progress.show(
                sum(shares.values()),
                ", ".join(name for name, share in found.items() if 0 < share < 1),
            )

        experiments.reproduce(of, args.jobs, device(args.device), on_wait)
    if not args.no_notebooks:
        from scs_siam.tools.notebooks import run_all

        run_all(of.name)
        write_json(
            of.folder / "reproduce.json",
            {
                "profile": of.name,
                "runs": len(shares),
                "minutes": (time.perf_counter() - started) / 60,
                "machine": hardware.describe(),
            },
        )


def sweep(args):
    """Run a notebook over a grid and print the table."""
    from scs_siam.tools import sweeps

    grid = {}
    for text in args.grid:
        name, equals, values = text.partition("=")
        if not equals:
            raise BadInput(f"{text}: write NAME=V1,V2, such as sigma=0.5,0.9")
        grid[name] = [setting(f"x={value}")[1] for value in values.split(",")]
    pool = _pool(args)
    total = math.prod(map(len, [*grid.values(), args.seeds]))
    with Progress(total, "point", args.out / "progress.log") as progress:
        table = sweeps.sweep(
            args.notebook,
            grid,
            args.seeds,
            args.jobs or 1,
            args.out,
            lambda done, total: progress.show(done),
            pool,
        )
    print(table)


def _pool(args):
    """Where the points of a sweep run: Ray's pool, or None for processes here."""
    if args.engine == "ray" and args.jobs:
        raise BadInput(
            "--jobs: on Ray the cores and cards of the cluster say how many points run at once; leave it out"
        )
    if args.engine == "local" and args.gpus is not None:
        raise BadInput("--gpus: only --engine ray places points by cards; leave it out")
    if args.engine == "local":
        return None
    from scs_siam.tools.sweeps import RayPool

    return RayPool(args.gpus or 0.0)


def site(args):
    """Render the site and print the address of its first page."""
    from scs_siam.tools.site import build

    print(build(args.out) / "index.html")
