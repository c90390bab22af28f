"""A synthetic benchmark: clips drawn from a seed, with boxes, turned rectangles and OTB's 11 attributes as ground truth.

Each attribute of OTB (Wu, Lim, Yang, TPAMI 2015) is a dial. Every clip moves and changes a little in every way; naming an attribute in
the scene turns its dial up, so the attributes are known before a frame is drawn and need no judge afterwards.
"""
import shutil
from dataclasses import asdict, dataclass
from pathlib import Path

import cv2
import numpy as np

from . import boxes
from .files import BadInput, digest, read_json, sha256, write_json, write_text
from .sprites import TEXTURES, Poses, noise, paint, palette, shades, sprite, swing, texture, turned_rectangle, visible_box, walk

VERSION = 1   # raise it when the same scene gives other bytes
ATTRIBUTES = ("IV", "SV", "OCC", "DEF", "MB", "FM", "IPR", "OPR", "OV", "BC", "LR")


@dataclass(frozen=True)
class Scene:
    """What a clip is made from; equal scenes give equal bytes."""
    seed: int
    size: tuple = (320, 240)   # width and height of a frame, pixels
    frames: int = 60
    attributes: tuple = ()     # those of ATTRIBUTES whose dials are turned up

    def __post_init__(self):
        unknown = sorted(set(self.attributes) - set(ATTRIBUTES))
        if unknown:
            raise BadInput(f"scene: {unknown[0]} is not an attribute; use some of {', '.join(ATTRIBUTES)}")
        if self.frames < 1 or len(self.size) != 2 or min(self.size) < 96:
            raise BadInput(f"scene: {self.frames} frames of {self.size} pixels; take at least 1 frame of at least 96 x 96")


@dataclass(frozen=True)
class Clip:
    """Frames (N, H, W, 3) uint8 RGB with boxes (N, 4), polygons (N, 4, 2) and the attributes of the scene.

    A box is x, y, w, h (0-based pixels) around what the border of the frame leaves of the target; an occluder takes nothing from it.
    A polygon holds the corners of the target's own, turned rectangle, clockwise on the screen from the one that is upper left when
    unturned; it may leave the frame, and pixel x covers x - 0.5 .. x + 0.5.
    """
    frames: np.ndarray
    boxes: np.ndarray
    polygons: np.ndarray
    attributes: tuple


def poses(rng, scene, size):
    """The way of an object of `size` pixels through `scene`."""
    dials, n, frame = set(scene.attributes), scene.frames, np.array(scene.size, float)
    scale = np.exp(swing(rng, n) * (0.5 if "SV" in dials else 0.06))
    margin = np.minimum(0.6 * size * scale.max() + 2, 0.4 * frame)
    leap = max(20, 0.5 * size) if "FM" in dials else 0   # FM: more than 20 pixels from one frame to the next
    center = walk(rng, n, margin, frame - 1 - margin, rng.uniform(0.009, 0.018) * frame[0], leap)
    if "OV" in dials:   # the centre is drawn to the border, so that half of the target is out of view
        axis, far = rng.integers(2), rng.integers(2)
        pull = np.sin(np.pi * (np.arange(n) / n + rng.uniform(-0.2, 0.2))).clip(0) ** 4
        center[:, axis] += pull * (far * (frame[axis] - 1) - center[:, axis])
    angle = rng.uniform(-0.3, 0.3) + swing(rng, n) * (rng.uniform(0.6, 1.2) if "IPR" in dials else 0.07)
    away = 0.5 + 0.5 * swing(rng, n) if "OPR" in dials else np.zeros(n)
    squeeze = np.ones((n, 2))
    squeeze[:, rng.integers(2)] -= 0.5 * away
    bend = np.stack([swing(rng, n, 1, 2.5), swing(rng, n, 1, 2.5)], 1) * (0.45 if "DEF" in dials else 0.04)
    return Poses(center, angle, scale[:, None] * squeeze, bend, 0.6 * away)


def backdrop(rng, scene, colours, family, size):
    """A background larger than the frame (H + 96, W + 96, 3) uint8, strewn with textured objects; some share the target's colours."""
    clutter = "BC" in scene.attributes
    shape, mixed = (scene.size[1] + 96, scene.size[0] + 96), np.vstack([colours[:1], palette(rng)[:2]])
    shown, kind = (shades(rng, colours), family) if clutter else (mixed, rng.choice(TEXTURES))
    canvas = texture(rng, shape, shown, kind, rng.uniform(0.5, 1.5) * size) * (0.6 + 0.6 * noise(rng, shape, 120)[..., None])
    canvas = np.rint(canvas.clip(0, 255)).astype(np.uint8)
    for k in range(30 if clutter else 20):
        thing = sprite(rng, rng.uniform(0.5, 2) * size, shades(rng, colours) if clutter or k % 3 == 0 else palette(rng), looks=1)
        place = Poses(rng.uniform(0, shape[::-1], (1, 2)), rng.uniform(0, 6, 1), np.ones((1, 2)), np.zeros((1, 2)), np.zeros(1))
        paint(canvas, thing, place, 0)
    return canvas


