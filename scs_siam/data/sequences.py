"""Benchmark sequences on disk: frames and true boxes of the targets of an OTB-layout root, and the boxes of published trackers.

OTB layout: a folder a sequence with img/ and groundtruth_rect.txt, or groundtruth_rect.1.txt, .2.txt for several targets;
boxes are 1-based x,y,w,h.
"""

import csv
import glob
import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np

from scs_siam.data.boxes import LARGEST, check_box, from_one_based, read_boxes
from scs_siam.data.synthetic import ATTRIBUTES
from scs_siam.data.video import image_files
from scs_siam.runtime.files import BadInput, digest, is_folder, read_json, read_text, reading, root


@dataclass(frozen=True, eq=False)
class Sequence:
    """One target of one clip: its image files `frames` and its boxes `truth` (N, 4), 0-based; NaN where the target is absent.

    `polygons` (N, 8) are the corners x1,y1 .. x4,y4 of VOT's rotated boxes; None where the benchmark has none.
    """

    name: str
    frames: tuple
    truth: np.ndarray
    attributes: tuple = ()
    polygons: np.ndarray = None

    def __post_init__(self):
        for values, width, what in ((self.truth, 4, "true boxes"), (self.polygons, 8, "polygons")):
            if values is not None and np.shape(values) != (len(self.frames), width):
                raise BadInput(
                    f"{self.name}: {what} of shape {np.shape(values)} for {len(self.frames)} frames; give one a frame"
                )

    def fingerprint(self):
        """A short hash of the ground truth and of the names and sizes of the frames; where it differs, results are no longer valid."""
        sizes = [
            (Path(path).name, os.path.getsize(path) if os.path.exists(path) else None)
            for path in self.frames
        ]
        polygons = [] if self.polygons is None else [self.polygons.tolist()]
        return digest([self.truth.tolist(), sizes, *polygons])


def read_otb(root, sequences=None):
    """The targets of an OTB-layout root, or those named in `sequences`, as a list of Sequence.

    A folder's name stands for all its targets ("Jogging"), a target's for one ("Jogging.2"). BadInput names the sequence and
    the file where frames and boxes differ in number or a box is none.
    """
    root = Path(root)
    folders = _sequence_folders(root)
    reader = _toolkit_reader(root, folders)
    targets = [
        (name, Path(path).parent.name) for name, path in zip(reader.seq_names, reader.anno_files)
    ]
    wanted = set(folders if sequences is None else sequences)
    for name in sorted(wanted.difference(*targets)):
        if name not in folders:
            raise BadInput(
                f"{root}: has no sequence {name}; it has {', '.join(folders[:5])}{' ...' if len(folders) > 5 else ''}"
            )
        raise BadInput(
            f"{name}: {root / name / 'groundtruth_rect.txt'} is missing or empty; complete the sequence or leave it out"
        )
    known = otb_attributes() | attributes(root)
    return [
        _read_target(reader, index, known)
        for index, names in enumerate(targets)
        if wanted.intersection(names)
    ]


def attributes(root):
    """Attribute codes by sequence, {name: (code, ...)}, from `root`/attributes.txt: a line a name and codes with commas; {} without it."""
    path = Path(root) / "attributes.txt"
    table = {}
    for line in read_text(path).splitlines() if path.is_file() else ():
        name, *codes = re.split(
            r"[\s,]+", line.strip(" \t,")
        )  # OTB's own lists have "IV ,SV" and "DEF,"
        if not set(codes) <= set(ATTRIBUTES):
            raise BadInput(
                f"{path}: {name} has an attribute that is none of {', '.join(ATTRIBUTES)}; mend the line"
            )
        if name:
            table[name] = tuple(codes)
    return table


def otb_attributes():
    """The attributes of OTB2015's 98 sequences (100 targets) as its authors list them, {name: (code, ...)}."""
    with open(root() / "data" / "otb2015_attributes.csv", encoding="utf-8", newline="") as file:
        return {
            line["sequence"]: tuple(line["attributes"].split()) for line in csv.DictReader(file)
        }


def read_published(folder, annotations):
    """Boxes of one published tracker and the truth they were scored against, as {target: (boxes, truth)}, each (N, 4), 0-based.

    `folder` holds a file of 1-based boxes a target; `annotations` is the benchmark as JSON, {key: {"name", "gt_rect", ...}}, with the key
    "jogging_2" for the second target of Jogging. Targets are named as `read_otb` names them.
    """
    table = read_json(annotations)
    files = {_plain_name(path.stem): path for path in Path(folder).glob("*.txt")}
    for key, entry in table.items():
        if (
            Path(key).name != key
            or not isinstance(entry, dict)
            or not {"name", "gt_rect"} <= set(entry)
        ):
            raise BadInput(
                f"{annotations}: the entry {key!r} is no plain name with a name and a gt_rect; mend or remove it"
            )
    names = [entry["name"] for entry in table.values()]
    published = {}
    for key, entry in table.items():
        path = files.get(_plain_name(key), Path(folder) / f"{key}.txt")
        boxes, truth = from_one_based(read_boxes(path)), from_one_based(entry["gt_rect"])
        if len(boxes) != len(truth):
            raise BadInput(
                f"{path}: has {len(boxes)} boxes for {len(truth)} frames in {annotations}"
            )
        number = re.search(r"_(\d)$", key)
        name = (
            f"{entry['name']}.{number[1]}"
            if number and names.count(entry["name"]) > 1
            else entry["name"]
        )
        published[name] = boxes, truth
    return published


