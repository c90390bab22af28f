"""ONNX: the two halves of Eq. 4 as files that any runtime reads, opset 17, each with a batch of any size.

template.onnx: `template` (B, 3, 135, 135) -> `features` (B, C, 7, 7), Eq. 2 and the attention of Eq. 4.
search.onnx: `features` (1, C, 7, 7) of one template, `search` (B, 3, 263, 263) of scales or frames -> `response` (B, 1, 17, 17), Eq. 3, 4.
Images are RGB float32 in 0..255. Where the tracker masks (tracking.sigma below 1), `template_masked` and `search_masked` are inputs too.
Batch norm is folded and b left out, as the tracker has it (D10, D21); crops, window and scales are Algorithm 2 and stay outside.
"""

import warnings
from pathlib import Path

import numpy as np
import torch
from torch import nn

from scs_siam.model import folded
from scs_siam.runtime.files import BadInput, atomic

OPSET = 17


class TemplateHalf(nn.Module):
    """Omega(Delta(psi(Z))) + psi(Z) of Eq. 4."""

    def __init__(self, model):
        super().__init__()
        self.model = model

    def forward(self, template, template_masked=None):
        """(B, 3, 135, 135) -> (B, C, 7, 7)."""
        return self.model.embed_template(template, template_masked)


class SearchHalf(nn.Module):
    """psi(X) and the correlation of Eq. 4."""

    def __init__(self, model):
        super().__init__()
        self.model = model

    def forward(self, features, search, search_masked=None):
        """(1, C, 7, 7) and (B, 3, 263, 263) -> (B, 1, 17, 17)."""
        return self.model.respond(features, self.model.embed_search(search, search_masked))


def halves(model, tracking):
    """Both halves of a model with what they take, for the tracking settings: {file: (module, {input: example}, output)}."""
    model = folded(model)
    model.b = None
    sizes = {"template": tracking.template_size, "search": tracking.search_size}
    images = {name: torch.zeros(1, 3, size, size) for name, size in sizes.items()}

    def inputs(name):
        return {
            name: images[name],
            **({f"{name}_masked": images[name]} if tracking.sigma < 1 else {}),
        }

    with torch.no_grad():
        features = torch.zeros_like(model.embed_template(images["template"]))
    return {
        "template.onnx": (TemplateHalf(model).eval(), inputs("template"), "features"),
        "search.onnx": (
            SearchHalf(model).eval(),
            {"features": features, **inputs("search")},
            "response",
        ),
    }


def export(model, tracking, folder):
    """Write template.onnx and search.onnx to `folder`, checked by `check`; the largest difference from PyTorch of each, {file: float}.

    BadInput without the extra packages onnx and onnxruntime.
    """
    _need()
    differences = {}
    for name, (half, inputs, output) in halves(model, tracking).items():
        path, batched = Path(folder) / name, [key for key in inputs if key != "features"]
        with atomic(path) as part, warnings.catch_warnings():
            warnings.simplefilter(
                "ignore"
            )  # the tracing exporter is called old, and remarks on each check of a shape
            torch.onnx.export(
                half,
                tuple(inputs.values()),
                str(part),
                input_names=list(inputs),
                output_names=[output],
                dynamo=False,
                opset_version=OPSET,
                dynamic_axes={key: {0: "batch"} for key in (*batched, output)},
            )
        differences[name] = check(path, half, inputs)
    return differences


def check(path, half, inputs, batch=3):
    """The largest difference between a file in onnxruntime and its PyTorch half on a random batch; BadInput above 0.1 % of the range."""
    import onnxruntime

    generator = torch.Generator().manual_seed(0)
    random = {
        name: torch.rand(batch, *value.shape[1:], generator=generator) * 255
        for name, value in inputs.items()
    }
    if "features" in random:
        random["features"] = random["features"][:1] / 255  # of one template
    with torch.no_grad():
        expected = half(**random).numpy()
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    (found,) = session.run(None, {name: value.numpy() for name, value in random.items()})
    difference = float(np.abs(found - expected).max()) if found.shape == expected.shape else np.inf
    if not difference <= 1e-3 * np.ptp(expected):
        raise BadInput(
            f"{path}: onnxruntime differs from PyTorch by {difference:g}; the file is not to be used"
        )
    return difference


def _need():
    try:
        import onnx  # noqa: F401
        import onnxruntime  # noqa: F401
    except ImportError as error:
        raise BadInput(f"{error.name} is not installed; pip install 'scs-siam[onnx]'") from None
