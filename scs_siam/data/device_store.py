"""The crop store beside the network: whole in the card's memory where it fits, else read ahead and sent through pinned memory.

All three answer `read` alike, so a batch does not know where its crops were: CropStore on a CPU, Resident and Streamed on a card.
"""

import torch

SHARE = (
    0.5  # of the card's free memory that crops may take; the rest is for the network and its batch
)
BLOCK = 1024  # crops that are uploaded at once


def beside(store, device):
    """The store as it serves a device best: Resident if it fits into SHARE of the free memory, otherwise Streamed; itself on a CPU."""
    if torch.device(device).type != "cuda":
        return store
    free, _ = torch.cuda.mem_get_info(device)
    return Resident(store, device) if crop_bytes(store) <= SHARE * free else Streamed(store)


def crop_bytes(store):
    """Bytes of all crops of a store."""
    return len(store) * store.size**2 * 3


class Resident:
    """All crops of a store in a device's memory, uint8 as they are on disk; `read` hands out tensors on the device."""

    def __init__(self, store, device):
        self.index, self.fingerprint, self.size = store.index, store.fingerprint, store.size
        self.crops = torch.empty(
            (len(store), store.size, store.size, 3), dtype=torch.uint8, device=device
        )
        for first in range(0, len(store), BLOCK):
            rows = range(first, min(first + BLOCK, len(store)))
            self.crops[first : first + len(rows)].copy_(torch.as_tensor(store.read(rows)))

    def __len__(self):
        return len(self.crops)

    def read(self, ids):
        """Crops (n, size, size, 3) of the rows `ids`, on the device."""
        host = torch.as_tensor(ids)
        pinned = host.pin_memory() if self.crops.is_cuda else host
        return self.crops.index_select(0, pinned.to(self.crops.device, non_blocking=True))


class Streamed:
    """A store whose crops are read into pinned memory, from where a card takes them while the host goes on."""

    def __init__(self, store, pinned=True):
        self.store, self.index, self.fingerprint, self.size, self.pinned = (
            store,
            store.index,
            store.fingerprint,
            store.size,
            pinned,
        )

    def __len__(self):
        return len(self.store)

    def read(self, ids):
        """Crops (n, size, size, 3) of the rows `ids`, in the host's memory."""
        buffer = torch.empty(
            (len(ids), self.size, self.size, 3), dtype=torch.uint8, pin_memory=self.pinned
        )
        self.store.read(ids, buffer.numpy())
        return buffer
