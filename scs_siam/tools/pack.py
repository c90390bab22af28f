"""Train on a bare machine with a GPU: code and data in parts of at most 50 MB, results in one file.

`python -m scs_siam.tools.pack make` writes the parts. On the other machine they are unpacked into
one folder, where `python -m scs_siam.tools.pack run --minutes 9` needs PyTorch, numpy, opencv,
scipy, pandas and safetensors, but no network and no toolkit.
"""

import argparse
import io
import json
import sys
import tarfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from scs_siam.data import benchmarks
from scs_siam.data.training_sets import read_videos
from scs_siam.reproduction import experiments, profiles, runs
from scs_siam.runtime.files import BadInput, atomic, read_json, root, write_json
from scs_siam.runtime.parallel import cores

PART = 50_000_000  # bytes of a part, at most
RESERVE = 10  # seconds of the given minutes that are kept for collecting the results
RESULTS = "results.tar.gz"


def make(profile: profiles.Profile, out) -> list[Path]:
    """Write code and data of a profile as `out`/part-000.tar and so on; return their paths."""
    sets = experiments.write_data(profile)
    videos = read_videos(sets.train)
    clips = [(v.name, v.frames, {"boxes": v.boxes.tolist()}) for v in videos]
    members = _listed("data/train", clips, "videos.json")
    for name, folder in sets.tests.items():
        if benchmarks.layout_of(name, folder) == "vot":
            remedy = "name the benchmarks with --test and leave this one out"
            raise BadInput(f"{name}: a pack holds no supervised evaluation; {remedy}")
        clips = []
        for s in benchmarks.read(name, folder):
            more = {"boxes": s.truth.tolist(), "attributes": s.attributes}
            clips.append((s.name, s.frames, more))
        members += _listed(f"data/tests/{name}", clips, "sequences.json")
    task = {"profile": profile.name, "rows": profile.rows, "seeds": profile.seeds}
    task = json.dumps({**task, "tests": list(sets.tests)}).encode()
    code = [(str(p.relative_to(root())), p) for p in sorted((root() / "scs_siam").rglob("*.py"))]
    return _write_parts(Path(out), [*code, ("data/task.json", task), *members])


def _listed(folder, clips, name):
    """Archive members (name, path or bytes): frames of clips, and the list that describes them."""
    members, lines = [], []
    for clip, frames, more in clips:
        seen, named = {}, []
        for path in map(Path, frames):
            key = path.stat().st_size, path.read_bytes()
            # A single image stands twice in its training sequence.
            if key not in seen or name == "sequences.json":
                seen[key] = f"{clip}/{path.name}"
                members.append((f"{folder}/{seen[key]}", path))
            named.append(seen[key])
        lines.append({"name": clip, "frames": named, **more})
    return [(f"{folder}/{name}", json.dumps(lines).encode()), *members]


