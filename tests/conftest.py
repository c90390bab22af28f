"""What the tests share; shapes in the annotations of the paper's modules are checked at run time."""

import importlib.util

if importlib.util.find_spec("jaxtyping") and importlib.util.find_spec("beartype"):
    from jaxtyping import install_import_hook

    PAPER = ("soft_mask", "attention", "model", "pairs", "train", "track")
    install_import_hook([f"scs_siam.{name}" for name in PAPER], "typecheck.shapes")

import os
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from damage import LISTS, ODD, ROW, TRUTHS

from scs_siam.config import Config
from scs_siam.data.images import write_image
from scs_siam.data.store import CropStore
from scs_siam.data.training_sets import read_got10k
from scs_siam.evaluation.metrics import precision_curve, success_curve
from scs_siam.model import SiameseNet
from scs_siam.runtime.files import BadInput, write_text
from scs_siam.weights import save_weights


@pytest.fixture(scope="session")
def real_data():
    """Folder of real sequences and published boxes (SCS_DATA, by default ../shared/data beside the project); skips where it is absent."""
    project = Path(__file__).resolve().parent.parent
    folder = Path(os.environ.get("SCS_DATA", project.parent / "shared" / "data"))
    if not folder.is_dir():
        pytest.skip("no real sequences here; SCS_DATA names their folder")
    return folder


@pytest.fixture(scope="session")
def refused():
    """refused(call, *words): the message of the BadInput that `call` must raise, one line with all `words` in it."""

    def check(call, *words):
        with pytest.raises(BadInput) as error:
            call()
        message = str(error.value)
        assert (
            "\n" not in message and [word for word in map(str, words) if word not in message] == []
        ), message
        return message

    return check


