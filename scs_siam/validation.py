"""Validation: loss and hits on training sequences that were held out, where a schedule is chosen; never on a test sequence."""
import numpy as np
import torch

from .files import BadInput
from .metrics import bootstrap_interval
from .pairs import PairSampler, make_batch
from .store import needed_size
from .train import logistic_loss

BATCH = 16


@torch.inference_mode()
def validate(model, store, config, pairs=512, seed=0, device="cpu", on_pairs=None):
    """{"pairs", "sequences", "loss", "hits"} on random pairs of the sequences that training.hold_out kept; 95 % intervals over sequences.

    `loss` is that of Eq. 7 as the training weighs it; a hit is a pair whose largest response lies on a cell with the label +1. Pairs
    are drawn and augmented as in training (D18). `loss` and `hits` are (mean, low, high). BadInput if nothing was held out, or if the
    store's crops are not of the size that the training needs.
    """
    if not config.hold_out:
        raise BadInput("the network was trained on all sequences; train with --set training.hold_out=10, and every tenth is kept for this")
    if store.size != needed_size(config):
        raise BadInput(f"the store's crops have {store.size} pixels, this training's {needed_size(config)}; name the store it used")
    model, rng = model.eval().to(device, memory_format=torch.channels_last), np.random.default_rng(seed)
    templates, searches = PairSampler(store.index, config, held_out=True).draw(pairs, rng)
    losses, hits = [], []
    for first in range(0, pairs, BATCH):
        rows = templates[first:first + BATCH], searches[first:first + BATCH]
        batch = make_batch(store, rows, config, rng, device)
        response = model(batch.template, batch.template_masked, batch.search, batch.search_masked)
        losses += [float(logistic_loss(one[None], label[None], config.balanced)) for one, label in zip(response, batch.label)]
        hits += (batch.label.flatten(1).gather(1, response.flatten(1).argmax(1, keepdim=True))[:, 0] > 0).tolist()
        if on_pairs:
            on_pairs(len(losses))
    sequence = store.index["sequence"][templates]
    return {"pairs": pairs, "sequences": len(np.unique(sequence)), "loss": _interval(losses, sequence), "hits": _interval(hits, sequence)}


def _interval(values, sequence):
    """Mean of all pairs and its interval when sequences are drawn anew, each with all of its pairs."""
    names, places = np.unique(sequence, return_inverse=True)
    counts = np.bincount(places)
    means = np.bincount(places, np.asarray(values, float)) / counts
    return tuple(map(float, bootstrap_interval(means, weights=counts)))
