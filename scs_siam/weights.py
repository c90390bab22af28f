"""Weights on disk: safetensors only, with the configuration that made them beside the numbers."""
import json

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from .config import Config
from .files import BadInput, atomic
from .model import SiameseNet


def save_weights(path, model, config, half=False, **notes):
    """Write the weights, `config` and text `notes`; `half` stores float16."""
    state = {name: value.detach().cpu().contiguous() for name, value in model.state_dict().items()}
    if half:
        state = {name: value.half() if value.is_floating_point() else value for name, value in state.items()}
    with atomic(path) as part:
        save_file(state, part, metadata={"config": json.dumps(config.to_dict()), **notes})


def load_weights(path):
    """The model in evaluation mode and the Config of a weights file; BadInput if it is missing, damaged or does not fit."""
    try:
        with safe_open(path, framework="pt") as file:
            notes = file.metadata() or {}
            if "config" not in notes:
                raise BadInput(f"{path}: is no weights file of this project (it carries no configuration)")
            config = Config.from_dict(json.loads(notes["config"]))
            with torch.device("meta"):
                shapes = {name: tuple(value.shape) for name, value in SiameseNet(config.model).state_dict().items()}
            found = {name: tuple(file.get_slice(name).get_shape()) for name in file.keys()}
            if found != shapes:
                wrong = sorted(set(found.items()) ^ set(shapes.items()))[0][0]
                raise BadInput(f"{path}: its tensor '{wrong}' does not fit its own configuration; get the file again")
            state = {name: file.get_tensor(name) for name in shapes}
    except FileNotFoundError:
        raise BadInput(f"{path}: there is no such weights file") from None
    except (SafetensorError, OSError, json.JSONDecodeError) as error:
        raise BadInput(f"{path}: is not a readable safetensors file ({error}); get it again") from None
    bad = [name for name, value in state.items() if not torch.isfinite(value.float()).all()]
    if bad:
        raise BadInput(f"{path}: its tensor '{bad[0]}' holds numbers that are not finite; get the file again")
    model = SiameseNet(config.model)
    model.load_state_dict({name: value.float() if value.is_floating_point() else value for name, value in state.items()})
    return model.eval(), config