@pytest.fixture(scope="session")
def texture():
    """texture(height, width, seed): a smooth random RGB picture, uint8, in which neighbouring pixels differ little."""

    def make(height, width, seed=0):
        coarse = (
            np.random.default_rng(seed)
            .integers(0, 256, (height // 12 + 2, width // 12 + 2, 3))
            .astype(np.uint8)
        )
        return cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC)

    return make


@pytest.fixture(scope="session")
def write_clips():
    """write_clips(root, {name: (frames, boxes)}): a GOT-10k-layout subset `root`/train of 0-based boxes; returns its folder."""

    def write(root, clips):
        for name, (frames, boxes) in clips.items():
            for number, frame in enumerate(frames, 1):
                write_image(root / "train" / name / f"{number:08d}.jpg", frame)
            lines = [
                ",".join(f"{value:.4f}" for value in np.add(box, (1, 1, 0, 0))) for box in boxes
            ]
            (root / "train" / name / "groundtruth.txt").write_text("\n".join(lines) + "\n")
        (root / "train" / "list.txt").write_text("\n".join(clips) + "\n")
        return root / "train"

    return write


@pytest.fixture(scope="session")
def good(tmp_path_factory, texture):
    """A folder with one sound thing of each kind, in a place with blanks and letters of other alphabets."""
    place = tmp_path_factory.mktemp("good") / ODD
    image = texture(24, 32)
    for folder in (
        "otb/clip/img",
        "tc128/clip/img",
        "uav123/data_seq/UAV123/clip",
        "vot/clip/color",
        "got/train/clip",
    ):
        for number in (1, 2, 3):
            write_image(place / folder / f"{number:04d}.jpg", image)
    for number in range(3):
        write_image(place / f"vid/Data/VID/val/ILSVRC2015_val_0/{number:06d}.jpg", image)
        corners = "<xmax>20</xmax><xmin>5</xmin><ymax>20</ymax><ymin>5</ymin>"
        write_text(
            place / f"vid/Annotations/VID/val/ILSVRC2015_val_0/{number:06d}.xml",
            f"<annotation><object><trackid>0</trackid><bndbox>{corners}</bndbox></object></annotation>",
        )
    for path in TRUTHS.values():
        if not path.endswith("xml"):
            write_text(place / path, ROW * 3)
    for path in LISTS.values():
        write_text(place / path, "clip\n")
    torch.manual_seed(0)
    config = Config.preset(width=1 / 64)
    save_weights(place / "tiny.safetensors", SiameseNet(config.model), config)
    return place


@pytest.fixture(scope="session")
def videos(tmp_path_factory, texture, write_clips):
    """Four short clips. In the first two a box of 63.5 x 63.5 is cut out at the frame's own scale, around a whole pixel."""
    square = [(160 + 12 * k, 140) for k in range(4)], [(40, 60), (36, 60), (20, 56)]
    clips = {
        name: (
            [texture(280, 320, seed + k) for k in range(len(centres))],
            [(x - 31.25, y - 31.25, 63.5, 63.5) for x, y in centres],
        )
        for (name, seed), centres in zip((("moving", 0), ("leaving", 10)), square)
    }
    clips["wide"] = (
        [texture(200, 240, 20 + k) for k in range(5)],
        [(60 + 3 * k, 80, 100, 30.5) for k in range(5)],
    )
    clips["small"] = (
        [texture(120, 160, 30 + k) for k in range(4)],
        [(70, 50 - 2 * k, 20, 26) for k in range(4)],
    )
    return read_got10k(write_clips(tmp_path_factory.mktemp("clips"), clips))


@pytest.fixture(scope="session")
def store(tmp_path_factory, videos):
    """The crop store of `videos`."""
    return CropStore.build(videos, tmp_path_factory.mktemp("store"))


@pytest.fixture(scope="session")
def tiny():
    """A training of six steps on the narrowest network."""
    return Config.preset(width=1 / 64).replace(
        **{"training.batch": 4, "training.epochs": 3, "training.pairs": 24}
    )


@pytest.fixture(scope="session")
def scored():
    """scored(benchmark, {row: skill 0..1}, seeds, targets): (results, curves) as the runs of a profile give them, from made-up overlaps."""
    import pandas

    codes = ("FM", "BC", "MB", "DEF", "IV", "IPR", "LR", "OCC", "OPR", "OV")  # no target has SV

    def make(benchmark, skills, seeds=3, targets=8):
        rng, scores, lines = np.random.default_rng(0), [], []
        for row, skill in skills.items():
            published = row.endswith("(published)")
            for seed in range(1 if published else seeds):
                curves = {}
                for number in range(targets):
                    overlaps = np.clip(
                        rng.beta(1 + 4 * skill, 2, 60)
                        - 0.5 * rng.random() * (rng.random(60) < 0.4),
                        0,
                        1,
                    )
                    curve = {
                        "success": success_curve(overlaps),
                        "precision": precision_curve(60 * (1 - overlaps) ** 2),
                    }
                    tags = [code for k, code in enumerate(codes) if (number + k) % 3 == 0]
                    curves[number] = (curve, tags)
                    scores.append(
                        {
                            "row": row,
                            "seed": seed,
                            "benchmark": benchmark,
                            "sequence": f"S{number}",
                            "frames": 60,
                            "auc": curve["success"].mean(),
                            "precision": curve["precision"][20],
                            "attributes": " ".join(tags),
                            "fps": np.nan if published else 40 - 10 * skill,
                        }
                    )
                for attribute in ("all", *codes):
                    members = [
                        curve for curve, tags in curves.values() if attribute in ("all", *tags)
                    ]
                    for kind in ("success", "precision") if attribute == "all" else ("success",):
                        for k, value in enumerate(
                            np.mean([curve[kind] for curve in members], axis=0)
                        ):
                            lines.append(
                                (
                                    row,
                                    seed,
                                    benchmark,
                                    attribute,
                                    kind,
                                    k / 20 if kind == "success" else float(k),
                                    value,
                                )
                            )
        return pandas.DataFrame(scores), pandas.DataFrame(
            lines, columns=["row", "seed", "benchmark", "attribute", "curve", "threshold", "value"]
        )

    return make


@pytest.fixture(scope="session")
def settled():
    """settled(model_config): a network whose batch norm has seen one batch, as a trained one's has seen its training set."""

    def make(config):
        torch.manual_seed(0)
        model = SiameseNet(config).train()
        for module in model.modules():
            if isinstance(module, torch.nn.BatchNorm2d):
                module.momentum = 1.0
        images = 255 * torch.rand(4, 3, 239, 239)
        with torch.no_grad():
            model(images[..., :127, :127], images[..., :127, :127], images, images)
        return model.eval()

    return make
