"""Kill tests: work is killed at seeded random moments, started again until it is done, and compared with work that nobody disturbed.

`python tests/torture.py KILLS [KIND ...]` (`make torture KILLS=50`); the last line is the summary. Killed is the process that was started,
by SIGKILL or SIGTERM; what it started itself is left to find out. One chain is work that is killed up to CHAIN times, also while it goes on
from an earlier kill, and then ends. Only a process that the signal ended counts as killed.
"""

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import cv2
import nbformat
import torch
import torch._dynamo  # else each training would import it anew

from scs_siam import train
from scs_siam.config import Config
from scs_siam.data import store, synthetic, training_sets
from scs_siam.data.benchmarks import read_otb
from scs_siam.evaluation import one_pass
from scs_siam.model import SiameseNet
from scs_siam.runtime.files import digest, locked, sha256
from scs_siam.track import Tracker

ROOT = Path(__file__).resolve().parent.parent
TINY = Config.preset(width=1 / 64).replace(
    **{"training.batch": 2, "training.epochs": 4, "training.pairs": 96}
)
TIMES = ("seconds", "fps", "fps_with_decode", "decode_seconds", "finished", "evaluated", "machine")
CHAIN = 5  # kills of one chain
OURS = (
    "scs_siam",
    "a.ipynb",
    "sweep.py",
    "data/otb2015_attributes.csv",
)  # what is put there for commands
SWEEP = """import sys
from scs_siam.tools import sweeps
if __name__ == "__main__":
    sweeps.sweep("a.ipynb", {"sigma": [0.25, 0.5]}, [0], 1, "out")
"""


def training(data, folder):
    """A training of four epochs; each writes its log three times before its checkpoint."""
    train.LOG_EVERY = 4
    with locked(folder / "run"):
        train.Trainer(
            TINY, store.CropStore.open(data / "store"), folder / "run", seed=3, precision="fp32"
        ).run()


def evaluation(data, folder):
    """One-pass evaluation on six sequences."""
    torch.manual_seed(0)
    tracker = Tracker(SiameseNet(TINY.model), TINY.tracking, precision="exact")
    with locked(folder / "boxes" / "tiny"):
        one_pass.evaluate(tracker, read_otb(data / "otb"), folder / "boxes", "tiny")


def crops(data, folder):
    """A crop store in shards of one sequence."""
    store.SHARD = 2
    with locked(folder / "store"):
        store.CropStore.build(training_sets.read_got10k(data / "train"), folder / "store")


def sweep(data, folder):
    """A sweep of two points."""
    if not (folder / "a.ipynb").is_file():
        shutil.copy(data / "a.ipynb", folder)
        (folder / "sweep.py").write_text(SWEEP)
    return [sys.executable, "sweep.py"]


def reproduce(data, folder):
    """Two rows of the profile smoke, in a copy of the project."""
    if not (folder / "scs_siam").is_dir():
        shutil.copytree(
            ROOT / "scs_siam",
            folder / "scs_siam",
            ignore=shutil.ignore_patterns("__pycache__", "*.safetensors"),
        )
        (folder / "data").mkdir()
        shutil.copy(ROOT / "data" / "otb2015_attributes.csv", folder / "data")
    return [
        sys.executable,
        "-m",
        "scs_siam",
        "reproduce",
        "--profile",
        "smoke",
        "--rows",
        "SCA-GMP,SCA-GAP",
        "--no-notebooks",
        "--jobs",
        "1",
        "--device",
        "cpu",
    ]


KINDS = {kind.__name__: kind for kind in (training, evaluation, crops, sweep, reproduce)}
COMMANDS = (sweep, reproduce)


def start(kind, data, folder):
    """Start the work and return its process number: of a command, or of a copy of this process, in which all is imported."""
    folder.mkdir(exist_ok=True)
    if kind in COMMANDS:
        place = folder if kind is reproduce else ROOT
        with open(folder / "work.log", "a") as log:
            return subprocess.Popen(
                kind(data, folder),
                cwd=folder,
                stdout=log,
                stderr=log,
                env={**os.environ, "PYTHONPATH": str(place)},
            ).pid
    number = os.fork()
    if number == 0:
        code = 1
        try:
            cv2.setNumThreads(1)
            torch.set_num_threads(1)
            kind(data, folder)
            code = 0
        finally:
            os._exit(code)
    return number


def names(folder):
    """The finished files of work so far, and those of its checkpoints."""
    found = [
        os.path.relpath(os.path.join(place, name), folder)
        for place, _, files in os.walk(folder)
        for name in files
    ]  # some vanish
    return {
        name
        for name in found
        if ".part-" not in name
        and not name.startswith(OURS)
        and not name.endswith((".lock", ".pyc", ".log"))
    }


def end(number, seconds=600, folder=None, seen=None, name=None):
    """The exit code of a process, or None if it still runs after so many seconds or once the file `name` of its folder is there.

    New names in the folder go to `seen`, {name: seconds after the start}.
    """
    began = time.monotonic()
    while time.monotonic() < began + seconds and not (name and (folder / name).exists()):
        found, status = os.waitpid(number, os.WNOHANG)
        if seen is not None:
            for new in names(folder) - set(seen):
                seen[new] = time.monotonic() - began
        if found:
            return os.waitstatus_to_exitcode(status)
        time.sleep(0.002)
    return None


