"""The benchmarks measure what they name: forms that compute the same, and records whose ratios follow from their times."""

import json

import numpy as np
import pytest

from scs_siam import cli
from scs_siam.config import Config
from scs_siam.data.synthetic import Scene, render
from scs_siam.model import multiplications
from scs_siam.pairs import make_batch
from scs_siam.tools import bench
from scs_siam.tools.bench import GOT10K, PlainTracker, at_got10k, plain_batch, track
from scs_siam.track import Tracker


def test_the_plain_form_computes_what_the_exact_form_does(settled):
    clip, model = render(Scene(3, (160, 120), 4)), settled(Config.preset(width=1 / 16).model)
    plain, exact = (
        PlainTracker(model, Config().tracking),
        Tracker(model, Config().tracking, precision="exact"),
    )
    np.testing.assert_allclose(
        plain.track(clip.frames, clip.boxes[0]), exact.track(clip.frames, clip.boxes[0]), atol=1e-4
    )
    np.testing.assert_allclose(
        plain.response, exact.response, rtol=0, atol=1e-4 * np.ptp(exact.response)
    )


def test_a_record_of_tracking():
    record = track(Config.preset(width=1 / 64), rounds=2)
    times = record["milliseconds"]
    assert record["speedup"] == pytest.approx(times["plain"] / times["fast"])
    for parts in ("parts", "parts_plain", "parts_exact"):
        assert list(record[parts]) == ["crop", "first block", "body", "correlation", "peak"]
        assert min(record[parts].values()) > 0
    assert record["decode"] > 0 and record["memory"] > 50 and record["form"] in record["ceiling"]
    assert 0 < record["share_of_ceiling"] < 2


@pytest.mark.parametrize("what", ["variants", "evaluate", "data"])
def test_the_command_prints_one_object(capsys, what):
    cli.main(["bench", what, "--width", "0.015625", "--rounds", "2", "--json"])
    record = json.loads(capsys.readouterr().out)
    assert record["bench"] == what and record["machine"]["device"]
    if what == "variants":
        base = record["variants"]["SiameseFC*"]
        assert set(base["ratios"]) == {1.0} and all(
            len(row["ratios"]) == record["rounds"] for row in record["variants"].values()
        )
    else:
        assert record["speedup"] > 0


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
    monkeypatch.setattr(bench, "matrix_ceiling", lambda *_: 100.0)
    record = bench.train(tiny, 1, store=store, videos=videos)
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
    assert bench.step_flops(config) == pytest.approx(2 * (convolutions + 3 * attention), rel=1e-3)


def test_what_got10k_costs():
    cost = at_got10k(pairs_per_second=1000.0, frame_seconds=0.01)
    assert (
        cost["disk GB, every 1"]
        == pytest.approx(GOT10K["frames"] * 287 * 287 * 3 / 1e9)
        == pytest.approx(346.8, abs=0.1)
    )
    assert cost["build core hours, every 10"] == pytest.approx(GOT10K["frames"] / 10 * 0.01 / 3600)
    assert cost["training hours"] == pytest.approx(4_667_500 / 1000 / 3600)
