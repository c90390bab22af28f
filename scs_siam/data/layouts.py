"""The other benchmarks of Table 2 on disk: readers of TC128, UAV123 (also its edition of 10 frames a second) and VOT layouts.

They read what got10k's readers read, and roots that those do not: sequences of other names, VOT without list.txt, UAV123 at 10 frames a
second. UAV123 cuts clips into sequences; where they begin and end is got10k's table.
"""

import glob
import json
from pathlib import Path

import numpy as np

from scs_siam.data.boxes import LARGEST, from_one_based, from_polygon, read_boxes, to_polygon
from scs_siam.data.sequences import Sequence, attributes, check_truth, read_otb
from scs_siam.data.video import image_files
from scs_siam.runtime.files import BadInput, is_folder, read_entries, read_names

UAV123_EDITIONS = {
    "UAV123": 1,
    "UAV123_10fps": 3,
}  # frames of the original for each of the edition's


def read_tc128(root, sequences=None):
    """The sequences of a TC128-layout root, or those named in `sequences`, as a list of Sequence.

    A folder each, with <name>_gt.txt (1-based x,y,w,h), <name>_frames.txt (first,last) and img/0001.jpg; without the second, all frames.
    """
    truths = {path.parent.name: path for path in sorted(_folder(root).glob("*/*_gt.txt"))}
    known, found = attributes(root), []
    for name, path in _choose(root, truths, sequences, "TC128's <name>/<name>_gt.txt"):
        ranges = sorted(path.parent.glob("*_frames.txt"))
        limits = _read_range(ranges[0]) if ranges else None
        found.append(_read_boxes(name, path, path.parent / "img", limits, known))
    return found


