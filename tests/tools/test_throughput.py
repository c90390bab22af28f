"""The benchmark of training: its plain path makes the same batch another way, and its record holds what the README needs."""

import numpy as np
import pytest

from scs_siam.config import Config
from scs_siam.model import multiplications
from scs_siam.pairs import make_batch
from scs_siam.tools import throughput
from scs_siam.tools.throughput import GOT10K, at_got10k, plain_batch
from scs_siam.tools.together import together


@pytest.mark.parametrize("preset", ["paper", "released"])
def test_the_plain_batch_is_ours_but_for_the_crop_on_disk(preset, store, videos):
    changes = {
        "colour": 0,
        "grey": 0,
        "blur": 0,
        "mask_centre": "search",
        "mask_padding": "dimmed",
        "mask_clip": True,
        "flip": 0.5,
    }
    config = (
        Config.preset(preset)
        .replace(**{f"training.{name}": value for name, value in changes.items()})
        .training
    )
    rows = np.arange(8), np.array([1, 0, 3, 2, 5, 4, 7, 7])
    ours, plain = (
        make_batch(store, rows, config, np.random.default_rng(3)),
        plain_batch(videos, store.index, rows, config, np.random.default_rng(3)),
    )
    for name, values in vars(ours).items():
        difference = np.abs(values.numpy() - getattr(plain, name).numpy())
        assert difference.mean() < 1.0 and np.quantile(difference, 0.98) < 6, (
            name,
            difference.mean(),
        )  # resampled once, not twice
    assert (ours.label == plain.label).all()


def test_record(tiny, store, videos, monkeypatch):
    monkeypatch.setattr(throughput, "matrix_ceiling", lambda *_: 100.0)
    record = throughput.train(tiny, store, videos, rounds=1)
    speed = record["pairs_per_second"]
    assert set(speed) == {
        "store",
        "batch",
        "first block",
        "step",
        "training",
        "plain batch",
        "plain step",
        "plain training",
    }
    assert record["share_of_ceiling"] == pytest.approx(
        record["gflops"]["step"] / record["gflops"]["matrix product"]
    )
    assert record["speedup"] == pytest.approx(
        speed["training"] * (1 / speed["plain batch"] + 1 / speed["plain step"])
    )


def test_a_step_costs_three_passes_but_for_the_images_gradient():
    config = Config()
    first = (
        2 * (123**2 + 59**2) * 192 * 3 * 121
    )  # image and masked image of search and template; an image needs no gradient
    convolutions = 3 * multiplications(config) - first
    attention = (
        6**2 * 384 * (1 + 48 + 48) + 4 * 384 * 64
    )  # not in `multiplications`; Sec. 3.3 and 3.4
    assert throughput.step_flops(config) == pytest.approx(
        2 * (convolutions + 3 * attention), rel=1e-3
    )


def test_what_got10k_costs():
    cost = at_got10k(pairs_per_second=1000.0, frame_seconds=0.01)
    assert (
        cost["disk GB, every 1"]
        == pytest.approx(GOT10K["frames"] * 287 * 287 * 3 / 1e9)
        == pytest.approx(346.8, abs=0.1)
    )
    assert cost["build core hours, every 10"] == pytest.approx(GOT10K["frames"] / 10 * 0.01 / 3600)
    assert cost["training hours"] == pytest.approx(4_667_500 / 1000 / 3600)


def test_trainings_side_by_side(tiny, store):
    record = together(tiny, store.root, count=2, rounds=1, seconds=0.2)
    speed = record["pairs_per_second"]
    assert set(speed) == {"1 at once", "2 at once"} and min(speed.values()) > 0
    assert record["speedup"] == pytest.approx(speed["2 at once"] / speed["1 at once"])


def test_one_that_fails_ends_all(tiny, tmp_path, refused):
    refused(lambda: together(tiny, tmp_path, count=2, rounds=1), "no finished crop store")
