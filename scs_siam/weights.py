"""Weights on disk: safetensors files that carry the configuration of their network."""

import json
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from scs_siam.config import Config
from scs_siam.model import SiameseNet
from scs_siam.runtime.files import BadInput, atomic, read_json, sha256

SHIPPED = Path(__file__).with_name("pretrained.safetensors")


def shipped() -> Path:
    """Return the path of the weights that come with the package.

    BadInput if the file does not have the hash of the model card beside it.
    """
    card = read_json(SHIPPED.with_suffix(".json"), "sha256")
    if sha256(SHIPPED) != card["sha256"]:
        raise BadInput(f"{SHIPPED}: is not the file that its model card describes; get it again")
    return SHIPPED


def load_pretrained() -> tuple[SiameseNet, Config]:
    """Return the network that comes with the package, in evaluation mode, and its Config."""
    return load_weights(shipped())


def save_weights(
    path: str | Path, model: SiameseNet, config: Config, half: bool = False, **notes: str
) -> None:
    """Write weights, configuration and notes; `half` stores float16 where the numbers fit."""
    state = {name: value.detach().cpu().contiguous() for name, value in model.state_dict().items()}
    if half:
        state = {name: _halved(value) for name, value in state.items()}
    _check_finite(path, state, "nothing was written")
    with atomic(path) as part:
        save_file(state, part, metadata={"config": json.dumps(config.to_dict()), **notes})


def load_weights(path: str | Path) -> tuple[SiameseNet, Config]:
    """Return the network of a weights file, in evaluation mode, and its Config.

    BadInput if the file is missing or damaged or does not fit its own configuration.
    """
    again = "get the file again"
    try:
        with safe_open(path, framework="pt") as file:
            notes = file.metadata() or {}
            if "config" not in notes:
                problem = "is not a weights file of this project (it carries no configuration)"
                raise BadInput(f"{path}: {problem}")
            config = _config(path, json.loads(notes["config"]))
            model = SiameseNet(config.model)
            shapes = {name: tuple(value.shape) for name, value in model.state_dict().items()}
            found = {name: tuple(file.get_slice(name).get_shape()) for name in file.keys()}  # noqa: SIM118
            if found != shapes:
                wrong = sorted(set(found.items()) ^ set(shapes.items()))[0][0]
                problem = f"its tensor '{wrong}' does not fit its own configuration"
                raise BadInput(f"{path}: {problem}; {again}")
            state = {name: file.get_tensor(name) for name in shapes}
    except FileNotFoundError:
        raise BadInput(f"{path}: there is no such weights file") from None
    except (SafetensorError, OSError, json.JSONDecodeError, RecursionError) as error:
        raise BadInput(f"{path}: is not a readable safetensors file ({error}); {again}") from None
    _check_finite(path, state, again)
    floats = {name: x.float() if x.is_floating_point() else x for name, x in state.items()}
    model.load_state_dict(floats)
    return model.eval(), config


def _halved(value):
    half = value.half() if value.is_floating_point() else value
    return half if torch.isfinite(half).all() else value  # some variances exceed 65,504


def _config(path, values):
    try:
        return Config.from_dict(values)
    except BadInput as error:
        problem = f"was made by another version of this project ({error})"
        raise BadInput(f"{path}: {problem}; get a file that fits") from None


def _check_finite(path, state, remedy):
    bad = [name for name, value in state.items() if not torch.isfinite(value.float()).all()]
    if bad:
        problem = f"its tensor '{bad[0]}' holds numbers that are not finite"
        raise BadInput(f"{path}: {problem}; {remedy}")
