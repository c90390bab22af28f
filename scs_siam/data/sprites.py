"""What synthetic clips are drawn with: textures, shapes, and objects that bend, turn and shrink. Colours are RGB, 0..255."""

from dataclasses import dataclass

import cv2
import numpy as np

TEXTURES = ("stripes", "checks", "blobs", "patches", "noise", "gradient", "rings")
SHAPES = ("ellipse", "polygon", "star", "block")


@dataclass(frozen=True)
class Sprite:
    """An object: front and perhaps side look (1 or 2, P, P, 4), RGB and alpha 0..1; bending fields (2, P, P, 2) in units of P; float32."""

    looks: np.ndarray
    fields: np.ndarray


@dataclass(frozen=True)
class Poses:
    """The way of an object through a clip, one row a frame."""

    center: np.ndarray  # (N, 2) pixels
    angle: np.ndarray  # (N,) radians, clockwise on the screen
    scale: np.ndarray  # (N, 2) along the object's own axes
    bend: np.ndarray  # (N, 2) weights of the two bending fields
    turn: np.ndarray  # (N,) share of the side look, 0..1


def noise(rng, shape, period):
    """Smooth noise (H, W) float32 in 0..1 whose bumps are about `period` pixels apart."""
    grid = rng.random((int(shape[0] / period) + 3, int(shape[1] / period) + 3), np.float32)
    return cv2.resize(grid, (shape[1], shape[0]), interpolation=cv2.INTER_CUBIC).clip(0, 1)


def palette(rng):
    """Three colours (3, 3), well separated, from almost grey to vivid."""
    pool = rng.uniform(0, 255, (10, 3))
    pool = pool.mean(1, keepdims=True) + rng.uniform(0.15, 1.0) * (
        pool - pool.mean(1, keepdims=True)
    )
    second = np.linalg.norm(pool - pool[0], axis=1).argmax()
    third = np.minimum(
        np.linalg.norm(pool - pool[0], axis=1), np.linalg.norm(pool - pool[second], axis=1)
    ).argmax()
    return pool[[0, second, third]]


def vivid_palette(rng):
    """Three colours (3, 3) of full saturation, their hues well apart, from dark to bright."""
    hue = rng.uniform(0, 6) + np.array([0, 2, 4]) + rng.uniform(-0.6, 0.6, 3)
    share = (np.abs((hue[:, None] + [0, 4, 2]) % 6 - 3) - 1).clip(
        0, 1
    )  # of red, green and blue in a pure hue
    return 255 * rng.uniform(0.55, 1.0, (3, 1)) * (1 - rng.uniform(0.8, 1.0, (3, 1)) * (1 - share))


def shades(rng, colours):
    """Colours (3, 3) that differ a little from `colours`, in another order."""
    return (rng.permutation(colours) + rng.normal(0, 14, (3, 3))).clip(0, 255)


def texture(rng, shape, colours, family, period):
    """A texture (H, W, 3) float32 of one of TEXTURES in three colours, its detail about `period` pixels apart."""
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
        value = 0.5 + 0.7 * np.sin(
            wave * np.hypot(x - rng.uniform(0, width), y - rng.uniform(0, height)) + phase
        )
    elif family == "gradient":
        value = (u - u.min()) / np.ptp(u) + 0.5 * (noise(rng, shape, period) - 0.5)
    else:
        value = 0.8 * sum(noise(rng, shape, period / k) / k for k in (1, 2, 4)) - 0.2
    value = 2 * value.clip(0, 1)[..., None].astype(np.float32)
    first, second, third = np.float32(colours)
    return first + (second - first) * value.clip(0, 1) + (third - second) * (value - 1).clip(0, 1)


def outline(rng, side):
    """A random shape of one of SHAPES as alpha (side, side) float32 in 0..1, 0.8 `side` long, with room around it to bend."""
    kind = SHAPES[rng.integers(len(SHAPES))]
    angle = np.linspace(0, 2 * np.pi, 96, endpoint=False)
    if kind == "star":
        radius = 1 + rng.uniform(0.2, 0.4) * np.cos(rng.integers(3, 8) * angle)
    elif kind == "polygon":
        radius = 1 + sum(
            rng.normal(0, 0.18 / k) * np.cos(k * angle + rng.uniform(0, 2 * np.pi))
            for k in range(1, 5)
        )
    else:
        power = 2 if kind == "ellipse" else 6
        radius = (np.abs(np.cos(angle)) ** power + np.abs(np.sin(angle)) ** power) ** (-1 / power)
    points = np.stack([np.cos(angle), np.sin(angle)], 1) * radius.clip(0.3)[:, None]
    points = points / np.abs(points).max(0) * rng.permutation([1.0, rng.uniform(0.55, 1.0)])
    mask = np.zeros((side, side), np.uint8)
    cv2.fillPoly(
        mask,
        [np.round((points * 0.4 * side + (side - 1) / 2) * 16).astype(np.int32)],
        255,
        cv2.LINE_AA,
        4,
    )
    return np.float32(mask) / 255


