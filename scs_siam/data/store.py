"""The crop store: every training frame is decoded once, and what a pair can need of it is kept.

A crop shows the search region of a target (Sec. 3.5) and a margin for augmentation, at the scale of
the network's input. Crops lie in shards of a few hundred. A shard is written whole and renamed, its
index last, so an interrupted build resumes, and memory does not grow with the training set.
"""

import json
import shutil
import zipfile
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

import cv2
import numpy as np

from scs_siam.data.boxes import center, check_box
from scs_siam.data.crops import box_in_crop, context_side, crop, mean_colour
from scs_siam.data.images import read_image
from scs_siam.data.training_sets import Video
from scs_siam.runtime.files import (
    BadInput,
    atomic,
    digest,
    is_inside,
    read_json,
    write_json,
    write_text,
)
from scs_siam.runtime.parallel import Pool

SIZE = 287  # pixels of a crop: 255 of the search region and 16 on each side
WIDE = 447  # pixels of a crop that also shows what is around the box of another frame (D15)
SCALE_AT = 127  # template pixels that one context side spans
SHARD = 512  # crops after which a shard is closed at the next sequence
FORMAT = 1  # changes when the meaning of a store's files changes
HEADER = 128  # bytes before the pixels of a shard: what numpy.save writes for crops
UNREADABLE = 0.01  # of all frames; if more cannot be read, the build stops
FLOATS = ("box", "image", "mean", "centre", "scale")
COLUMNS = {"sequence": np.int32, "frame": np.int32, **dict.fromkeys(FLOATS, np.float32)}
WIDTHS = {"box": 4, "image": 4, "mean": 3, "centre": 2}  # numbers per row; other columns have one
DAMAGE = (OSError, ValueError, KeyError, EOFError, AttributeError, TypeError, zipfile.BadZipFile)


@dataclass(frozen=True)
class Settings:
    """What decides the crops of given videos."""

    size: int = SIZE  # pixels of a crop
    min_area: float = 10.0  # smaller boxes are left out, square pixels (D12)
    every: int = 1  # of each video only every k-th frame is kept


def needed_size(training) -> int:
    """Return the pixels of the stored crops that a TrainingConfig needs (D15)."""
    return WIDE if training.mask_search and training.mask_centre == "template" else SIZE


class CropStore:
    """Crops (N, size, size, 3) uint8 on disk and the index that says what each of them shows.

    The index has the columns sequence and frame (N,); box and image (N, 4), the target's box and
    the frame's rectangle in pixels of the crop; mean (N, 3), the frame's mean colour; centre
    (N, 2), the box's centre in the frame; and scale (N,), crop pixels per frame pixel.
    """

    def __init__(self, root: Path, index: dict, lengths: list[int], manifest: dict):
        self.root, self.index, self.manifest = Path(root), index, manifest
        self.size = manifest.get("size", SIZE)
        self.starts = np.cumsum([0, *lengths])

    def __len__(self):
        return len(self.index["sequence"])

    @property
    def fingerprint(self) -> str:
        """A hash of the data and the settings that the store was made from."""
        return self.manifest["fingerprint"]

    def read(self, ids, out: np.ndarray | None = None) -> np.ndarray:
        """Return the crops (n, size, size, 3) uint8 of the rows `ids`, in `out` if given."""
        ids = np.asarray(ids, np.int64)
        out = np.empty((len(ids), self.size, self.size, 3), np.uint8) if out is None else out
        numbers = np.searchsorted(self.starts, ids, side="right") - 1
        for row, number, offset in zip(out, numbers, ids - self.starts[numbers]):
            path = f"{self.root}/{self.manifest['shards'][number]}"
            try:
                # Files are not kept open: a large store has more shards than a process may open.
                with open(path, "rb", buffering=0) as file:
                    file.seek(HEADER + offset * row.nbytes)
                    if file.readinto(row) != row.nbytes:
                        raise OSError("it ends too soon")
            except OSError as error:
                remedy = "delete the store's folder and build it again"
                raise BadInput(f"{path}: cannot be read ({error}); {remedy}") from error
        return out

    @classmethod
    def open(cls, root) -> "CropStore":
        """Open a finished store; BadInput if it is absent, unfinished or damaged."""
        root, again = Path(root), "delete the folder and build it again"
        if not (root / "manifest.json").is_file():
            raise BadInput(f"{root}: holds no finished crop store; build it first")
        manifest = read_json(root / "manifest.json")
        names, size = manifest.get("shards"), manifest.get("size", SIZE)
        try:
            named = isinstance(names, list) and all(map(is_inside, names))
            if not named or type(size) is not int or size < 1:
                raise ValueError("manifest.json names no shards or no size")
            with np.load(root / "index.npz") as file:
                index = _read_columns(file)
            lengths = [_length(root / name, size) for name in names]
        except DAMAGE as error:
            raise BadInput(f"{root}: the crop store is damaged ({error}); {again}") from None
        if sum(lengths) != len(index["sequence"]):
            raise BadInput(f"{root}: the crop store's index does not fit its crops; {again}")
        return cls(root, index, lengths, manifest)

    @classmethod
    def build(
        cls,
        videos: list[Video],
        root,
        min_area: float = 10.0,
        workers: int = 1,
        on_shard: Callable[[int, int], None] | None = None,
        size: int = SIZE,
        every: int = 1,
    ) -> "CropStore":
        """Build the store of `videos` under `root`, resume its build, or open it if finished.

        Boxes that are smaller than `min_area`, not finite or outside the frame are left out and
        counted, and so are frames that cannot be read; unreadable.txt names those. BadInput if more
        than 1 % of the frames cannot be read, if `root` holds a store of other videos or settings,
        or if the disk is too small.
        """
        root, settings = Path(root), Settings(size, min_area, every)
        shards, fingerprint = plan(videos, settings), fingerprint_of(videos, settings)
        for claim in (root / "claim.json", root / "manifest.json"):
            if claim.is_file() and read_json(claim).get("fingerprint") != fingerprint:
                remedy = "delete the folder or choose another"
                raise BadInput(f"{root}: holds the crops of other data or settings; {remedy}")
        if (root / "manifest.json").is_file():
            return cls.open(root)
        jobs = [(root, n, videos[a:b], a, settings) for n, (a, b) in enumerate(shards)]
        jobs = [job for job in jobs if not (root / f"index-{job[1]:05d}.npz").is_file()]
        frames = sum(len(_kept(video, settings)) for job in jobs for video in job[2])
        _check_space(root, frames * size * size * 3)
        write_json(root / "claim.json", {"fingerprint": fingerprint})
        _build(jobs, workers, on_shard or (lambda done, total: None))
        _finish(root, len(shards), fingerprint, settings)
        return cls.open(root)


