"""Building a crop store: frames become crops, shard by shard, each written whole and renamed, its index last.

A worker holds the crops of one shard and no more, so memory does not grow with the training set.
"""

import json
import shutil
import zipfile
from dataclasses import asdict, dataclass
from pathlib import Path

import cv2
import numpy as np

from scs_siam.data.boxes import center, check_box
from scs_siam.data.crops import box_in_crop, context_side, crop, mean_colour
from scs_siam.runtime.files import BadInput, atomic, digest, read_image, write_json

SIZE = 287  # pixels of a crop: 255 of the search region and 16 to each side
SCALE_AT = 127  # the template's pixels span one context side
SHARD = 512  # crops after which a shard is closed at the next sequence
FORMAT = 1  # changes when the meaning of a store's files changes
COLUMNS = {
    "sequence": np.int32,
    "frame": np.int32,
    "box": np.float32,
    "image": np.float32,
    "mean": np.float32,
    "centre": np.float32,
    "scale": np.float32,
}
WIDTHS = {"box": 4, "image": 4, "mean": 3, "centre": 2}  # numbers a line of a column, of others one
DAMAGE = (
    OSError,
    ValueError,
    KeyError,
    EOFError,
    AttributeError,
    TypeError,
    zipfile.BadZipFile,
)  # what reading a damaged index raises


@dataclass(frozen=True)
class Settings:
    """What decides the crops of given videos: pixels of a crop, least area of a box (D12), and every how many frames one is kept."""

    size: int = SIZE
    min_area: float = 10.0
    every: int = 1


def fingerprint(videos, settings):
    """A short hash of a training set and of the settings of its crops."""
    thinned = [settings.every] if settings.every > 1 else []
    return digest(
        {
            "videos": describe(videos),
            "settings": [settings.size, SCALE_AT, SHARD, settings.min_area, FORMAT, *thinned],
        }
    )


def kept(video, settings):
    """The numbers of the frames of a video that are looked at."""
    return range(0, len(video.frames), settings.every)


def plan(videos, settings):
    """Ranges of videos (first, last + 1) that make a shard each; BadInput if there is none or its frames and boxes differ in number."""
    if not videos:
        raise BadInput("the training set is empty: a crop store needs at least one video")
    ends, size = [], 0
    for number, video in enumerate(videos):
        if len(video.frames) != len(video.boxes):
            raise BadInput(
                f"{video.name}: {len(video.frames)} frames but {len(video.boxes)} boxes; mend or remove it"
            )
        size += len(kept(video, settings))
        if size >= SHARD or number == len(videos) - 1:
            ends.append(number + 1)
            size = 0
    return list(zip([0, *ends[:-1]], ends))


def describe(videos):
    """What tells one training set from another without decoding it: names, frames, boxes and the size of each first file."""
    return [
        [v.name, len(v.frames), digest(np.round(v.boxes, 3).tolist()), _size(v.frames)]
        for v in videos
    ]


def _size(frames):
    return Path(frames[0]).stat().st_size if frames and Path(frames[0]).is_file() else 0


def check_space(root, crops, size):
    """BadInput unless the disk of `root` has room for so many crops of `size` pixels."""
    place = root
    while not place.exists():
        place = place.parent
    need, free = crops * size * size * 3, shutil.disk_usage(place).free
    if need > free:
        raise BadInput(
            f"{root}: the crop store needs about {need / 1e9:.1f} GB and {free / 1e9:.1f} GB are free; choose another disk"
        )


def build_shard(job):
    """Write crops and index of a range of videos: job = (root, number of the shard, videos, number of the first, Settings)."""
    root, number, videos, first, settings = job
    cv2.setNumThreads(1)
    rows, skipped = [], {"small": 0, "invalid": 0, "repeated": 0}
    most = sum(len(kept(video, settings)) for video in videos)
    crops = np.empty(
        (most, settings.size, settings.size, 3), np.uint8
    )  # memory is taken as it is filled
    for sequence, video in enumerate(videos, first):
        for frame, image in _frames(video, settings, skipped):
            reason = _refuse(video.boxes[frame], settings.min_area, image.shape)
            if reason:
                skipped[reason] += 1
                continue
            crops[len(rows)], row = cut(image, video.boxes[frame], settings.size)
            rows.append({"sequence": sequence, "frame": frame, **row})
    with atomic(root / f"crops-{number:05d}.npy") as part, open(part, "wb") as file:
        np.save(file, crops[: len(rows)])
    with atomic(root / f"index-{number:05d}.npz") as part, open(part, "wb") as file:
        columns = {
            name: np.array([row[name] for row in rows], kind) for name, kind in COLUMNS.items()
        }
        np.savez(file, skipped=json.dumps(skipped), **columns)


def _frames(video, settings, skipped):
    """Number and image of each frame that is kept; one whose file is the one before it is counted and left out."""
    last = None
    for frame in kept(video, settings):
        path = Path(video.frames[frame])
        data = path.read_bytes() if path.is_file() else None
        if data is not None and data == last:  # a single image stands twice in its sequence
            skipped["repeated"] += 1
            continue
        last = data
        yield frame, read_image(video.frames[frame])


def _refuse(box, min_area, frame_shape):
    try:
        check_box(box, frame_shape=frame_shape)
    except BadInput:
        return "invalid"
    return "small" if box[2] * box[3] < min_area else None


def cut(image, box, size=SIZE):
    """The stored crop (size, size, 3) of one frame and its row of the index."""
    middle, scale = center(box), SCALE_AT / context_side(*box[2:])
    side, mean = size / scale, mean_colour(image)
    frame = np.array([0.0, 0.0, image.shape[1], image.shape[0]])
    row = {
        "box": box_in_crop(box, middle, side, size),
        "image": box_in_crop(frame, middle, side, size),
        "mean": mean,
        "centre": middle,
        "scale": scale,
    }
    return crop(image, middle, side, size, mean), row


def finish(root, shards, fingerprint, settings):
    """Merge the shards' indices; the manifest is written last and marks the store as finished."""
    parts, skipped, names = [], {}, []
    for number in range(shards):
        path = root / f"index-{number:05d}.npz"
        try:
            with np.load(path) as file:
                part = read_columns(file)
                for reason, count in json.loads(str(file["skipped"])).items():
                    skipped[reason] = skipped.get(reason, 0) + count
        except DAMAGE as error:
            raise BadInput(f"{path}: is damaged ({error}); delete it and run again") from None
        if len(part["sequence"]):
            names.append(f"crops-{number:05d}.npy")
            parts.append(part)
    if not parts:
        raise BadInput(
            f"{root}: no box of the training set is usable ({skipped}); check its ground truth"
        )
    with atomic(root / "index.npz") as part, open(part, "wb") as file:
        np.savez(file, **{name: np.concatenate([p[name] for p in parts]) for name in COLUMNS})
    crops = sum(len(part["frame"]) for part in parts)
    write_json(
        root / "manifest.json",
        {
            "fingerprint": fingerprint,
            "shards": names,
            "skipped": skipped,
            "crops": crops,
            **asdict(settings),
        },
    )


def read_columns(file):
    """The columns of an open index, {name: array}; one of DAMAGE where one is missing, of another type or shape, or not finite."""
    columns = {name: file[name] for name in COLUMNS}
    count = columns["frame"].size
    for name, values in columns.items():
        shape = (
            (count, WIDTHS[name]) if name in WIDTHS and count else (count,)
        )  # of no line NumPy keeps no width
        if values.dtype != COLUMNS[name] or values.shape != shape or not np.isfinite(values).all():
            raise ValueError(f"its column {name} is not what a store's is")
    return columns
