"""Stored numbers of a short training and a short tracked clip: a change that moves them needs a new version number.

The stored numbers are rewritten by `WRITE_GOLDEN=1 pytest tests/test_golden.py`.
"""

import json
import os
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from scs_siam.config import Config
from scs_siam.data.store import CropStore
from scs_siam.data.training_sets import Video
from scs_siam.track import TRACKING_VERSION, Tracker
from scs_siam.train import TRAINING_VERSION, Trainer

GOLDEN = Path(__file__).with_name("golden.json")
NARROW = Config.preset(width=1 / 16)
ADVICE = (
    "the {what} differ from those of {name} {version}; if the change is intended, raise {name} in "
    "scs_siam/{module}.py, which makes the finished runs stale, and store the new numbers with "
    "WRITE_GOLDEN=1 pytest tests/test_golden.py"
)


@pytest.fixture(autouse=True)
def one_thread():
    """Sums are added in a fixed order."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def clip(tmp_path_factory):
    """Paths of six PNG frames (180, 240) in which a patterned square moves and grows, and its boxes (6, 4)."""
    rng, folder = np.random.default_rng(0), tmp_path_factory.mktemp("clip")
    coarse = rng.integers(0, 256, (16, 21, 3), dtype=np.uint8)
    background = np.kron(coarse, np.ones((12, 12, 1), np.uint8))[:180, :240]
    pattern = rng.integers(0, 256, (4, 4, 3), dtype=np.uint8)
    paths, boxes = [], []
    for step in range(6):
        side, x, y = 40 + 4 * (step // 2), 90 + 7 * step, 70 - 4 * step
        frame = background.copy()
        cells = np.arange(side) * 4 // side
        frame[y : y + side, x : x + side] = pattern[cells][:, cells]
        paths.append(str(folder / f"{step}.png"))
        cv2.imwrite(paths[-1], frame[..., ::-1])
        boxes.append((x, y, side, side))
    return tuple(paths), np.array(boxes, float)


def golden(name, values):
    """The stored values of this name, after they have been replaced by `values` if WRITE_GOLDEN is set."""
    stored = json.loads(GOLDEN.read_text()) if GOLDEN.is_file() else {}
    if os.environ.get("WRITE_GOLDEN"):
        GOLDEN.write_text(json.dumps({**stored, name: values.tolist()}, indent=1) + "\n")
        return values
    return np.array(stored[name])


def test_the_losses_of_three_training_steps(clip, tmp_path):
    store = CropStore.build([Video("clip", *clip)], tmp_path / "store")
    config = NARROW.replace(**{"training.batch": 4, "training.pairs": 12, "training.epochs": 1})
    trainer = Trainer(config, store, tmp_path / "run", precision="fp32")
    losses = np.array([float(trainer.step(trainer.batch(step)[1])) for step in range(3)])
    advice = ADVICE.format(
        what="losses", name="TRAINING_VERSION", version=TRAINING_VERSION, module="train"
    )
    assert losses == pytest.approx(golden("losses", losses), rel=1e-4), advice


def test_the_boxes_of_five_tracked_frames(clip, settled):
    paths, boxes = clip
    config = NARROW.replace(**{"tracking.sigma": 0.9})
    tracker = Tracker(settled(config.model), config.tracking, precision="exact")
    frames = [cv2.imread(path)[..., ::-1].copy() for path in paths]
    tracker.init(frames[0], boxes[0])
    tracked = np.array([tracker.update(frame) for frame in frames[1:]])
    advice = ADVICE.format(
        what="boxes", name="TRACKING_VERSION", version=TRACKING_VERSION, module="track"
    )
    assert np.abs(tracked - golden("boxes", tracked)).max() < 0.01, advice
