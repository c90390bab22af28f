"""A synthetic benchmark: clips drawn from a seed, with boxes, turned rectangles and OTB's 11 attributes as ground truth.

Each attribute of OTB (Wu, Lim, Yang, TPAMI 2015) is a dial. Every clip moves and changes a little in every way; naming an attribute in
the scene turns its dial up, so the attributes are known before a frame is drawn and need no judge afterwards.
"""

import shutil
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

import cv2
import numpy as np

from scs_siam.data import boxes
from scs_siam.data.sprites import paint, turned_rectangle, visible_box
from scs_siam.data.stage import lens, stage
from scs_siam.runtime.files import BadInput, digest, read_json, sha256, write_json, write_text

VERSION = 1  # raise it when the same scene gives other bytes
ATTRIBUTES = ("IV", "SV", "OCC", "DEF", "MB", "FM", "IPR", "OPR", "OV", "BC", "LR")
STYLES = (
    "plain",
    "vivid",
    "aerial",
)  # seen from the side, the same in saturated colours, seen from above by a camera that flies
HIDDEN = 0.1  # share of the target's pixels in view below which it is absent, in the style "aerial"


@dataclass(frozen=True)
class Scene:
    """What a clip is made from; equal scenes give equal bytes."""

    seed: int
    size: tuple = (320, 240)  # width and height of a frame, pixels
    frames: int = 60
    attributes: tuple = ()  # those of ATTRIBUTES whose dials are turned up
    style: str = "plain"  # one of STYLES

    def __post_init__(self):
        unknown = sorted(set(self.attributes) - set(ATTRIBUTES))
        if unknown:
            raise BadInput(
                f"scene: {unknown[0]} is not an attribute; use some of {', '.join(ATTRIBUTES)}"
            )
        if self.style not in STYLES:
            raise BadInput(f"scene: {self.style} is not a style; use one of {', '.join(STYLES)}")
        if self.frames < 1 or len(self.size) != 2 or min(self.size) < 96:
            raise BadInput(
                f"scene: {self.frames} frames of {self.size} pixels; take at least 1 frame of at least 96 x 96"
            )


@dataclass(frozen=True)
class Clip:
    """Frames (N, H, W, 3) uint8 RGB with boxes (N, 4), polygons (N, 4, 2) and the attributes of the scene.

    A box is x, y, w, h (0-based pixels) around what the border of the frame leaves of the target; an occluder takes nothing from it, but
    where a target seen from above is hidden the box is NaN (never in the first frame). A polygon holds the corners of the target's own,
    turned rectangle, clockwise on the screen from the one that is upper left when unturned; it may leave the frame, and pixel x covers
    x - 0.5 .. x + 0.5.
    """

    frames: np.ndarray
    boxes: np.ndarray
    polygons: np.ndarray
    attributes: tuple


def render(scene):
    """Draw the scene; returns its Clip. With the same libraries the same scene gives the same bytes."""
    rng, n, (width, height) = np.random.default_rng(scene.seed), scene.frames, scene.size
    shown = stage(rng, scene)
    finish = lens(rng, scene, np.diff(shown.way.center, axis=0, prepend=shown.way.center[:1]))
    view = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    frames, rectangles, polygons = (
        np.empty((n, height, width, 3), np.uint8),
        np.empty((n, 4)),
        np.empty((n, 4, 2)),
    )
    for t in range(n):
        frames[t] = cv2.warpAffine(
            shown.scenery, shown.windows[t], scene.size, flags=view, borderMode=cv2.BORDER_REFLECT
        )
        for thing, its_way in shown.behind:
            paint(frames[t], thing, its_way, t)
        covered = paint(frames[t], shown.target, shown.way, t)
        rectangles[t], polygons[t] = (
            visible_box(covered, scene.size),
            turned_rectangle(covered, shown.way.angle[t]),
        )
        above = [paint(frames[t], thing, its_way, t) for thing, its_way in shown.before]
        if scene.style == "aerial" and share_in_view(covered, above, scene.size) < HIDDEN:
            rectangles[t] = np.nan
        frames[t] = finish(frames[t], t)
    return Clip(frames, rectangles, polygons, tuple(scene.attributes))


def share_in_view(pixels, above, size):
    """Share of the pixels (M, 2) that lie in a frame of `size` (width, height) and under none of the pixel lists `above`."""
    seen = np.zeros(size[::-1], bool)
    for part, value in ((pixels, True), *((part, False) for part in above)):
        x, y = part[((part >= 0) & (part < size)).all(1)].T
        seen[y, x] = value
    return seen.sum() / len(pixels)


def train_scenes(sequences, frames, seed, size=(320, 240)):
    """Name -> Scene of a training set, with even seeds that no test scene has; each dial is up in a quarter of the clips."""
    up = np.random.default_rng([seed, 0]).random((sequences, len(ATTRIBUTES))) < 0.25
    return {
        f"syn_{i + 1:05d}": Scene(
            2 * (100_000 * seed + i), size, frames, tuple(np.array(ATTRIBUTES)[up[i]].tolist())
        )
        for i in range(sequences)
    }


