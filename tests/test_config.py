"""The configuration refuses what it does not know, and every switch of the released code is a real one."""

import dataclasses
import json

import pytest

from scs_siam.config import PRESETS, RANGES, RELEASED, VARIANTS, Config
from scs_siam.runtime.files import digest


@pytest.mark.parametrize(
    "name, value, words",
    [
        ("training.sgima", 1, "no setting 'training.sgima'"),
        ("sigma", 1, "no setting"),
        ("training", {}, "no setting"),
        ("training.sigma.x", 1, "no setting"),
        ("training.sigma", "0.5", "not a number"),
        ("training.sigma", 1.5, "outside 0 to 1"),
        ("training.sigma", float("nan"), "outside"),
        ("training.sigma", True, "not a number"),
        ("training.epochs", 2.5, "not a whole number"),
        ("training.epochs", float("nan"), "not a whole number"),
        ("training.epochs", float("inf"), "not a whole number"),
        ("training.epochs", 0, "outside"),
        ("training.balanced", 1, "not of type bool"),
        ("training.max_shift", 4, "not a list"),
        ("training.max_shift", (1,), "must hold 2"),
        ("training.max_shift", (1, -1), "outside"),
        ("tracking.scales", None, "not a whole"),
        ("model.backbone", "resnet", "not one of table1, alexnet"),
        ("model.attention", "channel", "not a list"),
        ("model.attention", ["colour"], "not one of"),
        ("model.attention", [["channel"]], "not of type str"),
        ("model.attention", ["channel", "channel"], "twice"),
        ("model.channel_pools", [], "empty"),
        ("model.spatial_parts", (), "empty"),
        ("model.width", 0, "outside"),
        ("variant", "SCS", "not one of SiameseFC"),
    ],
)
def test_a_wrong_setting_is_named(refused, name, value, words):
    refused(lambda: Config().replace(**{name: value}), name.split(".x")[0], words)


@pytest.mark.parametrize(
    "values", [{"modle": {}}, {"model": 3}, {"model": {"sigma": 1}}, {1: 2, "a": 3}, [1], None, 5]
)
def test_a_wrong_dict_is_refused(refused, values):
    refused(lambda: Config.from_dict(values), "there is no setting")


def test_unknown_names_list_the_known_ones(refused):
    refused(lambda: Config.preset("papers"), "papers", "paper, released")
    refused(lambda: Config.preset(variant="SSX"), "SSX", "SCS-Siam")


@pytest.mark.parametrize("preset", PRESETS)
@pytest.mark.parametrize("variant", VARIANTS)
def test_round_trip_through_json(preset, variant):
    config = Config.preset(preset, variant, width=0.5)
    again = Config.from_dict(json.loads(json.dumps(config.to_dict())))
    assert (
        again == config
        and hash(again) == hash(config)
        and digest(again.to_dict()) == digest(config.to_dict())
    )
    whole, fraction = (config.replace(**{"training.weight_decay": value}) for value in (0, 0.0))
    assert digest(whole.to_dict()) == digest(fraction.to_dict()) != digest(config.to_dict())
    assert config.variant == variant and config.model.width == 0.5


def test_frozen():
    with pytest.raises(dataclasses.FrozenInstanceError):
        Config().model.width = 2.0
    changed = Config().replace(**{"training.sigma": 0.5, "tracking.scales": 5})
    assert (changed.training.sigma, changed.tracking.scales, Config().training.sigma) == (
        0.5,
        5,
        0.9,
    )


def settings(config):
    return {
        f"{part}.{name}": value
        for part, values in config.to_dict().items()
        if part != "variant"
        for name, value in values.items()
    }


def test_each_switch_of_the_released_code_differs_from_the_paper():
    paper, released = settings(Config.preset("paper")), settings(Config.preset("released"))
    assert {name for name in paper if paper[name] != released[name]} == set(PRESETS["released"])


def test_variants_differ_and_every_number_has_a_range():
    assert len(
        {Config.preset(variant=name).replace(variant="SCS-Siam") for name in VARIANTS}
    ) == len(VARIANTS)
    for name, value in settings(Config()).items():
        first = value[0] if isinstance(value, tuple) else value
        assert isinstance(first, (bool, str)) or name.split(".")[1] in RANGES, name


def test_the_released_preset_is_its_numbered_deviations_and_each_changes_something():
    released, paper = (Config.preset(name) for name in ("released", "paper"))
    assert (
        paper.replace(
            **{name: value for switches in RELEASED.values() for name, value in switches.items()}
        )
        == released
    )
    assert all(paper.replace(**switches) != paper for switches in RELEASED.values())
    assert sum(map(len, RELEASED.values())) == len(PRESETS["released"]), (
        "no switch stands under two numbers"
    )
