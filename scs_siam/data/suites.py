"""Suites that need no download: synthetic ones, and the beginnings of the six real clips.

Synthetic suites have the layouts of the paper's benchmarks (Table 2) and of ImageNet VID, and names
that begin with "Syn". What is measured on them says nothing about the printed numbers.
"""

from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import numpy as np

from scs_siam.data import boxes, synthetic
from scs_siam.data.benchmarks import ATTRIBUTES, read_clips
from scs_siam.data.synthetic import Clip, Layout, Scene
from scs_siam.runtime.files import BadInput, write_text, writing

ROOM = 500  # seeds per suite, so that no two suites share a scene
GROUP = "ILSVRC2015_VID_train_0000"  # the folder of VID that holds the clips


@dataclass(frozen=True)
class Suite:
    """The data set that a suite stands for, and how its clips are written and drawn."""

    stands_for: str
    reader: str  # key of benchmarks.READERS, or "vid"
    layout: Layout
    clip: str  # name of its first, second, ... clip
    style: str = "plain"
    always: tuple = ()  # dials that are turned up in each clip
    third: tuple = ()  # and in every third clip


def write(name: str, root, sequences: int, frames: int, seed: int = 0) -> Path:
    """Write a suite as the folder `root` and return it; an existing suite is checked and kept."""
    if name not in SUITES:
        raise BadInput(f"there is no synthetic suite '{name}'; choose one of {', '.join(SUITES)}")
    if not 0 <= seed < ROOM:
        remedy = f"choose one from 0 to {ROOM - 1}, so that suites share no scene"
        raise BadInput(f"{name}: its seed is {seed}; {remedy}")
    suite, made, lists = SUITES[name], scenes(name, sequences, frames, seed), {}
    if suite.reader == "vot":
        lists["list.txt"] = list(made)
    if suite.reader != "vid":
        lists["attributes.txt"] = synthetic.list_attributes(made)
    return synthetic.write_set(root, made, seed, suite.layout, lists)


def write_clips(root, source, count: int, frames: int) -> Path:
    """Write the first frames of the first clips of `source` in OTB's layout to `root`; return it.

    `source` is a folder such as data/clips. An existing folder is kept.
    """
    root, part = Path(root), Path(root).with_name(f".{Path(root).name}")
    if root.is_dir():
        return root
    for clip in read_clips(source)[:count]:
        folder = part / clip.name / "img"
        with writing(folder):
            folder.mkdir(parents=True, exist_ok=True)
            for k, frame in zip(range(1, frames + 1), clip.frames):
                cv2.imwrite(str(folder / f"{k:04d}.jpg"), frame[..., ::-1])
        truth = boxes.to_one_based(clip.truth[:frames])
        boxes.write_boxes(part / clip.name / "groundtruth_rect.txt", truth)
    part.rename(root)
    return root


def scenes(name: str, sequences: int, frames: int, seed: int = 0) -> dict[str, Scene]:
    """Return the scenes of a suite, in its style and with seeds of its own."""
    suite, number = SUITES[name], ROOM * list(SUITES).index(name) + seed
    make = synthetic.train_scenes if suite.reader == "vid" else synthetic.test_scenes
    found = {}
    for k, scene in enumerate(make(sequences, frames, number).values()):
        up = {*scene.attributes, *suite.always, *(suite.third if k % 3 == 0 else ())}
        dials = tuple(sorted(up, key=ATTRIBUTES.index))
        found[suite.clip.format(k + 1)] = replace(scene, style=suite.style, attributes=dials)
    return found


def polygons(clip: Clip) -> np.ndarray:
    """Return VOT's polygons (N, 8): the corners moved from the edges of pixels to their centres."""
    ring = clip.polygons  # (N, 4, 2)
    sides = ring[:, 1] - ring[:, 0], ring[:, 3] - ring[:, 0]
    right, down = (side / np.linalg.norm(side, axis=1, keepdims=True) for side in sides)
    across, below = np.array([1, -1, -1, 1])[:, None], np.array([1, 1, -1, -1])[:, None]
    inward = right[:, None] * across + down[:, None] * below
    return (ring + 0.5 * inward).reshape(-1, 8)


def _row(values):
    return ",".join("NaN" if np.isnan(value) else f"{value:.4f}" for value in values) + "\n"


def _tc128_truth(root, folder, name, clip):
    boxes.write_boxes(folder / f"{name}_gt.txt", boxes.to_one_based(clip.boxes))
    write_text(folder / f"{name}_frames.txt", f"1,{len(clip.boxes)}\n")


def _uav123_truth(root, folder, name, clip):
    rows = "".join(map(_row, boxes.to_one_based(clip.boxes)))
    write_text(root / "anno" / "UAV123" / f"{name}.txt", rows)


def _vot_truth(root, folder, name, clip):
    write_text(folder / "groundtruth.txt", "".join(map(_row, polygons(clip))))


def _vid_truth(root, folder, name, clip):
    path = root / "Annotations" / "VID" / "train" / GROUP / name
    path.mkdir(parents=True, exist_ok=True)
    height, width = clip.frames.shape[1:3]
    for number, (x, y, w, h) in enumerate(clip.boxes.astype(int).tolist()):  # they are whole
        right, bottom = x + w - 1, y + h - 1
        text = (
            f"<annotation><folder>{GROUP}/{name}</folder><filename>{number:06d}</filename>"
            f"<size><width>{width}</width><height>{height}</height></size>"
            "<object><trackid>0</trackid><name>synthetic</name><bndbox>"
            f"<xmax>{right}</xmax><xmin>{x}</xmin><ymax>{bottom}</ymax><ymin>{y}</ymin>"
            "</bndbox></object></annotation>\n"
        )
        (path / f"{number:06d}.xml").write_text(text, encoding="utf-8")


TC128, VOT = Layout(_tc128_truth), Layout(_vot_truth, "color/{:08d}.jpg")
UAV123 = Layout(_uav123_truth, "{:06d}.jpg", "data_seq/UAV123/{}")
VID = Layout(_vid_truth, "{:06d}.JPEG", "Data/VID/train/" + GROUP + "/{}", 0)
AERIAL = ("SynUAV{:02d}", "aerial", ("LR",), ("OCC",))
SUITES = {
    "SynOTB": Suite("OTB2015", "otb", synthetic.OTB, "Syn{:02d}"),
    "SynTC128": Suite("TC128", "tc128", TC128, "SynTC{:02d}", "vivid"),
    "SynUAV123": Suite("UAV123", "uav123", UAV123, *AERIAL),
    "SynVOT2016": Suite("VOT2016", "vot", VOT, "SynVOT16_{:02d}", always=("IPR",)),
    "SynVOT2017": Suite("VOT2017", "vot", VOT, "SynVOT17_{:02d}", always=("IPR",)),
    "SynVID": Suite("ImageNet VID", "vid", VID, "ILSVRC2015_train_Syn{:05d}"),
}
