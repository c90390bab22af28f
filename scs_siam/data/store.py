"""The crop store: each frame of a training set is decoded once, and what a pair can need of it is kept as raw pixels.

A crop shows the search region of a target (Sec. 3.5) and a margin for augmentation, at the scale of the network's input. Crops lie in
shards of a few hundred, each written whole and renamed, so a build that was stopped goes on where it was.
"""

import glob
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from scs_siam.data import shards
from scs_siam.data.boxes import from_one_based
from scs_siam.data.shards import SIZE
from scs_siam.runtime.files import (
    BadInput,
    is_inside,
    read_entries,
    read_json,
    read_names,
    write_json,
)
from scs_siam.runtime.parallel import Pool

WIDE = 447  # pixels of a crop that also shows what is around the box of another frame (D15)
HEADER = 128  # bytes before the pixels of a shard: what numpy.save writes for crops


def needed_size(training):
    """Pixels of the stored crops that a training needs: SIZE, or WIDE where a masked crop is centred on the box of another frame (D15)."""
    return WIDE if training.mask_search and training.mask_centre == "template" else SIZE


@dataclass(frozen=True)
class Video:
    """One training sequence: frame files in order and a 0-based box (N, 4) a frame."""

    name: str
    frames: tuple
    boxes: np.ndarray


def read_got10k(root):
    """Videos of a GOT-10k-layout folder (the one that holds list.txt), read by got10k's own reader; BadInput if a name leads out of it."""
    from got10k.datasets import GOT10k

    root = Path(root)
    if not (root / "list.txt").is_file():
        raise BadInput(
            f"{root}: has no list.txt; give the folder of a GOT-10k-layout subset, such as .../GOT-10k/train"
        )
    if root.name not in ("train", "val"):
        raise BadInput(f"{root}: the folder of a GOT-10k-layout subset must be called train or val")
    read_names(root / "list.txt")
    reader = GOT10k(str(root.parent), subset=root.name)
    reader.seq_dirs = [
        glob.escape(folder) for folder in reader.seq_dirs
    ]  # the reader takes them for patterns
    return [_read_video(reader, index) for index in range(len(reader))]


def read_videos(root):
    """Videos of a folder with videos.json, a list of name, frames (paths below the folder) and 0-based boxes, or of `read_got10k`."""
    root = Path(root)
    if not (root / "videos.json").is_file():
        return read_got10k(root)
    return [
        Video(
            line["name"],
            tuple(str(root / frame) for frame in line["frames"]),
            np.array(line["boxes"], np.float64).reshape(-1, 4),
        )
        for line in read_entries(root / "videos.json")
    ]


def _read_video(reader, index):
    name, path = reader.seq_names[index], reader.anno_files[index]
    try:
        frames, boxes = reader[index]
        boxes = np.atleast_2d(boxes)
        if boxes.shape[1] != 4:
            raise ValueError(f"{boxes.shape[1]} numbers a line")
        return Video(name, tuple(frames), from_one_based(boxes))
    except AssertionError:
        raise BadInput(
            f"{path}: its lines and the frames beside it differ in number; mend or remove the sequence"
        ) from None
    except (OSError, ValueError) as error:
        raise BadInput(
            f"{path}: is no list of boxes x,y,w,h ({error}); mend or remove the sequence"
        ) from None


