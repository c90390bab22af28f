"""Synthetic clips, drawn from a seed, with boxes, rotated rectangles and OTB's attributes as truth.

Each of the 11 attributes of OTB (Wu, Lim, Yang, TPAMI 2015) is a dial. Every clip moves and changes
a little in every way; naming an attribute in the scene turns its dial up, so the attributes of a
clip are known before a frame is drawn.
"""

import shutil
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

import cv2
import numpy as np

from scs_siam.data import boxes
from scs_siam.data.benchmarks import ATTRIBUTES
from scs_siam.data.objects import paint, rotated_rectangle, visible_box
from scs_siam.data.scene import lens, stage
from scs_siam.runtime.files import BadInput, digest, read_json, sha256, write_json, write_text

VERSION = 1  # raise it when the same scene gives other bytes
STYLES = ("plain", "vivid", "aerial")  # from the side; in saturated colours; from a flying camera
HIDDEN = 0.1  # visible share of the target below which it is absent, in the style "aerial"


@dataclass(frozen=True)
class Scene:
    """What a clip is made from; equal scenes give equal bytes."""

    seed: int
    size: tuple = (320, 240)  # width and height of a frame, pixels
    frames: int = 60
    attributes: tuple = ()  # those of ATTRIBUTES whose dials are turned up
    style: str = "plain"  # one of STYLES

    def __post_init__(self):
        for name in sorted(set(self.attributes) - set(ATTRIBUTES)):
            choices = ", ".join(ATTRIBUTES)
            raise BadInput(f"scene: {name} is not an attribute; use some of {choices}")
        if self.style not in STYLES:
            raise BadInput(f"scene: {self.style} is not a style; use one of {', '.join(STYLES)}")
        if self.frames < 1 or len(self.size) != 2 or min(self.size) < 96:
            asked = f"{self.frames} frames of {self.size} pixels"
            raise BadInput(f"scene: {asked}; take at least 1 frame of at least 96 x 96")


@dataclass(frozen=True)
class Clip:
    """Frames (N, H, W, 3) uint8 RGB with boxes (N, 4), polygons (N, 4, 2) and attributes.

    A box is x, y, w, h (0-based pixels) around the part of the target inside the frame. An occluder
    does not change it, but where a target seen from above is hidden, the box is NaN (never in the
    first frame). A polygon holds the corners of the target's own rotated rectangle, clockwise from
    the one that is upper left without rotation; it may leave the frame, and pixel x covers
    x - 0.5 to x + 0.5.
    """

    frames: np.ndarray
    boxes: np.ndarray
    polygons: np.ndarray
    attributes: tuple


def render(scene: Scene) -> Clip:
    """Draw a scene. With the same libraries the same scene gives the same bytes."""
    rng, n, (width, height) = np.random.default_rng(scene.seed), scene.frames, scene.size
    shown = stage(rng, scene)
    path = shown.motion.center
    finish = lens(rng, scene, np.diff(path, axis=0, prepend=path[:1]))
    view = {"flags": cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP, "borderMode": cv2.BORDER_REFLECT}
    frames, rectangles = np.empty((n, height, width, 3), np.uint8), np.empty((n, 4))
    polygons = np.empty((n, 4, 2))
    for t in range(n):
        frames[t] = cv2.warpAffine(shown.scenery, shown.windows[t], scene.size, **view)
        for thing, poses in shown.behind:
            paint(frames[t], thing, poses, t)
        covered = paint(frames[t], shown.target, shown.motion, t)
        rectangles[t] = visible_box(covered, scene.size)
        polygons[t] = rotated_rectangle(covered, shown.motion.angle[t])
        above = [paint(frames[t], thing, poses, t) for thing, poses in shown.before]
        if scene.style == "aerial" and share_in_view(covered, above, scene.size) < HIDDEN:
            rectangles[t] = np.nan
        frames[t] = finish(frames[t], t)
    return Clip(frames, rectangles, polygons, tuple(scene.attributes))


def share_in_view(pixels: np.ndarray, above: list[np.ndarray], size) -> float:
    """Return the share of pixels (M, 2) that lie in a frame (width, height) and under no others."""
    seen = np.zeros(size[::-1], bool)
    for part, value in ((pixels, True), *((part, False) for part in above)):
        x, y = part[((part >= 0) & (part < size)).all(1)].T
        seen[y, x] = value
    return seen.sum() / len(pixels)


def train_scenes(sequences: int, frames: int, seed: int, size=(320, 240)) -> dict[str, Scene]:
    """Return the scenes of a training set; each dial is turned up in a quarter of the clips.

    Their seeds are even, those of test scenes odd.
    """
    up = np.random.default_rng([seed, 0]).random((sequences, len(ATTRIBUTES))) < 0.25
    scenes = {}
    for i in range(sequences):
        dials = tuple(np.array(ATTRIBUTES)[up[i]].tolist())
        scenes[f"syn_{i + 1:05d}"] = Scene(2 * (100_000 * seed + i), size, frames, dials)
    return scenes


