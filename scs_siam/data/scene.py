"""What a synthetic clip shows: objects and their motion, backdrop, occluder, camera and light.

A scene has `seed`, `size`, `frames`, `attributes` and `style`, see `synthetic.Scene`.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace

import cv2
import numpy as np

from scs_siam.data.objects import (
    TEXTURES,
    Poses,
    TexturedObject,
    noise,
    paint,
    palette,
    shades,
    swing,
    texture,
    textured_object,
    vivid_palette,
    walk,
)

LAND = 320  # pixels by which the ground is larger than the frame, in the style "aerial"
FIELDS = np.array([[86.0, 108, 62], [136, 122, 88], [112, 126, 74]])  # grass, soil and stubble
LEAVES = np.array([[0.45], [0.65], [0.85]])  # light on a tree


@dataclass(frozen=True)
class Staging:
    """All that is painted into the frames of a clip."""

    target: TexturedObject
    motion: Poses  # of the target
    behind: list  # (object, poses) of what the target passes over
    before: list  # (object, poses) of what passes over the target
    scenery: np.ndarray
    windows: np.ndarray  # (N, 2, 3) from the pixels of a frame to those of the scenery


def stage(rng, scene) -> Staging:
    """Return the objects, backdrop and camera of a scene."""
    small = "LR" in scene.attributes  # LR: fewer than 400 pixels
    size = rng.uniform(15, 20) if small else rng.uniform(0.15, 0.25) * min(scene.size)
    colours, family = colour_set(rng, scene), rng.choice(TEXTURES)
    target, motion = textured_object(rng, size, colours, family), poses(rng, scene, size)
    if scene.style == "aerial":
        return from_above(rng, scene, colours, family, target, motion, size)
    behind = list(distractors(rng, scene, colours, family, size))
    before = [occluder(rng, scene, colours, motion, size)] if "OCC" in scene.attributes else []
    scenery = backdrop(rng, scene, colours, family, size)
    return Staging(target, motion, behind, before, scenery, camera(rng, scene))


def colour_set(rng, scene) -> np.ndarray:
    """Return three colours for an object of the scene."""
    return vivid_palette(rng) if scene.style == "vivid" else palette(rng)


def poses(rng, scene, size) -> Poses:
    """Return the motion of an object of `size` pixels through the scene."""
    dials, n, frame = set(scene.attributes), scene.frames, np.array(scene.size, float)
    scale = np.exp(swing(rng, n) * (0.5 if "SV" in dials else 0.06))
    margin = np.minimum(0.6 * size * scale.max() + 2, 0.4 * frame)
    leap = max(20, 0.5 * size) if "FM" in dials else 0  # FM: more than 20 pixels between frames
    center = walk(rng, n, margin, frame - 1 - margin, rng.uniform(0.009, 0.018) * frame[0], leap)
    if "OV" in dials:  # the centre is drawn to the border: half of the target is out of view
        axis, far = rng.integers(2), rng.integers(2)
        pull = np.sin(np.pi * (np.arange(n) / n + rng.uniform(-0.2, 0.2))).clip(0) ** 4
        center[:, axis] += pull * (far * (frame[axis] - 1) - center[:, axis])
    start, wave = rng.uniform(-0.3, 0.3), swing(rng, n)
    angle = start + wave * (rng.uniform(0.6, 1.2) if "IPR" in dials else 0.07)
    away = 0.5 + 0.5 * swing(rng, n) if "OPR" in dials else np.zeros(n)
    squeeze = np.ones((n, 2))
    squeeze[:, rng.integers(2)] -= 0.5 * away
    bend = np.stack([swing(rng, n, 1, 2.5), swing(rng, n, 1, 2.5)], 1)
    bend = bend * (0.45 if "DEF" in dials else 0.04)
    return Poses(center, angle, scale[:, None] * squeeze, bend, 0.6 * away)


def still(center, angle, n) -> Poses:
    """Return the poses of an object that stands still for n frames."""
    center, zeros = np.tile(center, (n, 1)), np.zeros((n, 2))
    return Poses(center, np.full(n, angle), np.ones((n, 2)), zeros, np.zeros(n))


def backdrop(rng, scene, colours, family, size) -> np.ndarray:
    """Return a background (H + 96, W + 96, 3) uint8, strewn with textured objects."""
    clutter, shape = "BC" in scene.attributes, (scene.size[1] + 96, scene.size[0] + 96)
    mixed = np.vstack([colours[:1], colour_set(rng, scene)[:2]])
    shown, kind = (shades(rng, colours), family) if clutter else (mixed, rng.choice(TEXTURES))
    canvas = texture(rng, shape, shown, kind, rng.uniform(0.5, 1.5) * size)
    canvas = canvas * (0.6 + 0.6 * noise(rng, shape, 120)[..., None])
    canvas = np.rint(canvas.clip(0, 255)).astype(np.uint8)
    for k in range(30 if clutter else 20):
        length = rng.uniform(0.5, 2) * size
        similar = clutter or k % 3 == 0
        shown = shades(rng, colours) if similar else colour_set(rng, scene)
        thing = textured_object(rng, length, shown, looks=1)
        center, angle = rng.uniform(0, shape[::-1], (1, 2)), rng.uniform(0, 6, 1)
        paint(canvas, thing, still(center[0], angle[0], 1), 0)
    return canvas


def distractors(rng, scene, colours, family, size):
    """Yield (object, poses): the target's colours on another shape, or its texture in others."""
    clutter = "BC" in scene.attributes
    for k in range(4 if clutter else 2):
        shown = shades(rng, colours) if clutter or k % 2 == 0 else colour_set(rng, scene)
        kind = family if clutter or k % 2 else None
        thing = textured_object(rng, size * rng.uniform(0.8, 1.2), shown, kind)
        yield thing, poses(rng, scene, size)