def _write_parts(out, members):
    parts, bundle, size = [], [], 0
    for name, content in members:
        length = len(content) if isinstance(content, bytes) else content.stat().st_size
        need = 512 * (2 + -(-length // 512))
        if need + tarfile.RECORDSIZE > PART:
            problem = f"has {need / 1e6:.0f} MB and does not fit a part of {PART / 1e6:.0f} MB"
            raise BadInput(f"{name}: {problem}; leave it out")
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


class _TimeIsUp(Exception):  # noqa: N818
    pass


def run(minutes: float, device: str = "cpu", say: Callable = print) -> Path:
    """Train and evaluate the packed runs in order until the time is up, then write RESULTS.

    A training that does not end in time stops at a checkpoint, from which the same command resumes.
    A run that fails is named and left out; after two failures in a row nothing more is tried, since
    the GPU has probably disappeared.
    """
    until, task = (
        time.monotonic() + 60 * minutes - RESERVE,
        read_json(root() / "data" / "task.json"),
    )
    tests = {name: f"listed:{root() / 'data' / 'tests' / name}" for name in task["tests"]}
    known, rows = profiles.PROFILES[task["profile"]], tuple(task["rows"])
    folders = {"tests": tests, "vid": "", "train": str(root() / "data" / "train")}
    profile = replace(known, rows=rows, seeds=tuple(task["seeds"]), **folders)
    sets, failed = experiments.write_data(profile), 0
    order = [runs.Run(profile, row, seed) for row in rows for seed in profile.seeds]
    order = [one for one in order if one.row.data == "train"]
    for number, one in enumerate(order, 1):
        try:
            if time.monotonic() > until or not _bring(one, sets, device, until):
                say(f"{one.id}: the time is up, {number - 1} of {len(order)} runs were tried")
                break
            failed = 0
            say(f"{one.id}: done, {number} of {len(order)}")
        except BadInput as error:
            failed += 1
            say(f"{one.id}: {error}")
            if failed == 2:
                break
    return collect(profile, order)


def _bring(one, sets, device, until):
    """Train and evaluate one run, and tell whether that ended in time."""

    def on_frame(*_):
        if time.monotonic() > until:
            raise _TimeIsUp

    if experiments.is_current(one, sets):
        return True
    experiments.open_store(one, sets, workers=cores())
    if not experiments.train_run(one.trained_by, sets, device, until=until):
        return False
    try:
        experiments.evaluate_run(one, sets, device, on_frame)
    except _TimeIsUp:  # the sequences that are finished stay
        return False
    return True


def collect(profile: profiles.Profile, order: list[runs.Run]) -> Path:
    """Write the finished runs to RESULTS, with the weights of the first SCS-Siam only."""
    finished = [one for one in order if (one.folder / "manifest.json").is_file()]
    with_weights = next((one for one in finished if one.name == "SCS-Siam"), None)
    path = root() / RESULTS
    with atomic(path) as part, tarfile.open(part, "w:gz") as archive:
        for one in finished:
            for file in sorted(one.folder.rglob("*")):
                wanted = file.suffix != ".safetensors" or one is with_weights
                if wanted and file.is_file() and not file.name.startswith("."):
                    _add(archive, str(file.relative_to(root())), file)
    write_json(root() / "collected.json", {one.id: one in finished for one in order})
    return path


def main(arguments: list[str] | None = None) -> None:
    """Run `make` or `run`; bad input ends in one line on stderr and exit code 2."""
    about = __doc__.splitlines()[0]
    parser = argparse.ArgumentParser("python -m scs_siam.tools.pack", description=about)
    group = parser.add_subparsers(dest="command", required=True)
    made, several = group.add_parser("make", help="write the parts"), {"nargs": "*", "default": []}
    made.add_argument("--profile", default="full")
    made.add_argument("--train", default="", metavar="ROOT", help="training set")
    made.add_argument("--test", **several, metavar="NAME=ROOT", help="benchmarks")
    made.add_argument("--rows", default="", metavar="A,B", help="only these rows, in this order")
    made.add_argument("--seeds", default="", metavar="0,1", help="only these seeds")
    made.add_argument("--out", type=Path, default=Path("build/gpu-pack"))
    made = group.add_parser(
        "run", help="train, evaluate and collect, where the parts were unpacked"
    )
    made.add_argument("--minutes", type=float, required=True)
    made.add_argument("--device", default="cuda", choices=["cuda", "cpu"])
    parsed = parser.parse_args(arguments)
    try:
        _make(parsed) if parsed.command == "make" else _run(parsed)
    except BadInput as error:
        print(f"scs_siam.tools.pack {parsed.command}: {error}", file=sys.stderr)
        raise SystemExit(2) from None


def _make(parsed):
    rows, seeds = (tuple(filter(None, text.split(","))) for text in (parsed.rows, parsed.seeds))
    if not all(seed.isdigit() for seed in seeds):
        raise BadInput(f"--seeds {parsed.seeds}: write whole numbers with commas, such as 0,1")
    pairs = (text.split("=", 1) if "=" in text else (Path(text).name, text) for text in parsed.test)
    options = {"train": parsed.train, "rows": rows, "seeds": tuple(map(int, seeds))}
    profile, tests = profiles.get_profile(parsed.profile, **options), dict(pairs)
    for path in make(replace(profile, tests=tests) if tests else profile, parsed.out):
        print(path, f"{path.stat().st_size / 1e6:.1f} MB")


def _run(parsed):
    import torch

    if parsed.device == "cuda" and not torch.cuda.is_available():
        raise BadInput("PyTorch finds no GPU on this machine; use --device cpu")
    print(run(parsed.minutes, parsed.device))


if __name__ == "__main__":
    main()
