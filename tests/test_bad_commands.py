"""Bad command lines, and file systems that refuse: full, read-only, closed, in use."""

import contextlib
import os
import resource
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import pytest
from damage import LONG, ROW, loop

from scs_siam import cli
from scs_siam.config import Config
from scs_siam.data.boxes import read_boxes
from scs_siam.data.images import read_image, write_image
from scs_siam.data.video import Frames
from scs_siam.evaluation.vot import read_record
from scs_siam.model import SiameseNet
from scs_siam.reproduction import experiments, paper, profiles
from scs_siam.runtime.files import locked, read_json, read_names, sha256, write_json, write_text
from scs_siam.tools import notebooks
from scs_siam.weights import load_weights, save_weights

# The command line

TRACK, TRAIN = (
    "track clip --weights tiny.safetensors --box 5,5,9,9",
    "train --store store --out out --root",
)
EVALUATE = "evaluate --weights tiny.safetensors --out out --root"
LINES = [
    TRACK.replace("5,5", "1e7,5"),
    TRACK.replace("9,9", "1e300,1e300"),
    TRACK.replace("5,5", "-50,-5").replace("--box ", "--box="),
    TRACK.replace("clip", LONG),
    TRACK.replace("clip", "loop"),
    TRACK.replace("clip", "tiny.safetensors"),
    TRACK.replace("tiny", "loop"),
    TRACK.replace("tiny", LONG),
    TRACK + " --boxes loop/boxes.txt",
    f"{TRACK} --boxes {LONG}/boxes.txt",
    f"{TRACK} --output {LONG}.mp4",
    TRACK + " --output loop/a.mp4",
    TRACK + " --boxes clip",
    TRACK + " --precision",
    TRACK + " --device cpu0",
    TRAIN + " loop",
    f"{TRAIN} {LONG}",
    TRAIN + " otb",
    TRAIN + " tiny.safetensors",
    TRAIN + " got/train --seed 1e3",
    TRAIN + " got/train --seed 9999999999999999999999x",
    TRAIN + " got/train --width nan",
    TRAIN + " got/train --width inf",
    TRAIN + " got/train --width -1",
    TRAIN + " got/train --width 0",
    TRAIN + " got/train --set training.batch=0",
    TRAIN + " got/train --set training.batch=NaN",
    TRAIN + " got/train --set training.epochs=1e99",
    TRAIN + " got/train --set =5",
    TRAIN + " got/train --set training.learning_rate=[1]",
    TRAIN + " got/train --set training.search_size=159 training.template_size=400",
    EVALUATE + " loop",
    f"{EVALUATE} {LONG}",
    EVALUATE + " tiny.safetensors",
    EVALUATE + " vot",
    EVALUATE + " otb --sequences ,",
    EVALUATE + " otb --sequences ../clip",
    EVALUATE + " otb --layout tc128",
    EVALUATE + " otb --weights otb",
    EVALUATE.replace("out out", "out tiny.safetensors") + " otb",
    EVALUATE.replace("out out", f"out {LONG}") + " otb",
    "plan --seeds 1,",
    "plan --seeds ,",
    "plan --seeds ٣x",
    "plan --profile",
    "plan --profile ../smoke",
    "plan --rows SCS-Siam@2",
    "plan --rows SCS-Siam@nan",
    "plan --rows @0.5",
    "reproduce --profile paper",
    "reproduce --profile paper --train loop --test x=loop",
    "reproduce --profile smoke --jobs -1",
    "reproduce --profile smoke --device tpu",
    "data --profile paper --train got/train",
    "bench track --width 99",
    "bench track --rounds 0",
    "bench fly",
    "bench train --store loop",
    "bench train --store otb",
    f"bench train --store {LONG}",
    "bench track --variant x",
    "bench track --device tpu",
    "sweep loop",
    f"sweep {LONG}",
    "sweep tiny.safetensors",
    "sweep 06 sigma",
    "sweep 06 nothing=1",
    "sweep 06 sigma=1 --seeds -1",
    "sweep 06 sigma=1 --jobs 0",
]


@pytest.mark.parametrize("line", LINES, ids=lambda line: line.replace(LONG, "LONG"))
def test_a_command_line(good, tmp_path, monkeypatch, capsys, line):
    for name in ("otb", "vot", "got"):
        (tmp_path / name).symlink_to(good / name)
    (tmp_path / "clip").symlink_to(good / "otb" / "clip" / "img")
    (tmp_path / "tiny.safetensors").symlink_to(good / "tiny.safetensors")
    loop(tmp_path / "loop")
    (tmp_path / "notebooks").mkdir()
    shutil.copy(notebooks.find_notebook("06"), tmp_path / "notebooks")
    monkeypatch.chdir(tmp_path)
    for module in (experiments, profiles, notebooks):
        monkeypatch.setattr(module, "root", lambda: tmp_path)
    before = set(tmp_path.rglob("*"))
    with pytest.raises(SystemExit) as end:
        cli.main(line.split())
    out, err = capsys.readouterr()
    assert (
        end.value.code == 2
        and out == ""
        and err.startswith("scs-siam")
        and err.endswith("\n")
        and err.count("\n") == 1
    ), err
    assert [
        path
        for path in sorted(tmp_path.rglob("*"))
        if path not in before and path.is_file() and path.suffix != ".lock"
    ] == []


