"""What a synthetic clip is staged with: the ways of its objects, backdrop, occluder, camera and light; from the side, or from above.

A scene has `seed`, `size`, `frames`, `attributes` and `style`, see `synthetic.Scene`.
"""

from dataclasses import dataclass, replace

import cv2
import numpy as np

from scs_siam.data.sprites import (
    TEXTURES,
    Poses,
    Sprite,
    noise,
    paint,
    palette,
    shades,
    sprite,
    swing,
    texture,
    vivid_palette,
    walk,
)

LAND = 320  # pixels by which the ground is larger than the frame, in the style "aerial"
FIELDS = np.array(
    [[86.0, 108, 62], [136, 122, 88], [112, 126, 74]]
)  # colours of grass, soil and stubble
LEAVES = np.array([[0.45], [0.65], [0.85]])  # light on a tree


@dataclass(frozen=True)
class Stage:
    """All that is painted: target, objects `behind` and `before` it as (sprite, poses), windows (N, 2, 3) of the frames on the scenery."""

    target: Sprite
    way: Poses
    behind: list
    before: list
    scenery: np.ndarray
    windows: np.ndarray


def stage(rng, scene):
    """The Stage of a scene."""
    size = (
        rng.uniform(15, 20)
        if "LR" in scene.attributes
        else rng.uniform(0.15, 0.25) * min(scene.size)
    )  # LR: fewer than 400 pixels
    colours, family = colour_set(rng, scene), rng.choice(TEXTURES)
    target, way = sprite(rng, size, colours, family), poses(rng, scene, size)
    if scene.style == "aerial":
        return from_above(rng, scene, colours, family, target, way, size)
    behind = list(look_alikes(rng, scene, colours, family, size))
    before = [occluder(rng, scene, colours, way, size)] if "OCC" in scene.attributes else []
    return Stage(
        target, way, behind, before, backdrop(rng, scene, colours, family, size), camera(rng, scene)
    )


def colour_set(rng, scene):
    """Three colours for an object of the scene."""
    return vivid_palette(rng) if scene.style == "vivid" else palette(rng)


def poses(rng, scene, size):
    """The way of an object of `size` pixels through `scene`."""
    dials, n, frame = set(scene.attributes), scene.frames, np.array(scene.size, float)
    scale = np.exp(swing(rng, n) * (0.5 if "SV" in dials else 0.06))
    margin = np.minimum(0.6 * size * scale.max() + 2, 0.4 * frame)
    leap = (
        max(20, 0.5 * size) if "FM" in dials else 0
    )  # FM: more than 20 pixels from one frame to the next
    center = walk(rng, n, margin, frame - 1 - margin, rng.uniform(0.009, 0.018) * frame[0], leap)
    if (
        "OV" in dials
    ):  # the centre is drawn to the border, so that half of the target is out of view
        axis, far = rng.integers(2), rng.integers(2)
        pull = np.sin(np.pi * (np.arange(n) / n + rng.uniform(-0.2, 0.2))).clip(0) ** 4
        center[:, axis] += pull * (far * (frame[axis] - 1) - center[:, axis])
    angle = rng.uniform(-0.3, 0.3) + swing(rng, n) * (
        rng.uniform(0.6, 1.2) if "IPR" in dials else 0.07
    )
    away = 0.5 + 0.5 * swing(rng, n) if "OPR" in dials else np.zeros(n)
    squeeze = np.ones((n, 2))
    squeeze[:, rng.integers(2)] -= 0.5 * away
    bend = np.stack([swing(rng, n, 1, 2.5), swing(rng, n, 1, 2.5)], 1) * (
        0.45 if "DEF" in dials else 0.04
    )
    return Poses(center, angle, scale[:, None] * squeeze, bend, 0.6 * away)


def backdrop(rng, scene, colours, family, size):
    """A background larger than the frame (H + 96, W + 96, 3) uint8, strewn with textured objects; some share the target's colours."""
    clutter = "BC" in scene.attributes
    shape, mixed = (
        (scene.size[1] + 96, scene.size[0] + 96),
        np.vstack([colours[:1], colour_set(rng, scene)[:2]]),
    )
    shown, kind = (shades(rng, colours), family) if clutter else (mixed, rng.choice(TEXTURES))
    canvas = texture(rng, shape, shown, kind, rng.uniform(0.5, 1.5) * size) * (
        0.6 + 0.6 * noise(rng, shape, 120)[..., None]
    )
    canvas = np.rint(canvas.clip(0, 255)).astype(np.uint8)
    for k in range(30 if clutter else 20):
        thing = sprite(
            rng,
            rng.uniform(0.5, 2) * size,
            shades(rng, colours) if clutter or k % 3 == 0 else colour_set(rng, scene),
            looks=1,
        )
        place = Poses(
            rng.uniform(0, shape[::-1], (1, 2)),
            rng.uniform(0, 6, 1),
            np.ones((1, 2)),
            np.zeros((1, 2)),
            np.zeros(1),
        )
        paint(canvas, thing, place, 0)
    return canvas