def occluder(rng, scene, colours, target, size) -> tuple:
    """Return (object, poses) of what covers most of the target once in 30 frames."""
    n = scene.frames
    mixed = np.vstack([colour_set(rng, scene)[:2], colours[:1]])
    thing = textured_object(rng, 1.1 * size, mixed, looks=1)
    heading = rng.uniform(0, 2 * np.pi)
    along = ((np.arange(n) * max(1, round(n / 30)) / n) % 1 - 0.5) * 8 * size
    center = target.center + along[:, None] * [np.cos(heading), np.sin(heading)]
    scale = np.repeat(target.scale.max(1, keepdims=True), 2, 1)
    return thing, replace(still((0, 0), heading, n), center=center, scale=scale)


def camera(rng, scene, room=96, edge=10, speed=(0.5, 2.5), turning=0.06, zooming=0.05):
    """Return the window of each frame on a backdrop that is `room` pixels larger.

    Affine matrices (N, 2, 3) from the pixels of the frame to those of the backdrop.
    """
    n, middle = scene.frames, np.array(scene.size) / 2
    shake = rng.normal(0, 2.5 if "MB" in scene.attributes else 0.5, (n, 2))
    center = walk(rng, n, middle + edge, middle + room - edge, rng.uniform(*speed), 0) + shake
    angle, zoom = turning * swing(rng, n), np.exp(zooming * swing(rng, n))
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    turn = turn.transpose(2, 0, 1) * zoom[:, None, None]
    return np.concatenate([turn, center[:, :, None] - turn @ middle[:, None]], axis=2)


def from_above(rng, scene, colours, family, target, motion, size) -> Staging:
    """Return a flight that follows a target over land; with OCC it passes under a tree."""
    windows = camera(rng, scene, LAND, 70, (2, 3.5), 0.35, 0.15)
    scenery, behind = land(rng, scene, colours, family, size), []
    for k in range(6):
        length = size * rng.uniform(0.9, 1.3)
        shown = shades(rng, colours) if k % 3 == 0 else colour_set(rng, scene)
        thing = textured_object(rng, length, shown, looks=1)
        behind.append((thing, in_frames(windows, drive(rng, scene, scenery.shape[1::-1]))))
    before = [tree(rng, windows, motion, size)] if "OCC" in scene.attributes else []
    motion = replace(in_frames(windows, motion), center=motion.center)
    return Staging(target, motion, behind, before, scenery, windows)


def land(rng, scene, colours, family, size) -> np.ndarray:
    """Return land from above (H + LAND, W + LAND, 3): fields, roads, roofs, trees, vehicles."""
    shape, clutter = (scene.size[1] + LAND, scene.size[0] + LAND), "BC" in scene.attributes
    field = texture(rng, shape, FIELDS + rng.normal(0, 12, (3, 3)), "patches", 150)
    field = field * (0.8 + 0.4 * noise(rng, shape, 5)[..., None])
    canvas = np.rint(field.clip(0, 255)).astype(np.uint8)
    for _ in range(4):
        start, end = rng.uniform(0, shape[::-1], (2, 2))
        far = [np.rint(start + k * (end - start)).astype(int).tolist() for k in (-9, 9)]
        grey = [int(rng.uniform(80, 120))] * 3
        cv2.line(canvas, *far, grey, round(2.4 * size), cv2.LINE_AA)
        cv2.line(canvas, *far, (225, 225, 215), 1, cv2.LINE_AA)
    for _ in range(14):
        roof(rng, canvas, rng.uniform(2.5, 5) * size)
    for k in range(90):
        plant = k < 40
        similar = clutter or k % 4 == 0
        if plant:
            shown = FIELDS[rng.integers(3)] * LEAVES
        else:
            shown = shades(rng, colours) if similar else colour_set(rng, scene)
        length = rng.uniform(1.2, 3) * size if plant else size
        thing = textured_object(rng, length, shown, "noise" if plant else None, looks=1)
        paint(canvas, thing, still(rng.uniform(0, shape[::-1]), rng.uniform(0, 6), 1), 0)
    return canvas


