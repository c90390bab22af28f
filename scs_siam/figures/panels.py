"""Pictures: rows of images, the examples of masks (Figure 3), features of the first block (Figure 4)."""

import numpy as np
import torch
from matplotlib.patches import Rectangle
from matplotlib.patheffects import withStroke

from scs_siam.figures import ROLES, WIDTH, chart, styled
from scs_siam.figures.examples import batch, box_in_pair, pair
from scs_siam.soft_mask import apply_mask, soft_mask

CASING = [
    withStroke(linewidth=2.4, foreground="white")
]  # a white rim keeps a line visible on any picture


def draw_box(axes, box, name="truth"):
    """Draw a box (x, y, w, h) in the colour of a role: its outline runs along the outer edges of its pixels."""
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
    """Show an image (H, W, 3) of 0..255, or a map (H, W) in a colour map from `low` to `high`, without ticks."""
    if image.ndim == 3:
        axes.imshow(np.clip(np.rint(image), 0, 255).astype(np.uint8), interpolation="antialiased")
    else:
        axes.imshow(image, vmin=low, vmax=high, cmap=colours, interpolation="nearest")
    axes.set(xticks=[], yticks=[])
    axes.grid(False)
    axes.spines[:].set_visible(False)


def sheet(titles, names, ratios, width=WIDTH):
    """A Chart and its axes (rows, columns) for pictures: a title a column, a name a row, height over width of the pictures of each row."""
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
    """A table of pictures: `images` in reading order, a title a column, a name a row; `boxes` one (x, y, w, h) or None a picture."""
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
    """Twin of Figure 3: a column a frame (H, W, 3); frame and box, mask, masked frame, T and T_sm below one another."""
    names = ("image, box", "soft mask", "masked image", "T", r"T$_{sm}$")
    ratio = frames[0].shape[0] / frames[0].shape[1]
    figure, grid = sheet([""] * len(frames), names, [ratio] * 5, width=5.0)
    for column, frame, box in zip(grid.T, frames, boxes):
        mask = soft_mask(frame.shape, box, sigma)
        draw_image(column[1], mask, 0, 1, "gray")
        column[1].text(6, frame.shape[0] - 10, f"σ = {sigma:g}", color="white", fontsize=7.5)
        for axes, image in zip(
            column[[0, 2, 3, 4]], (frame, apply_mask(frame, box, sigma), *pair(frame, box, sigma))
        ):
            draw_image(axes, image)
        draw_box(column[0], box)
    return figure


@torch.no_grad()
def first_features(model, frame, box, sigma):
    """Maps (h, w) of Figure 4 by column, a: B(T), b: B(T_sm), c: B(T) + B(T_sm), d: B(T) + B(T).

    A cell's value is the root mean square over the channels of what the image adds to B(0), the features of a black image, which are
    not 0 because of bias and normalization.
    """
    template, masked = pair(frame, box, sigma)
    device = next(model.parameters()).device
    plain, dimmed = (
        model.block(batch([image, 0 * image]).to(device)).diff(dim=0)[0].cpu().numpy()
        for image in (template, masked)
    )
    return {
        name: np.sqrt((values**2).mean(0))
        for name, values in zip("abcd", (plain, dimmed, plain + dimmed, 2 * plain))
    }


def inside_and_outside(values, box, layer):
    """Means of a map (h, w) over the cells whose whole view of the crop lies in `box`, and over those whose view lies outside it."""
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
    """Twin of Figure 4: a row a frame; (a) B(T), (b) B(T_sm), (c) their sum, (d) B(T) twice, mean over channels, then T and T_sm."""
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
        for axes, image in zip(row[4:], pair(frame, box, sigma)):
            draw_image(axes, image)
            draw_box(axes, box_in_pair(box))
    return figure