def look_alikes(rng, scene, colours, family, size):
    """Distractors as (sprite, poses): the target's colours on another shape, or its kind of texture in other colours."""
    clutter = "BC" in scene.attributes
    for k in range(4 if clutter else 2):
        shown = shades(rng, colours) if clutter or k % 2 == 0 else colour_set(rng, scene)
        thing = sprite(
            rng, size * rng.uniform(0.8, 1.2), shown, family if clutter or k % 2 else None
        )
        yield thing, poses(rng, scene, size)


def occluder(rng, scene, colours, target, size):
    """An object that passes over the target once in 30 frames and covers most of it, as (sprite, poses)."""
    n = scene.frames
    thing = sprite(rng, 1.1 * size, np.vstack([colour_set(rng, scene)[:2], colours[:1]]), looks=1)
    heading = rng.uniform(0, 2 * np.pi)
    along = ((np.arange(n) * max(1, round(n / 30)) / n) % 1 - 0.5) * 8 * size
    center = target.center + along[:, None] * [np.cos(heading), np.sin(heading)]
    size_now = target.scale.max(1, keepdims=True)
    return thing, Poses(
        center, np.full(n, heading), np.repeat(size_now, 2, 1), np.zeros((n, 2)), np.zeros(n)
    )


def camera(rng, scene, room=96, edge=10, speed=(0.5, 2.5), turning=0.06, zooming=0.05):
    """The window of each frame on a backdrop `room` pixels larger: affine matrices (N, 2, 3), from frame pixels to backdrop pixels."""
    n, middle = scene.frames, np.array(scene.size) / 2
    shake = rng.normal(0, 2.5 if "MB" in scene.attributes else 0.5, (n, 2))
    center = walk(rng, n, middle + edge, middle + room - edge, rng.uniform(*speed), 0) + shake
    angle, zoom = turning * swing(rng, n), np.exp(zooming * swing(rng, n))
    turn = (
        np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]).transpose(
            2, 0, 1
        )
        * zoom[:, None, None]
    )
    return np.concatenate([turn, center[:, :, None] - turn @ middle[:, None]], axis=2)


def from_above(rng, scene, colours, family, target, way, size):
    """The Stage of a flight that follows a target over land, where others drive, too; with OCC the target passes under a tree."""
    windows = camera(rng, scene, LAND, 70, (2, 3.5), 0.35, 0.15)
    scenery, behind = land(rng, scene, colours, family, size), []
    for k in range(6):
        thing = sprite(
            rng,
            size * rng.uniform(0.9, 1.3),
            shades(rng, colours) if k % 3 == 0 else colour_set(rng, scene),
            looks=1,
        )
        behind.append((thing, seen(windows, drive(rng, scene, scenery.shape[1::-1]))))
    before = [tree(rng, windows, way, size)] if "OCC" in scene.attributes else []
    return Stage(
        target, replace(seen(windows, way), center=way.center), behind, before, scenery, windows
    )


def land(rng, scene, colours, family, size):
    """Land from above, (H + LAND, W + LAND, 3) uint8: fields, roads, roofs, trees and parked vehicles, with BC in the target's colours."""
    shape, clutter = (scene.size[1] + LAND, scene.size[0] + LAND), "BC" in scene.attributes
    field = texture(rng, shape, FIELDS + rng.normal(0, 12, (3, 3)), "patches", 150)
    canvas = np.rint((field * (0.8 + 0.4 * noise(rng, shape, 5)[..., None])).clip(0, 255)).astype(
        np.uint8
    )
    for _ in range(4):
        ends = rng.uniform(0, shape[::-1], (2, 2))
        ends = [
            tuple(np.rint(ends[0] + far * (ends[1] - ends[0])).astype(int).tolist())
            for far in (-9, 9)
        ]
        cv2.line(canvas, *ends, [int(rng.uniform(80, 120))] * 3, round(2.4 * size), cv2.LINE_AA)
        cv2.line(canvas, *ends, (225, 225, 215), 1, cv2.LINE_AA)
    for _ in range(14):
        roof(rng, canvas, rng.uniform(2.5, 5) * size)
    for k in range(90):
        greenery = k < 40
        shown = (
            FIELDS[rng.integers(3)] * LEAVES
            if greenery
            else shades(rng, colours)
            if clutter or k % 4 == 0
            else colour_set(rng, scene)
        )
        thing = sprite(
            rng,
            rng.uniform(1.2, 3) * size if greenery else size,
            shown,
            "noise" if greenery else None,
            looks=1,
        )
        paint(canvas, thing, still(rng.uniform(0, shape[::-1]), rng.uniform(0, 6), 1), 0)
    return canvas