def roof(rng, canvas, length) -> None:
    """Paint a ridge roof with its shadow onto `canvas`."""
    angle, (x, y) = rng.uniform(0, np.pi), rng.uniform(0, canvas.shape[1::-1])
    sides = np.array([[length / 2], [rng.uniform(0.5, 0.9) * length / 2]])
    axes = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]]) * sides
    tone = rng.uniform(90, 210) * np.array([1, rng.uniform(0.6, 1), rng.uniform(0.5, 1)])
    for shift, (low, high), light in ((5, (-1, 1), 0), (0, (-1, 0), 0.8), (0, (0, 1), 1)):
        corners = np.array([[-1, low], [1, low], [1, high], [-1, high]]) @ axes
        corners = np.rint(corners + np.array([x + shift, y + shift])).astype(np.int32)
        shade = (light * tone).clip(0, 255) if light else np.full(3, 45.0)
        cv2.fillPoly(canvas, [corners], shade.tolist(), cv2.LINE_AA)


def drive(rng, scene, size) -> Poses:
    """Return the motion of a vehicle over land (width, height), pointing where it goes."""
    n = scene.frames
    center = walk(rng, n + 1, np.zeros(2), np.array(size, float), rng.uniform(0.5, 2.5), 0)
    angle = np.arctan2(*np.diff(center, axis=0).T[::-1])
    return Poses(center[:n], angle, np.ones((n, 2)), np.zeros((n, 2)), np.zeros(n))


def tree(rng, windows, motion, size) -> tuple:
    """Return (object, poses) of a tree under which the target drives after the first frame."""
    path = np.einsum("nij,nj->ni", windows[:, :, :2], motion.center) + windows[:, :, 2]
    far, reach = np.linalg.norm(path - path[0], axis=1), 2.6 * size
    k = int((far > reach).argmax()) or len(path) - 1
    heading = (path[k] - path[0]) / far[k] if far[k] else np.array([1.0, 0.0])
    thing = textured_object(rng, 4 * size, FIELDS[0] * LEAVES, "noise", looks=1)
    center = path[0] + max(far[k], reach) * heading
    return thing, in_frames(windows, still(center, rng.uniform(0, 6), len(path)))


def in_frames(windows, motion: Poses) -> Poses:
    """Convert poses on the scenery to poses in the frames."""
    turn = windows[:, :, :2]
    zoom, angle = np.sqrt(np.linalg.det(turn)), np.arctan2(turn[:, 1, 0], turn[:, 0, 0])
    center = np.linalg.solve(turn, (motion.center - windows[:, :, 2])[..., None])[..., 0]
    scale = motion.scale / zoom[:, None]
    return replace(motion, center=center, angle=motion.angle - angle, scale=scale)


def lens(rng, scene, moves: np.ndarray) -> Callable:
    """Return the function (frame, t) -> frame of light, motion blur and grain.

    `moves` (N, 2) is the motion of the target in pixels per frame.
    """
    n, (width, height), dials = scene.frames, scene.size, scene.attributes
    # How much the brightness, a ramp across the frame, and the tint change.
    depth = (0.55, 0.35, 0.12) if "IV" in dials else (0.05, 0.03, 0.02)
    gain, slope, tint = (d * swing(rng, n, 0.8, 2) for d in depth)
    angle, warm = rng.uniform(0, 2 * np.pi), rng.uniform(-1, 1, 3)
    y, x = np.mgrid[-1 : 1 : height * 1j, -1 : 1 : width * 1j]
    ramp = np.float32(x * np.cos(angle) + y * np.sin(angle))[..., None]
    grain = rng.normal(0, 2.5, (height + 32, width + 32, 3)).astype(np.float32)
    starts = rng.integers(0, 33, (n, 2))
    smear = 4 + 9 * np.abs(swing(rng, n, 1, 2)) if "MB" in dials else np.zeros(n)

    def finish(frame, t):
        if smear[t]:
            step = moves[t] / max(np.hypot(*moves[t]), 1e-6) * smear[t] / 2
            kernel = np.zeros((15, 15), np.float32)
            ends = (tuple(np.round(7 + k * step).astype(int)) for k in (-1, 1))
            cv2.line(kernel, *ends, 1, 1)
            frame = cv2.filter2D(frame, -1, kernel / kernel.sum())
        field = (1 + np.float32(slope[t]) * ramp) * np.float32((1 + gain[t]) * (1 + tint[t] * warm))
        lit = cv2.multiply(field, frame, dtype=cv2.CV_32F)
        noise_now = grain[starts[t, 0] :, starts[t, 1] :][:height, :width]
        return cv2.add(lit, noise_now, dtype=cv2.CV_8U)  # rounds and saturates

    return finish
