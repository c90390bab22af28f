"""Bad crop stores and training logs: what is damaged is named; a build that was killed leaves no process and goes on."""

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from damage import loop, put

from scs_siam.data import datasets, synthetic, training_sets
from scs_siam.data.store import CropStore
from scs_siam.runtime.files import read_json, write_json
from scs_siam.train import COLUMNS, read_metrics

MANIFESTS = {
    "shards of one": ("shards", 5),
    "shards of none": ("shards", None),
    "shards of numbers": ("shards", [1]),
    "a text": ("shards", "crops-00000.npy"),
    "upwards": ("shards", ["../crops-00000.npy"]),
    "a size of words": ("size", "x"),
    "no size": ("size", None),
    "a size of zero": ("size", 0),
    "a negative size": ("size", -287),
    "another size": ("size", 286),
    "a fraction": ("size", 287.0),
}


@pytest.fixture
def whole(tmp_path, videos):
    """A copy of a finished store."""
    return Path(
        shutil.copytree(CropStore.build(videos, tmp_path / "first").root, tmp_path / "store")
    )


@pytest.mark.parametrize("key, value", MANIFESTS.values(), ids=MANIFESTS)
def test_a_manifest_of_a_store(whole, refused, key, value):
    write_json(whole / "manifest.json", {**read_json(whole / "manifest.json"), key: value})
    refused(lambda: CropStore.open(whole), whole, "damaged", "build it again")


def columns(path):
    with np.load(path) as file:
        return {name: file[name] for name in file}


WRONG = {
    "another type": ("sequence", lambda values: values.astype(float)),
    "words": ("frame", lambda values: values.astype(str)),
    "objects": ("scale", lambda values: values.astype(object)),
    "too narrow": ("box", lambda values: values[:, :3]),
    "too short": ("mean", lambda values: values[:-1]),
    "NaN": ("centre", lambda values: np.nan * values),
    "infinite": ("scale", lambda values: values / np.float32(0)),
    "one number": ("frame", lambda values: values[0]),
    "no list": ("image", lambda values: np.float32(5)),
}


@pytest.mark.parametrize("file", ["index.npz", "index-00000.npz"])
@pytest.mark.parametrize("name, change", WRONG.values(), ids=WRONG)
@pytest.mark.filterwarnings("ignore:divide by zero")
def test_a_column_of_an_index(whole, videos, refused, file, name, change):
    found = columns(whole / file)
    np.savez(whole / file, **{**found, name: change(found[name])})
    if file == "index-00000.npz":
        (whole / "manifest.json").unlink()
    refused(
        lambda: CropStore.build(videos, whole),
        file if file != "index.npz" else whole,
        "damaged",
        "again",
    )


BYTES = {
    "empty": b"",
    "text": "no archive",
    "half a head": b"PK\x03\x04",
    "a folder": Path.mkdir,
    "a loop": loop,
}


@pytest.mark.parametrize("content", BYTES.values(), ids=BYTES)
def test_an_index(whole, refused, content):
    put(content)(whole / "index.npz")
    refused(lambda: CropStore.open(whole), whole, "damaged", "build it again")


@pytest.mark.parametrize(
    "content", ["", "no archive", b"PK\x03\x04"], ids=["empty", "text", "half a head"]
)
def test_an_index_of_a_shard(whole, videos, refused, content):
    put(content)(whole / "index-00000.npz")
    (whole / "manifest.json").unlink()
    refused(
        lambda: CropStore.build(videos, whole),
        "index-00000.npz",
        "damaged",
        "delete it and run again",
    )


@pytest.mark.parametrize("skipped", ["", "{", "[1]", "5", '{"small": "many"}'])
def test_what_a_shard_left_out(whole, videos, refused, skipped):
    np.savez(
        whole / "index-00000.npz", **{**columns(whole / "index-00000.npz"), "skipped": skipped}
    )
    (whole / "manifest.json").unlink()
    refused(lambda: CropStore.build(videos, whole), "index-00000.npz", "delete it and run again")
    (whole / "index-00000.npz").unlink()
    assert len(CropStore.build(videos, whole)) == len(CropStore.open(whole.parent / "first"))


HEAD = ",".join(COLUMNS) + "\n"
LOGS = {
    "empty": b"",
    "a head": HEAD,
    "words": "a b c\n",
    "zeros": b"\0" * 9,
    "binary": b"\xff\xfe",
    "short lines": HEAD + "1,2,3\n",
    "a long line": HEAD + "1,2,3,4,5,6,7\n",
    "a ragged end": HEAD + "1,2,3,4,5,6\n1,2\n",
    "text": HEAD + "1,2,3,x,5,6\n",
    "NaN": HEAD + "1,2,3,nan,5,6\n",
    "infinite": HEAD + "1,2,3,inf,5,6\n",
    "other columns": "a,b,c,d,e,f\n1,2,3,4,5,6\n",
    "no head": "1,2,3,4,5,6\n",
}


@pytest.mark.parametrize("content", LOGS.values(), ids=LOGS)
def test_a_training_log(tmp_path, refused, content):
    put(content)(tmp_path / "metrics.csv")
    refused(lambda: read_metrics(tmp_path), "metrics.csv")


def test_a_reader_called_by_itself_stays_in_the_folder(write_clips, texture, tmp_path, refused):
    root = write_clips(tmp_path / "got", {"clip": ([texture(24, 32)] * 2, [(5, 6, 10, 8)] * 2)})
    shutil.copytree(root / "clip", tmp_path / "got" / "secret")
    (root / "list.txt").write_text("clip\n../secret\n")
    refused(lambda: training_sets.read_got10k(root), "list.txt", "../secret")
    assert datasets.check("got10k", root) == [refused(lambda: training_sets.read_videos(root))]


def of_parent(number):
    """The numbers of the processes that a process started."""
    found = []
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            state, parent = path.read_text().rsplit(")", 1)[1].split()[:2]
        except OSError:  # it has ended
            continue
        if int(parent) == number and state != "Z":
            found.append(int(path.parent.name))
    return found


@pytest.mark.skipif(
    not os.path.exists("/proc/self/stat"),
    reason="this system does not tell which process started which",
)
def test_a_build_that_is_killed_leaves_no_process(tmp_path):
    synthetic.write_train(tmp_path, 3, 4, seed=0, size=(128, 96))
    code = """import time
from scs_siam.data import store, training_sets
def hang():
    open("begun", "w").close()
    time.sleep(600)
class Slow(training_sets.Video):
    def __reduce__(self):
        return hang, ()
if __name__ == "__main__":
    videos = [Slow(video.name, video.frames, video.boxes) for video in training_sets.read_got10k("train")]
    store.CropStore.build(videos, "store", workers=2)
"""
    (tmp_path / "build.py").write_text(code)
    place = {**os.environ, "PYTHONPATH": str(Path(__file__).resolve().parents[2])}
    process, limit = (
        subprocess.Popen([sys.executable, "build.py"], cwd=tmp_path, env=place),
        time.monotonic() + 120,
    )
    while not (tmp_path / "begun").exists() and time.monotonic() < limit:
        time.sleep(0.05)
    workers = of_parent(process.pid)
    process.send_signal(signal.SIGKILL)
    process.wait()
    while any(os.path.exists(f"/proc/{number}") for number in workers) and time.monotonic() < limit:
        time.sleep(0.05)
    assert (
        (tmp_path / "begun").exists()
        and workers
        and not [number for number in workers if os.path.exists(f"/proc/{number}")]
    )
    assert (
        len(CropStore.build(training_sets.read_got10k(tmp_path / "train"), tmp_path / "store"))
        == 12
    )
