"""The paper's data sets on a disk: where each comes from, and whether a folder holds what it should. Nothing is changed or downloaded.

data/datasets.yaml describes the sets; data/otb2015_targets.csv has the frames and the first box (1-based) of each target of OTB2015.
`also` there is the number of frames of Tiger1's whole clip; its annotation is often passed on without the first five.
"""

import csv
from pathlib import Path

import numpy as np

from scs_siam.data import layouts
from scs_siam.data.store import read_got10k
from scs_siam.runtime.files import BadInput
from scs_siam.runtime.files import root as project


def describe(name):
    """What data/datasets.yaml says of the set called `name`, as a dict; BadInput if it has none of that name."""
    import yaml

    known = yaml.safe_load((project() / "data" / "datasets.yaml").read_text(encoding="utf-8"))
    if name not in known:
        raise BadInput(f"there is no data set '{name}'; choose one of {', '.join(known)}")
    return known[name]


def check(name, root):
    """What a folder lacks of the set called `name`, a line each; an empty list if it is complete. BadInput if there is no such folder."""
    about, root = describe(name), Path(root)
    if not root.is_dir():
        raise BadInput(f"{root}: no such folder; give the folder that holds {name}")
    if name == "otb2015":
        return _check_otb2015(root)
    found, problems = (
        _read_whole(lambda: read_got10k(root))
        if about["layout"] == "got10k"
        else _read_each(root, about["layout"])
    )
    if not problems and found != about["sequences"]:
        problems = [f"{root}: holds {found} sequences; {name} has {about['sequences']}"]
    return problems


def _read_whole(read):
    try:
        return len(read()), []
    except BadInput as error:
        return 0, [str(error)]


def _read_each(root, layout):
    """Number of sequences of a layout, and a line for each that cannot be read."""
    try:
        return len(layouts.READERS[layout](root)), []
    except BadInput as error:
        first = str(error)
    names = {
        "tc128": [path.parent.name for path in root.glob("*/*_gt.txt")],
        "uav123": [path.stem for path in root.glob("anno/UAV123*/*.txt")],
        "vot": [path.parent.name for path in root.glob("*/groundtruth.txt")],
    }[layout]
    problems = [
        line
        for name in sorted(names)
        for line in _read_whole(lambda name=name: layouts.READERS[layout](root, [name]))[1]
    ]
    return len(names), problems or [first]


def _check_otb2015(root):
    """A line for each target of OTB2015 that is missing, cannot be read, has other frames or starts from another box."""
    with open(project() / "data" / "otb2015_targets.csv", encoding="utf-8", newline="") as file:
        expected = {line["target"]: line for line in csv.DictReader(file)}
    found, broken = {}, {}
    for folder in sorted({target.split(".")[0] for target in expected}):
        if not (root / folder).is_dir():
            continue
        try:
            found.update({sequence.name: sequence for sequence in layouts.read_otb(root, [folder])})
        except BadInput as error:
            broken[folder] = str(error)
    if not found and not broken:
        raise BadInput(
            f"{root}: holds no sequence of otb2015; give the folder that holds Basketball, Biker and the others"
        )
    problems = []
    for target, line in expected.items():
        folder = target.split(".")[0]
        if target in found:
            problems += _compare(found[target], line)
        else:
            half = (
                f"; {folder} lacks one of groundtruth_rect.1.txt and .2.txt"
                if folder in found
                else ""
            )
            problems.append(broken.pop(folder, None) or f"{target}: is missing{half}")
    return problems


def _compare(sequence, line):
    count, also = len(sequence.truth), int(line["also"] or line["frames"])
    if count not in (int(line["frames"]), also):
        yield f"{sequence.name}: has {count} frames with boxes, the set has {line['frames']}; get the sequence again"
    elif count == int(line["frames"]):
        box = np.array([float(line[side]) for side in "xywh"]) - [1, 1, 0, 0]
        if not np.allclose(sequence.truth[0], box, atol=0.51):
            yield f"{sequence.name}: starts from the box {sequence.truth[0].tolist()} (0-based), the set's is {box.tolist()}"
