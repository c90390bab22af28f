"""The crop store: each frame of a training set is decoded once, and what a pair can need of it is kept as raw pixels.

A crop shows the search region of a target (Sec. 3.5) and a margin for augmentation, at the scale of the network's input. Crops lie in
shards of a few hundred, each written whole and renamed, so a build that was stopped goes on where it was.
"""
import glob
import json
import shutil
import zipfile
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path

import cv2
import numpy as np

from .boxes import center, check_box, from_one_based
from .crops import box_in_crop, context_side, crop, mean_colour
from .files import BadInput, atomic, digest, read_image, read_json, write_json

SIZE = 287  # pixels of a crop: 255 of the search region and 16 to each side
SCALE_AT = 127  # the template's pixels span one context side
SHARD = 512  # crops after which a shard is closed at the next sequence
FORMAT = 1  # changes when the meaning of a store's files changes
COLUMNS = {"sequence": np.int32, "frame": np.int32, "box": np.float32, "image": np.float32, "mean": np.float32,
           "centre": np.float32, "scale": np.float32}


@dataclass(frozen=True)
class Video:
    """One training sequence: frame files in order and a 0-based box (N, 4) a frame."""

    name: str
    frames: tuple
    boxes: np.ndarray


def read_got10k(root):
    """Videos of a GOT-10k-layout folder (the one that holds list.txt), read by got10k's own reader."""
    from got10k.datasets import GOT10k

    root = Path(root)
    if not (root / "list.txt").is_file():
        raise BadInput(f"{root}: has no list.txt; give the folder of a GOT-10k-layout subset, such as .../GOT-10k/train")
    if root.name not in ("train", "val"):
        raise BadInput(f"{root}: the folder of a GOT-10k-layout subset must be called train or val")
    reader = GOT10k(str(root.parent), subset=root.name)
    reader.seq_dirs = [glob.escape(folder) for folder in reader.seq_dirs]  # the reader takes them for patterns
    return [_read_video(reader, index) for index in range(len(reader))]


def _read_video(reader, index):
    name, path = reader.seq_names[index], reader.anno_files[index]
    try:
        frames, boxes = reader[index]
        boxes = np.atleast_2d(boxes)
        if boxes.shape[1] != 4:
            raise ValueError(f"{boxes.shape[1]} numbers a line")
        return Video(name, tuple(frames), from_one_based(boxes))
    except AssertionError:
        raise BadInput(f"{path}: its lines and the frames beside it differ in number; mend or remove the sequence") from None
    except (OSError, ValueError) as error:
        raise BadInput(f"{path}: is no list of boxes x,y,w,h ({error}); mend or remove the sequence") from None


class CropStore:
    """Crops (N, SIZE, SIZE, 3) uint8 on disk and the index that says what each shows.

    index: sequence, frame (N,); box, image (N, 4): the target's box and the frame's rectangle in pixels of the crop; mean (N, 3): the
    frame's mean colour; centre (N, 2): the box's centre in the frame; scale (N,): crop pixels a frame pixel.
    """

    def __init__(self, root, index, shards, manifest):
        self.root, self.index, self.manifest = Path(root), index, manifest
        self._shards, self._starts = shards, np.cumsum([0] + [len(shard) for shard in shards])

    def __len__(self):
        return len(self.index["sequence"])

    @property
    def fingerprint(self):
        """A short hash of the data and the settings that the store was made from."""
        return self.manifest["fingerprint"]

    def read(self, ids):
        """Crops (n, SIZE, SIZE, 3) uint8 of the rows `ids`."""
        shards = np.searchsorted(self._starts, ids, side="right") - 1
        out = np.empty((len(ids), *self._shards[0].shape[1:]), np.uint8)
        for row, (shard, crop_id) in enumerate(zip(shards, ids)):
            out[row] = self._shards[shard][crop_id - self._starts[shard]]
        return out

    @classmethod
    def open(cls, root):
        """Open a finished store; BadInput if it is absent, unfinished or damaged."""
        root = Path(root)
        if not (root / "manifest.json").is_file():
            raise BadInput(f"{root}: holds no finished crop store; build it first")
        manifest = read_json(root / "manifest.json")
        try:
            with np.load(root / "index.npz") as file:
                index = {name: file[name] for name in COLUMNS}
            shards = [np.load(root / name, mmap_mode="r") for name in manifest["shards"]]
        except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
            raise BadInput(f"{root}: the crop store is damaged ({error}); delete the folder and build it again") from None
        if sum(map(len, shards)) != len(index["sequence"]):
            raise BadInput(f"{root}: the crop store's index does not fit its crops; delete the folder and build it again")
        return cls(root, index, shards, manifest)

    @classmethod
    def build(cls, videos, root, min_area=10.0, workers=1, on_shard=None):
        """Build the store of `videos` under `root`, or go on with it, or open it if it is finished.

        `min_area`: boxes smaller than this (square pixels), not finite or outside the frame are left out and counted (D12). BadInput if
        `root` holds a store of other videos or settings, or if the disk is too small.
        """
        root, plan = Path(root), _plan(videos)
        fingerprint = digest({"videos": _describe(videos), "settings": [SIZE, SCALE_AT, SHARD, min_area, FORMAT]})
        for claim in (root / "claim.json", root / "manifest.json"):
            if claim.is_file() and read_json(claim).get("fingerprint") != fingerprint:
                raise BadInput(f"{root}: holds the crops of other data or settings; delete the folder or choose another")
        if (root / "manifest.json").is_file():
            return cls.open(root)
        jobs = [(root, number, videos[first:last], first, min_area) for number, (first, last) in enumerate(plan)]
        jobs = [job for job in jobs if not (root / f"index-{job[1]:05d}.npz").is_file()]
        _check_space(root, sum(len(video.frames) for job in jobs for video in job[2]))
        write_json(root / "claim.json", {"fingerprint": fingerprint})
        if workers > 1:
            with ProcessPoolExecutor(workers, get_context("spawn")) as pool:
                for done, _ in enumerate(pool.map(_build_shard, jobs), 1):
                    _report(on_shard, done, len(jobs))
        else:
            for done, job in enumerate(jobs, 1):
                _build_shard(job)
                _report(on_shard, done, len(jobs))
        _finish(root, len(plan), fingerprint)
        return cls.open(root)


