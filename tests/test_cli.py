"""The command line does what it says; bad arguments end in one line on stderr and exit code 2."""

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import av
import numpy as np
import pytest
import torch

from scs_siam import cli
from scs_siam.config import Config
from scs_siam.data import synthetic
from scs_siam.data.boxes import read_boxes
from scs_siam.data.images import read_image, write_image
from scs_siam.data.video import COLOUR
from scs_siam.evaluation.one_pass import read_track
from scs_siam.model import SiameseNet
from scs_siam.reproduction import experiments, profiles
from scs_siam.tools import interactive
from scs_siam.train import read_metrics
from scs_siam.weights import save_weights

BOX = "--box=40,30,20,16"


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A folder with good and bad things to name on the command line."""
    folder = tmp_path_factory.mktemp("cli")
    clip = synthetic.render(synthetic.Scene(seed=5, size=(128, 97), frames=6))
    for number, frame in enumerate(clip.frames):
        write_image(folder / "clip" / f"{number}.png", frame)
    synthetic.write_test(folder / "otb", 2, 4, seed=0, size=(128, 96))
    torch.manual_seed(0)
    config = Config.preset(width=1 / 64)
    save_weights(folder / "tiny.safetensors", SiameseNet(config.model), config)
    (folder / "empty").mkdir()
    (folder / "cut").mkdir()
    (folder / "cut" / "0.png").write_bytes((folder / "clip" / "0.png").read_bytes()[:200])
    for name in ("bad.mp4", "bad.safetensors"):
        (folder / name).write_bytes(b"damaged " * 99)
    return folder


def call(place, monkeypatch, line):
    """Run the command `line` in the folder `place`, where a project's data/ would then be, too."""
    monkeypatch.chdir(place)
    monkeypatch.delenv("DISPLAY", raising=False)
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
    for module in (experiments, profiles):
        monkeypatch.setattr(module, "root", lambda: place)
    cli.main(line.split())


TRACK = f"track clip {BOX} --weights tiny.safetensors"
TRAIN = "train --root otb --store store --out out"
EVALUATE = "evaluate --weights tiny.safetensors --out out"


