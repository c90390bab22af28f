"""Weights on disk: safetensors only, with the configuration that made them beside the numbers."""

import json
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from scs_siam.config import Config
from scs_siam.model import SiameseNet
from scs_siam.runtime.files import BadInput, atomic, read_json, sha256

SHIPPED = Path(__file__).with_name("pretrained.safetensors")


def shipped():
    """Path of the weights that come with the package, checked by their hash in the model card beside them."""
    card = read_json(SHIPPED.with_suffix(".json"), "sha256")
    if sha256(SHIPPED) != card["sha256"]:
        raise BadInput(f"{SHIPPED}: is not the file that its model card describes; get it again")
    return SHIPPED


def save_weights(path, model, config, half=False, **notes):
    """Write the weights, `config` and text `notes`; `half` stores float16 where the numbers fit."""
    state = {name: value.detach().cpu().contiguous() for name, value in model.state_dict().items()}
    if half:
        state = {name: _halved(value) for name, value in state.items()}
    _check_finite(path, state, "nothing was written")
    with atomic(path) as part:
        save_file(state, part, metadata={"config": json.dumps(config.to_dict()), **notes})


def load_weights(path):
    """The model in evaluation mode and the Config of a weights file; BadInput if it is missing, damaged or does not fit."""
    try:
        with safe_open(path, framework="pt") as file:
            notes = file.metadata() or {}
            if "config" not in notes:
                raise BadInput(
                    f"{path}: is no weights file of this project (it carries no configuration)"
                )
            config = _config(path, json.loads(notes["config"]))
            with torch.device("meta"):
                shapes = {
                    name: tuple(value.shape)
                    for name, value in SiameseNet(config.model).state_dict().items()
                }
            found = {name: tuple(file.get_slice(name).get_shape()) for name in file.keys()}
            if found != shapes:
                wrong = sorted(set(found.items()) ^ set(shapes.items()))[0][0]
                raise BadInput(
                    f"{path}: its tensor '{wrong}' does not fit its own configuration; get the file again"
                )
            state = {name: file.get_tensor(name) for name in shapes}
    except FileNotFoundError:
        raise BadInput(f"{path}: there is no such weights file") from None
    except (SafetensorError, OSError, json.JSONDecodeError, RecursionError) as error:
        raise BadInput(
            f"{path}: is not a readable safetensors file ({error}); get it again"
        ) from None
    _check_finite(path, state, "get the file again")
    model = SiameseNet(config.model)
    model.load_state_dict(
        {
            name: value.float() if value.is_floating_point() else value
            for name, value in state.items()
        }
    )
    return model.eval(), config


def _halved(value):
    half = value.half() if value.is_floating_point() else value
    return (
        half if torch.isfinite(half).all() else value
    )  # a variance of the first block can pass 65,504


def _config(path, values):
    try:
        return Config.from_dict(values)
    except BadInput as error:
        raise BadInput(
            f"{path}: was made by another version of this project ({error}); get a file that fits"
        ) from None


def _check_finite(path, state, mend):
    bad = [name for name, value in state.items() if not torch.isfinite(value.float()).all()]
    if bad:
        raise BadInput(f"{path}: its tensor '{bad[0]}' holds numbers that are not finite; {mend}")