def look_alikes(rng, scene, colours, family, size):
    """Distractors as (sprite, poses): the target's colours on another shape, or its kind of texture in other colours."""
    clutter = "BC" in scene.attributes
    for k in range(4 if clutter else 2):
        shown = shades(rng, colours) if clutter or k % 2 == 0 else palette(rng)
        thing = sprite(rng, size * rng.uniform(0.8, 1.2), shown, family if clutter or k % 2 else None)
        yield thing, poses(rng, scene, size)


def occluder(rng, scene, colours, target, size):
    """An object that passes over the target once in 30 frames and covers most of it, as (sprite, poses)."""
    n = scene.frames
    thing = sprite(rng, 1.1 * size, np.vstack([palette(rng)[:2], colours[:1]]), looks=1)
    heading = rng.uniform(0, 2 * np.pi)
    along = ((np.arange(n) * max(1, round(n / 30)) / n) % 1 - 0.5) * 8 * size
    center = target.center + along[:, None] * [np.cos(heading), np.sin(heading)]
    size_now = target.scale.max(1, keepdims=True)
    return thing, Poses(center, np.full(n, heading), np.repeat(size_now, 2, 1), np.zeros((n, 2)), np.zeros(n))


def camera(rng, scene):
    """The window of each frame on the backdrop: affine matrices (N, 2, 3), from frame pixels to backdrop pixels."""
    n, middle = scene.frames, np.array(scene.size) / 2
    shake = rng.normal(0, 2.5 if "MB" in scene.attributes else 0.5, (n, 2))
    center = walk(rng, n, middle + 10, middle + 86, rng.uniform(0.5, 2.5), 0) + shake
    angle, zoom = 0.06 * swing(rng, n), np.exp(0.05 * swing(rng, n))
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]).transpose(2, 0, 1) * zoom[:, None, None]
    return np.concatenate([turn, center[:, :, None] - turn @ middle[:, None]], axis=2)


def render(scene):
    """Draw the scene; returns its Clip. With the same libraries the same scene gives the same bytes."""
    rng, n, (width, height) = np.random.default_rng(scene.seed), scene.frames, scene.size
    size = rng.uniform(15, 20) if "LR" in scene.attributes else rng.uniform(0.15, 0.25) * min(scene.size)   # LR: fewer than 400 pixels
    colours, family = palette(rng), rng.choice(TEXTURES)
    target, way = sprite(rng, size, colours, family), poses(rng, scene, size)
    behind = list(look_alikes(rng, scene, colours, family, size))
    before = [occluder(rng, scene, colours, way, size)] if "OCC" in scene.attributes else []
    scenery, windows = backdrop(rng, scene, colours, family, size), camera(rng, scene)
    finish = lens(rng, scene, np.diff(way.center, axis=0, prepend=way.center[:1]))
    view = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    frames, rectangles, polygons = np.empty((n, height, width, 3), np.uint8), np.empty((n, 4)), np.empty((n, 4, 2))
    for t in range(n):
        frames[t] = cv2.warpAffine(scenery, windows[t], scene.size, flags=view, borderMode=cv2.BORDER_REFLECT)
        for thing, its_way in behind:
            paint(frames[t], thing, its_way, t)
        covered = paint(frames[t], target, way, t)
        rectangles[t], polygons[t] = visible_box(covered, scene.size), turned_rectangle(covered, way.angle[t])
        for thing, its_way in before:
            paint(frames[t], thing, its_way, t)
        frames[t] = finish(frames[t], t)
    return Clip(frames, rectangles, polygons, tuple(scene.attributes))


def lens(rng, scene, moves):
    """What light and camera do to a frame: a function (frame, t) -> frame. `moves` (N, 2) is the target's motion, pixels a frame."""
    n, (width, height), dials = scene.frames, scene.size, scene.attributes
    depth = (0.55, 0.35, 0.12) if "IV" in dials else (0.05, 0.03, 0.02)   # of the brightness, of a ramp across the frame, of the tint
    gain, slope, tint = (d * swing(rng, n, 0.8, 2) for d in depth)
    angle, warm = rng.uniform(0, 2 * np.pi), rng.uniform(-1, 1, 3)
    y, x = np.mgrid[-1:1:height * 1j, -1:1:width * 1j]
    ramp = np.float32(x * np.cos(angle) + y * np.sin(angle))[..., None]
    grain = rng.normal(0, 2.5, (height + 32, width + 32, 3)).astype(np.float32)
    starts, smear = rng.integers(0, 33, (n, 2)), 4 + 9 * np.abs(swing(rng, n, 1, 2)) if "MB" in dials else np.zeros(n)

    def finish(frame, t):
        if smear[t]:
            step = moves[t] / max(np.hypot(*moves[t]), 1e-6) * smear[t] / 2
            kernel = np.zeros((15, 15), np.float32)
            cv2.line(kernel, tuple(np.round(7 - step).astype(int)), tuple(np.round(7 + step).astype(int)), 1, 1)
            frame = cv2.filter2D(frame, -1, kernel / kernel.sum())
        field = (1 + np.float32(slope[t]) * ramp) * np.float32((1 + gain[t]) * (1 + tint[t] * warm))
        lit = cv2.multiply(field, frame, dtype=cv2.CV_32F)
        return cv2.add(lit, grain[starts[t, 0]:, starts[t, 1]:][:height, :width], dtype=cv2.CV_8U)   # rounds and saturates

    return finish