def test_scenes(sequences: int, frames: int, seed: int, size=(320, 240)) -> dict[str, Scene]:  # noqa: PT028
    """Return the scenes of a test set: two dials per clip, each of the 11 dials twice in 11."""
    order = np.random.default_rng([seed, 1]).permutation(ATTRIBUTES).tolist()
    scenes = {}
    for i in range(sequences):
        up = [order[(i + shift) % len(order)] for shift in (0, 1 + i // len(order))]
        dials = tuple(sorted(up, key=ATTRIBUTES.index))
        scenes[f"Syn{i + 1:02d}"] = Scene(2 * (100_000 * seed + i) + 1, size, frames, dials)
    return scenes


@dataclass(frozen=True)
class Layout:
    """How a clip lies in its set; `folder` holds its frames and is written last."""

    write_truth: Callable  # (root, folder, name, clip) writes the ground truth
    frame: str = "img/{:04d}.jpg"
    folder: str = "{}"
    first: int = 1  # number of the first frame


def _truth_file(file):
    """A `write_truth` of 1-based boxes x,y,w,h in `file` of the clip's folder."""

    def write(root, folder, name, clip):
        boxes.write_boxes(folder / file, boxes.to_one_based(clip.boxes))

    return write


OTB = Layout(_truth_file("groundtruth_rect.txt"))
GOT10K = Layout(_truth_file("groundtruth.txt"), "{:08d}.jpg")


def write_train(root, sequences: int, frames: int, seed: int, size=(320, 240)) -> Path:
    """Write a training set in GOT-10k's layout to root/train and return that folder."""
    scenes = train_scenes(sequences, frames, seed, size)
    return write_set(Path(root) / "train", scenes, seed, GOT10K, {"list.txt": list(scenes)})


def write_test(root, sequences: int, frames: int, seed: int, size=(320, 240)) -> Path:
    """Write a test set in OTB's layout to `root`, with attributes.txt, and return that folder."""
    scenes = test_scenes(sequences, frames, seed, size)
    return write_set(root, scenes, seed, OTB, {"attributes.txt": list_attributes(scenes)})


def list_attributes(scenes: dict[str, Scene]) -> list[str]:
    """Return the lines of attributes.txt: a name and its dials each."""
    return [f"{name}\t{', '.join(scene.attributes)}" for name, scene in scenes.items()]


def fingerprint(folder) -> str:
    """Return a hash of the names and bytes of all files of a written set but synthetic.json."""
    files = [path for path in sorted(Path(folder).rglob("*")) if path.is_file()]
    files = [path for path in files if path.name != "synthetic.json"]
    return digest([[path.relative_to(folder).as_posix(), sha256(path)] for path in files], 16)


def write_set(folder, scenes: dict[str, Scene], seed: int, layout: Layout, lists: dict) -> Path:
    """Write scenes and `lists` of lines by file name as `folder`, or resume; return the folder.

    The set is written under another name and renamed once it is whole. A whole set of the same
    settings is kept; BadInput for a set of other settings.
    """
    folder = Path(folder)
    described = digest([_record(scene) for scene in scenes.values()])
    settings = {"version": VERSION, "layout": " ".join(lists), "seed": seed, "scenes": described}
    if not scenes:
        raise BadInput(f"{folder}: a synthetic set needs at least 1 sequence")
    try:
        if folder.is_dir() and any(folder.iterdir()):
            return _reuse(folder, settings)
        part = folder.with_name(f".{folder.name}-{digest(settings)}.part")
        for name, scene in scenes.items():
            if not (part / layout.folder.format(name)).exists():
                _write_clip(part, name, render(scene), layout)
        for file, lines in lists.items():
            write_text(part / file, "".join(line + "\n" for line in lines))
        write_json(part / "synthetic.json", {**settings, "fingerprint": fingerprint(part)})
        part.rename(folder)
    except OSError as error:
        problem = f"cannot be written ({error.strerror})"
        raise BadInput(f"{folder}: {problem}; choose another folder or free some space") from error
    return folder


def _record(scene):
    """The fields of a scene; the style "plain" is left out, as in older sets."""
    return {
        key: value for key, value in asdict(scene).items() if (key, value) != ("style", "plain")
    }


def _write_clip(root, name, clip, layout):
    """Write a clip, whole or not at all; the fingerprint of the set guards the frames."""
    folder = root / layout.folder.format(name)
    part = folder.with_name(f"{folder.name}.part")
    shutil.rmtree(part, ignore_errors=True)
    try:
        (part / layout.frame).parent.mkdir(parents=True)
        for number, frame in enumerate(clip.frames, layout.first):
            image = cv2.cvtColor(frame, cv2.COLOR_RGB2BGR)
            data = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, 90])[1]
            (part / layout.frame.format(number)).write_bytes(data)
        layout.write_truth(root, part, name, clip)
        part.rename(folder)
    finally:
        shutil.rmtree(part, ignore_errors=True)


def _reuse(folder, settings):
    """The folder, if it holds the whole set of these settings."""
    remedy = "delete it or choose another folder"
    if not (folder / "synthetic.json").exists():
        raise BadInput(f"{folder}: holds files that are not a synthetic set; {remedy}")
    record = read_json(folder / "synthetic.json")
    if {key: record.get(key) for key in settings} != settings:
        raise BadInput(f"{folder}: holds a synthetic set of other settings; {remedy}")
    if record.get("fingerprint") != fingerprint(folder):
        problem = "the synthetic set was changed or damaged after it was written"
        raise BadInput(f"{folder}: {problem}; {remedy}")
    return folder