def _report(on_shard, done, total):
    if on_shard is not None:
        on_shard(done, total)


def _plan(videos):
    """Ranges of videos that make a shard each."""
    if not videos:
        raise BadInput("the training set is empty: a crop store needs at least one video")
    ends, size = [], 0
    for number, video in enumerate(videos):
        if len(video.frames) != len(video.boxes):
            raise BadInput(f"{video.name}: {len(video.frames)} frames but {len(video.boxes)} boxes; mend or remove it")
        size += len(video.frames)
        if size >= SHARD or number == len(videos) - 1:
            ends.append(number + 1)
            size = 0
    return list(zip([0, *ends[:-1]], ends))


def _describe(videos):
    """What tells one training set from another without decoding it: names, frames, boxes and the size of each first file."""
    return [[v.name, len(v.frames), digest(np.round(v.boxes, 3).tolist()), _size(v.frames)] for v in videos]


def _size(frames):
    return Path(frames[0]).stat().st_size if frames and Path(frames[0]).is_file() else 0


def _check_space(root, crops):
    place = root
    while not place.exists():
        place = place.parent
    need, free = crops * SIZE * SIZE * 3, shutil.disk_usage(place).free
    if need > free:
        raise BadInput(f"{root}: the crop store needs about {need / 1e9:.1f} GB and {free / 1e9:.1f} GB are free; choose another disk")


def _build_shard(job):
    """Crops and index of a range of videos; the index is written last and marks the shard as done."""
    root, number, videos, first, min_area = job
    cv2.setNumThreads(1)
    crops, rows, skipped = [], [], {"small": 0, "invalid": 0, "repeated": 0}
    for sequence, video in enumerate(videos, first):
        last = None
        for frame, (path, box) in enumerate(zip(video.frames, video.boxes)):
            data = Path(path).read_bytes() if Path(path).is_file() else None
            if data is not None and data == last:  # a single image stands twice in its sequence
                skipped["repeated"] += 1
                continue
            last = data
            image = read_image(path)
            reason = _refuse(box, min_area, image.shape)
            if reason:
                skipped[reason] += 1
                continue
            pixels, row = _cut(image, box)
            crops.append(pixels)
            rows.append({"sequence": sequence, "frame": frame, **row})
    with atomic(root / f"crops-{number:05d}.npy") as part, open(part, "wb") as file:
        np.save(file, np.array(crops, np.uint8).reshape(-1, SIZE, SIZE, 3))
    with atomic(root / f"index-{number:05d}.npz") as part, open(part, "wb") as file:
        columns = {name: np.array([row[name] for row in rows], kind) for name, kind in COLUMNS.items()}
        np.savez(file, skipped=json.dumps(skipped), **columns)


def _refuse(box, min_area, frame_shape):
    try:
        check_box(box, frame_shape=frame_shape)
    except BadInput:
        return "invalid"
    return "small" if box[2] * box[3] < min_area else None


def _cut(image, box):
    """The stored crop of one frame and its row of the index."""
    middle, scale = center(box), SCALE_AT / context_side(*box[2:])
    side, mean = SIZE / scale, mean_colour(image)
    frame = np.array([0.0, 0.0, image.shape[1], image.shape[0]])
    row = {"box": box_in_crop(box, middle, side, SIZE), "image": box_in_crop(frame, middle, side, SIZE), "mean": mean,
           "centre": middle, "scale": scale}
    return crop(image, middle, side, SIZE, mean), row


def _finish(root, shards, fingerprint):
    """Merge the shards' indices; the manifest is written last and marks the store as finished."""
    parts, skipped, names = [], {}, []
    for number in range(shards):
        with np.load(root / f"index-{number:05d}.npz") as file:
            for reason, count in json.loads(str(file["skipped"])).items():
                skipped[reason] = skipped.get(reason, 0) + count
            if len(file["sequence"]):
                names.append(f"crops-{number:05d}.npy")
                parts.append({name: file[name] for name in COLUMNS})
    if not parts:
        raise BadInput(f"{root}: no box of the training set is usable ({skipped}); check its ground truth")
    with atomic(root / "index.npz") as part, open(part, "wb") as file:
        np.savez(file, **{name: np.concatenate([p[name] for p in parts]) for name in COLUMNS})
    crops = sum(len(part["frame"]) for part in parts)
    write_json(root / "manifest.json", {"fingerprint": fingerprint, "shards": names, "skipped": skipped, "crops": crops})
