"""Read clips from files, folders, cameras and streams as RGB frames, and write clips with boxes.

Files and streams are decoded by PyAV (FFmpeg), cameras by OpenCV. Frames come in presentation
order, rotated as the file asks (display matrix) and with the time at which they are shown.
"""

import contextlib
import os
import queue
import re
import stat
import sys
import threading
from collections.abc import Iterable, Iterator
from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np

from scs_siam.data import images
from scs_siam.runtime.files import AnyPath, BadInput, is_folder, writing

STALL = 10.0  # seconds without data after which a stream is given up
COLOUR = (0, 158, 115)  # bluish green of Okabe and Ito


class Frames:
    """A clip as a sequence of RGB uint8 frames (H, W, 3), read one at a time.

    `source` is a list of image files, a folder of images, an image file with one or several frames,
    a video file, a named pipe, "-" (standard input), the number of a camera ("0"), the address of a
    stream ("rtsp://...") or a uint8 array (N, H, W, 3). Only an image file with several frames is
    kept in memory as a whole. Lists, folders and arrays can be indexed and have a length; the
    length of a video is what its header announces, and TypeError where it announces none. BadInput
    names a source that is missing or empty, a frame that cannot be read and a frame whose size
    differs from the first.

    After the iteration, `problem` is None or a sentence on damaged packets or missing frames.
    `fps` and `pixel_aspect` describe a video, and `time` is that of the latest frame in seconds.
    """

    def __init__(self, source: AnyPath | Iterable[AnyPath] | np.ndarray):
        self.live = self.once = False  # frames arrive at their own pace; the source is read once
        self.fps, self.pixel_aspect, self.time, self.problem = None, None, None, None
        self._shape = self._video = self._items = self._range = None
        if isinstance(source, Frames):
            vars(self).update(vars(source))
        elif isinstance(source, np.ndarray):
            rgb = source.dtype == np.uint8 and source.ndim == 4 and source.shape[3] == 3
            if not rgb or not source.size:
                kind = f"{source.dtype} {source.shape}"
                raise BadInput(f"frames: an array must be uint8 (N, H, W, 3), not {kind}")
            self._items = source
        elif isinstance(source, (str, os.PathLike)):
            self._open(source)
        else:
            try:
                self._items = [Path(path) for path in source]
            except TypeError:
                remedy = "give a folder, a video, a list of image files or an array"
                raise BadInput(f"frames: {source!r} is no source; {remedy}") from None
            if not self._items:
                raise BadInput("frames: the list of image files is empty")

    def _open(self, source):
        self.live = is_live(source)
        if self.live or str(source) == "-":
            self._video, self.once = str(source), True
            return
        path = Path(source)
        if is_folder(path):
            self._items = images.list_images(path)
        elif not path.exists():
            raise BadInput(f"{path}: no such file or folder; give a folder of frames or a video")
        elif path.suffix.lower() in images.SUFFIXES:
            self._items = images.read_pages(path) or [path]
        else:
            self._video, self.once = path, stat.S_ISFIFO(path.stat().st_mode)
            if not self.once:
                with _container(path) as (_, stream):
                    self._describe(stream)

    def _describe(self, stream):
        rate = stream.average_rate or stream.guessed_rate
        self.fps = float(rate) if rate else None
        self.pixel_aspect = stream.sample_aspect_ratio or None

    @property
    def files(self) -> list:
        """The image files, or the video file."""
        return [self._video] if self._video is not None else list(self._items)

    def __len__(self):
        if self._video is None:
            return len(self._items)
        if self.once:
            raise TypeError(f"{self._video}: this source has no length; iterate instead")
        with _container(self._video) as (container, stream):
            count, _ = _announced(container, stream)
        if not count:
            raise TypeError(f"{self._video}: the header announces no length; iterate instead")
        return count

    def __getitem__(self, index):
        if self._video is not None:
            remedy = "iterate, or extract its frames to a folder to pick single ones"
            raise BadInput(f"{self._video}: a video is read in order; {remedy}")
        frame = self._read(index)
        if self._shape is None:
            self._shape = (frame if index == 0 else self._read(0)).shape
        return self._same_size(frame, self._name(index))

    def __iter__(self) -> Iterator[np.ndarray]:
        if self._video is None:
            return (self[index] for index in range(len(self._items)))
        camera = self.live and str(self._video).isdigit()
        return self._camera() if camera else self._decode()

    def _name(self, index):
        item = self._items[index]
        return f"frame {index + 1}" if isinstance(item, np.ndarray) else item

    def _read(self, index):
        item = self._items[index]
        if isinstance(item, np.ndarray):
            return item
        frame = images.read_pixels(item)
        if frame.dtype != np.uint8 and self._range is None:
            self._range = images.value_range(self._items)
        return images.to_uint8(frame, self._range)

    def _same_size(self, frame, name):
        if self._shape is None:
            self._shape = frame.shape
        if frame.shape != self._shape:
            size, first = (f"{shape[1]} x {shape[0]}" for shape in (frame.shape, self._shape))
            problem = f"is {size} pixels, but the first frame is {first}"
            raise BadInput(f"{name}: {problem}; all frames of a clip must be of one size")
        return frame

    def _camera(self):
        with contextlib.closing(_Camera(self._video)) as camera:
            number = 0
            while (frame := camera.read()) is not None:
                number += 1
                yield self._same_size(frame, f"camera {self._video}, frame {number}")
        if number == 0:
            remedy = "check that it is on and free"
            raise BadInput(f"{self._video}: this camera gives no frame; {remedy}")

    def _decode(self):
        number = damaged = 0
        cut = False
        with _container(self._video) as (container, stream):
            self._describe(stream)
            announced, duration = _announced(container, stream)
            for item in _packets(container, stream):
                if item is None:
                    damaged += 1
                    continue
                if isinstance(item, Exception):
                    cut = True
                    break
                for frame in item:
                    number += 1
                    pixels = _upright(frame).view(TimedFrame)
                    pixels.time = self.time = frame.time
                    yield self._same_size(pixels, f"{self._video}, frame {number}")
        if number == 0:
            remedy = "check that it sends video" if self.live else "the file is damaged or empty"
            raise BadInput(f"{self._video}: no frame can be decoded; {remedy}")
        parts = []
        if self.time is not None and duration and self.fps:
            cut = cut or self.time + 2.5 / self.fps < duration
        if damaged:
            parts.append(f"{damaged} damaged packet{'s' * (damaged > 1)} skipped")
        if announced and number < announced:
            header = f"{announced} frames that the header announces"
            parts.append(f"{number} of the {header} were decoded")
        elif cut:
            parts.append(f"the video breaks off after frame {number}")
        self.problem = ", ".join(parts) or None


