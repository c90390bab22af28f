"""Files that can be trusted: one clear line for bad input, nothing half-written left behind."""

import contextlib
import hashlib
import json
import os
import shutil
import tempfile
from pathlib import Path

import cv2
import numpy as np
from safetensors import SafetensorError

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None


def root():
    """The folder that holds `data/`: the parent of this package."""
    return Path(__file__).resolve().parents[2]


class BadInput(ValueError):
    """Input that cannot be used; the message is one line that names the thing and the mend."""

    def __init__(self, message):
        super().__init__(
            str(message).replace("\r", "\\r").replace("\n", "\\n")
        )  # even a file's name may hold a line break


@contextlib.contextmanager
def reading(path):
    """Turn what goes wrong while the file or folder `path` is opened and read into BadInput."""
    try:
        yield
    except (OSError, ValueError) as error:  # ValueError: no text, or a name with a zero byte
        reason = (
            "not a text file"
            if isinstance(error, UnicodeDecodeError)
            else getattr(error, "strerror", None) or error
        )
        raise BadInput(f"{path}: cannot be read ({reason}); replace it or name another") from error


@contextlib.contextmanager
def writing(path):
    """Turn what goes wrong while `path` is written into BadInput; NumPy's short writes and safetensors have no strerror."""
    try:
        yield
    except (OSError, SafetensorError, UnicodeEncodeError) as error:
        reason = getattr(error, "strerror", None) or error
        raise BadInput(
            f"{path}: cannot be written ({reason}); choose another folder or free some space"
        ) from error


@contextlib.contextmanager
def atomic(path):
    """Yield a path of the same name in a temporary folder beside `path` and move it into place only if the block succeeds."""
    path = Path(path)
    with writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        folder = tempfile.mkdtemp(
            dir=path.parent, prefix=".part-"
        )  # a folder, since safetensors writes a file of its own beside it
        part = Path(folder) / path.name
        try:
            yield part
            with open(part, "rb") as file:
                os.fsync(file.fileno())
            part.chmod(0o666 & ~_umask())
            os.replace(part, path)
        finally:
            shutil.rmtree(folder, ignore_errors=True)


@contextlib.contextmanager
def locked(path):
    """Let one process at a time work on `path`; others wait. Where the system has no such locks (Windows) nobody waits.

    What a process that was killed left half-written below `path` is removed: with the lock held, nobody writes it any more.
    """
    lock = Path(path).with_name(f".{Path(path).name}.lock")
    with writing(lock):
        lock.parent.mkdir(parents=True, exist_ok=True)
        file = open(lock, "w", encoding="utf-8")
    with file:
        if fcntl is not None:
            fcntl.flock(file, fcntl.LOCK_EX)  # ends with the process, however that ends
            for part in list(Path(path).rglob(".part-*")):
                shutil.rmtree(part, ignore_errors=True)
        yield


def _umask():
    mask = os.umask(0)
    os.umask(mask)
    return mask


def write_text(path, text):
    """Write `text` to `path` whole or not at all."""
    with atomic(path) as part:
        part.write_text(text, encoding="utf-8")


def write_json(path, value):
    """Write `value` as sorted, indented JSON, whole or not at all."""
    write_text(path, json.dumps(value, indent=1, sort_keys=True) + "\n")


def is_folder(path):
    """Whether `path` is a folder; BadInput where the system does not tell: a name too long, a folder above that may not be searched."""
    with reading(path):
        return Path(path).is_dir()


def read_text(path):
    """The text of a UTF-8 file, with or without its mark; BadInput names the file if it is missing or no text."""
    with reading(path), open(path, encoding="utf-8-sig") as file:
        return file.read()


def read_names(path):
    """The names in a list file, one a line; BadInput for one that leaves the list's folder: what is listed lies beside the list."""
    names = [line.strip() for line in read_text(path).splitlines() if line.strip()]
    if not names:
        raise BadInput(f"{path}: names nothing; write one name a line")
    for name in names:
        if not is_inside(name):
            raise BadInput(f"{path}: the name {name!r} leads out of its folder; remove the line")
    return names


