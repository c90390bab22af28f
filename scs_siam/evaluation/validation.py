"""Validation on held-out training sequences, where settings are chosen; never on test sequences."""

from collections.abc import Callable

import numpy as np
import torch

from scs_siam.config import TrainingConfig
from scs_siam.data.store import needed_size
from scs_siam.model import SiameseNet
from scs_siam.pairs import PairSampler, make_batch
from scs_siam.runtime.files import BadInput
from scs_siam.train import logistic_loss

BATCH = 16


@torch.inference_mode()
def validate(
    model: SiameseNet,
    store,
    config: TrainingConfig,
    pairs: int = 1024,
    seed: int = 0,
    device: str = "cpu",
    on_pairs: Callable[[int], None] | None = None,
) -> list[dict]:
    """Return loss and hit of random pairs of held-out sequences, the same for every network.

    `loss` is that of Eq. 7 as the training weighs it. `hit` (1 or 0) says whether the largest
    response lies on a cell with the label +1. Both are computed with the masks of training
    (Algorithm 1) and, as `loss_unmasked` and `hit_unmasked`, as in tracking: T_sm = T and S_sm = S
    (D2). Pairs are drawn and augmented as in training (D18). BadInput if nothing was held out or
    the store's crops do not have the size that the training needs.
    """
    if not config.hold_out:
        remedy = "train with --set training.hold_out=10 to keep every tenth sequence for this"
        raise BadInput(f"the network was trained on all sequences; {remedy}")
    if store.size != needed_size(config):
        sizes = f"{store.size} pixels, this training needs {needed_size(config)}"
        raise BadInput(f"the store's crops have {sizes}; name the store that it used")
    model = model.eval().to(device, memory_format=torch.channels_last)
    rng, found = np.random.default_rng(seed), []
    templates, searches = PairSampler(store.index, config, held_out=True).draw(pairs, rng)
    for first in range(0, pairs, BATCH):
        rows = templates[first : first + BATCH], searches[first : first + BATCH]
        batch = make_batch(store, rows, config, rng, device)
        columns = {"sequence": store.index["sequence"][rows[0]].tolist()}
        masked = {"": (batch.template_masked, batch.search_masked), "_unmasked": (None, None)}
        for kind, (template_masked, search_masked) in masked.items():
            response = model(batch.template, template_masked, batch.search, search_masked)
            peak = response.flatten(1).argmax(1, keepdim=True)
            maps = zip(response.split(1), batch.label.split(1))
            losses = [logistic_loss(one, label, config.balanced) for one, label in maps]
            hits = batch.label.flatten(1).gather(1, peak)[:, 0] > 0
            columns[f"loss{kind}"] = torch.stack(losses).tolist()
            columns[f"hit{kind}"] = hits.int().tolist()
        found += [dict(zip(columns, values)) for values in zip(*columns.values())]
        if on_pairs:
            on_pairs(len(found))
    return found