class TimedFrame(np.ndarray):
    """A frame (H, W, 3) that knows the `time` in seconds at which it is shown."""

    time = None


def is_live(source: AnyPath) -> bool:
    """Whether a source names a camera ("0") or a stream ("rtsp://..."), not a file or folder."""
    text = os.fspath(source) if isinstance(source, os.PathLike) else str(source)
    camera = re.fullmatch(r"[0-9]{1,2}", text) and not os.path.exists(text)
    return bool(camera or re.match(r"[A-Za-z][A-Za-z0-9+.-]+://", text))


def prefetch(frames: Iterable, ahead: int = 4) -> Iterator:
    """Yield `frames` in order while a thread decodes up to `ahead` of them.

    An error is raised at the frame that caused it. The consumer can be interrupted at any time,
    because the thread is a daemon: a stalled source never keeps the process alive.
    """
    ready, stop, end = queue.Queue(ahead), threading.Event(), object()

    def put(item):
        while not stop.is_set():
            with contextlib.suppress(queue.Full):
                return ready.put(item, timeout=0.1)

    def work():
        iterator = iter(frames)
        try:
            for frame in iterator:
                put((frame, None))
                if stop.is_set():
                    break
            put((end, None))
        except BaseException as error:
            put((end, error))
        finally:
            if hasattr(iterator, "close"):
                iterator.close()

    threading.Thread(target=work, daemon=True).start()
    try:
        while True:
            frame, error = _get(ready)
            if error is not None:
                raise error
            if frame is end:
                return
            yield frame
    finally:
        stop.set()


