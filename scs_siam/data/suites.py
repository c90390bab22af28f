"""Synthetic suites that stand in for the paper's benchmarks (Table 2) and for ImageNet VID, each in the layout of the one it stands for.

All are synthetic and say so in their names; what is measured on them says nothing about the printed numbers.
"""

from dataclasses import dataclass, replace

import numpy as np

from scs_siam.data import boxes, synthetic
from scs_siam.data.synthetic import ATTRIBUTES, Layout
from scs_siam.runtime.files import BadInput, write_text

ROOM = 500  # seeds a suite, so that suites have scenes of their own, below those of `examples`
GROUP = "ILSVRC2015_VID_train_0000"  # the folder of VID that holds the clips


@dataclass(frozen=True)
class Suite:
    """What a suite stands for, the key of its reader in `layouts.READERS` ("vid": `imagenet_vid`), how its clips are written and drawn."""

    stands_for: str
    reader: str
    layout: Layout
    clip: str  # name of its first, second .. clip
    style: str = "plain"
    always: tuple = ()  # dials that are up in each clip
    third: tuple = ()  # and in each third clip


def write(name, root, sequences, frames, seed=0):
    """Write `sequences` clips of `frames` frames of a suite as the folder `root` and return it; a suite that is there is checked and kept.

    The seeds 0 to 499 of any suites and of the training set have no scene in common; BadInput for another seed or name.
    """
    if name not in SUITES:
        raise BadInput(f"there is no synthetic suite '{name}'; choose one of {', '.join(SUITES)}")
    if not 0 <= seed < ROOM:
        raise BadInput(
            f"{name}: its seed is {seed}; choose one from 0 to {ROOM - 1}, so that suites share no scene"
        )
    suite, made, lists = SUITES[name], scenes(name, sequences, frames, seed), {}
    if suite.reader == "vot":
        lists["list.txt"] = list(made)
    if suite.reader != "vid":
        lists["attributes.txt"] = synthetic.list_attributes(made)
    return synthetic.write_set(root, made, seed, suite.layout, lists)


def scenes(name, sequences, frames, seed=0):
    """Name -> Scene of a suite: those of a training or test set of `synthetic`, of a seed that is this suite's own, in its style."""
    suite, number = SUITES[name], ROOM * list(SUITES).index(name) + seed
    make = synthetic.train_scenes if suite.reader == "vid" else synthetic.test_scenes
    found = {}
    for k, scene in enumerate(make(sequences, frames, number).values()):
        up = {*scene.attributes, *suite.always, *(suite.third if k % 3 == 0 else ())}
        found[suite.clip.format(k + 1)] = replace(
            scene, style=suite.style, attributes=tuple(sorted(up, key=ATTRIBUTES.index))
        )
    return found


def polygons(clip):
    """VOT's polygons (N, 8) of a clip: the corners of its turned rectangles, moved from the outer edges of pixels to their centres."""
    ring = clip.polygons  # (N, 4, 2)
    right, down = (
        side / np.linalg.norm(side, axis=1, keepdims=True)
        for side in (ring[:, 1] - ring[:, 0], ring[:, 3] - ring[:, 0])
    )
    inward = (
        right[:, None] * np.array([1, -1, -1, 1])[:, None]
        + down[:, None] * np.array([1, 1, -1, -1])[:, None]
    )
    return (ring + 0.5 * inward).reshape(-1, 8)


def _tc128_truth(root, folder, name, clip):
    boxes.write_boxes(folder / f"{name}_gt.txt", boxes.to_one_based(clip.boxes))
    write_text(folder / f"{name}_frames.txt", f"1,{len(clip.boxes)}\n")


def _uav123_truth(root, folder, name, clip):
    rows = [
        ",".join("NaN" if np.isnan(value) else f"{value:.4f}" for value in row)
        for row in boxes.to_one_based(clip.boxes)
    ]
    write_text(root / "anno" / "UAV123" / f"{name}.txt", "\n".join(rows) + "\n")


def _vot_truth(root, folder, name, clip):
    rows = [",".join(f"{value:.4f}" for value in row) for row in polygons(clip)]
    write_text(folder / "groundtruth.txt", "\n".join(rows) + "\n")


def _vid_truth(root, folder, name, clip):
    place, (height, width) = (
        root / "Annotations" / "VID" / "train" / GROUP / name,
        clip.frames.shape[1:3],
    )
    place.mkdir(parents=True, exist_ok=True)
    for number, (x, y, w, h) in enumerate(clip.boxes.astype(int).tolist()):  # they are whole
        size = f"<size><width>{width}</width><height>{height}</height></size>"
        corners = (
            f"<xmax>{x + w - 1}</xmax><xmin>{x}</xmin><ymax>{y + h - 1}</ymax><ymin>{y}</ymin>"
        )
        shown = (
            f"<object><trackid>0</trackid><name>synthetic</name><bndbox>{corners}</bndbox></object>"
        )
        text = f"<annotation><folder>{GROUP}/{name}</folder><filename>{number:06d}</filename>{size}{shown}</annotation>\n"
        (place / f"{number:06d}.xml").write_text(text, encoding="utf-8")


VOT = Layout(_vot_truth, "color/{:08d}.jpg")
SUITES = {
    "SynOTB": Suite("OTB2015", "otb", synthetic.OTB, "Syn{:02d}"),
    "SynTC128": Suite("TC128", "tc128", Layout(_tc128_truth), "SynTC{:02d}", "vivid"),
    "SynUAV123": Suite(
        "UAV123",
        "uav123",
        Layout(_uav123_truth, "{:06d}.jpg", "data_seq/UAV123/{}"),
        "SynUAV{:02d}",
        "aerial",
        ("LR",),
        ("OCC",),
    ),
    "SynVOT2016": Suite("VOT2016", "vot", VOT, "SynVOT16_{:02d}", always=("IPR",)),
    "SynVOT2017": Suite("VOT2017", "vot", VOT, "SynVOT17_{:02d}", always=("IPR",)),
    "SynVID": Suite(
        "ImageNet VID",
        "vid",
        Layout(_vid_truth, "{:06d}.JPEG", "Data/VID/train/" + GROUP + "/{}", 0),
        "ILSVRC2015_train_Syn{:05d}",
    ),
}