def test_scenes(sequences, frames, seed, size=(320, 240)):
    """Name -> Scene of a test set, with odd seeds; two dials a clip, each of the 11 dials twice in 11 clips."""
    order = np.random.default_rng([seed, 1]).permutation(ATTRIBUTES).tolist()
    scenes = {}
    for i in range(sequences):
        up = [order[(i + shift) % len(order)] for shift in (0, 1 + i // len(order))]
        scenes[f"Syn{i + 1:02d}"] = Scene(
            2 * (100_000 * seed + i) + 1, size, frames, tuple(sorted(up, key=ATTRIBUTES.index))
        )
    return scenes


@dataclass(frozen=True)
class Layout:
    """How a clip lies in its set: `write_truth(root, folder, name, clip)` writes the boxes, `folder` holds the frames and comes last."""

    write_truth: Callable
    frame: str = "img/{:04d}.jpg"
    folder: str = "{}"
    first: int = 1  # number of the first frame


def _beside(file):
    """A `write_truth` of 1-based boxes x,y,w,h in `file` of the clip's folder."""
    return lambda root, folder, name, clip: boxes.write_boxes(
        folder / file, boxes.to_one_based(clip.boxes)
    )


OTB, GOT10K = (
    Layout(_beside("groundtruth_rect.txt")),
    Layout(_beside("groundtruth.txt"), "{:08d}.jpg"),
)


def write_train(root, sequences, frames, seed, size=(320, 240)):
    """Write a training set to root/train, as `got10k.datasets.GOT10k(root, "train")` reads it; returns that folder."""
    scenes = train_scenes(sequences, frames, seed, size)
    return write_set(Path(root) / "train", scenes, seed, GOT10K, {"list.txt": list(scenes)})


def write_test(root, sequences, frames, seed, size=(320, 240)):
    """Write a test set in OTB's layout to root, with the dials of each clip in attributes.txt; returns that folder."""
    scenes = test_scenes(sequences, frames, seed, size)
    return write_set(root, scenes, seed, OTB, {"attributes.txt": list_attributes(scenes)})


def list_attributes(scenes):
    """The lines of attributes.txt, a name and its dials each."""
    return [f"{name}\t{', '.join(scene.attributes)}" for name, scene in scenes.items()]


def fingerprint(folder):
    """Hash of the names and bytes of all files of a written set but its synthetic.json."""
    files = sorted(
        path for path in Path(folder).rglob("*") if path.is_file() and path.name != "synthetic.json"
    )
    return digest([[path.relative_to(folder).as_posix(), sha256(path)] for path in files], 16)


def write_set(folder, scenes, seed, layout, lists):
    """Write scenes by name and `lists` of lines by file name as `folder`, or go on where an earlier call broke off; returns the folder.

    It is written beside `folder` and renamed when it is whole. A whole set of the same settings is left as it is; BadInput for another.
    """
    folder = Path(folder)
    described = digest([_record(scene) for scene in scenes.values()])
    settings = {"version": VERSION, "layout": " ".join(lists), "seed": seed, "scenes": described}
    if not scenes:
        raise BadInput(
            f"{folder}: a synthetic set of no sequences was asked for; ask for at least 1"
        )
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
        raise BadInput(
            f"{folder}: cannot be written ({error.strerror}); choose another folder or free some space"
        ) from error
    return folder


def _record(scene):
    """The fields of a scene; a plain one's without its style, so that sets written before there were styles are current."""
    return {
        key: value for key, value in asdict(scene).items() if (key, value) != ("style", "plain")
    }


def _write_clip(root, name, clip, layout):
    """Write a clip, its folder whole or not at all. Frames are not synchronised one by one: the set's fingerprint guards them."""
    folder = root / layout.folder.format(name)
    part = folder.with_name(f"{folder.name}.part")
    shutil.rmtree(part, ignore_errors=True)
    try:
        (part / layout.frame).parent.mkdir(parents=True)
        for number, frame in enumerate(clip.frames, layout.first):
            data = cv2.imencode(
                ".jpg", cv2.cvtColor(frame, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, 90]
            )[1]
            (part / layout.frame.format(number)).write_bytes(data)
        layout.write_truth(root, part, name, clip)
        part.rename(folder)
    finally:
        shutil.rmtree(part, ignore_errors=True)


def _reuse(folder, settings):
    """The folder, if it holds the whole set of these settings."""
    mend = "delete it or choose another folder"
    if not (folder / "synthetic.json").exists():
        raise BadInput(f"{folder}: holds files that are no synthetic set; {mend}")
    record = read_json(folder / "synthetic.json")
    if {key: record.get(key) for key in settings} != settings:
        raise BadInput(f"{folder}: holds a synthetic set of other settings; {mend}")
    if record.get("fingerprint") != fingerprint(folder):
        raise BadInput(
            f"{folder}: the synthetic set was changed or damaged after it was written; {mend}"
        )
    return folder
