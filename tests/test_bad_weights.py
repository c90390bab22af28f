"""Bad weights and configurations: nothing is allocated for what a head claims, no value is taken unseen."""

import json
import resource
import struct
from pathlib import Path

import pytest
from damage import loop, put

from scs_siam.config import RANGES, Config, ModelConfig, TrackingConfig, TrainingConfig
from scs_siam.weights import load_weights


def tensors(header, data=b""):
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + data


NOTES = {"config": json.dumps(Config.preset(width=1 / 64).to_dict())}
TENSOR = {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}
WEIGHTS = {
    "a head without end": struct.pack("<Q", 2**60) + b"{}",
    "a head of minus one": b"\xff" * 8,
    "a head of zero": bytes(8),
    "no JSON": tensors(b"{"),
    "a list": tensors([1]),
    "no tensor": tensors({"__metadata__": NOTES}),
    "no text": tensors(b"\xff\xfe"),
    "a billion numbers": tensors(
        {
            "__metadata__": NOTES,
            "psi.0.weight": {"dtype": "F32", "shape": [10**12], "data_offsets": [0, 4 * 10**12]},
        }
    ),
    "a false size": tensors(
        {"__metadata__": NOTES, "psi.0.weight": {**TENSOR, "shape": [10**12]}}, bytes(4)
    ),
    "a negative size": tensors({"__metadata__": NOTES, "a": {**TENSOR, "shape": [-1]}}, bytes(4)),
    "overflow": tensors(
        {"__metadata__": NOTES, "a": {**TENSOR, "shape": [2**40, 2**40]}}, bytes(4)
    ),
    "a type of its own": tensors(
        {"__metadata__": NOTES, "a": {**TENSOR, "dtype": "F33"}}, bytes(4)
    ),
    "another place": tensors(
        {"__metadata__": NOTES, "a": {**TENSOR, "data_offsets": [4, 8]}}, bytes(4)
    ),
    "a hole": tensors({"__metadata__": NOTES, "a": TENSOR}, bytes(400)),
    "a stranger": tensors({"__metadata__": NOTES, "a": TENSOR}, bytes(4)),
    "a deep configuration": tensors(
        {"__metadata__": {"config": "[" * 100_000}, "a": TENSOR}, bytes(4)
    ),
    "a number for a configuration": tensors(
        {"__metadata__": {"config": "5"}, "a": TENSOR}, bytes(4)
    ),
    "a width of 1e9": tensors(
        {"__metadata__": {"config": '{"model": {"width": 1e9}}'}, "a": TENSOR}, bytes(4)
    ),
    "a pickle": b"\x80\x04\x95",
    "a loop": loop,
    "missing": None,
    "a folder": Path.mkdir,
}


@pytest.mark.parametrize("content", WEIGHTS.values(), ids=WEIGHTS)
def test_weights(tmp_path, refused, content):
    put(content)(tmp_path / "w é.safetensors")
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    refused(lambda: load_weights(tmp_path / "w é.safetensors"), "w é.safetensors")
    assert (
        resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 200_000
    )  # kB: nothing was allocated for what a head claims


# Configurations

NUMBERS = [
    (part, name)
    for part, cls in (
        ("model", ModelConfig),
        ("training", TrainingConfig),
        ("tracking", TrackingConfig),
    )
    for name in cls.__dataclass_fields__
    if name in RANGES
]


@pytest.mark.parametrize("part, name", NUMBERS, ids=str)
def test_a_number_of_a_configuration(refused, part, name):
    for value in (
        float("nan"),
        -float("inf"),
        -1,
        10**400,
        "many",
        None,
        True,
        [],
        [1, 2, 3],
        {},
        1j,
    ):
        refused(
            lambda value=value: Config.from_dict({part: {name: value}}), f"config.{part}.{name}"
        )


CHANGES = [
    {"training.search_size": 159, "training.template_size": 200},
    {"tracking.template_size": 1000},
    {"tracking.size_limits": [5, 0.2]},
    {"training": 5},
    {"training.": 5},
    {"": 5},
    {"model.attention": ["channel", "channel"]},
    {"model.backbone": 5},
    {"model.fusion": 1},
    {"variant": "x"},
    {"a.b.c.d": 1},
]


@pytest.mark.parametrize("changes", CHANGES, ids=str)
def test_changes_of_a_configuration(refused, changes):
    refused(lambda: Config().replace(**changes), "config")