@pytest.mark.parametrize(
    "line, words",
    [
        ("", "COMMAND"),
        ("follow clip", "follow"),
        ("track", "source"),
        ("track clip", "no display here; give the target with --box"),
        (TRACK + " --show", "no display here; leave out --show"),
        (TRACK + " --format coco", "coco"),
        (TRACK.replace("clip", "77"), "77: this camera cannot be opened"),
        (
            TRACK.replace("clip", "http://127.0.0.1:9/clip.mp4"),
            "http://127.0.0.1:9/clip.mp4: this stream cannot be opened",
        ),
        (TRACK + " --fast", "--fast"),
        ("track clip --box 1,2,3 --weights tiny.safetensors", "four numbers"),
        ("track clip --box 1,2,x,4 --weights tiny.safetensors", "four numbers"),
        ("track clip --box 1,2,nan,4 --weights tiny.safetensors", "not finite"),
        ("track clip --box 1,2,0,4 --weights tiny.safetensors", "no area"),
        ("track clip --box 900,30,20,16 --weights tiny.safetensors", "outside the 128 x 97 frame"),
        (TRACK.replace("clip", "gone"), "gone: no such"),
        (TRACK.replace("clip", "empty"), "empty: holds no image"),
        (TRACK.replace("clip", "cut"), "0.png: is cut off"),
        (TRACK.replace("clip", "bad.mp4"), "bad.mp4: is not a video"),
        (TRACK.replace("tiny", "bad"), "bad.safetensors: is not a readable"),
        (TRACK.replace("tiny", "gone"), "gone.safetensors: there is no such"),
        (TRACK + " --output clip.gif", "as .mp4"),
        (TRACK + " --output tiny.safetensors/clip.mp4", "cannot be written"),
        (TRACK + " --boxes tiny.safetensors/boxes.txt", "cannot be written"),
        (
            TRACK.replace("clip", "clip/0.png") + " --boxes clip/0.png",
            "0.png: is the source itself",
        ),
        (TRACK + " --device tpu", "tpu"),
        (TRACK + " --precision half", "half"),
        (TRAIN + " --root gone", "gone"),
        (TRAIN + " --preset mine", "no preset 'mine'"),
        (TRAIN + " --variant Siam", "no variant 'Siam'"),
        (TRAIN + " --width 9", "outside"),
        (TRAIN + " --width wide", "wide"),
        (TRAIN + " --seed=-1", "--seed: '-1' is not a whole number from 0 up"),
        (TRAIN + " --workers 0", "--workers: '0'"),
        (TRAIN + " --set training.sigma", "NAME=VALUE"),
        (TRAIN + " --set training.sigmas=0.5", "no setting 'training.sigmas'"),
        (TRAIN + " --set training.sigma=2", "outside 0 to 1"),
        (TRAIN + " --set training.pairs=many", "'many' is not a whole number"),
        (EVALUATE, "--root"),
        (EVALUATE + " --root gone", "gone: no such folder"),
        (EVALUATE + " --root empty", "empty: holds no sequence"),
        (EVALUATE + " --root otb --sequences Syn01,Syn09", "no sequence Syn09"),
        (EVALUATE + " --root otb --layout vot", "holds no sequence (VOT"),
        ("plan --profile laptop", "no profile 'laptop'"),
        ("plan --rows Siam", "no row 'Siam'"),
        ("plan --seeds 0,one", "--seeds: 'one' is not"),
        ("plan --seeds=-1", "--seeds: '-1' is not"),
        ("data --profile paper", "--train ROOT"),
        ("data --root otb", "--dataset otb2015"),
        ("data --dataset mnist", "no data set 'mnist'; choose one of otb2015"),
        ("run --profile mini", "--index"),
        ("run --profile mini --index 999", "has runs 0 to "),
        ("reproduce --profile laptop", "no profile 'laptop'"),
        ("reproduce --profile smoke --jobs 0", "--jobs: '0'"),
        ("sweep 77", "77: no such notebook"),
        ("sweep 77 sigma", "NAME=V1,V2"),
        ("sweep 77 --seeds one", "--seeds: 'one'"),
        ("sweep 06 --gpus 1", "--gpus: only --engine ray"),
        ("sweep 06 --engine ray --gpus 1.5", "--gpus: '1.5'"),
        ("sweep 06 --engine ray --jobs 2", "--jobs: on Ray"),
    ],
)
def test_bad_arguments(place, monkeypatch, capsys, line, words):
    before = sorted(place.rglob("*"))
    with pytest.raises(SystemExit) as end:
        call(place, monkeypatch, line)
    out, err = capsys.readouterr()
    assert end.value.code == 2 and out == ""
    assert err.startswith("scs-siam") and err.endswith("\n") and err.count("\n") == 1
    assert words in err
    assert sorted(place.rglob("*")) == before  # nothing half-written


@pytest.mark.parametrize(
    "line",
    [
        "--help",
        "track --help",
        "train --help",
        "evaluate --help",
        "plan --help",
        "reproduce --help",
        "data --help",
        "sweep --help",
        "bench --help",
        "export --help",
        "trax --help",
        "run --help",
    ],
)
def test_help(place, monkeypatch, capsys, line):
    with pytest.raises(SystemExit) as end:
        call(place, monkeypatch, line)
    out, err = capsys.readouterr()
    assert (
        end.value.code == 0
        and out.startswith(f"usage: scs-siam{line[:-7].rjust(len(line) - 6)}")
        and err == ""
    )
    assert f"  scs-siam {line[:-7] or 'track'}" in out[out.index("\nexample") :]


def test_every_example_is_a_command_line_that_parses():
    for name, run, _, example, _ in cli.COMMANDS:
        parsed = cli.parser().parse_args(example.split()[1:])
        assert (parsed.command, parsed.run) == (name, run)