def roof(rng, canvas, length):
    """A ridge roof with its shadow, painted onto `canvas`."""
    angle, (x, y), wide = (
        rng.uniform(0, np.pi),
        rng.uniform(0, canvas.shape[1::-1]),
        rng.uniform(0.5, 0.9) * length,
    )
    axes = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]]) * [
        [length / 2],
        [wide / 2],
    ]
    tone = rng.uniform(90, 210) * np.array([1, rng.uniform(0.6, 1), rng.uniform(0.5, 1)])
    for shift, (low, high), light in ((5, (-1, 1), 0), (0, (-1, 0), 0.8), (0, (0, 1), 1)):
        corners = np.array([[-1, low], [1, low], [1, high], [-1, high]]) @ axes + (
            x + shift,
            y + shift,
        )
        shade = (light * tone).clip(0, 255) if light else np.full(3, 45.0)
        cv2.fillPoly(canvas, [np.rint(corners).astype(np.int32)], shade.tolist(), cv2.LINE_AA)


def drive(rng, scene, size):
    """The way of a vehicle over land of `size` (width, height), pointing where it goes."""
    n = scene.frames
    center = walk(rng, n + 1, np.zeros(2), np.array(size, float), rng.uniform(0.5, 2.5), 0)
    angle = np.arctan2(*np.diff(center, axis=0).T[::-1])
    return Poses(center[:n], angle, np.ones((n, 2)), np.zeros((n, 2)), np.zeros(n))


def tree(rng, windows, way, size):
    """A tree under which the target of `way` drives, as (sprite, poses); it is clear of it in the first frame."""
    path = np.einsum("nij,nj->ni", windows[:, :, :2], way.center) + windows[:, :, 2]
    far, reach = np.linalg.norm(path - path[0], axis=1), 2.6 * size
    k = int((far > reach).argmax()) or len(path) - 1
    heading = (path[k] - path[0]) / far[k] if far[k] else np.array([1.0, 0.0])
    thing = sprite(rng, 4 * size, FIELDS[0] * LEAVES, "noise", looks=1)
    return thing, seen(
        windows, still(path[0] + max(far[k], reach) * heading, rng.uniform(0, 6), len(path))
    )


def still(center, angle, n):
    """Poses of an object that stands still for n frames."""
    return Poses(
        np.tile(center, (n, 1)), np.full(n, angle), np.ones((n, 2)), np.zeros((n, 2)), np.zeros(n)
    )


def seen(windows, way):
    """Poses in the frames of an object whose `way` is given on the scenery."""
    turn = windows[:, :, :2]
    zoom, angle = np.sqrt(np.linalg.det(turn)), np.arctan2(turn[:, 1, 0], turn[:, 0, 0])
    center = np.linalg.solve(turn, (way.center - windows[:, :, 2])[..., None])[..., 0]
    return Poses(center, way.angle - angle, way.scale / zoom[:, None], way.bend, way.turn)


def lens(rng, scene, moves):
    """What light and camera do to a frame: a function (frame, t) -> frame. `moves` (N, 2) is the target's motion, pixels a frame."""
    n, (width, height), dials = scene.frames, scene.size, scene.attributes
    depth = (
        (0.55, 0.35, 0.12) if "IV" in dials else (0.05, 0.03, 0.02)
    )  # of the brightness, of a ramp across the frame, of the tint
    gain, slope, tint = (d * swing(rng, n, 0.8, 2) for d in depth)
    angle, warm = rng.uniform(0, 2 * np.pi), rng.uniform(-1, 1, 3)
    y, x = np.mgrid[-1 : 1 : height * 1j, -1 : 1 : width * 1j]
    ramp = np.float32(x * np.cos(angle) + y * np.sin(angle))[..., None]
    grain = rng.normal(0, 2.5, (height + 32, width + 32, 3)).astype(np.float32)
    starts, smear = (
        rng.integers(0, 33, (n, 2)),
        4 + 9 * np.abs(swing(rng, n, 1, 2)) if "MB" in dials else np.zeros(n),
    )

    def finish(frame, t):
        if smear[t]:
            step = moves[t] / max(np.hypot(*moves[t]), 1e-6) * smear[t] / 2
            kernel = np.zeros((15, 15), np.float32)
            cv2.line(
                kernel,
                tuple(np.round(7 - step).astype(int)),
                tuple(np.round(7 + step).astype(int)),
                1,
                1,
            )
            frame = cv2.filter2D(frame, -1, kernel / kernel.sum())
        field = (1 + np.float32(slope[t]) * ramp) * np.float32((1 + gain[t]) * (1 + tint[t] * warm))
        lit = cv2.multiply(field, frame, dtype=cv2.CV_32F)
        return cv2.add(
            lit, grain[starts[t, 0] :, starts[t, 1] :][:height, :width], dtype=cv2.CV_8U
        )  # rounds and saturates

    return finish