def train_scenes(sequences, frames, seed, size=(320, 240)):
    """Name -> Scene of a training set, with even seeds that no test scene has; each dial is up in a quarter of the clips."""
    up = np.random.default_rng([seed, 0]).random((sequences, len(ATTRIBUTES))) < 0.25
    return {f"syn_{i + 1:05d}": Scene(2 * (100_000 * seed + i), size, frames, tuple(np.array(ATTRIBUTES)[up[i]].tolist()))
            for i in range(sequences)}


def test_scenes(sequences, frames, seed, size=(320, 240)):
    """Name -> Scene of a test set, with odd seeds; two dials a clip, each of the 11 dials twice in 11 clips."""
    order = np.random.default_rng([seed, 1]).permutation(ATTRIBUTES).tolist()
    scenes = {}
    for i in range(sequences):
        up = [order[(i + shift) % len(order)] for shift in (0, 1 + i // len(order))]
        scenes[f"Syn{i + 1:02d}"] = Scene(2 * (100_000 * seed + i) + 1, size, frames, tuple(sorted(up, key=ATTRIBUTES.index)))
    return scenes


def write_train(root, sequences, frames, seed, size=(320, 240)):
    """Write a training set to root/train, as `got10k.datasets.GOT10k(root, "train")` reads it; returns that folder."""
    scenes = train_scenes(sequences, frames, seed, size)
    return _write(Path(root) / "train", scenes, seed, ("{:08d}.jpg", "groundtruth.txt"), "list.txt", [name for name in scenes])


def write_test(root, sequences, frames, seed, size=(320, 240)):
    """Write a test set in OTB's layout to root, with the dials of each clip in attributes.txt; returns that folder."""
    scenes = test_scenes(sequences, frames, seed, size)
    lines = [f"{name}\t{', '.join(scene.attributes)}" for name, scene in scenes.items()]
    return _write(Path(root), scenes, seed, ("img/{:04d}.jpg", "groundtruth_rect.txt"), "attributes.txt", lines)


def fingerprint(folder):
    """Hash of the names and bytes of all files of a written set but its synthetic.json."""
    files = sorted(path for path in Path(folder).rglob("*") if path.is_file() and path.name != "synthetic.json")
    return digest([[path.relative_to(folder).as_posix(), sha256(path)] for path in files], 16)


def _write(folder, scenes, seed, layout, index, lines):
    """Write a set beside `folder`, going on where an earlier call broke off, and rename it into place when it is whole."""
    settings = {"version": VERSION, "layout": index, "seed": seed, "scenes": digest([asdict(scene) for scene in scenes.values()])}
    if not scenes:
        raise BadInput(f"{folder}: a synthetic set of no sequences was asked for; ask for at least 1")
    try:
        if folder.is_dir() and any(folder.iterdir()):
            return _reuse(folder, settings)
        part = folder.with_name(f".{folder.name}-{digest(settings)}.part")
        for name, scene in scenes.items():
            if not (part / name).exists():
                _write_clip(part / name, render(scene), *layout)
        write_text(part / index, "".join(line + "\n" for line in lines))
        write_json(part / "synthetic.json", {**settings, "fingerprint": fingerprint(part)})
        part.rename(folder)
    except OSError as error:
        raise BadInput(f"{folder}: cannot be written ({error.strerror}); choose another folder or free some space") from error
    return folder


def _write_clip(folder, clip, frame_name, truth_name):
    """Write a clip as `folder`, whole or not at all. Frames are not synchronised one by one: the set's fingerprint guards them."""
    part = folder.with_name(f"{folder.name}.part")
    shutil.rmtree(part, ignore_errors=True)
    try:
        (part / frame_name).parent.mkdir(parents=True)
        for number, frame in enumerate(clip.frames, 1):
            data = cv2.imencode(".jpg", cv2.cvtColor(frame, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, 90])[1]
            (part / frame_name.format(number)).write_bytes(data)
        boxes.write_boxes(part / truth_name, boxes.to_one_based(clip.boxes))
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
        raise BadInput(f"{folder}: the synthetic set was changed or damaged after it was written; {mend}")
    return folder
