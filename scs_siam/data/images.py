"""List the image files of a clip in order and read them as RGB, from one place for all readers."""

import contextlib
import itertools
import re
import struct
import zlib
from pathlib import Path

import cv2
import numpy as np

try:
    import simplejpeg  # as fast as OpenCV and the only decoder that reports damaged pixels
except ImportError:
    simplejpeg = None

from scs_siam.runtime.files import AnyPath, BadInput, atomic, is_folder, reading

SUFFIXES = {".jpg", ".jpeg", ".png", ".bmp", ".webp", ".tif", ".tiff", ".pgm", ".ppm", ".gif"}
PAGED = {".tif", ".tiff", ".webp", ".png", ".gif"}  # formats that can hold several frames
NUMBER = re.compile(r"\d+(?:\.\d+)*")
MARKER = re.compile(rb"\xff[^\x00\xd0-\xd7\xff]")


def list_images(folder: AnyPath) -> list[Path]:
    """Return the image files of `folder` in the order in which they were taken.

    The numbers in the names decide: whole numbers count numerically (2 before 10), digits after a
    point as decimals (579.05 before 579.1). BadInput if there is no image, or if the names do not
    say what the frames are: two series of names, two files with the same number, or a file that
    does not belong to the series.
    """
    folder = Path(folder)
    if not is_folder(folder):
        raise BadInput(f"{folder}: no such folder; give the folder that holds the frames")
    with reading(folder):
        found = [path for path in folder.iterdir() if is_image(path)]
    if not found:
        raise BadInput(f"{folder}: holds no image files; give the folder that holds the frames")
    return in_order(found)


def is_image(path: Path) -> bool:
    """Tell whether a file name is that of an image and not hidden."""
    return path.suffix.lower() in SUFFIXES and not path.name.startswith(".")


def in_order(paths: list[Path]) -> list[Path]:
    """Sort image files by the numbers in their names; BadInput where those leave the order open."""
    series: dict[str, list[Path]] = {}
    for path in paths:
        series.setdefault(NUMBER.sub("#", path.stem), []).append(path)
    if len(series) > 1 and any("#" in name for name in series):
        first, second = sorted(series.values(), key=len, reverse=True)[:2]
        example = f"'{min(first).name}' and '{min(second).name}'"
        _refuse(paths, f"its images belong to different series, such as {example}")
    keys = {path: _key(path.stem) for path in paths}
    ordered = sorted(paths, key=lambda path: (keys[path], path.name))
    for one, other in itertools.pairwise(ordered):
        if keys[one] == keys[other]:
            _refuse(paths, f"'{one.name}' and '{other.name}' have the same number")
    groups: dict[tuple, list] = {}
    for key in keys.values():
        groups.setdefault(key[:-2], []).append(key[-2:])
    parallel = len(groups) > 1 and len(next(iter(groups.values()))) > 1
    if parallel and len({tuple(sorted(group)) for group in groups.values()}) == 1:
        _refuse(paths, f"'{ordered[0].name}' and others are numbered in parallel series")
    return ordered


def _refuse(paths, problem):
    remedy = "leave only the frames of one clip there"
    raise BadInput(f"{paths[0].parent}: {problem}; {remedy}")


def _key(stem):
    """Text and numbers of a name in turn; a number is its whole part and its digits as decimals."""
    parts: list = []
    last = 0
    for match in NUMBER.finditer(stem):
        whole, *decimals = match[0].split(".")
        parts += [stem[last : match.start()], (int(whole), *decimals)]
        last = match.end()
    return (*parts, stem[last:]) if parts else (stem,)


def read_image(path: AnyPath) -> np.ndarray:
    """Read an image file as RGB uint8 (H, W, 3), turned as its EXIF orientation asks.

    Images of more than 8 bits are scaled by their own range. BadInput names a file that is missing,
    empty, cut off or damaged.
    """
    pixels = read_pixels(path)
    return to_uint8(pixels, value_range([pixels]))


def read_pixels(path: AnyPath | np.ndarray) -> np.ndarray:
    """Read an image (H, W, 3) with the type that it is stored in; an array is returned as it is."""
    if isinstance(path, np.ndarray):
        return path
    with reading(path):
        data = np.fromfile(path, np.uint8)
    if not data.size:
        raise BadInput(f"{path}: is an empty file; replace or remove it")
    raw, image = data.tobytes(), None
    if reason := damage(raw):
        raise BadInput(f"{path}: {reason}; replace or remove it")
    if raw[:2] == b"\xff\xd8" and simplejpeg and b"Exif\0\0" not in raw:
        try:
            return simplejpeg.decode_jpeg(raw, "RGB", strict=True)
        except ValueError as error:
            if str(error).startswith("Corrupt"):
                reason = " ".join(str(error).split())
                raise BadInput(f"{path}: is damaged ({reason}); replace or remove it") from None
    with contextlib.suppress(cv2.error):  # a header that claims more pixels than OpenCV takes
        image = cv2.imdecode(data, cv2.IMREAD_COLOR | cv2.IMREAD_ANYDEPTH)
    if image is None or (image.dtype.kind == "f" and not np.isfinite(image).all()):
        raise BadInput(f"{path}: is not a readable image; replace or remove it")
    return cv2.cvtColor(image, cv2.COLOR_BGR2RGB)