def _plain_name(name):
    return re.sub(
        r"[-_.](?=\d$)", ".", name.lower()
    )  # boxes are in Human4-2.txt and jogging_1.txt, the JSON says human4_2 and jogging_1


def _sequence_folders(root):
    if not is_folder(root):
        raise BadInput(f"{root}: no such folder; give the folder that holds the sequence folders")
    folders = sorted(
        path.name
        for path in root.iterdir()
        if (path / "img").is_dir() or any(path.glob("groundtruth_rect*.txt"))
    )
    if not folders:
        mend = (
            "give its parent"
            if (root / "img").is_dir()
            else "give the folder that holds the sequence folders"
        )
        raise BadInput(
            f"{root}: holds no sequence (a folder with img and groundtruth_rect.txt); {mend}"
        )
    return folders


def _toolkit_reader(root, folders):
    """got10k's OTB reader over `folders`: it lists and names the targets and knows which frames of five of OTB's sequences are annotated.

    Replaced: its private table of names (OTB's hundred; it sees no others), its printed warning for each of them that is absent, its
    reading of annotations as text to find empty ones (Human4 has one). What it meets with a bare AssertionError is checked below.
    """
    from got10k.datasets import OTB

    class Reader(OTB):
        _OTB__version_dict: ClassVar[dict] = {"folder": [glob.escape(name) for name in folders]}

        def _check_integrity(self, root_dir, version):
            pass

        def _filter_files(self, filenames):
            return [name for name in filenames if Path(name).is_file() and _holds_text(name)]

    reader = Reader(glob.escape(str(root)), "folder", download=False)
    reader.seq_dirs = [glob.escape(name) for name in reader.seq_dirs]
    return reader


def _holds_text(path):
    with reading(path):
        return bool(Path(path).read_bytes().strip())


def _read_target(reader, index, known):
    name, path = reader.seq_names[index], Path(reader.anno_files[index])
    rows = read_boxes(path)
    frames = _annotated_frames(reader, index, name, path, len(rows))
    check_truth(rows, name, path)
    codes = next(
        (
            known[alias]
            for alias in (name, name.replace(".", "-"), path.parent.name)
            if alias in known
        ),
        (),
    )
    return Sequence(name, frames, from_one_based(rows), codes)


def _annotated_frames(reader, index, name, path, count):
    folder = path.parent / "img"
    frames = image_files(folder)
    if len(frames) == count:
        return tuple(frames)
    gap = _first_gap(
        frames
    )  # got10k cuts by position: a missing file would shift the cut of David or Freeman3 unseen
    if gap is None:
        try:
            return tuple(Path(frame) for frame in reader[index][0])
        except (AssertionError, ValueError, IndexError):
            pass
    where = f", where {gap} is missing" if gap else ""
    raise BadInput(
        f"{name}: {path} has {count} boxes for {len(frames)} frames in {folder}{where}; complete the sequence or leave it out"
    )


def _first_gap(frames):
    numbers = {int(path.stem) for path in frames if path.stem.isdecimal()}
    gap = next(
        (
            number
            for number in range(min(numbers, default=0), max(numbers, default=0))
            if number not in numbers
        ),
        None,
    )
    return None if gap is None else f"{gap:0{len(frames[0].stem)}d}{frames[0].suffix}"


def check_truth(rows, name, path, absent=False):
    """BadInput for the first of the rows (N, 4) of a ground truth that is no box; with `absent`, rows of NaN after the first may stand."""
    last = len(rows)
    while (
        last > 1 and not rows[last - 1].any()
    ):  # Board and Twinnings end in 0,0,0,0: target gone, scored as a miss, as got10k does
        last -= 1
    bad = ~(np.abs(rows[:last]) <= LARGEST).all(1) | (rows[:last, 2:] <= 0).any(1)
    if absent:
        bad[1:] &= ~np.isnan(rows[1:last]).all(1)
    if bad.any():
        first = int(bad.argmax())
        check_box(
            rows[first], f"{name}: box {first + 1} of {path} (mend it or leave the sequence out)"
        )