def plan(videos: list[Video], settings: Settings) -> list[tuple[int, int]]:
    """Return the ranges (first, last + 1) of videos that make one shard each."""
    if not videos:
        raise BadInput("the training set is empty: a crop store needs at least one video")
    ends, size = [], 0
    for number, video in enumerate(videos):
        if len(video.frames) != len(video.boxes):
            problem = f"{len(video.frames)} frames but {len(video.boxes)} boxes"
            raise BadInput(f"{video.name}: {problem}; correct or remove it")
        size += len(_kept(video, settings))
        if size >= SHARD or number == len(videos) - 1:
            ends.append(number + 1)
            size = 0
    return list(zip([0, *ends[:-1]], ends))


def fingerprint_of(videos: list[Video], settings: Settings) -> str:
    """Return a hash of a training set and of the settings of its crops.

    Names, frames, boxes and the size of each first file tell training sets apart without decoding.
    """
    described = []
    for video in videos:
        first = Path(video.frames[0]) if video.frames else None
        size = first.stat().st_size if first and first.is_file() else 0
        boxes = digest(np.round(video.boxes, 3).tolist())
        described.append([video.name, len(video.frames), boxes, size])
    thinned = [settings.every] if settings.every > 1 else []
    values = [settings.size, SCALE_AT, SHARD, settings.min_area, FORMAT, *thinned]
    return digest({"videos": described, "settings": values})


def _kept(video, settings):
    return range(0, len(video.frames), settings.every)


def _check_space(root, need):
    """Raise BadInput unless the disk of `root` has room for `need` bytes."""
    existing = root
    while not existing.exists():
        existing = existing.parent
    free = shutil.disk_usage(existing).free
    if need > free:
        problem = f"the crop store needs about {need / 1e9:.1f} GB and {free / 1e9:.1f} GB are free"
        raise BadInput(f"{root}: {problem}; choose another disk")


def _build(jobs, workers, on_shard):
    if workers > 1 and jobs:
        with Pool(workers, cv2.setNumThreads, 1) as pool:
            for done, _ in enumerate(pool.map(build_shard, jobs), 1):
                on_shard(done, len(jobs))
    else:
        for done, job in enumerate(jobs, 1):
            build_shard(job)
            on_shard(done, len(jobs))


