"""The paper's data sets: where each comes from, and whether a folder holds what it should.

data/datasets.yaml describes the sets, and data/otb2015_targets.csv has the number of scored frames
and the first box (1-based) of each target of OTB2015. Nothing is changed or downloaded.
"""

import csv
from pathlib import Path

import numpy as np

from scs_siam.data import benchmarks
from scs_siam.data.training_sets import read_got10k
from scs_siam.runtime.files import AnyPath, BadInput
from scs_siam.runtime.files import root as project

GROUND_TRUTHS = {  # of a layout: where its files are, and whether a file or its folder has the name
    "tc128": ("*/*_gt.txt", "parent"),
    "uav123": ("anno/UAV123*/*.txt", "file"),
    "vot": ("*/groundtruth.txt", "parent"),
}


def describe(name: str) -> dict:
    """Return what data/datasets.yaml says of a data set; BadInput for an unknown name."""
    import yaml

    known = yaml.safe_load((project() / "data" / "datasets.yaml").read_text(encoding="utf-8"))
    if name not in known:
        raise BadInput(f"there is no data set '{name}'; choose one of {', '.join(known)}")
    return known[name]


def check(name: str, root: AnyPath) -> list[str]:
    """Return one line for each thing that a folder of a data set lacks; none if it is complete."""
    about, root = describe(name), Path(root)
    if not root.is_dir():
        raise BadInput(f"{root}: no such folder; give the folder that holds {name}")
    if name == "otb2015":
        return _check_otb2015(root)
    if about["layout"] == "got10k":
        found, problems = _try(lambda: read_got10k(root))
    else:
        found, problems = _read_each(root, about["layout"])
    if not problems and found != about["sequences"]:
        problems = [f"{root}: holds {found} sequences; {name} has {about['sequences']}"]
    return problems


def _try(read):
    try:
        return len(read()), []
    except BadInput as error:
        return 0, [str(error)]


def _read_each(root, layout):
    """Number of sequences of a layout, and a line for each that cannot be read."""
    reader = benchmarks.READERS[layout]
    count, first = _try(lambda: reader(root))
    if not first:
        return count, []
    pattern, named = GROUND_TRUTHS[layout]
    files = sorted(root.glob(pattern))
    names = sorted(path.parent.name if named == "parent" else path.stem for path in files)
    problems = [line for name in names for line in _try(lambda name=name: reader(root, [name]))[1]]
    return len(names), problems or first


def _check_otb2015(root):
    """A line per target that is missing, unreadable, of another length or first box."""
    with open(project() / "data" / "otb2015_targets.csv", encoding="utf-8", newline="") as file:
        expected = {line["target"]: line for line in csv.DictReader(file)}
    found, broken = {}, {}
    for folder in sorted({target.split(".")[0] for target in expected}):
        if (root / folder).is_dir():
            try:
                targets = benchmarks.read_otb(root, [folder])
                found.update({sequence.name: sequence for sequence in targets})
            except BadInput as error:
                broken[folder] = str(error)
    if not found and not broken:
        remedy = "give the folder that holds Basketball, Biker and the others"
        raise BadInput(f"{root}: holds no sequence of otb2015; {remedy}")
    problems = []
    for target, line in expected.items():
        folder = target.split(".")[0]
        if target in found:
            problems += _compare(found[target], line)
        elif folder in found:
            files = "groundtruth_rect.1.txt and .2.txt"
            problems.append(f"{target}: is missing; {folder} lacks one of {files}")
        else:
            problems.append(broken.pop(folder, None) or f"{target}: is missing")
    return problems


def _compare(sequence, line):
    count, frames = len(sequence.truth), int(line["frames"])
    if count != frames:
        problem = f"has {count} frames with boxes, the set has {frames}"
        yield f"{sequence.name}: {problem}; get the sequence again"
        return
    box, found = np.array([float(line[side]) for side in "xywh"]) - [1, 1, 0, 0], sequence.truth[0]
    if not np.allclose(found, box, atol=0.51):
        boxes = f"{found.tolist()} (0-based) instead of {box.tolist()}"
        yield f"{sequence.name}: starts from the box {boxes}"
