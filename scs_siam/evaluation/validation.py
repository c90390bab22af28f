"""Validation: loss and hits on training sequences that were held out, where settings are chosen; never on a test sequence."""

import numpy as np
import torch

from scs_siam.data.store import needed_size
from scs_siam.evaluation.metrics import bootstrap_interval
from scs_siam.pairs import PairSampler, make_batch
from scs_siam.runtime.files import BadInput
from scs_siam.train import logistic_loss

BATCH = 16


@torch.inference_mode()
def validate(model, store, config, pairs=1024, seed=0, device="cpu", on_pairs=None):
    """Loss and hit of random pairs of the sequences that training.hold_out kept, a dict a pair; the same pairs for every network.

    `loss` is that of Eq. 7 as the training weighs it; `hit` (1, else 0) says whether the largest response lies on a cell with the label
    +1; both once with the masks of training (Algorithm 1) and, as `loss_unmasked` and `hit_unmasked`, once as in tracking: T_sm = T and
    S_sm = S (D2). Pairs are drawn and augmented as in training (D18). `on_pairs(done)` is called after each batch. BadInput if nothing
    was held out, or if the store's crops are not of the size that the training needs.
    """
    if not config.hold_out:
        raise BadInput(
            "the network was trained on all sequences; train with --set training.hold_out=10, and every tenth is kept for this"
        )
    if store.size != needed_size(config):
        raise BadInput(
            f"the store's crops have {store.size} pixels, this training's {needed_size(config)}; name the store it used"
        )
    model, rng = (
        model.eval().to(device, memory_format=torch.channels_last),
        np.random.default_rng(seed),
    )
    templates, searches = PairSampler(store.index, config, held_out=True).draw(pairs, rng)
    found = []
    for first in range(0, pairs, BATCH):
        rows = templates[first : first + BATCH], searches[first : first + BATCH]
        batch = make_batch(store, rows, config, rng, device)
        columns = {"sequence": store.index["sequence"][rows[0]].tolist()}
        for kind, masked in (
            ("", (batch.template_masked, batch.search_masked)),
            ("_unmasked", (None, None)),
        ):
            response = model(batch.template, masked[0], batch.search, masked[1])
            peak = response.flatten(1).argmax(1, keepdim=True)
            losses = [
                logistic_loss(one[None], label[None], config.balanced)
                for one, label in zip(response, batch.label)
            ]
            columns[f"loss{kind}"] = torch.stack(losses).tolist()
            columns[f"hit{kind}"] = (
                (batch.label.flatten(1).gather(1, peak)[:, 0] > 0).int().tolist()
            )
        found += [dict(zip(columns, values)) for values in zip(*columns.values())]
        if on_pairs:
            on_pairs(len(found))
    return found


def mean(sequence, values):
    """Mean of values (pairs,) and its 95 % interval when the sequences are drawn anew, each with all of its pairs: (mean, low, high)."""
    _, places = np.unique(sequence, return_inverse=True)
    counts = np.bincount(places)
    return bootstrap_interval(
        np.bincount(places, np.asarray(values, float)) / counts, weights=counts
    )
