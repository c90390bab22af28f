"""Where the crops lie changes nothing: the batch and the loss of a step, against each other and against a plain NumPy statement."""

import numpy as np
import pytest
import torch

from scs_siam.config import Config
from scs_siam.data import device_store
from scs_siam.data.device_store import ResidentStore, StreamedStore, for_device
from scs_siam.pairs import augment, draw_augmentation, draw_batch, make_batch
from scs_siam.soft_mask import soft_mask
from scs_siam.train import Trainer, logistic_loss

NAMES = ("template", "template_masked", "search", "search_masked")


@pytest.mark.parametrize("preset", ["paper", "released"])
def test_host_and_device_give_one_batch_and_one_loss(preset, store, tmp_path):
    config = Config.preset(preset, width=1 / 64).replace(**{"training.batch": 6})
    forms, seen = (
        {
            "host": store,
            "device": ResidentStore(store, "cpu"),
            "streamed": StreamedStore(store, pinned=False),
        },
        [],
    )
    for form in forms.values():
        trainer = Trainer(config, form, tmp_path, 1, precision="fp32")
        rows, batch = trainer.batch(3)
        seen.append(
            [*rows, *vars(batch).values(), trainer.step(batch), *trainer.model.parameters()]
        )
    assert all(
        np.array_equal(*map(np.asarray, (a.detach() if torch.is_tensor(a) else a for a in pair)))
        for other in seen[1:]
        for pair in zip(seen[0], other)
    )


def plain_batch(store, rows, config, rng):
    """make_batch pixel by pixel in float64: mask the stored crop, recolour, resample bilinearly, label."""
    draws, made = draw_augmentation(len(rows[0]), config, rng), {name: [] for name in NAMES}
    for name, ids, size in zip(
        ("template", "search"), rows, (config.template_size, config.search_size)
    ):
        for k, (row, crop) in enumerate(zip(ids, store.read(ids).astype(np.float64))):
            mean, box, (x, y, w, h) = (
                store.index[key][row].astype(np.float64) for key in ("mean", "box", "image")
            )
            if draws["grey"][k]:
                crop, mean = np.repeat(crop.mean(2, keepdims=True), 3, 2), np.full(3, mean.mean())
            crop, mean = (
                np.clip(v * draws[name]["gain"][k] + draws[name]["offset"][k], 0, 255)
                for v in (crop, mean)
            )
            seen = np.maximum(box[:2], (x, y)), np.minimum(box[:2] + box[2:], (x + w, y + h))
            mask = soft_mask(crop.shape[:2], (*seen[0], *(seen[1] - seen[0])), config.sigma)[
                :, :, None
            ].astype(np.float64)
            for key, image, beyond in (
                (name, crop, mean),
                (name + "_masked", crop * mask, config.sigma * mean),
            ):  # D17
                made[key].append(resample(image, beyond, draws[key], draws["mirror"][k], k, size))
    return [np.array(made[name]).transpose(0, 3, 1, 2) for name in NAMES], draws


def resample(image, beyond, draw, mirror, k, size):
    """Bilinear samples of an image that `beyond` continues, on the shifted, stretched and mirrored grid of a crop."""
    side, line = len(image), np.arange(size) - (size - 1) / 2
    (sx, sy), (ax, ay) = draw["shift"][k], draw["stretch"][k]
    x, y = (side - 1) / 2 + sx + ax * mirror * line, (side - 1) / 2 + sy + ay * line
    wide = np.full((side + 80, side + 80, 3), beyond)
    wide[40:-40, 40:-40] = image
    i, j = np.floor(y).astype(int), np.floor(x).astype(int)
    a, b = (y - i)[:, None, None], (x - j)[None, :, None]
    at = [wide[np.ix_(i + 40 + di, j + 40 + dj)] for di, dj in ((0, 0), (0, 1), (1, 0), (1, 1))]
    return (1 - a) * ((1 - b) * at[0] + b * at[1]) + a * ((1 - b) * at[2] + b * at[3])


def test_the_batch_is_the_plain_one(store):
    config = (
        Config()
        .replace(
            **{
                "training.blur": 0,
                "training.sigma": 0.4,
                "training.grey": 0.3,
                "training.max_shift": (6, 24),
            }
        )
        .training
    )
    rows = np.array([0, 5, 9, 14, 4, 6]), np.array([1, 6, 8, 14, 4, 5])
    batch = make_batch(store, rows, config, np.random.default_rng(4))
    expected, draws = plain_batch(store, rows, config, np.random.default_rng(4))
    assert draws["grey"].any() and (draws["mirror"] < 0).any() and (draws["mirror"] > 0).any()
    for name, values in zip(NAMES, expected):
        difference = np.abs(getattr(batch, name).numpy() - values)
        assert difference.max() < 0.05, (
            name,
            difference.max(),
        )  # grey levels of 255; the grid is float32


def test_a_part_is_a_part_of_the_whole(store):
    config = (
        Config.preset("released").replace(**{"training.blur": 0.5, "training.grey": 0.5}).training
    )  # D16: twins of their own
    rows = np.arange(8), np.arange(8)[::-1]
    whole = make_batch(store, rows, config, np.random.default_rng(2))
    for first, last in ((0, 4), (4, 8), (2, 3)):
        drawn = draw_batch(store, rows, config, np.random.default_rng(2), slice(first, last))
        for name, values in vars(augment(store, drawn, config)).items():
            torch.testing.assert_close(values, getattr(whole, name)[first:last], rtol=0, atol=1e-4)


@pytest.mark.parametrize("preset", ["paper", "released"])
def test_nothing_is_read_back_from_the_device(preset, store):
    """Tensors without contents can do all that asks for no number: a batch, the response, its loss and its gradient."""
    config = Config.preset(preset, width=1 / 64).replace(
        **{"training.batch": 4, "training.blur": 1, "training.grey": 1}
    )
    with torch.device("meta"):
        from scs_siam.model import SiameseNet

        model = SiameseNet(config.model)
    batch = make_batch(
        store, (np.arange(4), np.arange(4)), config.training, np.random.default_rng(0), "meta"
    )
    response = model(batch.template, batch.template_masked, batch.search, batch.search_masked)
    logistic_loss(response, batch.label, True).backward()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    optimizer.step()
    assert batch.search.is_meta and all(
        parameter.grad.is_meta for parameter in model.parameters() if parameter.grad is not None
    )


def test_a_store_that_does_not_fit_is_streamed(store, monkeypatch):
    assert for_device(store, "cpu") is store
    needed = len(store) * store.size**2 * 3 / device_store.SHARE
    for free, kind in ((needed, "ResidentStore"), (needed - 2, "StreamedStore")):
        monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device, free=free: (free, 2 * free))
        monkeypatch.setattr(device_store, "ResidentStore", lambda *_: "ResidentStore")
        monkeypatch.setattr(device_store, "StreamedStore", lambda *_: "StreamedStore")
        assert for_device(store, "cuda") == kind
