"""Benchmarks on disk: readers of the layouts of OTB, TC128, UAV123 and VOT, and of published boxes.

Every reader returns a list of Sequence. To add a data set, write a reader and name it in READERS.
"""

import csv
import json
import os
import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from scs_siam.data.boxes import (
    LARGEST,
    check_box,
    from_one_based,
    from_polygon,
    read_boxes,
    to_polygon,
)
from scs_siam.data.images import list_images
from scs_siam.data.video import Frames
from scs_siam.runtime.files import (
    AnyPath,
    BadInput,
    digest,
    is_folder,
    read_entries,
    read_json,
    read_names,
    read_text,
    root,
)

ATTRIBUTES = ("IV", "SV", "OCC", "DEF", "MB", "FM", "IPR", "OPR", "OV", "BC", "LR")  # of OTB
TOOLKIT_FRAMES = {  # first and last frame that OTB's toolkit scores, where a folder may hold more
    **{"david": (300, 770), "diving": (1, 215), "football1": (1, 74), "tiger1": (6, 354)},
    **{"freeman3": (1, 460), "freeman4": (1, 283)},
    **{"blurcar1": (247, 988), "blurcar3": (3, 359), "blurcar4": (18, 397)},
}
UAV123_STEP = {"UAV123": 1, "UAV123_10fps": 3}  # frames of the original per frame of an edition
COMPLETE = "complete the sequence or leave it out"


@dataclass(frozen=True, eq=False)
class Sequence:
    """One target of one clip: its image files or its video, and its ground truth (N, 4), 0-based.

    A row of the ground truth is NaN where the target is absent. `polygons` (N, 8) are the corners
    x1,y1 .. x4,y4 of VOT's rotated boxes, or None.
    """

    name: str
    frames: tuple | Frames
    truth: np.ndarray
    attributes: tuple = ()
    polygons: np.ndarray | None = None

    def __post_init__(self):
        for values, width, what in ((self.truth, 4, "true boxes"), (self.polygons, 8, "polygons")):
            if values is not None and np.shape(values) != (len(self.frames), width):
                problem = f"{what} of shape {np.shape(values)} for {len(self.frames)} frames"
                raise BadInput(f"{self.name}: {problem}; give one per frame")

    def fingerprint(self) -> str:
        """Return a hash of the ground truth and of the names and sizes of the frames.

        Results are valid as long as it is the same.
        """
        sizes = [
            (Path(path).name, os.path.getsize(path) if os.path.exists(path) else None)
            for path in getattr(self.frames, "files", self.frames)
        ]
        polygons = [] if self.polygons is None else [self.polygons.tolist()]
        return digest([self.truth.tolist(), sizes, *polygons])


def read_otb(root: AnyPath, sequences: list[str] | None = None) -> list[Sequence]:
    """Return the targets of a root in OTB's layout, or those named in `sequences`.

    A sequence is a folder with img/ and groundtruth_rect.txt, or groundtruth_rect.1.txt and .2.txt
    for two targets; boxes are 1-based x,y,w,h. "Jogging" stands for all targets of the folder,
    "Jogging.2" for one. The frames are those that OTB's toolkit scores, also where the folder holds
    those of the benchmark's site. BadInput names a sequence whose boxes and frames do not match.
    """
    root, targets = Path(root), []
    folders = _sequence_folders(root)
    for folder in folders:
        files = [path for path in sorted((root / folder).iterdir()) if _is_otb_truth(path)]
        for number, path in enumerate(files, 1):
            targets.append((f"{folder}.{number}" if len(files) > 1 else folder, path))
    wanted = set(folders if sequences is None else sequences)
    names = {name for name, _ in targets} | {path.parent.name for _, path in targets}
    for name in sorted(wanted - names):
        if name in folders:
            problem = f"{root / name / 'groundtruth_rect.txt'} is missing or empty"
            raise BadInput(f"{name}: {problem}; {COMPLETE}")
        raise BadInput(f"{root}: has no sequence {name}; it has {_few(folders)}")
    known = otb_attributes() | attributes(root)
    chosen = [(name, path) for name, path in targets if {name, path.parent.name} & wanted]
    return [_read_otb_target(name, path, known) for name, path in chosen]