def sprite(rng, size, colours, family=None, looks=2):
    """An object about `size` pixels long at scale 1: a texture (of `family`) with patches of another one, shaded unevenly.

    One look is enough where the object never turns its side.
    """
    side = max(round(size / 0.8), 12)
    alpha, light = outline(rng, side), noise(rng, (side, side), side / 2)
    faces = []
    for _ in range(looks):
        chosen = family or rng.choice(TEXTURES)
        body = texture(rng, (side, side), colours, chosen, side / rng.uniform(2, 4.5))
        badge = texture(
            rng,
            (side, side),
            rng.permutation(colours),
            rng.choice(TEXTURES),
            side / rng.uniform(3, 6),
        )
        body = np.where(noise(rng, (side, side), side / 2.5)[..., None] > 0.6, badge, body) * (
            0.7 + 0.5 * light[..., None]
        )
        faces.append(np.dstack([body.clip(0, 255), alpha]))
    fields = [
        np.dstack([noise(rng, (side, side), side / 2) for _ in range(2)]) - 0.5 for _ in range(2)
    ]
    fields = np.float32(fields)
    return Sprite(
        np.float32(faces), fields - fields[:, side // 2, side // 2][:, None, None]
    )  # the centre stays where it is


def walk(rng, frames, low, high, speed, leap):
    """A path (frames, 2) that wanders from `low` to `high` (2,) at about `speed` pixels a frame, at times `leap` pixels more."""
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


def swing(rng, frames, least=0.6, most=1.4):
    """A wave (frames,) in -1..1 of `least` to `most` turns a clip, or every 60 frames of a longer one."""
    turns = rng.uniform(least, most) * max(1, frames / 60)
    return np.sin(2 * np.pi * turns * np.arange(frames) / frames + rng.uniform(0, 2 * np.pi))


def paint(frame, sprite, poses, t):
    """Paint the object of frame `t` onto `frame` (H, W, 3) uint8; returns the pixels it covers (M, 2) as x, y, those outside too."""
    side, center = sprite.looks.shape[1], poses.center[t]
    look = (
        sprite.looks[0] * (1 - poses.turn[t]) + sprite.looks[1] * poses.turn[t]
        if poses.turn[t]
        else sprite.looks[0]
    )
    shift = side * (poses.bend[t, 0] * sprite.fields[0] + poses.bend[t, 1] * sprite.fields[1])
    grid = np.arange(side, dtype=np.float32)
    look = cv2.remap(
        look,
        np.float32(shift[..., 0] + grid),
        np.float32(shift[..., 1] + grid[:, None]),
        cv2.INTER_LINEAR,
    )
    cos, sin = np.cos(poses.angle[t]), np.sin(poses.angle[t])
    matrix = (
        np.array([[cos, -sin], [sin, cos]]) * poses.scale[t]
    )  # the object's axes to the frame's
    reach = int(np.abs(matrix).sum(1).max() * side / 2) + 2
    corner = np.round(center).astype(int) - reach
    offset = center - corner - matrix @ np.full(2, (side - 1) / 2)
    look = cv2.warpAffine(look, np.column_stack([matrix, offset]), (2 * reach + 1, 2 * reach + 1))
    (x0, y0), (x1, y1) = corner.clip(0), np.minimum(corner + 2 * reach + 1, frame.shape[1::-1])
    if x0 < x1 and y0 < y1:
        seen, patch = (
            look[y0 - corner[1] : y1 - corner[1], x0 - corner[0] : x1 - corner[0]],
            frame[y0:y1, x0:x1],
        )
        patch[:] = np.rint(patch + (seen[..., :3] - patch) * seen[..., 3:])
    return (
        np.argwhere(look[..., 3] > 0.5 * look[..., 3].max())[:, ::-1] + corner
    )  # never empty, however thin the object


def visible_box(pixels, size):
    """Box around those of the pixels (M, 2) that lie in a frame of `size` (width, height)."""
    inside = pixels[((pixels >= 0) & (pixels < size)).all(1)]
    low, high = inside.min(0), inside.max(0)
    return np.concatenate([low, high - low + 1])


def turned_rectangle(pixels, angle):
    """Corners (4, 2) of the smallest rectangle with sides at `angle` that holds all the pixels (M, 2)."""
    axes = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
    along = pixels @ axes.T
    (left, top), (right, bottom) = along.min(0) - 0.5, along.max(0) + 0.5
    return np.array([[left, top], [right, top], [right, bottom], [left, bottom]]) @ axes
