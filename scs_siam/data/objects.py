"""Textured objects of synthetic clips: textures, shapes, motion, and painting. Colours are RGB."""

from dataclasses import dataclass

import cv2
import numpy as np

TEXTURES = ("stripes", "checks", "blobs", "patches", "noise", "gradient", "rings")
SHAPES = ("ellipse", "polygon", "star", "block")


@dataclass(frozen=True)
class TexturedObject:
    """A front and perhaps a side look, and two fields by which the object bends (float32)."""

    looks: np.ndarray  # (1 or 2, P, P, 4): RGB and alpha 0..1
    fields: np.ndarray  # (2, P, P, 2), in units of P


@dataclass(frozen=True)
class Poses:
    """The motion of an object through a clip, one row per frame."""

    center: np.ndarray  # (N, 2) pixels
    angle: np.ndarray  # (N,) radians, clockwise on the screen
    scale: np.ndarray  # (N, 2) along the object's own axes
    bend: np.ndarray  # (N, 2) weights of the two bending fields
    turn: np.ndarray  # (N,) share of the side look, 0..1


def noise(rng, shape, period) -> np.ndarray:
    """Return smooth noise (H, W), 0..1, whose bumps are about `period` pixels apart."""
    grid = rng.random((int(shape[0] / period) + 3, int(shape[1] / period) + 3), np.float32)
    return cv2.resize(grid, (shape[1], shape[0]), interpolation=cv2.INTER_CUBIC).clip(0, 1)


def palette(rng) -> np.ndarray:
    """Return three well separated colours (3, 3), from almost grey to vivid."""
    pool = rng.uniform(0, 255, (10, 3))
    grey = pool.mean(1, keepdims=True)
    pool = grey + rng.uniform(0.15, 1.0) * (pool - grey)
    far = np.linalg.norm(pool - pool[0], axis=1)
    second = far.argmax()
    third = np.minimum(far, np.linalg.norm(pool - pool[second], axis=1)).argmax()
    return pool[[0, second, third]]


def vivid_palette(rng) -> np.ndarray:
    """Return three colours (3, 3) of full saturation and distant hues, from dark to bright."""
    hue = rng.uniform(0, 6) + np.array([0, 2, 4]) + rng.uniform(-0.6, 0.6, 3)
    # The share of red, green and blue in a pure hue.
    share = (np.abs((hue[:, None] + [0, 4, 2]) % 6 - 3) - 1).clip(0, 1)
    return 255 * rng.uniform(0.55, 1.0, (3, 1)) * (1 - rng.uniform(0.8, 1.0, (3, 1)) * (1 - share))


def shades(rng, colours) -> np.ndarray:
    """Return colours (3, 3) that differ a little from `colours`, in another order."""
    return (rng.permutation(colours) + rng.normal(0, 14, (3, 3))).clip(0, 255)


def texture(rng, shape, colours, family, period) -> np.ndarray:
    """Return a texture (H, W, 3) of one of TEXTURES in three colours; `period` is its grain."""
    height, width = shape
    y, x = np.mgrid[:height, :width].astype(np.float32)
    turn, phase = rng.uniform(0, 2 * np.pi, 2)
    u, v = x * np.cos(turn) + y * np.sin(turn), y * np.cos(turn) - x * np.sin(turn)
    wave = 2 * np.pi / period
    if family == "stripes":
        value = 0.5 + 0.7 * np.sin(wave * u + phase + 2 * noise(rng, shape, 3 * period))
    elif family == "checks":
        value = 0.5 + 2 * np.sin(wave * u + phase) * np.sin(rng.uniform(0.6, 1.2) * wave * v)
    elif family == "blobs":
        value = 6 * (noise(rng, shape, 0.7 * period) - 0.5) + 0.5
    elif family == "patches":
        value = np.floor(noise(rng, shape, period) * 7) % 3 / 2
    elif family == "rings":
        radius = np.hypot(x - rng.uniform(0, width), y - rng.uniform(0, height))
        value = 0.5 + 0.7 * np.sin(wave * radius + phase)
    elif family == "gradient":
        value = (u - u.min()) / np.ptp(u) + 0.5 * (noise(rng, shape, period) - 0.5)
    else:
        value = 0.8 * sum(noise(rng, shape, period / k) / k for k in (1, 2, 4)) - 0.2
    value = 2 * value.clip(0, 1)[..., None].astype(np.float32)
    first, second, third = np.float32(colours)
    return first + (second - first) * value.clip(0, 1) + (third - second) * (value - 1).clip(0, 1)


def outline(rng, side) -> np.ndarray:
    """Return a random shape of one of SHAPES as alpha (side, side) with room around it to bend."""
    kind = SHAPES[rng.integers(len(SHAPES))]
    angle = np.linspace(0, 2 * np.pi, 96, endpoint=False)
    if kind == "star":
        radius = 1 + rng.uniform(0.2, 0.4) * np.cos(rng.integers(3, 8) * angle)
    elif kind == "polygon":

        def wave(k):
            return rng.normal(0, 0.18 / k) * np.cos(k * angle + rng.uniform(0, 2 * np.pi))

        radius = 1 + sum(wave(k) for k in range(1, 5))
    else:
        power = 2 if kind == "ellipse" else 6
        radius = (np.abs(np.cos(angle)) ** power + np.abs(np.sin(angle)) ** power) ** (-1 / power)
    points = np.stack([np.cos(angle), np.sin(angle)], 1) * radius.clip(0.3)[:, None]
    points = points / np.abs(points).max(0) * rng.permutation([1.0, rng.uniform(0.55, 1.0)])
    corners = np.round((points * 0.4 * side + (side - 1) / 2) * 16).astype(np.int32)
    mask = np.zeros((side, side), np.uint8)
    cv2.fillPoly(mask, [corners], 255, cv2.LINE_AA, 4)
    return np.float32(mask) / 255


