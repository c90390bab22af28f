"""Weights files: the same model back, and damage named."""

import json

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import nn

from scs_siam import weights as module
from scs_siam.cli import main
from scs_siam.config import Config
from scs_siam.model import SiameseNet
from scs_siam.runtime.files import BadInput
from scs_siam.weights import load_weights, save_weights


@pytest.fixture(params=["SCS-Siam", "SiameseFC"])
def config(request):
    return Config.preset("released", request.param, width=1 / 64).replace(
        **{"training.sigma": 0.25}
    )


@pytest.fixture
def model(config):
    torch.manual_seed(1)
    return SiameseNet(config.model)


@pytest.fixture
def path(tmp_path, model, config):
    save_weights(tmp_path / "w.safetensors", model, config, data="two clips")
    return tmp_path / "w.safetensors"


def edit(path, change):
    """Write the file again after change(tensors, notes)."""
    with safe_open(path, framework="pt") as file:
        notes, tensors = (
            dict(file.metadata()),
            {name: file.get_tensor(name) for name in file.keys()},  # noqa: SIM118
        )
    change(tensors, notes)
    save_file(tensors, path, metadata=notes)


def test_round_trip(path, model, config):
    again, its_config = load_weights(path)
    assert its_config == config and not again.training
    state = again.state_dict()
    assert list(state) == list(model.state_dict()) and all(
        (state[name] == value).all() for name, value in model.state_dict().items()
    )
    with safe_open(path, framework="pt") as file:
        assert file.metadata()["data"] == "two clips" and json.loads(
            file.metadata()["config"]
        ) == json.loads(json.dumps(config.to_dict()))


def test_half_is_rounded_and_read_as_float32(tmp_path, path, model, config):
    save_weights(tmp_path / "half.safetensors", model, config, half=True)
    again, _ = load_weights(tmp_path / "half.safetensors")
    for name, value in model.state_dict().items():
        assert again.state_dict()[name].dtype == value.dtype
        torch.testing.assert_close(again.state_dict()[name], value, rtol=2**-11, atol=2**-24)
    assert (tmp_path / "half.safetensors").stat().st_size < 0.75 * path.stat().st_size


@pytest.mark.parametrize("keep", [0, 5, 200, 0.5, -1])
def test_a_truncated_file_is_named(path, refused, keep):
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * keep) if keep == 0.5 else keep])
    refused(lambda: load_weights(path), path, "not a readable safetensors file")


def cut(tensors, notes):
    tensors["psi.0.weight"] = tensors["psi.0.weight"][:, :1].clone()


def poison(tensors, notes):
    tensors["psi.0.weight"].view(-1)[3] = float("nan")


def unmark(tensors, notes):
    notes.pop("config")


def outdate(tensors, notes):
    notes["config"] = '{"modle": {}}'


def garble(tensors, notes):
    notes["config"] = "{"


@pytest.mark.parametrize(
    "change, words",
    [
        (cut, "'psi.0.weight' does not fit"),
        (poison, "'psi.0.weight' holds numbers that are not finite"),
        (unmark, "carries no configuration"),
        (lambda tensors, notes: tensors.pop("psi.0.bias"), "'psi.0.bias' does not fit"),
        (lambda tensors, notes: tensors.update(extra=torch.zeros(1)), "'extra' does not fit"),
        (outdate, "modle"),
        (garble, "safetensors"),
    ],
)
def test_a_file_that_does_not_fit_is_named(path, refused, change, words):
    edit(path, change)
    refused(lambda: load_weights(path), path, words)


def test_files_that_are_none(tmp_path, refused):
    refused(
        lambda: load_weights(tmp_path / "none.safetensors"),
        "none.safetensors",
        "no such weights file",
    )
    refused(lambda: load_weights(tmp_path), tmp_path)
    torch.save({"a": torch.zeros(1)}, tmp_path / "w.pth")
    refused(lambda: load_weights(tmp_path / "w.pth"), "w.pth", "not a readable safetensors file")