def _is_otb_truth(path):
    named = re.fullmatch(r"groundtruth_rect(\.\d)?\.txt", path.name)
    return bool(named and path.is_file() and path.read_bytes().strip())  # Human4 has an empty one


def _sequence_folders(root):
    where = "give the folder that holds the sequence folders"
    if not is_folder(root):
        raise BadInput(f"{root}: no such folder; {where}")
    found = [
        path.name
        for path in sorted(root.iterdir())
        if (path / "img").is_dir() or any(path.glob("groundtruth_rect*.txt"))
    ]
    if not found:
        remedy = "give its parent" if (root / "img").is_dir() else where
        problem = "holds no sequence (a folder with img and groundtruth_rect.txt)"
        raise BadInput(f"{root}: {problem}; {remedy}")
    return found


def _read_otb_target(name, path, known):
    rows, folder = read_boxes(path), path.parent / "img"
    frames = list_images(folder)
    numbered = {int(file.stem): file for file in frames if file.stem.isdecimal()}
    expected = range(min(numbered, default=1), max(numbered, default=1))
    gap = next((number for number in expected if number not in numbered), None)
    if gap is not None and len(frames) != len(rows):
        gap = f"{gap:0{len(frames[0].stem)}d}{frames[0].suffix}"
        problem = f"{len(rows)} boxes for {len(frames)} frames in {folder}"
        raise BadInput(f"{name}: {path} has {problem}, where {gap} is missing; {COMPLETE}")
    if (scored := TOOLKIT_FRAMES.get(path.parent.name.lower())) and numbered:
        first, last = scored
        if len(rows) > last - first + 1:  # the lines of the site
            rows = rows[first - 1 : last]
        if len(frames) != len(rows):  # the frames of the site
            frames = [numbered[n] for n in sorted(numbered) if first <= n <= last]
    if len(frames) != len(rows):
        problem = f"{len(rows)} boxes for {len(frames)} frames in {folder}"
        raise BadInput(f"{name}: {path} has {problem}; {COMPLETE}")
    check_truth(rows, name, path)
    aliases = (name, name.replace(".", "-"), path.parent.name)
    codes = next((known[alias] for alias in aliases if alias in known), ())
    return Sequence(name, tuple(frames), from_one_based(rows), codes)


def attributes(root: AnyPath) -> dict[str, tuple]:
    """Return the attribute codes in `root`/attributes.txt as {sequence: (code, ...)}.

    A line holds a name and codes, separated by commas or blanks; no file gives an empty dict.
    """
    path, table = Path(root) / "attributes.txt", {}
    for line in read_text(path).splitlines() if path.is_file() else ():
        # OTB's own lists have "IV ,SV" and "DEF,".
        name, *codes = re.split(r"[\s,]+", line.strip(" \t,"))
        if not set(codes) <= set(ATTRIBUTES):
            problem = f"{name} has an attribute that is none of {', '.join(ATTRIBUTES)}"
            raise BadInput(f"{path}: {problem}; correct the line")
        if name:
            table[name] = tuple(codes)
    return table


def otb_attributes() -> dict[str, tuple]:
    """Return the attributes of the 98 sequences of OTB2015 as its authors list them."""
    with open(root() / "data" / "otb2015_attributes.csv", encoding="utf-8", newline="") as file:
        return {row["sequence"]: tuple(row["attributes"].split()) for row in csv.DictReader(file)}