def outcome(folder):
    """{file: hash of what it says, but for times} of all that work left behind."""
    found = {}
    for path in sorted(folder.rglob("*")):
        name = str(path.relative_to(folder))
        if (
            not path.is_file() or path.suffix in (".lock", ".pyc", ".log") or name.startswith(OURS)
        ):  # a log tells times
            continue
        if path.suffix == ".json":
            found[name] = digest(timeless(json.loads(path.read_text())))
        elif path.suffix == ".csv":
            head, *lines = (line.split(",") for line in path.read_text().splitlines())
            kept = [place for place, column in enumerate(head) if column not in TIMES]
            found[name] = digest([[line[place] for place in kept] for line in lines])
        else:
            found[name] = sha256(path) if path.suffix != ".ipynb" else "a notebook"
    return found


def timeless(value):
    if isinstance(value, dict):
        return {key: timeless(part) for key, part in value.items() if key not in TIMES}
    return value


def killed(number, folder, whole, rng):
    """Wait for a time or, as often, for a file not there yet, and send a signal: (exit code, whether the signal ended the work)."""
    seconds, seen = whole
    done, first = reached(folder, seen), min(seen.values())
    missing = sorted(name for name in seen if seen[name] > done and not (folder / name).exists())
    if rng.random() < 0.5 or not missing:
        code = end(number, rng.uniform(0, first + seconds - done))
    else:
        place = rng.choice(
            sorted({os.path.dirname(name) for name in missing})
        )  # each folder as often, though one has many files
        code = end(
            number,
            2 * seconds,
            folder,
            name=rng.choice([name for name in missing if os.path.dirname(name) == place]),
        )
        time.sleep(rng.uniform(0, 0.02))
    if code is not None:
        return code, False
    sign = rng.choice([signal.SIGKILL, signal.SIGTERM])
    os.kill(number, sign)
    code = end(number)
    return code, code == -sign


def reached(folder, seen):
    """Seconds after which undisturbed work had come as far as this folder shows; 0 where it holds nothing."""
    return max((seen[name] for name in names(folder) if name in seen), default=0)


def chain(kind, most, data, folder, whole, rng):
    """Kill work up to `most` times and let it end; how far it had come at each kill: 0 at the first file, 1 at the end."""
    shares, hit = [], True
    while hit:
        number = start(kind, data, folder)
        code, hit = (
            killed(number, folder, whole, rng) if len(shares) < most else (end(number), False)
        )
        if hit:
            first = min(whole[1].values())
            shares.append((reached(folder, whole[1]) - first) / (whole[0] - first))
    assert code == 0, f"{kind.__name__}: went on with exit code {code}, see {folder}"
    return shares


def torment(kind, kills, data, place, rng):
    """Kill work of a kind `kills` times in chains, each of which must end as undisturbed work does; returns a line about them."""
    began, seen = time.monotonic(), {}
    assert end(start(kind, data, place / "whole"), 600, place / "whole", seen) == 0, (
        f"{kind.__name__}: failed undisturbed, see {place}"
    )
    whole, expected = (time.monotonic() - began, seen), outcome(place / "whole")
    shares, number = [], 0
    while len(shares) < kills:
        number += 1
        folder = place / f"chain-{number}"
        shares += chain(kind, min(CHAIN, kills - len(shares)), data, folder, whole, rng)
        found = outcome(folder)
        differ = sorted(
            name for name in {*found, *expected} if found.get(name) != expected.get(name)
        )
        assert not differ, (
            f"{kind.__name__}, chain {number}: {', '.join(differ)} differ from undisturbed work, see {folder}"
        )
        assert not left_behind(folder), (
            f"{kind.__name__}, chain {number}: left the processes {left_behind(folder)}"
        )
        shutil.rmtree(folder)
    parts = [sum(low <= share < low + 0.25 for share in shares) for low in (0, 0.25, 0.5, 0.75)]
    return (
        f"{kind.__name__}: {kills} kills in {number} chains of {whole[0]:.1f} s: {kills - sum(parts)} before the first file, "
        f"{', '.join(map(str, parts))} in the quarters after it; each chain ended as undisturbed work"
    )


def left_behind(folder, seconds=60):
    """Processes that work in the folder of a command that has ended, for more than so many seconds; none where the system does not tell."""
    limit = time.monotonic() + seconds
    while True:
        there = [
            path.parent.name
            for path in Path("/proc").glob("[0-9]*/cwd")
            if os.path.realpath(path) == str(folder)
        ]
        if not there or time.monotonic() > limit:
            return there
        time.sleep(0.1)


def prepare(data):
    """What the kinds work on."""
    synthetic.write_train(data, 12, 3, seed=0, size=(128, 96))
    synthetic.write_test(data / "otb", 6, 5, seed=0, size=(128, 96))
    store.CropStore.build(training_sets.read_got10k(data / "train"), data / "store")
    code = "import pandas as pd\nfrom scs_siam.sweeps import record\nrecord(pd.DataFrame({'value': [sigma, seed]}))"
    cells = [
        nbformat.v4.new_code_cell(
            "sigma: float = 0.5  # weight\nseed: int = 0  # seed", metadata={"tags": ["parameters"]}
        ),
        nbformat.v4.new_code_cell(code),
    ]
    nbformat.write(nbformat.v4.new_notebook(cells=cells), data / "a.ipynb")


def main(kills, *kinds):
    """Torment the named kinds, or all."""
    place, total = Path(tempfile.mkdtemp(prefix="torture-")).resolve(), 0
    (place / "data").mkdir()
    if (number := os.fork()) == 0:
        prepare(place / "data")
        os._exit(0)
    assert end(number) == 0
    for name in kinds or KINDS:
        (place / name).mkdir()
        print(
            torment(
                KINDS[name],
                int(kills),
                place / "data",
                place / name,
                random.Random(f"{name}-{kills}"),
            ),
            flush=True,
        )
        total += int(kills)
    shutil.rmtree(place)
    print(f"torture: {total} kills, {total} survived")


if __name__ == "__main__":
    main(*sys.argv[1:])