def test_track_writes_a_clip_and_its_boxes(place, monkeypatch, capsys):
    call(
        place,
        monkeypatch,
        TRACK + " --output new/tracked.mp4 --boxes new/boxes.txt --precision exact",
    )
    boxes = read_boxes(place / "new" / "boxes.txt")
    assert boxes.shape == (6, 4) and boxes[0].tolist() == [40, 30, 20, 16]
    last = ",".join(f"{value:.1f}" for value in boxes[-1])
    assert capsys.readouterr() == (f"6 frames; last box {last}\n", "")
    with av.open(str(place / "new" / "tracked.mp4")) as video:
        stream = video.streams.video[0]
        shown = [frame.to_ndarray(format="rgb24") for frame in video.decode(stream)]
    assert (
        stream.codec_context.name == "h264" and len(shown) == 6 and shown[0].shape == (97, 128, 3)
    )
    assert (
        np.abs(shown[0][30, 40:60].astype(int) - COLOUR).mean() < 60
    )  # the upper side of the first box


def test_a_damaged_frame_ends_the_track_with_the_boxes_so_far(place, monkeypatch, capsys, tmp_path):
    for name in ("0.png", "1.png", "2.png"):
        (tmp_path / name).write_bytes(
            (place / "clip" / name).read_bytes()[: 200 if name == "2.png" else None]
        )
    with pytest.raises(SystemExit) as end:
        call(
            place,
            monkeypatch,
            f"track {tmp_path} {BOX} --weights tiny.safetensors --boxes {tmp_path}/boxes.txt",
        )
    assert end.value.code == 2 and re.fullmatch(
        r"scs-siam track: .*2\.png: .*\n", capsys.readouterr().err
    )
    assert len(read_boxes(tmp_path / "boxes.txt")) == 2


@pytest.mark.parametrize(
    "form, first, move",
    [
        ("otb", "41.0000,31.0000,20.0000,16.0000", 1),
        ("vot", "1", 0),
        ("got10k", "41.0000,31.0000,20.0000,16.0000", 1),
    ],
)
def test_boxes_in_the_formats_of_others(place, monkeypatch, tmp_path, form, first, move):
    call(place, monkeypatch, f"{TRACK} --boxes {tmp_path}/plain.txt")
    call(place, monkeypatch, f"{TRACK} --boxes {tmp_path}/theirs.txt --format {form}")
    head, *lines = (tmp_path / "theirs.txt").read_text().splitlines()
    plain = read_boxes(tmp_path / "plain.txt")
    assert head == first and len(lines) == 5
    np.testing.assert_allclose(
        [[float(value) for value in line.split(",")] for line in lines],
        plain[1:] + [move, move, 0, 0],
        atol=1e-4,
    )
    np.testing.assert_allclose(
        read_track(tmp_path / "theirs.txt", form, plain[0]), plain, atol=1e-4
    )


def test_ctrl_c_ends_between_two_frames_and_keeps_what_was_done(place, tmp_path):
    folder = tmp_path / "long"
    folder.mkdir()
    for number in range(4000):
        (folder / f"{number}.png").symlink_to(place / "clip" / f"{number % 6}.png")
    line = f"track {folder} {BOX} --weights {place}/tiny.safetensors --output {tmp_path}/clip.mp4 --boxes {tmp_path}/boxes.txt"
    process = subprocess.Popen(
        [sys.executable, "-m", "scs_siam", *line.split()],
        stderr=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).resolve().parent.parent,
    )
    try:
        while (
            not ((tmp_path / "clip.mp4").is_file() and (tmp_path / "clip.mp4").stat().st_size)
            and process.poll() is None
        ):
            time.sleep(0.05)
        os.kill(process.pid, signal.SIGINT)
        err = process.communicate(timeout=60)[1]
    finally:
        process.kill()
    boxes = read_boxes(tmp_path / "boxes.txt")
    assert (
        process.returncode == 130
        and err
        == f"scs-siam track: stopped after {len(boxes)} frames; the files that were named hold them\n"
    )
    with av.open(str(tmp_path / "clip.mp4")) as video:
        assert len(list(video.decode(video.streams.video[0]))) == len(boxes) < 4000