def read_published(
    folder: AnyPath, annotations: AnyPath
) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Return the boxes of a published tracker and their ground truth as {target: (boxes, truth)}.

    `folder` holds a file of 1-based boxes per target; `annotations` is the benchmark as JSON,
    {key: {"name", "gt_rect", ...}}, with the key "jogging_2" for the second target of Jogging.
    Boxes are 0-based (N, 4), and targets are named as `read_otb` names them.
    """
    table = read_json(annotations)
    files = {_plain_name(path.stem): path for path in Path(folder).glob("*.txt")}
    for key, entry in table.items():
        sound = isinstance(entry, dict) and {"name", "gt_rect"} <= set(entry)
        if Path(key).name != key or not sound:
            problem = f"the entry {key!r} is not a plain name with a name and a gt_rect"
            raise BadInput(f"{annotations}: {problem}; correct or remove it")
    names = [entry["name"] for entry in table.values()]
    published = {}
    for key, entry in table.items():
        path = files.get(_plain_name(key), Path(folder) / f"{key}.txt")
        boxes, truth = from_one_based(read_boxes(path)), from_one_based(entry["gt_rect"])
        if len(boxes) != len(truth):
            lengths = f"{len(boxes)} boxes for {len(truth)} frames"
            raise BadInput(f"{path}: has {lengths} in {annotations}")
        number, name = re.search(r"_(\d)$", key), entry["name"]
        double = number and names.count(name) > 1
        published[f"{name}.{number[1]}" if double else name] = boxes, truth
    return published


def _plain_name(name):
    """Boxes are in Human4-2.txt and jogging_1.txt, the JSON says human4_2 and jogging_1."""
    return re.sub(r"[-_.](?=\d$)", ".", name.lower())


def check_truth(rows: np.ndarray, name: str, path: AnyPath, absent: bool = False) -> None:
    """Raise BadInput for the first row (N, 4) of a ground truth that is not a box.

    With `absent`, rows of NaN after the first are allowed. Rows of zeros at the end are allowed:
    Board and Twinnings end so, and toolkits score these frames as misses.
    """
    last = len(rows)
    while last > 1 and not rows[last - 1].any():
        last -= 1
    bad = ~(np.abs(rows[:last]) <= LARGEST).all(1) | (rows[:last, 2:] <= 0).any(1)
    if absent:
        bad[1:] &= ~np.isnan(rows[1:last]).all(1)
    if bad.any():
        first = int(bad.argmax())
        remedy = "correct it or leave the sequence out"
        check_box(rows[first], f"{name}: box {first + 1} of {path} ({remedy})")


def read_tc128(root: AnyPath, sequences: list[str] | None = None) -> list[Sequence]:
    """Return the sequences of a root in TC128's layout, or those named in `sequences`.

    A folder holds <name>_gt.txt (1-based x,y,w,h), <name>_frames.txt (first,last; without it all
    frames count) and img/0001.jpg.
    """
    truths = {path.parent.name: path for path in sorted(_folder(root).glob("*/*_gt.txt"))}
    known, found = attributes(root), []
    for name, path in _choose(root, truths, sequences, "TC128's <name>/<name>_gt.txt"):
        ranges = sorted(path.parent.glob("*_frames.txt"))
        limits = _read_range(ranges[0]) if ranges else None
        found.append(_read_boxes(name, path, path.parent / "img", limits, known))
    return found


def read_uav123(root: AnyPath, sequences: list[str] | None = None) -> list[Sequence]:
    """Return the sequences of a root in UAV123's layout, of either edition.

    Boxes (1-based x,y,w,h; NaN where the target is absent) are in anno/UAV123/<name>.txt or
    anno/UAV123_10fps/<name>.txt, frames in the folder of the clip in data_seq/UAV123 or
    data_seq/UAV123_10fps. UAV123 cuts clips into sequences by a table that got10k carries. A root
    in OTB's layout, as the 10fps edition is also distributed, is read by `read_otb`.
    """
    root = _folder(root)
    editions = [name for name in UAV123_STEP if (root / "anno" / name).is_dir()]
    if len(editions) > 1:
        problem = f"holds both editions, anno/{' and anno/'.join(editions)}"
        raise BadInput(f"{root}: {problem}; keep them in folders of their own")
    if not editions and any(root.glob("*/groundtruth_rect*.txt")):
        return read_otb(root, sequences)
    edition = editions[0] if editions else "UAV123"
    truths = {path.stem: path for path in sorted((root / "anno" / edition).glob("*.txt"))}
    table, known, found = _uav123_table(), attributes(root), []
    for name, path in _choose(root, truths, sequences, f"UAV123's anno/{edition}/<name>.txt"):
        clip, limits = name, None
        if name in table:
            clip, step = table[name]["folder_name"], UAV123_STEP[edition]
            limits = [(table[name][end] - 1) // step + 1 for end in ("start_frame", "end_frame")]
        folder = root / "data_seq" / edition / clip
        found.append(_read_boxes(name, path, folder, limits, known, absent=True))
    return found


def read_vot(
    root: AnyPath, sequences: list[str] | None = None, truth: str = "groundtruth.txt"
) -> list[Sequence]:
    """Return the sequences of a root in VOT's layout, with `polygons` (N, 8), 0-based.

    A folder (those of list.txt if there is one) holds the file `truth` (x1,y1 .. x4,y4 or x,y,w,h;
    0-based) and its frames beside it, in color/ or in img/. `Sequence.truth` holds the boxes of
    `boxes.from_polygon`, which start a tracker.
    """
    folders = sorted(path for path in _folder(root).iterdir() if (path / truth).is_file())
    truths = {folder.name: folder / truth for folder in folders}
    listed = Path(root) / "list.txt"
    if listed.is_file() and sequences is None:
        sequences = read_names(listed)
    known, chosen = attributes(root), _choose(root, truths, sequences, f"VOT's <name>/{truth}")
    return [_read_polygons(name, path, known) for name, path in chosen]


def _folder(root):
    root = Path(root)
    if not is_folder(root):
        raise BadInput(f"{root}: no such folder; give the folder that holds the benchmark")
    return root


def _few(names):
    return ", ".join(names[:5]) + (" ..." if len(names) > 5 else "")


def _choose(root, truths, sequences, layout):
    """(name, ground truth) of all sequences found, or of those that are wanted."""
    if not truths:
        problem = f"holds no sequence ({layout})"
        raise BadInput(f"{root}: {problem}; give the folder that holds the benchmark")
    for name in sequences or ():
        if name not in truths:
            found = _few(list(truths))
            raise BadInput(f"{root}: has no sequence {name} ({layout}); it has {found}")
    return [(name, path) for name, path in truths.items() if sequences is None or name in sequences]


def _read_boxes(name, path, folder, limits, known, absent=False):
    rows = read_boxes(path)
    frames = _frames(name, path, len(rows), folder, limits)
    check_truth(rows, name, path, absent)
    return Sequence(name, frames, from_one_based(rows), known.get(name, ()))


def _read_polygons(name, path, known):
    folders = [path.parent / part for part in ("color", "img") if (path.parent / part).is_dir()]
    rows, codes = read_boxes(path, (4, 8)), known.get(name, ())
    frames = _frames(name, path, len(rows), (folders or [path.parent])[0], None)
    if rows.shape[1] == 4:
        check_truth(rows, name, path)
        return Sequence(name, frames, rows, codes, to_polygon(rows))
    x, y = np.moveaxis(np.diff(rows.reshape(-1, 4, 2), axis=1), -1, 0)  # three edges each
    areas = np.abs(x[:, :-1] * y[:, 1:] - y[:, :-1] * x[:, 1:])
    good = (np.abs(rows) <= LARGEST).all(1) & (areas > 0).all(1)
    if not good.all():
        problem = f"polygon {good.argmin() + 1} of {path} is not finite, beyond any frame or has no"
        raise BadInput(f"{name}: {problem} area; correct it or leave the sequence out")
    return Sequence(name, frames, from_polygon(rows), codes, rows)


def _frames(name, path, count, folder, limits):
    """The `count` image files of a sequence: those numbered within `limits`, or all of `folder`."""
    files = list_images(folder)
    if limits is not None:
        numbered = {int(file.stem): file for file in files if file.stem.isdecimal()}
        wanted = range(limits[0], limits[1] + 1)
        missing = next((number for number in wanted if number not in numbered), None)
        if missing is not None:
            raise BadInput(f"{name}: frame {missing} is missing in {folder}; {COMPLETE}")
        files = [numbered[number] for number in wanted]
    if len(files) != count:
        problem = f"{path} has {count} boxes for {len(files)} frames in {folder}"
        raise BadInput(f"{name}: {problem}; {COMPLETE}")
    return tuple(files)


def _read_range(path):
    rows = read_boxes(path, 2)
    if len(rows) != 1 or not np.isfinite(rows).all() or rows[0, 0] > rows[0, 1]:
        problem = "must be one line first,last with the numbers of two frames"
        raise BadInput(f"{path}: {problem}; correct it")
    return [int(number) for number in rows[0]]


def _uav123_table():
    """Clip, first and last frame of the original's 123 sequences by name, from got10k."""
    import got10k.datasets

    path = Path(got10k.datasets.__file__).parent / "uav123.json"
    return json.loads(path.read_text(encoding="utf-8"))["UAV123"]