def test_nothing_that_cannot_be_used_is_written(tmp_path, model, config, refused, monkeypatch):
    model.block.norm.running_var.fill_(float("nan"))
    refused(
        lambda: save_weights(tmp_path / "w.safetensors", model, config, half=True),
        "w.safetensors",
        "running_var",
        "not finite",
    )
    assert not list(tmp_path.iterdir())
    model.block.norm.running_var.fill_(1e6)  # more than a float16 holds
    save_weights(tmp_path / "w.safetensors", model, config, half=True)
    assert (load_weights(tmp_path / "w.safetensors")[0].block.norm.running_var == 1e6).all()
    save_weights(tmp_path / "w.safetensors", model, config)
    before = (tmp_path / "w.safetensors").read_bytes()

    def full(state, path, metadata):
        path.write_bytes(b"half")
        raise module.SafetensorError(
            "Error while serializing: I/O error: No space left on device (os error 28)"
        )

    monkeypatch.setattr(module, "save_file", full)
    refused(
        lambda: save_weights(tmp_path / "w.safetensors", model, config),
        "w.safetensors",
        "No space left",
    )
    assert [path.name for path in tmp_path.iterdir()] == ["w.safetensors"] and (
        tmp_path / "w.safetensors"
    ).read_bytes() == before


class PlainAlexNet(nn.Module):
    """The backbone of siamfc-pytorch as its paper describes it, with the names of its checkpoints."""

    def __init__(self):
        super().__init__()

        def layer(*sizes, last=False, **options):
            conv = nn.Conv2d(*sizes, **options)
            return nn.Sequential(
                conv, *([] if last else [nn.BatchNorm2d(sizes[1], 1e-6), nn.ReLU()])
            )

        self.conv1, self.conv2 = layer(3, 96, 11, stride=2), layer(96, 256, 5, groups=2)
        self.conv3, self.conv4 = layer(256, 384, 3), layer(384, 384, 3, groups=2)
        self.conv5 = layer(384, 256, 3, groups=2, last=True)

    def forward(self, x):
        x = nn.functional.max_pool2d(self.conv1(x), 3, 2)
        x = nn.functional.max_pool2d(self.conv2(x), 3, 2)
        return self.conv5(self.conv4(self.conv3(x)))


@pytest.mark.parametrize("wrap", [dict, lambda state: {"epoch": 3, "state_dict": state}])
def test_a_checkpoint_of_siamfc_gives_the_same_response_map(wrap, tmp_path):
    torch.manual_seed(0)
    plain = PlainAlexNet()
    with torch.no_grad():
        for norm in plain.modules():
            if isinstance(norm, nn.BatchNorm2d):
                norm.running_mean.normal_(), norm.running_var.uniform_(0.5, 2)
    state = {f"module.backbone.{name}": value for name, value in plain.state_dict().items()}
    torch.save(wrap(state), tmp_path / "siamfc.pth")
    model, config, ignored = module.import_checkpoint(tmp_path / "siamfc.pth")
    assert config.variant == "SiameseFC" and len(ignored) == 4  # counters of batch norms
    z, x = 255 * torch.rand(1, 3, 127, 127), 255 * torch.rand(1, 3, 255, 255)
    with torch.no_grad():
        plain.eval()
        expected = 0.001 * nn.functional.conv2d(plain(x), plain(z))
        found = model(z, None, x, None)
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4 * expected.abs().max().item())


def test_a_checkpoint_with_two_first_blocks_is_imported_and_tracks(tmp_path):
    config = Config.preset("released", "SSA-Siam")
    model = SiameseNet(config.model).eval()
    state = {f"module.net.{name}": value for name, value in model.state_dict().items()}
    torch.save({"model": state}, tmp_path / "authors.pth")
    assert main(["import", str(tmp_path / "authors.pth")]) in (0, None)
    found, its = load_weights(tmp_path / "authors.safetensors")
    assert its.variant == "SSA-Siam" and not its.model.shared_block
    images = [255 * torch.rand(1, 3, side, side) for side in (127, 127, 255, 255)]
    with torch.no_grad():
        torch.testing.assert_close(found(*images), model(*images))


def test_other_checkpoints_are_refused_in_one_line(tmp_path):
    torch.save({"a": torch.zeros(3, 4)}, tmp_path / "other.pth")
    with pytest.raises(BadInput, match="fit no variant; .* differs at a"):
        module.import_checkpoint(tmp_path / "other.pth")
    torch.save({"net": PlainAlexNet()}, tmp_path / "code.pth")
    with pytest.raises(BadInput, match="not a PyTorch checkpoint of tensors alone"):
        module.import_checkpoint(tmp_path / "code.pth")
    (tmp_path / "text.pth").write_text("hello")
    for name in ("text.pth", "absent.pth"):
        with pytest.raises(BadInput, match=name):
            module.import_checkpoint(tmp_path / name)
