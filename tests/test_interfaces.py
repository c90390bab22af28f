"""What others call us by: torch.hub, got10k's experiments, a TraX client."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from scs_siam.config import Config
from scs_siam.data import benchmarks, synthetic
from scs_siam.data.boxes import from_polygon, to_polygon
from scs_siam.data.images import read_image
from scs_siam.evaluation import one_pass
from scs_siam.model import SiameseNet
from scs_siam.track import Tracker, got10k_tracker
from scs_siam.weights import load_weights, save_weights, shipped

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="module")
def otb(tmp_path_factory):
    return synthetic.write_test(
        tmp_path_factory.mktemp("hub") / "otb", 2, 4, seed=0, size=(128, 96)
    )


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    """A weights file of the narrowest network."""
    torch.manual_seed(0)
    config, path = (
        Config.preset(width=1 / 64),
        tmp_path_factory.mktemp("weights") / "tiny.safetensors",
    )
    save_weights(path, SiameseNet(config.model), config)
    return path


def test_torch_hub_loads_the_tracker_that_comes_with_the_package(otb):
    ours = torch.hub.load(
        str(ROOT), "scs_siam", source="local", precision="exact", **{"tracking.scales": 1}
    )
    model, config = load_weights(shipped())
    expected = Tracker(model, config.replace(**{"tracking.scales": 1}).tracking, precision="exact")
    clip = benchmarks.read_otb(otb)[0]
    frames = [read_image(path) for path in clip.frames[:2]]
    np.testing.assert_array_equal(
        ours.track(frames, clip.truth[0]), expected.track(frames, clip.truth[0])
    )


def test_got10ks_experiment_runs_and_scores_the_tracker(otb, tiny, tmp_path, monkeypatch):
    experiments = pytest.importorskip("got10k.experiments")
    sequences = benchmarks.read_otb(otb)

    class Dataset(list):
        seq_names = tuple(sequence.name for sequence in sequences)

        def __getitem__(self, name):
            return super().__getitem__(self.seq_names.index(name))

    class Experiment(experiments.ExperimentOTB):  # the original's constructor downloads OTB2015
        def __init__(self):
            self.dataset = Dataset(
                (list(map(str, sequence.frames)), sequence.truth + [1, 1, 0, 0])
                for sequence in sequences
            )
            self.result_dir, self.report_dir = str(tmp_path / "results"), str(tmp_path / "reports")
            self.nbins_iou, self.nbins_ce = 21, 51

    experiment = Experiment()
    model, config = load_weights(tiny)
    experiment.run(got10k_tracker(model, config.tracking, "ours", precision="exact"))
    monkeypatch.setattr(experiment, "plot_curves", lambda *_: None)
    theirs = experiment.report(["ours"])["ours"]["seq_wise"]
    for sequence in sequences:
        boxes = one_pass.read_track(tmp_path / "results" / "ours" / f"{sequence.name}.txt", "otb")
        scores = one_pass.score(boxes, sequence.truth)
        assert boxes.shape == (4, 4) and np.isclose(
            theirs[sequence.name]["success_score"], scores["auc"], atol=1e-3
        )


def test_a_trax_client_gets_the_boxes_of_the_tracker(otb, tiny):
    """Started from a rectangle, then again from a polygon; frames as paths and as pixels."""
    trax, client = pytest.importorskip("trax"), pytest.importorskip("trax.client")
    model, config = load_weights(tiny)
    clip = benchmarks.read_otb(otb)[0]
    box, corners = clip.truth[0], to_polygon(clip.truth[0])
    images = [{"color": trax.FileImage.create(str(path))} for path in clip.frames]
    images[2] = {"color": trax.MemoryImage.create(read_image(clip.frames[2]))}
    command = [
        sys.executable,
        "-m",
        "scs_siam",
        "trax",
        "--weights",
        str(tiny),
        "--precision",
        "exact",
    ]
    server = subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    try:
        streams = server.stdin.fileno(), server.stdout.fileno()
        session = client.Client(
            streams, log=lambda line: None
        )  # vot-trax 4.0.2 fails without a log
        assert (session.tracker_name, session.image_formats) == ("SCS-Siam", ["path", "memory"])
        for region, first in (
            (trax.Rectangle.create(*box), box),
            (trax.Polygon.create(list(map(tuple, corners.reshape(4, 2)))), corners),
        ):
            replies = [
                session.initialize(images[0], [(region, {})], {}),
                *(session.frame(image, {}, []) for image in images[1:]),
            ]
            start = first if len(first) == 4 else from_polygon(first)
            expected = Tracker(model, config.tracking, precision="exact").track(
                map(read_image, clip.frames), start
            )
            np.testing.assert_allclose(
                [objects[0][0].bounds() for objects, _ in replies], expected, atol=2e-2
            )
        session.quit()
        assert server.wait(timeout=20) == 0
    finally:
        server.kill()
        server.communicate()
