"""Long, large and at once: memory stays flat, a large store opens quickly, two processes on one folder leave what one would."""

import os
import resource
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch

from scs_siam.config import Config
from scs_siam.data import synthetic
from scs_siam.data.benchmarks import Sequence
from scs_siam.data.images import write_image
from scs_siam.evaluation import one_pass
from scs_siam.model import SiameseNet
from scs_siam.runtime import parallel
from scs_siam.runtime.files import locked, write_text
from scs_siam.track import Tracker
from scs_siam.weights import save_weights


class Still:
    """A tracker that says the first box again."""

    def init(self, frame, box):
        self.box = box

    def update(self, frame):
        return self.box


def sequence(folder, count, texture, name="long"):
    """A sequence of `count` frames, all links to one image."""
    write_image(folder / "one.jpg", texture(24, 32))
    (folder / "img").mkdir()
    for number in range(count):
        os.link(folder / "one.jpg", folder / "img" / f"{number:06d}.jpg")
    return Sequence(
        name, tuple(sorted((folder / "img").iterdir())), np.tile([5.0, 6, 10, 8], (count, 1))
    )


def held():
    """The memory that this process holds, MB."""
    if not os.path.exists("/proc/self/statm"):
        pytest.skip("this system does not tell how much memory is held")
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * resource.getpagesize() / 2**20


def test_memory_is_flat_over_twenty_thousand_frames(tmp_path, texture):
    clip, marks = sequence(tmp_path, 20_000, texture), []

    def on_frame(sequence, index, frame, box):
        if index in (2000, 19_999):
            marks.append(held())

    rows = one_pass.evaluate(Still(), [clip], tmp_path / "out", "still", on_frame)
    assert rows[0]["frames"] == 20_000 and rows[0]["auc"] == pytest.approx(20 / 21)
    assert marks[1] - marks[0] < 20, marks


def test_memory_is_flat_over_two_hundred_sequences(tmp_path, texture):
    one = sequence(tmp_path, 5, texture)
    clips, marks = [Sequence(f"clip{number}", one.frames, one.truth) for number in range(200)], []
    one_pass.evaluate(
        Still(),
        clips,
        tmp_path / "out",
        "still",
        lambda sequence, index, frame, box: (
            marks.append(held()) if sequence.name in ("clip20", "clip199") else None
        ),
    )
    assert max(marks) - marks[0] < 20, (marks[0], max(marks))


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system copies no processes")
def test_evaluations_at_once_leave_what_one_would(tmp_path, texture):
    one = sequence(tmp_path, 12, texture)
    clips = [Sequence(f"clip{number}", one.frames, one.truth) for number in range(25)]

    def work():
        code = 1
        try:
            one_pass.evaluate(Still(), clips, tmp_path / "out", "still")
            code = 0
        finally:
            os._exit(code)

    numbers = [os.fork() or work() for _ in range(3)]
    assert [os.waitpid(number, 0)[1] for number in numbers] == [0, 0, 0]
    names = {f"clip{number}.{suffix}" for number in range(25) for suffix in ("json", "txt")}
    assert {path.name for path in (tmp_path / "out" / "still").iterdir()} == names
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "out" / "still").iterdir()}
    assert {row["auc"] for row in one_pass.evaluate(None, clips, tmp_path / "out", "still")} == {
        20 / 21
    }  # nothing is run again
    assert before == {
        path: path.stat().st_mtime_ns for path in (tmp_path / "out" / "still").iterdir()
    }


def test_two_commands_at_once_track_once(tmp_path):
    torch.manual_seed(0)
    config = Config.preset(width=1 / 64)
    save_weights(tmp_path / "w.safetensors", SiameseNet(config.model), config)
    synthetic.write_test(tmp_path / "otb", 2, 5, seed=0, size=(128, 96))
    line = "evaluate --layout otb --root otb --weights w.safetensors --out out --precision exact --device cpu"
    place = {**os.environ, "PYTHONPATH": str(Path(__file__).resolve().parent.parent)}
    both = [
        subprocess.Popen(
            [sys.executable, "-m", "scs_siam", *line.split()],
            cwd=tmp_path,
            env=place,
            stdout=subprocess.PIPE,
            text=True,
        )
        for _ in range(2)
    ]
    said = [process.communicate(timeout=300)[0] for process in both]
    assert [process.returncode for process in both] == [0, 0] and said[0].count("\n") == 1
    assert said[0] == said[1]  # speeds too, so the second one scored what the first had tracked
    (folder,) = (path for path in (tmp_path / "out").iterdir() if path.is_dir())
    assert sorted(path.suffix for path in folder.iterdir()) == [
        ".csv",
        ".json",
        ".json",
        ".txt",
        ".txt",
    ]


def test_tracking_twice_is_equal_to_the_bit(texture):
    frames = [np.roll(texture(90, 120), (k, 2 * k), (0, 1)) for k in range(4)]
    runs = []
    for _ in range(2):
        torch.manual_seed(0)
        config = Config.preset(width=1 / 64)
        runs.append(
            Tracker(SiameseNet(config.model), config.tracking).track(frames, (40, 30, 20, 16))
        )
    assert (runs[0] == runs[1]).all() and not (runs[0][0] == runs[0][-1]).all()


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 1e30])
def test_a_box_that_is_none_ends_the_evaluation_with_its_frame_named(
    tmp_path, texture, refused, value
):
    clip, tracker = sequence(tmp_path, 4, texture), Still()
    tracker.update = lambda frame: np.array([1, 2, value, 4])
    refused(
        lambda: one_pass.evaluate(tracker, [clip], tmp_path / "out", "still"),
        "long: frame 2",
        "000001.jpg",
    )
    assert not (tmp_path / "out").exists()


def test_what_a_killed_process_left_half_written_is_removed(tmp_path):
    left = tmp_path / "run" / "boxes" / ".part-abc" / "a.txt"
    left.parent.mkdir(parents=True)
    left.write_text("1,2")
    (tmp_path / "run" / "a.txt").write_text("whole")
    with locked(tmp_path / "run"):
        assert not left.parent.exists() and (tmp_path / "run" / "a.txt").exists()


def fall():
    os._exit(9)


def wait_for(path):
    write_text(path, str(os.getpid()))
    time.sleep(600)


def ready():
    pass


def test_a_pool_names_a_killed_process_and_leaves_none(tmp_path, refused):
    def use():
        with parallel.Pool(1, ready) as pool:
            pool.submit(fall).result()

    refused(use, "was killed", "fewer jobs")
    number = os.fork()
    if number == 0:
        pool = parallel.Pool(1, ready)
        pool.submit(wait_for, tmp_path / "worker.json")
        time.sleep(600)
    limit = time.monotonic() + 120
    while not (tmp_path / "worker.json").is_file() and time.monotonic() < limit:
        time.sleep(0.05)
    worker = int((tmp_path / "worker.json").read_text())
    os.kill(number, 9)
    os.waitpid(number, 0)
    while alive(worker) and time.monotonic() < limit:
        time.sleep(0.05)
    assert not alive(worker)


def alive(number):
    try:
        os.kill(number, 0)
    except ProcessLookupError:
        return False
    if not os.path.exists("/proc"):
        return True
    with open(f"/proc/{number}/stat") as file:
        return file.read().rsplit(")", 1)[1].split()[0] != "Z"