# The file system


@contextlib.contextmanager
def nobody():
    """A folder in which this process, as the user nobody if it is root, may do what its modes allow."""
    folder = Path(tempfile.mkdtemp())
    root = hasattr(os, "geteuid") and os.geteuid() == 0
    try:
        if root:
            os.chown(folder, 65534, -1)
            os.seteuid(65534)
        yield folder
    finally:
        if root:
            os.seteuid(0)
        folder.chmod(0o700)
        for path in folder.rglob("*"):
            path.chmod(0o700)
        shutil.rmtree(folder)


def denied(folder, mode, name="a.json"):
    (folder / "in").mkdir()
    (folder / "in" / name).write_text(ROW)
    (folder / "in" / name).chmod(0o600)
    (folder / "in").chmod(mode) if mode != 0o200 else (folder / "in" / name).chmod(mode)
    return folder / "in" / name


READS = {
    "json": read_json,
    "image": read_image,
    "hash": sha256,
    "boxes": read_boxes,
    "names": read_names,
    "weights": load_weights,
    "record": lambda path: read_record(path, 1),
    "frames": lambda path: list(Frames(path)),
    "claims": paper.claims,
    "notebook": lambda path: notebooks.check_parameters(path, {}),
}
WRITES = {
    "json": lambda path: write_json(path, {}),
    "lock": lambda path: locked(path).__enter__(),
    "image": lambda path: write_image(path.with_suffix(".png"), np.zeros((9, 9, 3), np.uint8)),
    "a new folder": lambda path: write_text(path.parent / "new" / "a.txt", ""),
}


@pytest.mark.skipif(not hasattr(os, "seteuid"), reason="this system has no modes of files")
@pytest.mark.parametrize("mode", [0o000, 0o200], ids=["a closed folder", "a closed file"])
@pytest.mark.parametrize("call", READS.values(), ids=READS)
def test_what_may_not_be_read(refused, call, mode):
    with nobody() as folder:
        path = denied(folder, mode, "a.png")
        refused(lambda: call(path), path)


@pytest.mark.skipif(not hasattr(os, "seteuid"), reason="this system has no modes of files")
@pytest.mark.parametrize("write", WRITES.values(), ids=WRITES)
def test_a_read_only_folder(refused, write):
    with nobody() as folder:
        path = denied(folder, 0o500)
        refused(lambda: write(path), folder / "in", "cannot be written", "Permission denied")
        assert (
            sorted(name.name for name in (folder / "in").iterdir()) == ["a.json"]
            and path.read_text() == ROW
        )


@pytest.fixture(params=["a small disk", "a limit on files"])
def small(request, tmp_path):
    """A folder that takes 64 kB at most."""
    if request.param == "a small disk":
        mount = ["mount", "-t", "tmpfs", "-o", "size=64k", "none", str(tmp_path)]
        done = subprocess.run(mount, capture_output=True) if shutil.which("mount") else None
        if done is None or done.returncode:
            pytest.skip("a disk of 64 kB cannot be mounted here")
        yield tmp_path
        subprocess.run(["umount", str(tmp_path)], check=True)
    else:
        soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (65536, hard))
        yield tmp_path
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_a_disk_that_is_full(small, refused):
    noise = np.random.default_rng(0).integers(0, 256, (400, 400, 3)).astype(np.uint8)
    config = Config.preset(width=1 / 16)
    write_text(small / "a.txt", "old")
    for name, write in (
        ("a.txt", lambda: write_text(small / "a.txt", "x" * 10**6)),
        ("a.png", lambda: write_image(small / "a.png", noise)),
        (
            "w.safetensors",
            lambda: save_weights(small / "w.safetensors", SiameseNet(config.model), config),
        ),
    ):
        refused(write, small / name, "cannot be written")
    assert [path.name for path in small.iterdir()] == ["a.txt"] and (
        small / "a.txt"
    ).read_text() == "old"


def test_two_processes_on_one_folder(tmp_path):
    code = f"from scs_siam.runtime.files import locked\nwith locked({str(tmp_path / 'run')!r}):\n    print('in', flush=True)\n    input()"
    first = subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert first.stdout.readline() == b"in\n"
    import fcntl

    with open(tmp_path / ".run.lock", "w") as file:
        with pytest.raises(BlockingIOError):
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        first.kill()
        first.wait()
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)  # a process that was killed holds nothing
    with locked(tmp_path / "run"):
        pass
