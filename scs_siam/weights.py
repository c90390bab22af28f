"""Weights on disk: safetensors files that carry the configuration of their network."""

import itertools
import json
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from scs_siam.config import VARIANTS, Config
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


def import_checkpoint(path: str | Path) -> tuple[SiameseNet, Config, list[str]]:
    """Return the network of another project's PyTorch checkpoint, its Config and what was ignored.

    Checkpoints of siamfc-pytorch (AlexNet) and of the authors' released code are read, among
    others: the tensors must have the shapes of one of our variants in the order of its layers
    (first blocks, psi, attention); names do not matter. Of two first blocks the first one sees the
    image and the second one the masked image. BadInput if no variant fits.
    """
    state = _unwrapped(path)
    ignored = [name for name, value in state.items() if not _is_weight(name, value)]
    names = [name for name in state if name not in ignored]
    nearest = (-1, "", "")
    choices = itertools.product(("released", "paper"), VARIANTS, (True, False))
    for preset, variant, offset in choices:
        config = Config.preset(preset, variant).replace(**{"model.offset": offset})
        with torch.device("meta"):
            own = SiameseNet(config.model).state_dict()
        wanted = {name: x.shape for name, x in own.items() if _is_weight(name, x)}
        # The bias b of Eq. 1 may stand before the layers or after them.
        for order in [names, names[-1:] + names[:-1]] if offset else [names]:
            found = {one: state[other].float() for one, other in zip(wanted, order)}
            if offset and order and found["b"].numel() == 1:
                found["b"] = found["b"].reshape(())
            same = [x.shape == wanted[name] for name, x in found.items()]
            if len(order) == len(wanted) and all(same):
                _check_finite(path, found, "get another checkpoint")
                model = SiameseNet(config.model)
                model.load_state_dict(model.state_dict() | found)
                return model.eval(), config, ignored
            fits = (same + [False]).index(False)
            nearest = max(nearest, (fits, variant, order[fits] if fits < len(order) else "its end"))
    problem = f"its tensors fit no variant; {nearest[1]} is the nearest and differs at {nearest[2]}"
    raise BadInput(f"{path}: {problem}; only networks of the full width can be imported")


def _unwrapped(path):
    """The tensors of a checkpoint by name, without wrappers and the prefix "module."."""
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError:
        raise BadInput(f"{path}: there is no such file") from None
    except Exception as error:  # damage can raise anything in torch.load
        reason = (str(error).strip() or "it is damaged").splitlines()[0]
        problem = "is not a PyTorch checkpoint of tensors alone"
        remedy = "save the state_dict of its network with torch.save"
        raise BadInput(f"{path}: {problem} ({reason}); {remedy}") from None
    for key in ("state_dict", "model", "net", "network"):
        if isinstance(state, dict) and isinstance(state.get(key), dict):
            state = state[key]
    if not isinstance(state, dict) or not any(torch.is_tensor(x) for x in state.values()):
        raise BadInput(f"{path}: holds no state_dict; save the state_dict of its network")
    return {str(name).removeprefix("module."): value for name, value in state.items()}


def _is_weight(name, value):
    """Whether an entry of a checkpoint is a tensor that determines what the network computes."""
    return torch.is_tensor(value) and not name.endswith("num_batches_tracked")