def test_the_box_drawn_with_the_mouse_and_a_window_that_is_closed(
    place, monkeypatch, capsys, tmp_path
):
    """With a stand-in for OpenCV's windows: what is drawn is tracked, q ends with what was done."""
    shown = []
    monkeypatch.setattr(
        interactive.cv2,
        "selectROI",
        lambda title, frame, **_: shown.append(frame) or (40, 30, 20, 16),
    )
    monkeypatch.setattr(interactive.cv2, "imshow", lambda title, frame: shown.append(frame))
    monkeypatch.setattr(
        interactive.cv2, "waitKey", lambda delay: ord("q") if len(shown) == 4 else -1
    )
    monkeypatch.setattr(interactive.cv2, "getWindowProperty", lambda *_: 1.0)
    monkeypatch.setattr(interactive.cv2, "destroyWindow", lambda *_: None)
    monkeypatch.chdir(place)
    monkeypatch.setenv("DISPLAY", ":0")
    cli.main(f"track clip --show --weights tiny.safetensors --boxes {tmp_path}/boxes.txt".split())
    assert capsys.readouterr().out.startswith("3 frames; last box ")
    assert len(read_boxes(tmp_path / "boxes.txt")) == 3 and len(shown) == 4
    first = read_image(place / "clip" / "0.png")
    np.testing.assert_array_equal(shown[0][:, :, ::-1], first)  # OpenCV shows BGR
    assert (shown[1][:, :, ::-1] != first).any()  # with the box
    monkeypatch.setattr(interactive.cv2, "selectROI", lambda *_, **__: (0, 0, 0, 0))
    with pytest.raises(SystemExit) as end:
        cli.main(["track", "clip", "--weights", "tiny.safetensors"])
    assert end.value.code == 2 and "no box was drawn" in capsys.readouterr().err


def test_evaluate_scores_and_resumes(place, monkeypatch, capsys, tmp_path):
    line = f"evaluate --layout otb --root otb --weights tiny.safetensors --out {tmp_path}"
    call(place, monkeypatch, line + " --sequences Syn02")
    assert "1 targets" in capsys.readouterr().out
    (folder,) = (path for path in tmp_path.iterdir() if path.is_dir())
    made = (folder / "Syn02.txt").stat().st_mtime_ns
    call(place, monkeypatch, line)
    printed = capsys.readouterr().out
    assert re.fullmatch(
        rf"{folder.name}: 2 targets, AUC 0\.\d{{3}}, precision [01]\.\d{{3}}, [\d.]+ FPS .*\n",
        printed,
    )
    assert sorted(path.name for path in folder.iterdir()) == [
        "Syn01.json",
        "Syn01.txt",
        "Syn02.json",
        "Syn02.txt",
        "scores.csv",
    ]
    assert (folder / "Syn02.txt").stat().st_mtime_ns == made  # not run again
    truth = read_boxes(place / "otb" / "Syn01" / "groundtruth_rect.txt")
    boxes = read_boxes(folder / "Syn01.txt")
    assert boxes.shape == truth.shape == (4, 4)
    np.testing.assert_allclose(boxes[0], truth[0], atol=1e-4)  # 1-based, the first is the given one


def test_plan_lists_runs_and_writes_nothing(place, monkeypatch, capsys):
    before = sorted(place.rglob("*"))
    call(place, monkeypatch, "plan --profile mini --rows untrained,SCS-Siam --seeds 0,1")
    *lines, total = capsys.readouterr().out.splitlines()
    names = [f"{row}-seed{seed}" for seed in (0, 1) for row in ("untrained", "SCS-Siam")]
    assert [line.split()[:3] for line in lines] == [
        [str(index), name, "missing"] for index, name in enumerate(names)
    ]
    assert total.startswith("profile mini: 4 runs")
    assert sorted(place.rglob("*")) == before