def read_uav123(root, sequences=None):
    """The sequences of a UAV123-layout root, of either edition, or those named in `sequences`, as a list of Sequence.

    Boxes (1-based x,y,w,h; NaN where the target is absent) are in anno/UAV123/<name>.txt or anno/UAV123_10fps/<name>.txt, frames in the
    folder of the clip in data_seq/UAV123 or data_seq/UAV123_10fps. A root in OTB's layout, as the 10fps edition is also passed on, goes
    to `read_otb`.
    """
    editions = [name for name in UAV123_EDITIONS if (_folder(root) / "anno" / name).is_dir()]
    if len(editions) > 1:
        raise BadInput(
            f"{root}: holds both editions, anno/{' and anno/'.join(editions)}; keep them in folders of their own"
        )
    if not editions and any(Path(root).glob("*/groundtruth_rect*.txt")):
        return read_otb(root, sequences)
    edition = editions[0] if editions else "UAV123"
    truths = {path.stem: path for path in sorted((Path(root) / "anno" / edition).glob("*.txt"))}
    table, known, found = _uav123_table(), attributes(root), []
    for name, path in _choose(root, truths, sequences, f"UAV123's anno/{edition}/<name>.txt"):
        clip, limits = name, None
        if name in table:
            clip, step = table[name]["folder_name"], UAV123_EDITIONS[edition]
            limits = [(table[name][end] - 1) // step + 1 for end in ("start_frame", "end_frame")]
        found.append(
            _read_boxes(
                name, path, Path(root) / "data_seq" / edition / clip, limits, known, absent=True
            )
        )
    return found


def read_vot(root, sequences=None, truth="groundtruth.txt"):
    """The sequences of a VOT-layout root, or those named in `sequences`, as a list of Sequence with `polygons` (N, 8), 0-based.

    A folder each, those in list.txt if there is one, with the file `truth` (x1,y1 .. x4,y4 or x,y,w,h; 0-based) and its frames beside it,
    in color/ or in img/. `Sequence.truth` holds the boxes of `boxes.from_polygon`, which start a tracker.
    """
    truths = {
        path.parent.name: path for path in sorted(_folder(root).glob(f"*/{glob.escape(truth)}"))
    }
    listed = Path(root) / "list.txt"
    if listed.is_file() and sequences is None:
        sequences = read_names(listed)
    known = attributes(root)
    return [
        _read_polygons(name, path, known)
        for name, path in _choose(root, truths, sequences, f"VOT's <name>/{truth}")
    ]


def _folder(root):
    root = Path(root)
    if not is_folder(root):
        raise BadInput(f"{root}: no such folder; give the folder that holds the benchmark")
    return root


def _choose(root, truths, sequences, layout):
    """(name, ground truth) of all sequences found, or of the wanted ones."""
    if not truths:
        raise BadInput(
            f"{root}: holds no sequence ({layout}); give the folder that holds the benchmark"
        )
    for name in sequences or ():
        if name not in truths:
            few = ", ".join(list(truths)[:5]) + (" ..." if len(truths) > 5 else "")
            raise BadInput(f"{root}: has no sequence {name} ({layout}); it has {few}")
    return [(name, path) for name, path in truths.items() if sequences is None or name in sequences]


def _read_boxes(name, path, folder, limits, known, absent=False):
    rows = read_boxes(path)
    frames = _frames(name, path, len(rows), folder, limits)
    check_truth(rows, name, path, absent)
    return Sequence(name, frames, from_one_based(rows), known.get(name, ()))


def _read_polygons(name, path, known):
    folder = next(
        (place for place in (path.parent / "color", path.parent / "img") if place.is_dir()),
        path.parent,
    )
    rows = read_boxes(path, (4, 8))
    frames = _frames(name, path, len(rows), folder, None)
    if rows.shape[1] == 4:
        check_truth(rows, name, path)
        return Sequence(name, frames, rows, known.get(name, ()), to_polygon(rows))
    sides = np.diff(rows.reshape(-1, 4, 2), axis=1)  # three of them
    areas = np.abs(
        sides[:, :-1, 0] * sides[:, 1:, 1] - sides[:, :-1, 1] * sides[:, 1:, 0]
    )  # spanned by the first two and the last two
    good = (np.abs(rows) <= LARGEST).all(1) & (areas > 0).all(1)
    if not good.all():
        raise BadInput(
            f"{name}: polygon {good.argmin() + 1} of {path} is not finite, beyond any frame or has no area; "
            "mend it or leave the sequence out"
        )
    return Sequence(name, frames, from_polygon(rows), known.get(name, ()), rows)


def _frames(name, path, count, folder, limits):
    """The image files of a sequence: those numbered from `limits`[0] to `limits`[1], or all of `folder`; as many as there are boxes."""
    files = image_files(folder)
    if limits is not None:
        numbered = {int(file.stem): file for file in files if file.stem.isdecimal()}
        wanted = range(limits[0], limits[1] + 1)
        missing = next(
            (number for number in wanted if number not in numbered), None
        )  # the first: a range may be of any length
        if missing is not None:
            raise BadInput(
                f"{name}: frame {missing} is missing in {folder}; complete the sequence or leave it out"
            )
        files = [numbered[number] for number in wanted]
    if len(files) != count:
        raise BadInput(
            f"{name}: {path} has {count} boxes for {len(files)} frames in {folder}; complete the sequence or leave it out"
        )
    return tuple(files)


def _read_range(path):
    rows = read_boxes(path, 2)
    if len(rows) != 1 or not np.isfinite(rows).all() or rows[0, 0] > rows[0, 1]:
        raise BadInput(
            f"{path}: must be one line first,last with the numbers of two frames; mend it"
        )
    return [int(number) for number in rows[0]]


def _uav123_table():
    """Clip, first and last frame of the original's 123 sequences by name, from got10k."""
    import got10k.datasets

    return json.loads(
        (Path(got10k.datasets.__file__).parent / "uav123.json").read_text(encoding="utf-8")
    )["UAV123"]


def read_listed(root, sequences=None):
    """The sequences of a folder with sequences.json: a list of name, frames (paths below the folder), 0-based boxes and attributes."""
    lines = read_entries(Path(root) / "sequences.json")
    return [
        Sequence(
            line["name"],
            tuple(Path(root) / frame for frame in line["frames"]),
            np.array(line["boxes"], np.float64),
            tuple(line.get("attributes", ())),
        )
        for line in lines
        if sequences is None or line["name"] in sequences
    ]


READERS = {
    "otb": read_otb,
    "tc128": read_tc128,
    "uav123": read_uav123,
    "vot": read_vot,
    "listed": read_listed,
}


def layout_of(name, root=""):
    """The key of READERS for a benchmark: named in a root "vot:/data/x", else told by its name (UAV123_10fps, SynVOT2016), else "otb"."""
    core = name.removeprefix("Syn").lower()
    return _named(root)[0] or next((layout for layout in READERS if core.startswith(layout)), "otb")


def read(name, root):
    """The sequences of a benchmark by its name and its root, which may name the layout ("vot:/data/x"), as a list of Sequence."""
    return READERS[layout_of(name, root)](_named(root)[1])


def _named(root):
    """(layout, path) of a root "layout:path", ("", root) of another."""
    layout, colon, path = str(root).partition(":")
    if colon and layout in READERS:
        return layout, path
    if (
        colon and layout.isalnum() and len(layout) > 1 and not Path(root).exists()
    ):  # one letter is a drive
        raise BadInput(f"{root}: there is no layout '{layout}'; choose one of {', '.join(READERS)}")
    return "", root
