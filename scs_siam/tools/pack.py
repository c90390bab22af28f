"""Runs on a bare machine with a card: code and data in parts of at most 50 MB, run within given minutes, results in one archive.

`python -m scs_siam.tools.pack make` writes the parts. On the other machine they are unpacked into one folder; `python -m scs_siam.tools.pack run` in it
needs PyTorch, numpy, opencv, scipy, pandas and safetensors, no network and no toolkit.
"""

import argparse
import io
import json
import sys
import tarfile
import time
from dataclasses import replace
from pathlib import Path

from scs_siam.data import benchmarks
from scs_siam.data.training_sets import read_videos
from scs_siam.reproduction import experiments, profiles, runs
from scs_siam.runtime.files import BadInput, atomic, read_json, root, write_json
from scs_siam.runtime.parallel import cores

PART = 50_000_000  # bytes of a part, at most
RESERVE = 10  # seconds of the given minutes that are kept for collecting
RESULTS = "results.tar.gz"


def make(of, out):
    """Write code and data of a profile as `out`/part-000.tar and so on; returns their paths. BadInput for a file that fills no part."""
    data, members = experiments.write_data(of), []
    videos = read_videos(data.train)
    members += _listed(
        "data/train",
        [(v.name, v.frames, {"boxes": v.boxes.tolist()}) for v in videos],
        "videos.json",
    )
    for name, place in data.tests.items():
        if benchmarks.layout_of(name, place) == "vot":
            raise BadInput(
                f"{name}: a pack holds no supervised evaluation; name the benchmarks with --test and leave this one out"
            )
        sequences = [
            (s.name, s.frames, {"boxes": s.truth.tolist(), "attributes": s.attributes})
            for s in benchmarks.read(name, place)
        ]
        members += _listed(f"data/tests/{name}", sequences, "sequences.json")
    task = {"profile": of.name, "rows": of.rows, "seeds": of.seeds, "tests": list(data.tests)}
    code = [
        (str(path.relative_to(root())), path)
        for path in sorted((root() / "scs_siam").rglob("*.py"))
    ]
    return _write_parts(Path(out), [*code, ("data/task.json", json.dumps(task).encode()), *members])


def _listed(folder, clips, name):
    """Archive members (name, path or bytes): the frames of clips (name, frames, more), and the list that tells what they are."""
    members, lines = [], []
    for clip, frames, more in clips:
        seen, places = {}, []
        for path in map(Path, frames):
            key = path.stat().st_size, path.read_bytes()
            if (
                key not in seen or name == "sequences.json"
            ):  # a single image stands twice in its training sequence
                seen[key] = f"{clip}/{path.name}"
                members.append((f"{folder}/{seen[key]}", path))
            places.append(seen[key])
        lines.append({"name": clip, "frames": places, **more})
    return [(f"{folder}/{name}", json.dumps(lines).encode()), *members]


