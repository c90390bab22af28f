"""The benchmarks measure what they name: forms that compute the same, and records whose ratios follow from their times."""

import json

import numpy as np
import pytest

from scs_siam import cli
from scs_siam.config import Config
from scs_siam.data.synthetic import Scene, render
from scs_siam.tools.bench import PlainTracker, track
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


def test_a_record_of_tracking(settled):
    config = Config.preset(width=1 / 64)
    model = settled(config.model)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    record = track(model, config.tracking, rounds=2)
    assert record["speedup"] == pytest.approx(
        record["milliseconds"]["plain"] / record["milliseconds"]["fast"]
    )
    for parts in ("parts", "parts_plain", "parts_exact"):
        assert (
            list(record[parts]) == ["crop", "first block", "body", "correlation", "peak"]
            and min(record[parts].values()) > 0
        )
    assert (
        record["decode"] > 0
        and record["memory"] > 50
        and record["form"] in record["ceiling"]
        and 0 < record["share_of_ceiling"] < 2
    )
    assert all((value == model.state_dict()[name]).all() for name, value in before.items())


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
