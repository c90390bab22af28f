"""Rows of images, examples of masks (Figure 3) and features of the first block (Figure 4)."""

import numpy as np
import torch
from matplotlib.patches import Rectangle
from matplotlib.patheffects import withStroke

from scs_siam.data.boxes import center
from scs_siam.data.crops import box_in_crop, context_side, crop, mean_colour
from scs_siam.data.synthetic import Scene, render
from scs_siam.figures import ROLES, WIDTH, chart, styled
from scs_siam.soft_mask import apply_mask, blend, soft_mask

CASING = [
    withStroke(linewidth=2.4, foreground="white")
]  # a white outline keeps a line visible on any image

FIRST_SEED = 1_000_000_014  # those of the training and test sets are smaller


def example_frames(n, seed=0, attributes=()):
    """Return `n` synthetic frames (240, 320, 3) uint8 and the boxes (n, 4) of their targets.

    Each frame comes from another clip, and none of the clips is in a training or test set.
    """
    clips = [
        render(Scene(FIRST_SEED + 100 * seed + k, frames=1, attributes=attributes))
        for k in range(n)
    ]
    return [clip.frames[0] for clip in clips], np.array([clip.boxes[0] for clip in clips])


def template_pair(frame, box, sigma, size=127):
    """Return T and T_sm (Sec. 3.2) around `box`, float32 (size, size, 3).

    These are the crops of training without augmentation; the padding is masked as well (D17).
    """
    middle, side = center(box), context_side(*box[2:]) * size / 127
    image = crop(frame.astype(np.float32), middle, side, size, mean_colour(frame))
    inside = crop(apply_mask(frame, box, 0.0), middle, side, size, (0, 0, 0))
    return image, blend(image, inside, sigma)


def box_in_template(box, size=127):
    """Return the target's box (x, y, w, h) in pixels of the crops of `template_pair`."""
    return box_in_crop(box, center(box), context_side(*box[2:]) * size / 127, size)


def to_batch(images):
    """Convert images (H, W, 3) to the input of the network, (B, 3, H, W) float32."""
    return torch.from_numpy(np.stack(images).astype(np.float32)).permute(0, 3, 1, 2).contiguous()


def draw_box(axes, box, name="truth"):
    """Draw a box (x, y, w, h) in the colour of a role, along the outer edges of its pixels."""
    x, y, w, h = box
    axes.add_patch(
        Rectangle(
            (x - 0.5, y - 0.5),
            w,
            h,
            fill=False,
            edgecolor=ROLES[name].colour,
            linewidth=1.2,
            path_effects=CASING,
        )
    )


def draw_image(axes, image, low=None, high=None, colours="viridis"):
    """Show an image (H, W, 3) of 0..255, or a map (H, W) with a colour map, without ticks."""
    if image.ndim == 3:
        axes.imshow(np.clip(np.rint(image), 0, 255).astype(np.uint8), interpolation="antialiased")
    else:
        axes.imshow(image, vmin=low, vmax=high, cmap=colours, interpolation="nearest")
    axes.set(xticks=[], yticks=[])
    axes.grid(False)
    axes.spines[:].set_visible(False)


def sheet(titles, names, ratios, width=WIDTH):
    """Return a Chart and its axes (rows, columns) for pictures.

    `titles` are those of the columns, `names` those of the rows, and `ratios` is height over width
    of the pictures of each row.
    """
    labels = 0.2 if any(names) else 0.0
    side = (width - labels) / len(titles) - 0.06
    figure = chart(
        sum(side * ratio + 0.06 for ratio in ratios) + (0.22 if any(titles) else 0.04),
        width,
        photographs=True,
    )
    grid = figure.subplots(len(names), len(titles), squeeze=False, height_ratios=ratios)
    figure.get_layout_engine().set(w_pad=0.03, h_pad=0.03, wspace=0, hspace=0)
    parts = [
        f"{place}: {' | '.join(texts)}"
        for place, texts in (("columns", titles), ("rows", names))
        if any(texts)
    ]
    figure.alt = "; ".join(["pictures", *parts]).replace("$_{sm}$", "_sm")
    for title, axes in zip(titles, grid[0]):
        axes.set_title(title, pad=4)
    for name, axes in zip(names, grid[:, 0]):
        axes.set_ylabel(name, labelpad=4)
    return figure, grid