class CropStore:
    """Crops (N, size, size, 3) uint8 on disk and the index that says what each shows.

    index: sequence, frame (N,); box, image (N, 4): the target's box and the frame's rectangle in pixels of the crop; mean (N, 3): the
    frame's mean colour; centre (N, 2): the box's centre in the frame; scale (N,): crop pixels a frame pixel.
    """

    def __init__(self, root, index, lengths, manifest):
        self.root, self.index, self.manifest = Path(root), index, manifest
        self.size = manifest.get("size", SIZE)
        self.starts = np.cumsum([0, *lengths])

    def __len__(self):
        return len(self.index["sequence"])

    @property
    def fingerprint(self):
        """A short hash of the data and the settings that the store was made from."""
        return self.manifest["fingerprint"]

    def read(self, ids, out=None):
        """Crops (n, size, size, 3) uint8 of the rows `ids`, into `out` if it is given; BadInput if a shard has gone or was cut."""
        ids = np.asarray(ids, np.int64)
        out = np.empty((len(ids), self.size, self.size, 3), np.uint8) if out is None else out
        numbers = np.searchsorted(self.starts, ids, side="right") - 1
        for row, number, place in zip(out, numbers, ids - self.starts[numbers]):
            path = f"{self.root}/{self.manifest['shards'][number]}"
            try:
                with (
                    open(path, "rb", buffering=0) as file
                ):  # not kept open: a large store has more shards than a process may have files
                    file.seek(HEADER + place * row.nbytes)
                    if file.readinto(row) != row.nbytes:
                        raise OSError("it ends too soon")
            except OSError as error:
                raise BadInput(
                    f"{path}: cannot be read ({error}); delete the store's folder and build it again"
                ) from error
        return out

    @classmethod
    def open(cls, root):
        """Open a finished store; BadInput if it is absent, unfinished or damaged."""
        root = Path(root)
        if not (root / "manifest.json").is_file():
            raise BadInput(f"{root}: holds no finished crop store; build it first")
        manifest = read_json(root / "manifest.json")
        names, size = manifest.get("shards"), manifest.get("size", SIZE)
        try:
            if (
                not isinstance(names, list)
                or not all(map(is_inside, names))
                or type(size) is not int
                or size < 1
            ):
                raise ValueError("manifest.json names no shards or no size")
            with np.load(root / "index.npz") as file:
                index = shards.read_columns(file)
            lengths = [_length(root / name, size) for name in names]
        except shards.DAMAGE as error:
            raise BadInput(
                f"{root}: the crop store is damaged ({error}); delete the folder and build it again"
            ) from None
        if sum(lengths) != len(index["sequence"]):
            raise BadInput(
                f"{root}: the crop store's index does not fit its crops; delete the folder and build it again"
            )
        return cls(root, index, lengths, manifest)

    @classmethod
    def build(cls, videos, root, min_area=10.0, workers=1, on_shard=None, size=SIZE, every=1):
        """Build the store of `videos` under `root`, or go on with it, or open it if it is finished.

        `min_area`: boxes smaller than this (square pixels), not finite or outside the frame are left out and counted (D12). `size`: pixels
        of a crop. `every`: of each video only every k-th frame is kept. BadInput if `root` holds a store of other videos or settings, or if
        the disk is too small.
        """
        root, settings = Path(root), shards.Settings(size, min_area, every)
        plan, fingerprint = shards.plan(videos, settings), shards.fingerprint(videos, settings)
        for claim in (root / "claim.json", root / "manifest.json"):
            if claim.is_file() and read_json(claim).get("fingerprint") != fingerprint:
                raise BadInput(
                    f"{root}: holds the crops of other data or settings; delete the folder or choose another"
                )
        if (root / "manifest.json").is_file():
            return cls.open(root)
        jobs = [
            (root, number, videos[first:last], first, settings)
            for number, (first, last) in enumerate(plan)
        ]
        jobs = [job for job in jobs if not (root / f"index-{job[1]:05d}.npz").is_file()]
        shards.check_space(
            root, sum(len(shards.kept(video, settings)) for job in jobs for video in job[2]), size
        )
        write_json(root / "claim.json", {"fingerprint": fingerprint})
        _build(jobs, workers, on_shard or (lambda done, total: None))
        shards.finish(root, len(plan), fingerprint, settings)
        return cls.open(root)


def _build(jobs, workers, on_shard):
    if workers > 1 and jobs:
        with Pool(workers, cv2.setNumThreads, 1) as pool:
            for done, _ in enumerate(pool.map(shards.build_shard, jobs), 1):
                on_shard(done, len(jobs))
    else:
        for done, job in enumerate(jobs, 1):
            shards.build_shard(job)
            on_shard(done, len(jobs))


def _length(path, size):
    """Crops in a shard, told by the length of its file."""
    crops, rest = divmod(path.stat().st_size - HEADER, size * size * 3)
    if crops < 0 or rest:
        raise ValueError(f"{path.name} is cut")
    return crops
