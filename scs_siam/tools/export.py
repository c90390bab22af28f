"""Export to ONNX (opset 17): the two halves of Eq. 4 as files for any runtime and batch size.

template.onnx takes `template` (B, 3, 135, 135) and gives `features` (B, C, 7, 7): Eq. 2 and the
attention of Eq. 4. search.onnx takes `features` (1, C, 7, 7) of one template and `search`
(B, 3, 263, 263), the scales or frames, and gives `response` (B, 1, 17, 17): Eq. 3 and 4. Images are
RGB float32 with values 0 to 255. Where the tracker masks (tracking.sigma below 1),
`template_masked` and `search_masked` are inputs too. Batch norm is folded and b is left out, as in
the tracker (D10, D21). Crops, window and scales are Algorithm 2 and stay outside.
"""

import warnings
from pathlib import Path

import numpy as np
import torch
from torch import nn

from scs_siam.config import TrackingConfig
from scs_siam.model import SiameseNet, folded
from scs_siam.runtime.files import BadInput, atomic

OPSET = 17


class TemplateHalf(nn.Module):
    """Omega(Delta(psi(Z))) + psi(Z) of Eq. 4."""

    def __init__(self, model: SiameseNet):
        super().__init__()
        self.model = model

    def forward(self, template, template_masked=None):
        """(B, 3, 135, 135) -> (B, C, 7, 7)."""
        return self.model.embed_template(template, template_masked)


class SearchHalf(nn.Module):
    """psi(X) and the correlation of Eq. 4."""

    def __init__(self, model: SiameseNet):
        super().__init__()
        self.model = model

    def forward(self, features, search, search_masked=None):
        """(1, C, 7, 7) and (B, 3, 263, 263) -> (B, 1, 17, 17)."""
        return self.model.respond(features, self.model.embed_search(search, search_masked))


def halves(model: SiameseNet, tracking: TrackingConfig) -> dict:
    """Return both halves of a model as {file: (module, {input: example}, name of the output)}."""
    model = folded(model)
    model.b = None
    examples = {}
    for name, size in (("template", tracking.template_size), ("search", tracking.search_size)):
        image = torch.zeros(1, 3, size, size)
        examples[name] = {name: image}
        if tracking.sigma < 1:
            examples[name][f"{name}_masked"] = image
    with torch.no_grad():
        features = torch.zeros_like(model.embed_template(examples["template"]["template"]))
    template, search = TemplateHalf(model).eval(), SearchHalf(model).eval()
    return {
        "template.onnx": (template, examples["template"], "features"),
        "search.onnx": (search, {"features": features, **examples["search"]}, "response"),
    }


def export(model: SiameseNet, tracking: TrackingConfig, folder) -> dict[str, float]:
    """Write template.onnx and search.onnx; return the largest difference from PyTorch of each.

    BadInput without the extra packages onnx and onnxruntime.
    """
    try:
        import onnx  # noqa: F401
        import onnxruntime  # noqa: F401
    except ImportError as error:
        raise BadInput(f"{error.name} is not installed; pip install 'scs-siam[onnx]'") from None
    differences = {}
    for name, (half, inputs, output) in halves(model, tracking).items():
        batched = [key for key in (*inputs, output) if (name, key) != ("search.onnx", "features")]
        axes = {key: {0: "batch"} for key in batched}
        options = {"input_names": list(inputs), "output_names": [output], "dynamic_axes": axes}
        with atomic(path := Path(folder) / name) as part, warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of the tracing exporter, on each check of a shape
            options |= {"dynamo": False, "opset_version": OPSET}
            torch.onnx.export(half, tuple(inputs.values()), str(part), **options)
        differences[name] = check(path, half, inputs)
    return differences


def check(path, half: nn.Module, inputs: dict, batch: int = 3) -> float:
    """Return the largest difference between a file in onnxruntime and its PyTorch half.

    The input is a random batch. BadInput for a difference above 0.1 % of the range.
    """
    import onnxruntime

    generator, random = torch.Generator().manual_seed(0), {}
    for name, value in inputs.items():
        random[name] = torch.rand(batch, *value.shape[1:], generator=generator) * 255
    if "features" in random:
        random["features"] = random["features"][:1] / 255  # of one template
    with torch.no_grad():
        expected = half(**random).numpy()
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    (found,) = session.run(None, {name: value.numpy() for name, value in random.items()})
    difference = float(np.abs(found - expected).max()) if found.shape == expected.shape else np.inf
    if not difference <= 1e-3 * np.ptp(expected):
        problem = f"onnxruntime differs from PyTorch by {difference:g}"
        raise BadInput(f"{path}: {problem}; the file must not be used")
    return difference