def is_inside(name):
    """Whether a name that someone else wrote stays in the folder in which it is looked up, on any system."""
    return isinstance(name, str) and not (
        set(name) & set("\0\\:") or name.startswith("/") or ".." in name.split("/")
    )


def read_entries(path):
    """The entries of a JSON list of clips: name, frames (paths below the list's folder), boxes (N, 4); BadInput names one without."""
    entries = read_json(path)
    for number, entry in enumerate(entries if isinstance(entries, list) else [entries], 1):
        sound = (
            {"name", "frames", "boxes"} <= set(entry)
            and isinstance(entry["frames"], list)
            and all(map(is_inside, entry["frames"]))
        )
        try:
            sound = (
                sound
                and is_inside(entry["name"])
                and np.shape(np.array(entry["boxes"], np.float64)) == (len(entry["frames"]), 4)
            )
        except (TypeError, ValueError, OverflowError):
            sound = False
        if not sound:
            raise BadInput(
                f"{path}: entry {number} lacks its name, its frames in this folder or a box a frame; mend or remove it"
            )
    return entries


def read_json(path, *keys):
    """Read a JSON file that holds an object with at least these keys, or without any a list of objects; BadInput names another."""
    text = read_text(path)
    try:
        value = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise BadInput(f"{path}: is not valid JSON ({error}); delete it and run again") from error
    listed = (
        isinstance(value, list)
        and value
        and all(isinstance(part, dict) for part in value)
        and not keys
    )
    lacking = (
        [key for key in keys if key not in value]
        if isinstance(value, dict)
        else []
        if listed
        else ["{...}"]
    )
    if lacking:
        raise BadInput(
            f"{path}: has no '{lacking[0]}', so it is another program's or damaged; delete it and run again"
        )
    return value


def read_image(path):
    """Read an image file as RGB uint8 (H, W, 3); BadInput names a missing, empty or damaged file."""
    with reading(path):
        data = np.fromfile(path, np.uint8)
    try:
        image = (
            cv2.imdecode(data, cv2.IMREAD_COLOR)
            if data.size and not _is_cut_jpeg(data.tobytes())
            else None
        )
    except cv2.error:  # a header that claims more pixels than OpenCV takes
        image = None
    if image is None:
        raise BadInput(
            f"{path}: is {'not a readable image' if data.size else 'an empty file'}; replace or remove it"
        )
    return cv2.cvtColor(image, cv2.COLOR_BGR2RGB)


def _is_cut_jpeg(data):
    """Whether a JPEG's last scan has no end; OpenCV 4 fills what is missing with grey and says nothing."""
    return data[:2] == b"\xff\xd8" and data.rfind(b"\xff\xd9") < data.rfind(b"\xff\xda")


def write_image(path, image, quality=95):
    """Write an RGB uint8 (H, W, 3) image as the format that the suffix names, whole or not at all."""
    suffix = Path(path).suffix
    options = (
        [cv2.IMWRITE_JPEG_QUALITY, quality] if suffix.lower() in (".jpg", ".jpeg") else []
    )  # others would warn on stderr
    try:
        ok, data = cv2.imencode(suffix, cv2.cvtColor(image, cv2.COLOR_RGB2BGR), options)
    except cv2.error:  # a suffix that names no format
        ok = False
    if not ok:
        raise BadInput(f"{path}: cannot be encoded; use .jpg or .png")
    with atomic(path) as part:
        data.tofile(part)


def sha256(path, length=64):
    """The SHA-256 of a file's bytes, as `length` hex digits."""
    digest = hashlib.sha256()
    with reading(path), open(path, "rb") as file:
        for block in iter(lambda: file.read(1 << 20), b""):
            digest.update(block)
    return digest.hexdigest()[:length]


def digest(value, length=12):
    """A short SHA-256 of any JSON-able value, the same for equal values."""
    return hashlib.sha256(json.dumps(value, sort_keys=True, default=str).encode()).hexdigest()[
        :length
    ]