@styled
def strip(images, titles, names=("",), boxes=None, width=WIDTH):
    """Show images in a grid, in reading order, with titles for columns and names for rows.

    `boxes` holds one (x, y, w, h) or None per image.
    """
    ratios = [
        max(image.shape[0] / image.shape[1] for image in images[k : k + len(titles)])
        for k in range(0, len(images), len(titles))
    ]
    figure, grid = sheet(titles, names, ratios, width)
    for image, box, axes in zip(
        images, boxes if boxes is not None else [None] * len(images), grid.flat
    ):
        draw_image(axes, image)
        if box is not None:
            draw_box(axes, box)
    return figure


@styled
def mask_examples(frames, boxes, sigma=0.5):
    """Counterpart of Figure 3: per column a frame with its box, mask, masked frame, T and T_sm."""
    names = ("image, box", "soft mask", "masked image", "T", r"T$_{sm}$")
    ratio = frames[0].shape[0] / frames[0].shape[1]
    figure, grid = sheet([""] * len(frames), names, [ratio] * 5, width=5.0)
    for column, frame, box in zip(grid.T, frames, boxes):
        mask = soft_mask(frame.shape, box, sigma)
        draw_image(column[1], mask, 0, 1, "gray")
        column[1].text(6, frame.shape[0] - 10, f"σ = {sigma:g}", color="white", fontsize=7.5)
        for axes, image in zip(
            column[[0, 2, 3, 4]],
            (frame, apply_mask(frame, box, sigma), *template_pair(frame, box, sigma)),
        ):
            draw_image(axes, image)
        draw_box(column[0], box)
    return figure


@torch.no_grad()
def first_features(model, frame, box, sigma):
    """Return the maps (h, w) of Figure 4: a: B(T), b: B(T_sm), c: B(T) + B(T_sm), d: B(T) + B(T).

    The value of a cell is the root mean square over channels of the difference to B(0), the
    features of a black image, which are not 0 because of bias and normalization.
    """
    template, masked = template_pair(frame, box, sigma)
    device = next(model.parameters()).device
    plain, dimmed = (
        model.block(to_batch([image, 0 * image]).to(device)).diff(dim=0)[0].cpu().numpy()
        for image in (template, masked)
    )
    return {
        name: np.sqrt((values**2).mean(0))
        for name, values in zip("abcd", (plain, dimmed, plain + dimmed, 2 * plain))
    }


def inside_and_outside(values, box, layer):
    """Return the means of a map (h, w) inside and outside `box`.

    A cell counts as inside if its whole receptive field lies in the box, and as outside if none of
    it does.
    """
    low = np.arange(len(values)) * layer.step
    (x, y), (w, h) = np.asarray(box[:2]), np.asarray(box[2:])
    within = np.outer(
        (low >= y) & (low + layer.view <= y + h), (low >= x) & (low + layer.view <= x + w)
    )
    beyond = ~np.outer(
        (low + layer.view > y) & (low < y + h), (low + layer.view > x) & (low < x + w)
    )
    return values[within].mean(), values[beyond].mean()


@styled
def first_block(model, frames, boxes, sigma):
    """Counterpart of Figure 4: per row the four maps of `first_features`, then T and T_sm."""
    titles = (
        "(a) B(T)",
        r"(b) B(T$_{sm}$)",
        r"(c) B(T)+B(T$_{sm}$)",
        "(d) B(T)+B(T)",
        "T",
        r"T$_{sm}$",
    )
    figure, grid = sheet(titles, [""] * len(frames), [1] * len(frames))
    for row, frame, box in zip(grid, frames, boxes):
        maps = first_features(model, frame, box, sigma)
        top = max(maps["c"].max(), maps["d"].max())
        for axes, (name, values) in zip(row, maps.items()):
            draw_image(axes, values, 0, top if name in "cd" else top / 2)
        for axes, image in zip(row[4:], template_pair(frame, box, sigma)):
            draw_image(axes, image)
            draw_box(axes, box_in_template(box))
    return figure
