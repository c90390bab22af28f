"""Kill tests: work is killed at seeded random moments, started again until it is done, and compared with work that nobody disturbed.

`python tests/torture.py KILLS [KIND ...]` (`make torture KILLS=50`); the last line is the summary. Killed is the process that was started,
by SIGKILL or SIGTERM; what it started itself is left to find out.
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

from scs_siam import benchmarks, store, synthetic
from scs_siam.config import Config
from scs_siam.files import digest, sha256
from scs_siam.model import SiameseNet
from scs_siam.sequences import read_otb
from scs_siam.track import Tracker
from scs_siam.train import Trainer

ROOT = Path(__file__).resolve().parent.parent
TINY = Config.preset(width=1 / 64).replace(**{"training.batch": 2, "training.epochs": 5, "training.pairs": 20})
TIMES = ("seconds", "fps", "fps_with_decode", "decode_seconds", "finished", "evaluated", "machine")
SWEEP = """import sys
from scs_siam import sweeps
if __name__ == "__main__":
    sweeps.sweep("a.ipynb", {"sigma": [0.25, 0.5]}, [0], 1, "out")
"""


def training(data, folder):
    """A training of five epochs."""
    Trainer(TINY, store.CropStore.open(data / "store"), folder / "run", seed=3, precision="fp32").run()


def evaluation(data, folder):
    """One-pass evaluation on three sequences."""
    torch.manual_seed(0)
    tracker = Tracker(SiameseNet(TINY.model), TINY.tracking, precision="exact")
    benchmarks.evaluate(tracker, read_otb(data / "otb"), folder / "boxes", "tiny")


def crops(data, folder):
    """A crop store in shards of one sequence."""
    store.SHARD = 2
    store.CropStore.build(store.read_got10k(data / "train"), folder / "store")


def sweep(data, folder):
    """A sweep of two points."""
    if not (folder / "a.ipynb").is_file():
        shutil.copy(data / "a.ipynb", folder)
        (folder / "sweep.py").write_text(SWEEP)
    return [sys.executable, "sweep.py"]


def reproduce(data, folder):
    """A row of the profile smoke, in a copy of the project."""
    if not (folder / "scs_siam").is_dir():
        shutil.copytree(ROOT / "scs_siam", folder / "scs_siam", ignore=shutil.ignore_patterns("__pycache__", "*.safetensors"))
        (folder / "data").mkdir()
        shutil.copy(ROOT / "data" / "otb2015_attributes.csv", folder / "data")
    return [sys.executable, "-m", "scs_siam", "reproduce", "--profile", "smoke", "--rows", "SCA-GMP", "--no-notebooks", "--jobs", "1",
            "--device", "cpu"]


KINDS = {kind.__name__: kind for kind in (training, evaluation, crops, sweep, reproduce)}
COMMANDS = (sweep, reproduce)


def start(kind, data, folder):
    """Start the work and return its process number: of a command, or of a copy of this process, in which all is imported."""
    folder.mkdir(exist_ok=True)
    if kind in COMMANDS:
        place = folder if kind is reproduce else ROOT
        with open(folder / "work.log", "a") as log:
            return subprocess.Popen(kind(data, folder), cwd=folder, stdout=log, stderr=log,
                                    env={**os.environ, "PYTHONPATH": str(place)}).pid
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


def end(number, seconds=None):
    """The exit code of a process, or None if it still runs after so many seconds."""
    limit = time.monotonic() + (600 if seconds is None else seconds)
    while time.monotonic() < limit:
        found, status = os.waitpid(number, os.WNOHANG)
        if found:
            return os.waitstatus_to_exitcode(status)
        time.sleep(0.005)
    return None


def outcome(folder):
    """{file: hash of what it says, but for times} of all that work left behind."""
    found = {}
    for path in sorted(folder.rglob("*")):
        name = str(path.relative_to(folder))
        ours = name.startswith(("scs_siam", "a.ipynb", "sweep.py"))
        if not path.is_file() or path.suffix in (".lock", ".pyc", ".log") or ours:  # a log tells times
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


def torment(kind, kills, data, place, rng):
    """Kill work of a kind `kills` times; returns how many rounds of work that took. Each round must end as the undisturbed one did."""
    began = time.monotonic()
    assert end(start(kind, data, place / "whole")) == 0, f"{kind.__name__}: the undisturbed work failed, see {place / 'whole'}"
    seconds, expected, rounds = time.monotonic() - began, outcome(place / "whole"), 0
    while kills:
        rounds += 1
        folder = place / f"round-{rounds}"
        while True:
            number = start(kind, data, folder)
            code = end(number, rng.uniform(0, seconds)) if kills else end(number)
            if code is not None:
                break
            os.kill(number, rng.choice([signal.SIGKILL, signal.SIGTERM]))
            end(number)
            kills -= 1
        assert code == 0, f"{kind.__name__}, round {rounds}: went on with exit code {code}, see {folder}"
        found = outcome(folder)
        differ = sorted(name for name in {*found,
                                          *expected} if found.get(name) != expected.get(name) and not Path(name).name.startswith(".part"))
        assert not differ, f"{kind.__name__}, round {rounds}: {', '.join(differ)} differ from undisturbed work, see {folder}"
        shutil.rmtree(folder)
    return rounds, seconds


def prepare(data):
    """What the kinds work on."""
    synthetic.write_train(data, 5, 3, seed=0, size=(128, 96))
    synthetic.write_test(data / "otb", 3, 5, seed=0, size=(128, 96))
    store.CropStore.build(store.read_got10k(data / "train"), data / "store")
    code = "import pandas as pd\nfrom scs_siam.sweeps import record\nrecord(pd.DataFrame({'value': [sigma, seed]}))"
    cells = [nbformat.v4.new_code_cell("sigma: float = 0.5  # weight\nseed: int = 0  # seed", metadata={"tags": ["parameters"]}),
             nbformat.v4.new_code_cell(code)]
    nbformat.write(nbformat.v4.new_notebook(cells=cells), data / "a.ipynb")


def main(kills, *names):
    """Torment the named kinds, or all."""
    place, total = Path(tempfile.mkdtemp(prefix="torture-")), 0
    (place / "data").mkdir()
    if (number := os.fork()) == 0:
        prepare(place / "data")
        os._exit(0)
    assert end(number) == 0
    for name in names or KINDS:
        (place / name).mkdir()
        rounds, seconds = torment(KINDS[name], int(kills), place / "data", place / name, random.Random(f"{name}-{kills}"))
        total += int(kills)
        print(f"{name}: {kills} kills in {rounds} rounds of {seconds:.1f} s, each as undisturbed work", flush=True)
    shutil.rmtree(place)
    print(f"torture: {total} kills, {total} survived")


if __name__ == "__main__":
    main(*sys.argv[1:])