def _write_parts(out, members):
    parts, bundle, size = [], [], 0
    for name, content in members:
        need = 512 * (
            2 + -(-(len(content) if isinstance(content, bytes) else content.stat().st_size) // 512)
        )
        if need + tarfile.RECORDSIZE > PART:
            raise BadInput(
                f"{name}: has {need / 1e6:.0f} MB and fits into no part of {PART / 1e6:.0f} MB; leave it out"
            )
        if size + need + tarfile.RECORDSIZE > PART:
            parts.append(_write_part(out, len(parts), bundle))
            bundle, size = [], 0
        bundle.append((name, content))
        size += need
    return [*parts, _write_part(out, len(parts), bundle)]


def _write_part(out, number, bundle):
    path = out / f"part-{number:03d}.tar"
    with atomic(path) as part, tarfile.open(part, "w", format=tarfile.USTAR_FORMAT) as archive:
        for name, content in bundle:
            _add(archive, name, content)
    return path


def _add(archive, name, content):
    data = content if isinstance(content, bytes) else content.read_bytes()
    entry = tarfile.TarInfo(name)
    entry.size, entry.mode = len(data), 0o644
    archive.addfile(entry, io.BytesIO(data))


class _TimeIsUp(Exception):
    pass


def run(minutes, device="cpu", say=print):
    """Train and evaluate the packed rows x seeds in their order until the minutes are gone, then write RESULTS; returns its path.

    A training that does not end in time stops at a checkpoint, from which the same command goes on. A run that fails is named and left
    out; after two in a row nothing more is tried, since the card has then probably gone.
    """
    until, task = (
        time.monotonic() + 60 * minutes - RESERVE,
        read_json(root() / "data" / "task.json"),
    )
    tests = {name: f"listed:{root() / 'data' / 'tests' / name}" for name in task["tests"]}
    of = replace(
        profiles.PROFILES[task["profile"]],
        rows=tuple(task["rows"]),
        seeds=tuple(task["seeds"]),
        tests=tests,
        vid="",
        train=str(root() / "data" / "train"),
    )
    data, failed = experiments.write_data(of), 0
    order = [
        run
        for row in of.rows
        for run in (runs.Run(of, row, seed) for seed in of.seeds)
        if run.row.data == "train"
    ]
    for number, one in enumerate(order, 1):
        try:
            if time.monotonic() > until or not _bring(one, data, device, until):
                say(f"{one.id}: the time is up, {number - 1} of {len(order)} runs were tried")
                break
            failed = 0
            say(f"{one.id}: done, {number} of {len(order)}")
        except BadInput as error:
            failed += 1
            say(f"{one.id}: {error}")
            if failed == 2:
                break
    return collect(of, order)


def _bring(one, data, device, until):
    """Train and evaluate one run, and say whether that ended in time."""

    def on_frame(*_):
        if time.monotonic() > until:
            raise _TimeIsUp

    if experiments.is_current(one, data):
        return True
    experiments.open_store(one, data, workers=cores())
    if not experiments.train_run(one.trained_by, data, device, until=until):
        return False
    try:
        experiments.evaluate_run(one, data, device, on_frame)
    except _TimeIsUp:  # the sequences that are finished stay
        return False
    return True


def collect(of, order):
    """Write the finished runs of a profile to RESULTS as data/results/<profile>/<run>/..., without weights but for the first SCS-Siam."""
    finished = [one for one in order if (one.folder / "manifest.json").is_file()]
    with_weights = next((one for one in finished if one.name == "SCS-Siam"), None)
    path = root() / RESULTS
    with atomic(path) as part, tarfile.open(part, "w:gz") as archive:
        for one in finished:
            for file in sorted(one.folder.rglob("*")):
                if (
                    file.is_file()
                    and not file.name.startswith(".")
                    and (one is with_weights or file.suffix != ".safetensors")
                ):
                    _add(archive, str(file.relative_to(root())), file)
    write_json(root() / "collected.json", {one.id: one in finished for one in order})
    return path


def main(arguments=None):
    """The two commands; bad input ends in one line on stderr and exit code 2."""
    parser = argparse.ArgumentParser(
        "python -m scs_siam.tools.pack", description=__doc__.splitlines()[0]
    )
    group = parser.add_subparsers(dest="command", required=True)
    made = group.add_parser("make", help="write the parts")
    made.add_argument("--profile", default="full")
    made.add_argument(
        "--train",
        default="",
        metavar="ROOT",
        help="training set in GOT-10k layout, instead of the profile's",
    )
    made.add_argument(
        "--test",
        nargs="*",
        default=[],
        metavar="NAME=ROOT",
        help="benchmarks, instead of the profile's",
    )
    made.add_argument("--rows", default="", metavar="A,B", help="only these rows, in this order")
    made.add_argument("--seeds", default="", metavar="0,1", help="only these seeds")
    made.add_argument("--out", type=Path, default=Path("build/gpu-pack"))
    made = group.add_parser(
        "run", help="train, evaluate and collect, in the folder where the parts were unpacked"
    )
    made.add_argument("--minutes", type=float, required=True)
    made.add_argument("--device", default="cuda", choices=["cuda", "cpu"])
    parsed = parser.parse_args(arguments)
    try:
        _make(parsed) if parsed.command == "make" else _run(parsed)
    except BadInput as error:
        print(f"scs_siam.pack {parsed.command}: {error}", file=sys.stderr)
        raise SystemExit(2) from None


def _make(parsed):
    rows, seeds = (tuple(filter(None, text.split(","))) for text in (parsed.rows, parsed.seeds))
    if not all(seed.isdigit() for seed in seeds):
        raise BadInput(f"--seeds {parsed.seeds}: write whole numbers with commas, such as 0,1")
    tests = dict(
        text.split("=", 1) if "=" in text else (Path(text).name, text) for text in parsed.test
    )
    of = profiles.get_profile(
        parsed.profile, train=parsed.train, rows=rows, seeds=tuple(map(int, seeds))
    )
    for path in make(replace(of, tests=tests) if tests else of, parsed.out):
        print(path, f"{path.stat().st_size / 1e6:.1f} MB")


def _run(parsed):
    import torch

    if parsed.device == "cuda" and not torch.cuda.is_available():
        raise BadInput("no card is at hand; use --device cpu")
    print(run(parsed.minutes, parsed.device))


if __name__ == "__main__":
    main()
