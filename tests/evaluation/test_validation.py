"""Validation: loss and hits against a loop over single pairs, on sequences that were held out and on no others."""

import numpy as np
import pytest
import torch

from scs_siam import cli
from scs_siam.evaluation.statistics import cluster_interval
from scs_siam.evaluation.validation import BATCH, validate
from scs_siam.model import SiameseNet
from scs_siam.pairs import PairSampler, make_batch
from scs_siam.train import Trainer


@pytest.fixture
def held(tiny):
    """The training part of a configuration that keeps the second and the fourth of four sequences."""
    return tiny.replace(**{"training.hold_out": 2}).training


@pytest.mark.parametrize("kind", ["", "_unmasked"])
def test_loss_and_hits_are_those_of_a_loop(tiny, held, store, kind):
    torch.manual_seed(0)
    model, pairs, losses, hits = SiameseNet(tiny.model), 20, [], []
    found = validate(model, store, held, pairs, seed=5)
    rng = np.random.default_rng(5)
    templates, searches = PairSampler(store.index, held, held_out=True).draw(pairs, rng)
    for first in (0, BATCH):
        batch = make_batch(
            store, (templates[first : first + BATCH], searches[first : first + BATCH]), held, rng
        )
        masked = (
            (batch.template, batch.search) if kind else (batch.template_masked, batch.search_masked)
        )
        with torch.no_grad():
            responses = model(batch.template, masked[0], batch.search, masked[1]).numpy()
        for g, y in zip(responses[:, 0].astype(float), batch.label[:, 0].numpy()):
            losses.append(
                np.mean([np.log(1 + np.exp(-g[i, j] * y[i, j])) for i, j in np.ndindex(g.shape)])
            )
            hits.append(y[np.unravel_index(g.argmax(), g.shape)] > 0)
    sequences = [pair["sequence"] for pair in found]
    assert sequences == store.index["sequence"][templates].tolist() and set(sequences) == {1, 3}
    assert [pair["loss" + kind] for pair in found] == pytest.approx(losses, rel=1e-4)
    assert [pair["hit" + kind] for pair in found] == hits


class Told(torch.nn.Module):
    """A network that is told the label: it always hits; with the sign turned round it never does."""

    def __init__(self, sign, monkeypatch):
        super().__init__()
        from scs_siam.evaluation import validation

        def remembered(*arguments):
            self.batch = make_batch(*arguments)
            return self.batch

        self.sign = sign
        monkeypatch.setattr(validation, "make_batch", remembered)

    def forward(self, *_):
        return self.sign * self.batch.label


@pytest.mark.parametrize("sign, share", [(1.0, 1), (-1.0, 0)])
def test_a_network_that_knows_always_hits(held, store, monkeypatch, sign, share):
    found = validate(Told(sign, monkeypatch), store, held, 8)
    assert {pair["hit"] for pair in found} == {share} and [
        pair["loss"] for pair in found
    ] == pytest.approx([np.log1p(np.exp(-sign))] * 8)


def test_the_mean_counts_pairs_and_its_interval_sequences():
    sequence, values = np.array([3, 3, 3, 7]), np.array([1, 1, 0, 0.0])
    found, low, high = cluster_interval(sequence, values)
    assert found == 0.5 and (low, high) == pytest.approx((0, 2 / 3))  # one sequence twice: 0 or 2/3
    assert cluster_interval([1, 1, 1, 1], values) == (0.5, 0.5, 0.5)


def test_what_cannot_be_validated(tiny, held, store, refused):
    model = SiameseNet(tiny.model)
    refused(lambda: validate(model, store, tiny.training), "hold_out=10")
    wide = tiny.replace(**{"training.hold_out": 2, "training.mask_centre": "template"}).training
    refused(lambda: validate(model, store, wide), "287", "447")


def test_the_command(tiny, store, tmp_path, capsys):
    Trainer(tiny.replace(**{"training.hold_out": 2}), store, tmp_path, precision="fp32").run()
    cli.main(
        [
            "validate",
            "--weights",
            str(tmp_path / "weights.safetensors"),
            "--store",
            str(store.root),
            "--pairs",
            "8",
        ]
    )
    head, *lines = capsys.readouterr().out.splitlines()
    assert head == "8 pairs of 2 held-out sequences"
    assert [line.split(": loss 0.")[0] for line in lines] == [
        "masked as in training",
        "unmasked as in tracking",
    ]