def _get(ready):
    while True:  # a short timeout lets Ctrl-C through on every system
        with contextlib.suppress(queue.Empty):
            return ready.get(timeout=0.2)


class _Camera:
    """A camera by its number, through OpenCV."""

    def __init__(self, number):
        level = cv2.utils.logging.getLogLevel()
        cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)
        try:
            self.capture = cv2.VideoCapture(int(number))
        finally:
            cv2.utils.logging.setLogLevel(level)
        if not self.capture.isOpened():
            remedy = "check that it is on and that no other program uses it"
            raise BadInput(f"{number}: this camera cannot be opened; {remedy}")

    def read(self):
        ok, frame = self.capture.read()
        return cv2.cvtColor(frame, cv2.COLOR_BGR2RGB) if ok else None

    def close(self):
        self.capture.release()


@contextlib.contextmanager
def _container(source):
    """Open a video for reading; yields PyAV's container and its first video stream."""
    import av

    live = is_live(source)
    with contextlib.ExitStack() as stack:
        if live:
            given, options = str(source), {"timeout": STALL}
        elif str(source) == "-":
            given, options = _OneWay(sys.stdin.buffer), {}
        else:
            try:
                file = stack.enter_context(open(source, "rb"))
            except OSError as error:
                reason = f"cannot be read ({error.strerror}); check its permissions"
                raise BadInput(f"{source}: {reason}") from error
            given, options = (file if file.seekable() else _OneWay(file)), {}
        try:
            container = av.open(given, metadata_errors="replace", buffer_size=1 << 18, **options)
            stack.callback(container.close)
            stream = next(s for s in container.streams.video if not _is_picture(s))
        except StopIteration:
            remedy = "give a video or a folder of images"
            raise BadInput(f"{source}: holds no video; {remedy}") from None
        except (OSError, ValueError) as error:  # av's errors are both
            raise BadInput(f"{source}: {_reason(error, live)}") from None
        stream.thread_type = "AUTO"
        yield container, stream


class _OneWay:
    """A pipe as PyAV wants a file that cannot be rewound."""

    def __init__(self, file):
        self.read = file.read1 if hasattr(file, "read1") else file.read


def _is_picture(stream):
    return bool(getattr(stream.disposition, "value", 0) & 0x400)  # the cover of an audio file


def _reason(error, live):
    words = " ".join(str(getattr(error, "strerror", None) or error).split())
    if live:
        return f"this stream cannot be opened ({words}); check its address and that it is on"
    return f"is not a video that FFmpeg can read ({words}); it may be cut off, damaged or no video"


def _announced(container, stream):
    """Number of frames and seconds that the header announces; None where it says nothing."""
    seconds = None
    if stream.duration:
        seconds = float(stream.duration * stream.time_base)
    elif container.duration and len(container.streams) == 1:  # otherwise that of another stream
        seconds = container.duration / 1e6
    return stream.frames or None, seconds


def _packets(container, stream):
    """Yield the decoded frames of each packet; None for a damaged one; an error where data ends."""
    import av

    packets = container.demux(stream)
    while True:
        try:
            packet = next(packets)
        except StopIteration:
            return
        except (av.error.FFmpegError, OSError) as error:
            yield error
            packet = None
        if packet is None:
            return
        try:
            yield packet.decode()
        except (av.error.FFmpegError, ValueError):
            yield None


def _upright(frame):
    """The pixels of a frame (H, W, 3) as its display matrix asks: turned, mirrored or both."""
    matrix = {"src_colorspace": "ITU709"} if frame.colorspace == 1 else {}
    pixels = frame.to_ndarray(format="rgb24", **matrix)
    side = frame.side_data.get("DISPLAYMATRIX")
    if side is None:
        return pixels
    a, b, _, c, d = np.frombuffer(bytes(side), np.int32)[:5].tolist()
    if abs(b) > abs(a):
        pixels, a, d = pixels.transpose(1, 0, 2), c, b
    if a < 0:
        pixels = pixels[:, ::-1]
    if d < 0:
        pixels = pixels[::-1]
    return np.ascontiguousarray(pixels)