def read_listed(root: AnyPath, sequences: list[str] | None = None) -> list[Sequence]:
    """Return the sequences of a folder with sequences.json.

    It is a list of objects with name, frames (paths below the folder), 0-based boxes, attributes.
    """
    found, lines = [], read_entries(Path(root) / "sequences.json")
    names = [line["name"] for line in lines]
    for name in sequences or ():
        if name not in names:
            raise BadInput(f"{root}: has no sequence {name}; it has {_few(names)}")
    for line in lines:
        if sequences is None or line["name"] in sequences:
            frames = tuple(Path(root) / frame for frame in line["frames"])
            boxes, codes = np.array(line["boxes"], np.float64), tuple(line.get("attributes", ()))
            found.append(Sequence(line["name"], frames, boxes, codes))
    return found


def read_clips(root, sequences=None) -> list[Sequence]:
    """Return the clips of a folder with NAME/clip.mp4 and NAME/groundtruth.txt (1-based x,y,w,h).

    This is the layout of data/clips. BadInput names a folder that lacks one of the two files and a
    clip whose length differs from the number of its boxes.
    """
    root, found = _folder(root), []
    folders = [path for path in sorted(root.iterdir()) if (path / "clip.mp4").is_file()]
    folders += [path.parent for path in sorted(root.glob("*/groundtruth.txt"))]
    names = sorted({path.name for path in folders})
    if not names:
        raise BadInput(f"{root}: holds no clip (a folder with clip.mp4 and groundtruth.txt)")
    for name in names if sequences is None else sequences:
        if name not in names:
            raise BadInput(f"{root}: has no clip {name}; it has {_few(names)}")
        truth = root / name / "groundtruth.txt"
        if not truth.is_file():
            raise BadInput(f"{name}: {truth} is missing; {COMPLETE}")
        rows = read_boxes(truth)
        check_truth(rows, name, truth, absent=True)
        found.append(Sequence(name, Frames(root / name / "clip.mp4"), from_one_based(rows)))
    return found


READERS = {"otb": read_otb, "tc128": read_tc128, "uav123": read_uav123, "vot": read_vot}
READERS |= {"clips": read_clips, "listed": read_listed}


def layout_of(name: str, root: AnyPath = "") -> str:
    """Return the key of READERS for a benchmark.

    It is given in the root ("vot:/data/x") or by the name (UAV123_10fps, SynVOT2016), else "otb".
    """
    core = name.removeprefix("Syn").lower()
    found = next((layout for layout in READERS if core.startswith(layout)), "otb")
    return _split_root(root)[0] or found


def read(name: str, root: AnyPath) -> list[Sequence]:
    """Return the sequences of a benchmark; its root may name the layout ("vot:/data/x")."""
    return READERS[layout_of(name, root)](_split_root(root)[1])


def _split_root(root):
    """(layout, path) of a root "layout:path"; ("", root) of any other."""
    layout, colon, path = str(root).partition(":")
    if colon and layout in READERS:
        return layout, path
    drive = len(layout) == 1
    if colon and layout.isalnum() and not drive and not Path(root).exists():
        choices = ", ".join(READERS)
        raise BadInput(f"{root}: there is no layout '{layout}'; choose one of {choices}")
    return "", root
