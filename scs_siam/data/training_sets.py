"""Training sets on disk: GOT-10k's layout, ImageNet VID, and folders with videos.json."""

import xml.etree.ElementTree as ElementTree
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from scs_siam.data.boxes import from_one_based, read_boxes
from scs_siam.data.images import list_images
from scs_siam.runtime.files import AnyPath, BadInput, is_folder, read_entries, read_names

VID_FOLDERS = {"train": "ILSVRC*/ILSVRC*", "val": "ILSVRC2015_val_*"}
VID_CORNERS = ("xmin", "ymin", "xmax", "ymax")
XML_ERRORS = (AttributeError, TypeError, ValueError, OverflowError, LookupError, OSError)


@dataclass(frozen=True)
class Video:
    """One training sequence: frame files in order and a 0-based box (N, 4) per frame."""

    name: str
    frames: tuple
    boxes: np.ndarray


def read_videos(root: AnyPath) -> list[Video]:
    """Return the videos of a folder with videos.json, or of a folder in GOT-10k's layout.

    videos.json is a list of objects with name, frames (paths below the folder) and 0-based boxes.
    """
    root = Path(root)
    if not (root / "videos.json").is_file():
        return read_got10k(root)
    videos = []
    for line in read_entries(root / "videos.json"):
        frames = tuple(str(root / frame) for frame in line["frames"])
        boxes = np.array(line["boxes"], np.float64).reshape(-1, 4)
        videos.append(Video(line["name"], frames, boxes))
    return videos


def read_got10k(root: AnyPath) -> list[Video]:
    """Return the videos of a folder in GOT-10k's layout, such as .../GOT-10k/train.

    A sequence is a sub-folder with groundtruth.txt (1-based x,y,w,h) and one image per line.
    list.txt names the sequences; without it every sub-folder with a groundtruth.txt is one.
    """
    root = Path(root)
    if not is_folder(root):
        raise BadInput(f"{root}: no such folder; give a folder in GOT-10k's layout")
    if (root / "list.txt").is_file():
        names = read_names(root / "list.txt")
    else:
        names = sorted(path.parent.name for path in root.glob("*/groundtruth.txt"))
    if not names:
        problem = "has neither list.txt nor sub-folders with groundtruth.txt"
        raise BadInput(f"{root}: {problem}; give a folder in GOT-10k's layout, such as train")
    return [_read_got10k_video(root / name, name) for name in names]


def _read_got10k_video(folder, name):
    truth = folder / "groundtruth.txt"
    boxes, frames = read_boxes(truth), list_images(folder)
    if len(frames) < len(boxes):
        frames = _with_missing(folder, frames, len(boxes))
    if len(boxes) != len(frames):
        problem = f"has {len(boxes)} lines for the {len(frames)} frames beside it"
        raise BadInput(f"{truth}: {problem}; correct or remove the sequence")
    return Video(name, tuple(map(str, frames)), from_one_based(boxes))


def _with_missing(folder, frames, count):
    """Frames 1 to `count` (or from 0), with the names that missing ones must have; or `frames`.

    The crop store counts missing frames like those that cannot be read.
    """
    numbered = {int(path.stem): path for path in frames if path.stem.isdecimal()}
    first = 0 if 0 in numbered else 1
    wanted = range(first, first + count)
    if len(numbered) < len(frames) or not set(numbered) <= set(wanted):
        return frames
    width, suffix = len(frames[0].stem), frames[0].suffix
    return [numbered.get(n, folder / f"{n:0{width}d}{suffix}") for n in wanted]


def read_imagenet_vid(root: AnyPath) -> list[Video]:
    """Return the videos of ImageNet VID (ILSVRC2015), one per track of at least two frames.

    `root` holds Data/VID/train/<group>/<sequence>/000000.JPEG (val has no group) and the same under
    Annotations with .xml files, whose corners are whole, 0-based pixels, both inside the box. A
    video has the frames in which its track is annotated. Table 9's SiameseFC is trained on it.
    """
    root, folders = Path(root), []
    for subset, pattern in VID_FOLDERS.items():
        folders += sorted((root / "Data" / "VID" / subset).glob(pattern))
    if not folders:
        problem = "holds no Data/VID/train/<group>/<sequence>"
        raise BadInput(f"{root}: {problem}; give the folder of ImageNet VID, such as ILSVRC2015")
    videos = []
    for folder in folders:
        videos += _read_tracks(folder, root / "Annotations" / folder.relative_to(root / "Data"))
    if not videos:
        problem = "no object is annotated in two frames of a sequence"
        raise BadInput(f"{root / 'Annotations' / 'VID'}: {problem}; complete the data")
    return videos


def _read_tracks(folder, annotations):
    """The videos of one sequence, in the order of their tracks' names."""
    files, tracks = sorted(annotations.glob("*.xml")), {}
    if not files:
        remedy = "complete the sequence or remove it"
        raise BadInput(f"{annotations}: holds no annotations for {folder}; {remedy}")
    for file in files:
        for track, box in _read_objects(file):
            tracks.setdefault(track, []).append((str(folder / f"{file.stem}.JPEG"), box))
    videos = []
    for track in sorted(tracks):
        if len(tracks[track]) > 1:
            frames, boxes = zip(*tracks[track])
            videos.append(Video(f"{folder.name}.{track}", frames, np.array(boxes, np.float64)))
    return videos


def _read_objects(file):
    """(track, box) of each object in one frame."""
    try:
        for item in ElementTree.parse(file).iterfind("object"):
            corners = (float(int(item.find(f"bndbox/{name}").text)) for name in VID_CORNERS)
            left, top, right, bottom = corners
            yield int(item.find("trackid").text), (left, top, right - left + 1, bottom - top + 1)
    except (ElementTree.ParseError, *XML_ERRORS) as error:
        problem = f"is not an annotation of ImageNet VID ({error})"
        raise BadInput(f"{file}: {problem}; correct it or remove the sequence") from None
