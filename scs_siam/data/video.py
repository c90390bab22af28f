"""Frames of one clip, from image files, a folder, a video, a camera or an array, one at a time: RGB uint8 (H, W, 3), all of one size."""

import collections
import os
import re
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import cv2
import numpy as np

from scs_siam.runtime.files import BadInput, is_folder, read_image, reading

IMAGE_SUFFIXES = {".jpg", ".jpeg", ".png", ".bmp", ".webp", ".tif", ".tiff", ".pgm", ".ppm"}


def image_files(folder):
    """The image files of `folder` as Paths, numbers in their names in numeric order; BadInput if there is no folder or no image in it."""
    folder = Path(folder)
    if not is_folder(folder):
        raise BadInput(f"{folder}: no such folder; give the folder that holds the frames")
    with reading(folder):
        found = [
            path
            for path in folder.iterdir()
            if path.suffix.lower() in IMAGE_SUFFIXES and not path.name.startswith(".")
        ]
    if not found:
        raise BadInput(f"{folder}: holds no image files; give the folder that holds the frames")
    return sorted(found, key=lambda path: (_parts(path.name), path.name))


def _parts(name):
    """A name cut into text, number, text, number ..."""
    return [
        int(part) if place % 2 else part for place, part in enumerate(re.split(r"([0-9]+)", name))
    ]


class Frames:
    """A clip as a sequence of RGB uint8 frames (H, W, 3); only the frame in hand is kept in memory.

    `source` is a list of image files, a folder of images, an image or video file, a camera's number ("0"), a stream's address
    ("rtsp://..."), or a uint8 array (N, H, W, 3). All but videos, cameras and streams can be indexed and have a length; a video's length is
    what its header says, which may be off, and asking for it is a TypeError where there is none. BadInput names a source that is missing or
    empty, a frame that cannot be read and a frame of another size than the first.
    """

    live = False  # whether frames come from a camera or a stream, at their own pace

    def __init__(self, source):
        self._shape = self._video = None
        if isinstance(source, np.ndarray):
            if (
                source.dtype != np.uint8
                or source.ndim != 4
                or source.shape[3] != 3
                or source.size == 0
            ):
                raise BadInput(
                    f"frames: an array must be uint8 (N, H, W, 3), not {source.dtype} {source.shape}"
                )
            self._items = source
        elif isinstance(source, (str, os.PathLike)):
            self.live = is_live(source)
            self._items = self._open(str(source) if self.live else Path(source))
        else:
            try:
                self._items = [Path(path) for path in source]
            except TypeError:
                raise BadInput(
                    f"frames: {source!r} is no source; give a folder, a video, a list of image files or an array"
                ) from None
            if not self._items:
                raise BadInput("frames: the list of image files is empty")

    def _open(self, path):
        if self.live:
            self._video = path
            return None
        if is_folder(path):
            return image_files(path)
        if not path.exists():
            raise BadInput(f"{path}: no such file or folder; give a folder of frames or a video")
        if path.suffix.lower() in IMAGE_SUFFIXES:
            return [path]
        self._video = path
        _capture(path).release()
        return None

    def __len__(self):
        if self._video is None:
            return len(self._items)
        if self.live:
            raise TypeError(f"{self._video}: a live source has no length; iterate instead")
        capture = _capture(self._video)
        count = int(capture.get(cv2.CAP_PROP_FRAME_COUNT))
        capture.release()
        if count <= 0:
            raise TypeError(f"{self._video}: the header gives no length; iterate instead")
        return count

    def __getitem__(self, index):
        if self._video is not None:
            raise BadInput(
                f"{self._video}: a video is read in order; iterate, or extract its frames to a folder to pick single ones"
            )
        frame = self._read(index)
        if self._shape is None:
            self._shape = (frame if index == 0 else self._read(0)).shape
        return self._same_size(frame, self._items[index])

    def __iter__(self):
        if self._video is not None:
            return self._iterate_video()
        return (self[index] for index in range(len(self._items)))

    def _read(self, index):
        item = self._items[index]
        return item if isinstance(item, np.ndarray) else read_image(item)

    def _iterate_video(self):
        capture = _capture(self._video)
        number = 0
        try:
            while True:
                ok, frame = capture.read()
                if not ok:
                    break
                number += 1
                if self._shape is None:
                    self._shape = frame.shape
                yield cv2.cvtColor(
                    self._same_size(frame, f"{self._video}, frame {number}"), cv2.COLOR_BGR2RGB
                )
        finally:
            capture.release()
        if number == 0:
            mend = (
                "see that it is on and free"
                if self.live
                else "convert it to MP4 or to a folder of images"
            )
            raise BadInput(f"{self._video}: no frame of this video can be decoded; {mend}")

    def _same_size(self, frame, name):
        if frame.shape != self._shape:
            size, first = (f"{shape[1]} x {shape[0]}" for shape in (frame.shape, self._shape))
            raise BadInput(
                f"{name}: is {size} pixels, but the first frame is {first}; all frames of a clip must be of one size"
            )
        return frame


def is_live(source):
    """Whether a source names a camera ("0") or a stream ("rtsp://..."), not a file or folder."""
    text = str(source)
    return bool(
        (re.fullmatch(r"[0-9]{1,2}", text) and not os.path.exists(text))
        or re.match(r"[A-Za-z][A-Za-z0-9+.-]+://", text)
    )


def prefetch(frames, ahead=4):
    """Yield `frames` in order while one thread decodes up to `ahead` of them; an error comes up at the frame that caused it."""
    iterator, end = iter(frames), object()
    with ThreadPoolExecutor(1) as pool:
        waiting = collections.deque(pool.submit(next, iterator, end) for _ in range(ahead))
        while (frame := waiting.popleft().result()) is not end:
            waiting.append(pool.submit(next, iterator, end))
            yield frame


def _capture(path):
    number = re.fullmatch(r"[0-9]{1,2}", str(path)) and is_live(path)
    level = cv2.utils.logging.getLogLevel()
    cv2.utils.logging.setLogLevel(
        cv2.utils.logging.LOG_LEVEL_SILENT
    )  # the error below says what OpenCV's several lines do not
    try:
        capture = cv2.VideoCapture(int(path) if number else str(path))
    finally:
        cv2.utils.logging.setLogLevel(level)
    if not capture.isOpened() and is_live(path):
        raise BadInput(
            f"{path}: this {'camera' if number else 'stream'} cannot be opened; see that it is on and free"
        )
    if not capture.isOpened():
        raise BadInput(
            f"{path}: is not a video that OpenCV can read; convert it to MP4 or to a folder of images"
        )
    return capture
