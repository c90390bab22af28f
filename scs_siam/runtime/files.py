"""Files that can be trusted: bad input ends in one clear line, and nothing half-written is left."""

import contextlib
import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None


AnyPath = str | os.PathLike  # a path as text or as an object


class BadInput(ValueError):  # noqa: N818
    """Input that cannot be used; the message is one line that names the thing and the remedy."""

    def __init__(self, message: str):
        # Even the name of a file may hold a line break.
        super().__init__(str(message).replace("\r", "\\r").replace("\n", "\\n"))


def root() -> Path:
    """Return the folder of the project, which holds `data/`: the parent of this package."""
    return Path(__file__).resolve().parents[2]


def figures_folder() -> Path:
    """Folder of figures and tables: the variable SCS_FIGURES, or figures/ of the project."""
    return Path(os.environ.get("SCS_FIGURES") or root() / "figures")


@contextlib.contextmanager
def reading(path: AnyPath) -> Iterator[None]:
    """Turn errors while the file or folder `path` is opened and read into BadInput."""
    try:
        yield
    except (OSError, ValueError) as error:  # ValueError: no text, or a name with a zero byte
        reason = getattr(error, "strerror", None) or error
        reason = "it is not a text file" if isinstance(error, UnicodeDecodeError) else reason
        raise BadInput(f"{path}: cannot be read ({reason}); replace it or name another") from error


@contextlib.contextmanager
def writing(path: AnyPath) -> Iterator[None]:
    """Turn errors while `path` is written into BadInput."""
    try:
        yield
    except (OSError, SafetensorError, UnicodeEncodeError) as error:
        reason = getattr(error, "strerror", None) or error
        remedy = "choose another folder or free some space"
        raise BadInput(f"{path}: cannot be written ({reason}); {remedy}") from error


@contextlib.contextmanager
def atomic(path: AnyPath) -> Iterator[Path]:
    """Yield a temporary path next to `path`; move it into place if the block succeeds."""
    path = Path(path)
    with writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        folder = tempfile.mkdtemp(dir=path.parent, prefix=".part-")
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
def locked(path: AnyPath) -> Iterator[None]:
    """Let one process at a time work on `path`; other processes wait (not on Windows).

    Half-written files of a killed process below `path` are removed: with the lock held, no other
    process writes them.
    """
    lock = Path(path).with_name(f".{Path(path).name}.lock")
    with writing(lock):
        lock.parent.mkdir(parents=True, exist_ok=True)
        file = open(lock, "w", encoding="utf-8")  # noqa: SIM115
    with file:
        if fcntl is not None:
            fcntl.flock(file, fcntl.LOCK_EX)  # released when the process ends, however it ends
            for part in list(Path(path).rglob(".part-*")):
                shutil.rmtree(part, ignore_errors=True)
        yield


def _umask():
    mask = os.umask(0)
    os.umask(mask)
    return mask


def write_text(path: AnyPath, text: str) -> None:
    """Write `text` to `path`, whole or not at all."""
    with atomic(path) as part:
        part.write_text(text, encoding="utf-8")


def write_json(path: AnyPath, value: Any) -> None:
    """Write `value` as sorted, indented JSON, whole or not at all."""
    write_text(path, json.dumps(value, indent=1, sort_keys=True) + "\n")


def is_folder(path: AnyPath) -> bool:
    """Tell whether `path` is a folder; BadInput where the system cannot tell."""
    with reading(path):
        return Path(path).is_dir()


def read_text(path: AnyPath) -> str:
    """Return the text of a UTF-8 file, with or without a byte-order mark."""
    with reading(path), open(path, encoding="utf-8-sig") as file:
        return file.read()


def read_names(path: AnyPath) -> list[str]:
    """Return the names in a list file, one per line; BadInput for a name that leaves its folder."""
    names = [line.strip() for line in read_text(path).splitlines() if line.strip()]
    if not names:
        raise BadInput(f"{path}: names nothing; write one name per line")
    for name in names:
        if not is_inside(name):
            raise BadInput(f"{path}: the name {name!r} leads out of its folder; remove the line")
    return names


def is_inside(name: Any) -> bool:
    """Tell whether a name that someone else wrote stays in its folder on any system."""
    if not isinstance(name, str) or set(name) & set("\0\\:"):
        return False
    return not name.startswith("/") and ".." not in name.split("/")


def read_entries(path: AnyPath) -> list[dict]:
    """Return the entries of a JSON list of clips: name, frames (relative paths), boxes (N, 4)."""
    entries = read_json(path)
    for number, entry in enumerate(entries if isinstance(entries, list) else [entries], 1):
        try:
            frames, boxes = entry["frames"], np.array(entry["boxes"], np.float64)
            sound = isinstance(frames, list) and all(map(is_inside, [entry["name"], *frames]))
            sound = sound and boxes.shape == (len(frames), 4)
        except (KeyError, TypeError, ValueError, OverflowError):
            sound = False
        if not sound:
            problem = "lacks its name, its frames in this folder or one box per frame"
            raise BadInput(f"{path}: entry {number} {problem}; correct or remove it")
    return entries


def read_json(path: AnyPath, *keys: str) -> Any:
    """Read a JSON object with at least `keys`, or without keys also a list of objects."""
    text = read_text(path)
    try:
        value = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise BadInput(f"{path}: is not valid JSON ({error}); delete it and run again") from error
    if isinstance(value, list) and value and not keys and all(isinstance(x, dict) for x in value):
        return value
    lacking = [key for key in keys if key not in value] if isinstance(value, dict) else ["{...}"]
    if lacking:
        problem = f"has no '{lacking[0]}': the file is damaged or was written by another program"
        raise BadInput(f"{path}: {problem}; delete it and run again")
    return value


def sha256(path: AnyPath, length: int = 64) -> str:
    """Return the SHA-256 of a file's bytes as `length` hexadecimal digits."""
    value = hashlib.sha256()
    with reading(path), open(path, "rb") as file:
        for block in iter(lambda: file.read(1 << 20), b""):
            value.update(block)
    return value.hexdigest()[:length]


def digest(value: Any, length: int = 12) -> str:
    """Return a short SHA-256 of any value that JSON can hold, the same for equal values."""
    text = json.dumps(value, sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:length]