def build_shard(job: tuple) -> None:
    """Write the crops and the index of some videos.

    `job` is (root, number of the shard, videos, number of the first video, Settings).
    """
    root, number, videos, first, settings = job
    cv2.setNumThreads(1)
    rows, unreadable, skipped = [], [], {"small": 0, "invalid": 0, "repeated": 0}
    most = sum(len(_kept(video, settings)) for video in videos)
    crops = np.empty((most, settings.size, settings.size, 3), np.uint8)  # paged in as it is filled
    for sequence, video in enumerate(videos, first):
        for frame, image in _frames(video, settings, skipped, unreadable):
            reason = _refuse(video.boxes[frame], settings.min_area, image.shape)
            if reason:
                skipped[reason] += 1
                continue
            crops[len(rows)], row = cut(image, video.boxes[frame], settings.size)
            rows.append({"sequence": sequence, "frame": frame, **row})
    notes = {"skipped": json.dumps(skipped), "unreadable": json.dumps(unreadable)}
    columns = {name: np.array([row[name] for row in rows], kind) for name, kind in COLUMNS.items()}
    with atomic(root / f"crops-{number:05d}.npy") as part, open(part, "wb") as file:
        np.save(file, crops[: len(rows)])
    with atomic(root / f"index-{number:05d}.npz") as part, open(part, "wb") as file:
        np.savez(file, frames=most, **notes, **columns)


def _frames(video, settings, skipped, unreadable):
    """Number and image of each frame; repeated and unreadable ones are counted and left out."""
    last = None
    for frame in _kept(video, settings):
        path = Path(video.frames[frame])
        data = path.read_bytes() if path.is_file() else None
        if data is not None and data == last:  # a single image stands twice in its sequence
            skipped["repeated"] += 1
            continue
        last = data
        try:
            image = read_image(path)
        except BadInput as error:
            unreadable.append(str(error))
            continue
        yield frame, image


def _refuse(box, min_area, frame_shape):
    try:
        check_box(box, frame_shape=frame_shape)
    except BadInput:
        return "invalid"
    return "small" if box[2] * box[3] < min_area else None


def cut(image: np.ndarray, box, size: int = SIZE) -> tuple[np.ndarray, dict]:
    """Return the stored crop (size, size, 3) of a frame and its row of the index."""
    middle, scale = center(box), SCALE_AT / context_side(*box[2:])
    side, mean = size / scale, mean_colour(image)
    frame = np.array([0.0, 0.0, image.shape[1], image.shape[0]])
    row = {"mean": mean, "centre": middle, "scale": scale}
    row["box"] = box_in_crop(box, middle, side, size)
    row["image"] = box_in_crop(frame, middle, side, size)
    return crop(image, middle, side, size, mean), row


def _finish(root, shards, fingerprint, settings):
    """Merge the indices of the shards; the manifest is written last and marks the store as done."""
    parts, skipped, names, unreadable, frames = [], {}, [], [], 0
    for number in range(shards):
        path = root / f"index-{number:05d}.npz"
        try:
            with np.load(path) as file:
                part, frames = _read_columns(file), frames + int(file["frames"])
                unreadable += json.loads(str(file["unreadable"]))
                for reason, count in json.loads(str(file["skipped"])).items():
                    skipped[reason] = skipped.get(reason, 0) + count
        except DAMAGE as error:
            raise BadInput(f"{path}: is damaged ({error}); delete it and run again") from None
        if len(part["sequence"]):
            names.append(f"crops-{number:05d}.npy")
            parts.append(part)
    if unreadable:
        skipped["unreadable"] = len(unreadable)
        write_text(root / "unreadable.txt", "\n".join(unreadable) + "\n")
    if len(unreadable) > UNREADABLE * frames:
        for number in range(shards):  # so that the next build reads the repaired files
            (root / f"index-{number:05d}.npz").unlink()
            (root / f"crops-{number:05d}.npy").unlink()
        problem = f"{len(unreadable)} of {frames} frames cannot be read, such as {unreadable[0]}"
        raise BadInput(f"{root}: {problem}; {root / 'unreadable.txt'} names them all")
    if not parts:
        problem = f"no box of the training set is usable ({skipped})"
        raise BadInput(f"{root}: {problem}; check its ground truth")
    with atomic(root / "index.npz") as part, open(part, "wb") as file:
        np.savez(file, **{name: np.concatenate([p[name] for p in parts]) for name in COLUMNS})
    crops = sum(len(part["frame"]) for part in parts)
    about = {"fingerprint": fingerprint, "shards": names, "skipped": skipped, "crops": crops}
    write_json(root / "manifest.json", {**about, **asdict(settings)})


def _read_columns(file):
    """The columns of an open index as {name: array}; raises one of DAMAGE for an unsound one."""
    columns = {name: file[name] for name in COLUMNS}
    count = columns["frame"].size
    for name, values in columns.items():
        wide = name in WIDTHS and count  # without rows NumPy keeps no width
        shape = (count, WIDTHS[name]) if wide else (count,)
        if values.dtype != COLUMNS[name] or values.shape != shape or not np.isfinite(values).all():
            raise ValueError(f"its column {name} is not that of a store")
    return columns


def _length(path, size):
    """Number of crops in a shard, from the length of its file."""
    crops, rest = divmod(path.stat().st_size - HEADER, size * size * 3)
    if crops < 0 or rest:
        raise ValueError(f"{path.name} is cut off")
    return crops
