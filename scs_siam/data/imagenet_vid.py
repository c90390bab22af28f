"""ImageNet VID (ILSVRC2015), on which Table 9's SiameseFC is trained: its tracks as training videos.

Frames are in Data/VID/train/<group>/<sequence>/000000.JPEG, what they show in Annotations/VID/train/<group>/<sequence>/000000.xml; those of
val have no group. What got10k's reader reads is read, but no cache is written into the working folder.
"""

import xml.etree.ElementTree as ElementTree
from pathlib import Path

import numpy as np

from scs_siam.data.store import Video
from scs_siam.runtime.files import BadInput

SUBSETS = {"train": "ILSVRC*/ILSVRC*", "val": "ILSVRC2015_val_*"}


def read_imagenet_vid(root):
    """Videos of an ImageNet VID folder (the one that holds Data and Annotations), train and val: one a track of at least two frames.

    VID's corners are whole, 0-based pixels, both inside the box. A video has the frames in which its track is annotated; BadInput names a
    file that is missing or damaged.
    """
    root = Path(root)
    folders = [
        folder
        for subset, pattern in SUBSETS.items()
        for folder in sorted((root / "Data" / "VID" / subset).glob(pattern))
    ]
    if not folders:
        raise BadInput(
            f"{root}: holds no Data/VID/train/<group>/<sequence>; give the folder of ImageNet VID, such as .../ILSVRC2015"
        )
    videos = [
        video
        for folder in folders
        for video in _read_tracks(folder, root / "Annotations" / folder.relative_to(root / "Data"))
    ]
    if not videos:
        raise BadInput(
            f"{root / 'Annotations' / 'VID'}: no object is annotated in two frames of a sequence; complete the data"
        )
    return videos


def _read_tracks(folder, annotations):
    """The videos of one sequence, in the order of their tracks' names."""
    files = sorted(annotations.glob("*.xml"))
    if not files:
        raise BadInput(
            f"{annotations}: holds no annotations for {folder}; complete the sequence or remove it"
        )
    tracks = {}
    for file in files:
        for track, box in _read_objects(file):
            tracks.setdefault(track, []).append((str(folder / f"{file.stem}.JPEG"), box))
    return [
        Video(f"{folder.name}.{track}", *_columns(tracks[track]))
        for track in sorted(tracks)
        if len(tracks[track]) > 1
    ]


def _columns(rows):
    frames, boxes = zip(*rows)
    return frames, np.array(boxes, np.float64)


def _read_objects(file):
    """(track, box) of each object in one frame."""
    try:
        for item in ElementTree.parse(file).iterfind("object"):
            left, top, right, bottom = (
                float(int(item.find(f"bndbox/{name}").text))
                for name in ("xmin", "ymin", "xmax", "ymax")
            )
            yield int(item.find("trackid").text), (left, top, right - left + 1, bottom - top + 1)
    except (
        ElementTree.ParseError,
        AttributeError,
        TypeError,
        ValueError,
        OverflowError,
        LookupError,
        OSError,
    ) as error:
        raise BadInput(
            f"{file}: is no annotation of ImageNet VID ({error}); mend it or remove the sequence"
        ) from None
