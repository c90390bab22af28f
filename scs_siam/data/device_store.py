"""The crop store for training on a GPU: in its memory where it fits, otherwise streamed to it.

All stores answer `read` alike, so a batch does not know where its crops come from.
"""

import torch

from scs_siam.data.store import CropStore

SHARE = 0.5  # of the free GPU memory that crops may take; the network and its batch need the rest
BLOCK = 1024  # crops that are uploaded at once


def for_device(store: CropStore, device):
    """Return the store as it serves a device best: itself on a CPU, else one of those below."""
    if torch.device(device).type != "cuda":
        return store
    free, _ = torch.cuda.mem_get_info(device)
    fits = len(store) * store.size**2 * 3 <= SHARE * free
    return ResidentStore(store, device) if fits else StreamedStore(store)


class ResidentStore:
    """All crops of a store in a device's memory, uint8 as they are on disk."""

    def __init__(self, store: CropStore, device):
        self.index, self.fingerprint, self.size = store.index, store.fingerprint, store.size
        shape = (len(store), store.size, store.size, 3)
        self.crops = torch.empty(shape, dtype=torch.uint8, device=device)
        for first in range(0, len(store), BLOCK):
            rows = range(first, min(first + BLOCK, len(store)))
            self.crops[first : first + len(rows)].copy_(torch.as_tensor(store.read(rows)))

    def __len__(self):
        return len(self.crops)

    def read(self, ids) -> torch.Tensor:
        """Return the crops (n, size, size, 3) of the rows `ids`, on the device."""
        host = torch.as_tensor(ids)
        host = host.pin_memory() if self.crops.is_cuda else host
        return self.crops.index_select(0, host.to(self.crops.device, non_blocking=True))


class StreamedStore:
    """A store whose crops are read into pinned memory, from which a GPU copies them on its own."""

    def __init__(self, store: CropStore, pinned: bool = True):
        self.index, self.fingerprint, self.size = store.index, store.fingerprint, store.size
        self.store, self.pinned = store, pinned

    def __len__(self):
        return len(self.store)

    def read(self, ids) -> torch.Tensor:
        """Return the crops (n, size, size, 3) of the rows `ids`, in the host's memory."""
        shape = (len(ids), self.size, self.size, 3)
        buffer = torch.empty(shape, dtype=torch.uint8, pin_memory=self.pinned)
        self.store.read(ids, buffer.numpy())
        return buffer