def draw_box(frame: np.ndarray, box: np.ndarray, colour: tuple = COLOUR) -> np.ndarray:
    """Return a copy of an RGB frame (H, W, 3) with the box (x, y, w, h) outlined."""
    corner, size = np.round(box[:2]).astype(int), np.round(box[2:]).astype(int)
    thickness = max(2, min(frame.shape[:2]) // 160)
    ends = tuple(corner.tolist()), tuple((corner + size).tolist())
    return cv2.rectangle(frame.copy(), *ends, colour, thickness, cv2.LINE_AA)


class ClipWriter:
    """Write frames with their boxes as an H.264 .mp4; use it in a `with` block.

    The clip has the frame rate `fps`, or the times given to `write`, and the pixel aspect ratio of
    its source. It can be played at any moment, also after a kill or on a full disk.
    """

    def __init__(self, path: AnyPath, fps: float | None = None, pixel_aspect=None):
        self.path, self.container, self.shown = Path(path), None, -1
        if fps is not None and not np.isfinite(fps):
            raise BadInput(f"{path}: the frame rate is {fps}; give a number of frames per second")
        self.rate = max(Fraction(fps or 25).limit_denominator(1001), Fraction(1, 1001))
        self.pixel_aspect = pixel_aspect
        if self.path.suffix.lower() != ".mp4":
            raise BadInput(f"{path}: a clip is written as .mp4; choose such a name")
        with writing(self.path):
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with open(self.path, "ab"):  # before the first frame is tracked
                pass

    def __enter__(self):
        return self

    @contextlib.contextmanager
    def _writing(self):
        """Turn errors of writing and encoding into BadInput; remove a clip that has no frame."""
        import av

        try:
            with writing(self.path):
                yield
        except (BadInput, av.error.FFmpegError) as error:
            container, self.container = self.container, None
            with contextlib.suppress(OSError, av.error.FFmpegError):
                container.close()
            self._remove_empty()
            if isinstance(error, BadInput):
                raise
            problem = f"frames of {self.stream.width} x {self.stream.height} pixels as H.264"
            message = f"{self.path}: FFmpeg cannot encode {problem}; use frames of another size"
            raise BadInput(message) from error

    def _remove_empty(self):
        if self.path.exists() and self.path.stat().st_size == 0:
            self.path.unlink()

    def write(self, frame: np.ndarray, box: np.ndarray, time: float | None = None) -> None:
        """Append an RGB uint8 frame (H, W, 3) with its box, shown at `time` seconds if given."""
        import av

        if self.container is None:
            self._open(frame)
        size = frame.shape[1], frame.shape[0]
        if size != (self.stream.width, self.stream.height):
            first = f"{self.stream.width} x {self.stream.height}"
            problem = f"frame {self.count + 1} has {size[0]} x {size[1]} pixels, the first {first}"
            raise BadInput(f"{self.path}: {problem}; write frames of one size")
        image = av.VideoFrame.from_ndarray(np.ascontiguousarray(draw_box(frame, box)), "rgb24")
        tick = (self.count / self.rate) if time is None else Fraction(time).limit_denominator(90000)
        self.start = tick if self.count == 0 else self.start
        self.shown = max(self.shown + 1, round((tick - self.start) * 90000))
        image.pts, image.time_base, self.count = self.shown, Fraction(1, 90000), self.count + 1
        with self._writing():
            self.container.mux(self.stream.encode(image))

    def _open(self, frame):
        import av

        self.count, (height, width) = 0, frame.shape[:2]
        with writing(self.path):
            options = {"movflags": "hybrid_fragmented"}
            self.container = av.open(os.fspath(self.path), "w", format="mp4", options=options)
        self.stream = self.container.add_stream("libx264", rate=self.rate)
        self.stream.width, self.stream.height = width, height
        odd = width % 2 or height % 2  # yuv420p of H.264 needs even sides
        self.stream.pix_fmt = "yuv444p" if odd else "yuv420p"
        self.stream.codec_context.time_base = Fraction(1, 90000)
        self.stream.codec_context.max_b_frames = 0  # so that the clip starts at 0 s
        if self.pixel_aspect:
            self.stream.codec_context.sample_aspect_ratio = self.pixel_aspect

    def __exit__(self, *_):
        if self.container is not None:
            with self._writing():
                self.container.mux(self.stream.encode(None))
                self.container.close()
        else:
            self._remove_empty()