def write_image(path: AnyPath, image: np.ndarray, quality: int = 95) -> None:
    """Write an RGB uint8 image (H, W, 3) in the format of the suffix, whole or not at all."""
    jpeg = Path(path).suffix.lower() in (".jpg", ".jpeg")
    options = [cv2.IMWRITE_JPEG_QUALITY, quality] if jpeg else []  # others would warn on stderr
    data = None
    with contextlib.suppress(cv2.error):  # a suffix that names no format
        bgr = cv2.cvtColor(image, cv2.COLOR_RGB2BGR)
        data = cv2.imencode(Path(path).suffix, bgr, options)[1]
    if data is None:
        raise BadInput(f"{path}: cannot be encoded; use .jpg or .png")
    with atomic(path) as part:
        data.tofile(part)


def value_range(items: list) -> tuple[float, float]:
    """Smallest and largest value of some frames of a clip (at most 16), for `to_uint8`."""
    chosen = [items[k] for k in np.linspace(0, len(items) - 1, min(len(items), 16)).astype(int)]
    values = [read_pixels(item) for item in chosen]
    return float(min(v.min() for v in values)), float(max(v.max() for v in values))


def to_uint8(pixels: np.ndarray, limits: tuple[float, float]) -> np.ndarray:
    """Scale pixels of any type from `limits` to 0..255; uint8 pixels stay as they are."""
    if pixels.dtype == np.uint8:
        return pixels
    low, high = limits
    scaled = (pixels.astype(np.float32) - low) * (255 / max(high - low, 1e-12))
    return np.clip(np.round(scaled), 0, 255).astype(np.uint8)


def read_pages(path: Path) -> list[np.ndarray]:
    """Return the frames of a TIFF, GIF, WebP or PNG that holds several; otherwise [].

    BadInput names a file whose frames cannot all be read.
    """
    from PIL import Image, ImageSequence

    if path.suffix.lower() not in PAGED:
        return []
    # OpenCV reads what Pillow cannot open and says what is wrong, except for GIF.
    gif = opened = path.suffix.lower() == ".gif"
    try:
        with Image.open(path) as image:
            opened = True
            if getattr(image, "n_frames", 1) < 2 and not gif:
                return []
            pages = [np.asarray(_plain(page)) for page in ImageSequence.Iterator(image)]
    except Exception as error:  # Pillow has no common class for what it finds in damaged files
        if opened:
            raise BadInput(f"{path}: is not a readable image ({error}); replace it") from None
        return []
    limits = value_range(pages)
    return [_rgb(to_uint8(page, limits)) for page in pages]


def _plain(page):
    """A page of an image of PIL with its own depth where it is grey, otherwise as RGB."""
    return page.copy() if page.mode in ("L", "I;16", "I;16B", "I", "F") else page.convert("RGB")


def _rgb(page):
    return np.repeat(page[:, :, None], 3, axis=2) if page.ndim == 2 else page


def damage(data: bytes) -> str | None:
    """Say what is damaged in the bytes of a JPEG or PNG; None where nothing is found.

    OpenCV fills what is missing with grey and says nothing.
    """
    if data[:2] == b"\xff\xd8":
        return _jpeg_damage(data)
    if data[:8] == b"\x89PNG\r\n\x1a\n":
        return _png_damage(data)
    return None


def _jpeg_damage(data):
    """Follow the segments of the first image; after its end anything may come (motion photos)."""
    place, scans = 2, 0
    while True:
        match = MARKER.search(data, place)
        if match is None:
            break
        kind, place = data[match.start() + 1], match.end()
        if kind == 0xD9:
            return None if scans else "is not a readable image"
        if kind == 0x01 or kind == 0xD8:
            continue
        if place + 2 > len(data):
            break
        scans += kind == 0xDA
        place += struct.unpack(">H", data[place : place + 2])[0]
    if scans and _is_complete(data):
        return None
    return "is cut off" if scans else "is not a readable image"


def _is_complete(data):
    """Whether a JPEG without an end marker has all its pixels: then more data change nothing."""
    data = data.rstrip(b"\xff")
    ends = (data + b"\xff\xd9", data + b"\x55\xaa" * 512 + b"\xff\xd9")
    first, second = (cv2.imdecode(np.frombuffer(end, np.uint8), cv2.IMREAD_COLOR) for end in ends)
    return first is not None and second is not None and np.array_equal(first, second)


def _png_damage(data):
    place = 8
    while place + 12 <= len(data):
        (length,) = struct.unpack(">I", data[place : place + 4])
        body, end = data[place + 4 : place + 8 + length], place + 12 + length
        if end > len(data):
            break
        if zlib.crc32(body) != struct.unpack(">I", data[end - 4 : end])[0]:
            return f"has a damaged part ({body[:4].decode('latin-1')})"
        if body[:4] == b"IEND":
            return None
        place = end
    return "is cut off"