def test_one_run_by_its_number(place, monkeypatch, capsys, tmp_path):
    """A task of a job array does its run and those that share its training; the latter's own numbers have nothing to do."""
    line = "run --profile smoke --rows SCS-Siam,SCS-Siam@0.9-test"
    call(tmp_path, monkeypatch, line + " --index 1")
    assert (
        capsys.readouterr().out
        == "SCS-Siam@0.9-test-seed0: is made by run 0, SCS-Siam-seed0, whose training it shares\n"
    )
    assert not (tmp_path / "data").exists()
    call(tmp_path, monkeypatch, line + " --index 0")
    assert capsys.readouterr().out == "SCS-Siam-seed0: current\nSCS-Siam@0.9-test-seed0: current\n"
    manifests = sorted(
        path.parent.name
        for path in (tmp_path / "data" / "results" / "smoke").glob("*/manifest.json")
    )
    assert manifests == ["SCS-Siam-seed0", "SCS-Siam@0.9-test-seed0"]


def test_training_tells_what_was_left_out(monkeypatch, capsys, texture, write_clips, tmp_path):
    boxes = [(30, 30, 20, 20)] * 3 + [(1, 1, 2, 2), (np.nan,) * 4]
    root = write_clips(
        tmp_path, {"clip": ([texture(90, 100, number) for number in (0, 1, 1, 2, 3)], boxes)}
    )
    settings = "--width 0.015625 --set training.batch=2 training.epochs=1 training.pairs=2"
    call(tmp_path, monkeypatch, f"train --root {root} --store store --out out {settings}")
    out, err = capsys.readouterr()
    assert "store: 2 crops; left out: 1 invalid, 1 repeated, 1 small\n" in err and out.endswith(
        "weights.safetensors\n"
    )


def test_training_curves_for_tensorboard(place, monkeypatch, videos, tmp_path):
    events = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    root = Path(videos[0].frames[0]).parent.parent
    settings = (
        "--set training.batch=4 training.epochs=3 training.pairs=24 --width 0.015625 --workers 1"
    )
    call(
        tmp_path,
        monkeypatch,
        f"train --root {root} --store store --out out {settings} --tensorboard curves",
    )
    found = events.EventAccumulator(str(tmp_path / "curves")).Reload()
    log = read_metrics(tmp_path / "out")
    for name in ("loss", "learning_rate"):
        scalars = found.Scalars(f"training/{name}")
        np.testing.assert_allclose([scalar.value for scalar in scalars], log[name], rtol=1e-6)
        assert [scalar.step for scalar in scalars] == list(range(6))


def test_data_writes_the_sets_of_a_profile(place, monkeypatch, capsys, tmp_path):
    call(tmp_path, monkeypatch, "data --profile smoke")
    smoke = tmp_path / "data" / "synthetic" / "smoke"
    made = ["train", "SynVID", "SynOTB", "SynTC128", "SynUAV123", "SynVOT2016", "SynVOT2017"]
    assert capsys.readouterr().out.split() == [str(smoke / name) for name in made]
    assert (
        len(list(smoke.glob("train/*/groundtruth.txt"))) == 8
        and len(list(smoke.glob("SynOTB/*/img"))) == 2
    )


def test_a_full_disk_is_named_and_leaves_no_file(place, monkeypatch, capsys, tmp_path):
    full = Path("/dev/full")
    if not full.is_char_device():
        pytest.skip("no device here that is always full")
    (tmp_path / "clip.mp4").symlink_to(full)
    with pytest.raises(SystemExit) as end:
        call(place, monkeypatch, f"{TRACK} --output {tmp_path}/clip.mp4")
    err = capsys.readouterr().err
    assert (
        end.value.code == 2
        and err.startswith("scs-siam track: ")
        and "clip.mp4: cannot be written" in err
        and err.count("\n") == 1
    )
    assert list(tmp_path.iterdir()) == []
