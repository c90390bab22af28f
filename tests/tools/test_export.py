"""The two ONNX halves give what PyTorch gives, for batches of other sizes than the exported one; skipped without the extra `onnx`."""

import numpy as np
import pytest
import torch

from scs_siam.config import Config
from scs_siam.model import SiameseNet
from scs_siam.tools import export


def network(variant="SCS-Siam", sigma=1.0):
    torch.manual_seed(1)
    config = Config.preset(variant=variant, width=1 / 64).replace(**{"tracking.sigma": sigma})
    return SiameseNet(config.model).eval(), config.tracking


def test_the_halves_together_are_the_response_without_b():
    model, tracking = network(sigma=0.9)
    model.b.data.fill_(3.0)
    (template, given, _), (search, seen, _) = export.halves(model, tracking).values()
    assert list(given) == ["template", "template_masked"] and list(seen) == [
        "features",
        "search",
        "search_masked",
    ]
    images = [255 * torch.rand(1, 3, size, size) for size in (135, 135, 263, 263)]
    with torch.no_grad():
        found, expected = (
            search(template(*images[:2]), *images[2:]).numpy(),
            model(*images).numpy() - 3,
        )
    np.testing.assert_allclose(found, expected, atol=1e-4 * np.ptp(found))


@pytest.mark.parametrize(
    "variant, sigma", [("SCS-Siam", 1.0), ("SCS-Siam", 0.9), ("SiameseFC", 1.0)]
)
def test_onnxruntime_agrees_with_pytorch(tmp_path, variant, sigma):
    onnx, runtime = pytest.importorskip("onnx"), pytest.importorskip("onnxruntime")
    model, tracking = network(variant, sigma)
    differences = export.export(model, tracking, tmp_path)
    assert sorted(differences) == ["search.onnx", "template.onnx"] and sorted(
        p.name for p in tmp_path.iterdir()
    ) == sorted(differences)
    for name, (half, inputs, output) in export.halves(model, tracking).items():
        file = onnx.load(tmp_path / name)
        onnx.checker.check_model(file)
        assert [(opset.domain, opset.version) for opset in file.opset_import] == [("", 17)]
        session = runtime.InferenceSession(str(tmp_path / name))
        for batch in (1, 5):
            images = {
                key: torch.rand(1 if key == "features" else batch, *value.shape[1:])
                for key, value in inputs.items()
            }
            with torch.no_grad():
                expected = half(**images).numpy()
            (found,) = session.run([output], {key: value.numpy() for key, value in images.items()})
            assert len(found) == batch
            np.testing.assert_allclose(found, expected, atol=1e-3 * np.ptp(expected))


def test_a_file_that_answers_otherwise_is_refused(tmp_path, refused):
    pytest.importorskip("onnx")
    pytest.importorskip("onnxruntime")
    model, tracking = network()
    export.export(model, tracking, tmp_path)
    other, inputs, _ = export.halves(network("SSA-Siam")[0], tracking)["template.onnx"]
    refused(
        lambda: export.check(tmp_path / "template.onnx", other, inputs),
        "template.onnx",
        "differs from PyTorch",
    )