def textured_object(rng, size, colours, family=None, looks=2) -> TexturedObject:
    """Return an object about `size` pixels long, textured with patches and shaded unevenly.

    One look is enough for an object that never turns its side.
    """
    side = max(round(size / 0.8), 12)
    shape, faces = (side, side), []
    alpha, light = outline(rng, side), noise(rng, shape, side / 2)
    for _ in range(looks):
        chosen = family or rng.choice(TEXTURES)
        body = texture(rng, shape, colours, chosen, side / rng.uniform(2, 4.5))
        others, kind = rng.permutation(colours), rng.choice(TEXTURES)
        patch = texture(rng, shape, others, kind, side / rng.uniform(3, 6))
        body = np.where(noise(rng, shape, side / 2.5)[..., None] > 0.6, patch, body)
        body = body * (0.7 + 0.5 * light[..., None])
        faces.append(np.dstack([body.clip(0, 255), alpha]))
    fields = [np.dstack([noise(rng, shape, side / 2) for _ in range(2)]) - 0.5 for _ in range(2)]
    fields = np.float32(fields)
    middle = fields[:, side // 2, side // 2][:, None, None]
    return TexturedObject(np.float32(faces), fields - middle)  # the centre stays where it is


def walk(rng, frames, low, high, speed, leap) -> np.ndarray:
    """Return a path (frames, 2) that wanders between `low` and `high` (2,).

    It moves about `speed` pixels per frame and at times `leap` pixels more.
    """
    point, heading = rng.uniform(low, high), rng.uniform(0, 2 * np.pi)
    path = np.empty((frames, 2))
    for t in range(frames):
        path[t] = point
        heading += rng.normal(0, 0.2)
        step = speed * rng.uniform(0.6, 1.4) + leap * rng.uniform(0.8, 1.0) * (rng.random() < 0.25)
        move = step * np.array([np.cos(heading), np.sin(heading)])
        move = np.where((point + move < low) | (point + move > high), -move, move)
        point, heading = np.clip(point + move, low, high), np.arctan2(move[1], move[0])
    return path


def swing(rng, frames, least=0.6, most=1.4) -> np.ndarray:
    """Return a wave (frames,) in -1..1 of `least` to `most` turns per clip, or per 60 frames."""
    turns = rng.uniform(least, most) * max(1, frames / 60)
    return np.sin(2 * np.pi * turns * np.arange(frames) / frames + rng.uniform(0, 2 * np.pi))


def paint(frame: np.ndarray, thing: TexturedObject, poses: Poses, t: int) -> np.ndarray:
    """Paint an object as it is at frame `t`; return the pixels (M, 2), x and y, that it covers.

    Pixels outside the frame are returned too.
    """
    side, center, turn = thing.looks.shape[1], poses.center[t], poses.turn[t]
    look = thing.looks[0]
    if turn:
        look = look * (1 - turn) + thing.looks[1] * turn
    shift = side * (poses.bend[t, 0] * thing.fields[0] + poses.bend[t, 1] * thing.fields[1])
    grid = np.arange(side, dtype=np.float32)
    columns, rows = np.float32(shift[..., 0] + grid), np.float32(shift[..., 1] + grid[:, None])
    look = cv2.remap(look, columns, rows, cv2.INTER_LINEAR)
    cos, sin = np.cos(poses.angle[t]), np.sin(poses.angle[t])
    matrix = np.array([[cos, -sin], [sin, cos]]) * poses.scale[t]  # object's axes to the frame's
    reach = int(np.abs(matrix).sum(1).max() * side / 2) + 2
    corner = np.round(center).astype(int) - reach
    offset = center - corner - matrix @ np.full(2, (side - 1) / 2)
    look = cv2.warpAffine(look, np.column_stack([matrix, offset]), (2 * reach + 1, 2 * reach + 1))
    (x0, y0), (x1, y1) = corner.clip(0), np.minimum(corner + 2 * reach + 1, frame.shape[1::-1])
    if x0 < x1 and y0 < y1:
        seen = look[y0 - corner[1] : y1 - corner[1], x0 - corner[0] : x1 - corner[0]]
        patch = frame[y0:y1, x0:x1]
        patch[:] = np.rint(patch + (seen[..., :3] - patch) * seen[..., 3:])
    covered = look[..., 3] > 0.5 * look[..., 3].max()  # never empty, however thin the object
    return np.argwhere(covered)[:, ::-1] + corner


def visible_box(pixels: np.ndarray, size) -> np.ndarray:
    """Return the box around those of the pixels (M, 2) that lie in a frame (width, height)."""
    inside = pixels[((pixels >= 0) & (pixels < size)).all(1)]
    low, high = inside.min(0), inside.max(0)
    return np.concatenate([low, high - low + 1])


def rotated_rectangle(pixels: np.ndarray, angle: float) -> np.ndarray:
    """Return the corners (4, 2) of the smallest rectangle at `angle` around the pixels (M, 2)."""
    axes = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
    along = pixels @ axes.T
    (left, top), (right, bottom) = along.min(0) - 0.5, along.max(0) + 0.5
    return np.array([[left, top], [right, top], [right, bottom], [left, bottom]]) @ axes
