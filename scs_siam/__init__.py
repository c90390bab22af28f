"""SCS-Siam: the executable companion to Fiaz, Mahmood and Jung, Sensors 2020, 20(14), 4021.

The modules of this folder follow the paper in reading order: config, soft_mask, attention, model,
pairs, train, track. The names below are the public interface.
"""

import importlib

from scs_siam.config import VARIANTS, Config
from scs_siam.soft_mask import soft_mask

__version__ = "0.2.0"
__all__ = [
    "VARIANTS",
    "Config",
    "SiameseNet",
    "Tracker",
    "Trainer",
    "load_pretrained",
    "load_weights",
    "soft_mask",
]
LAZY = {  # imported at first use, because they need PyTorch
    "SiameseNet": "model",
    "Tracker": "track",
    "Trainer": "train",
    "load_pretrained": "weights",
    "load_weights": "weights",
}


def __getattr__(name):
    if name not in LAZY:
        raise AttributeError(f"module 'scs_siam' has no attribute '{name}'")
    return getattr(importlib.import_module(f"scs_siam.{LAZY[name]}"), name)


def __dir__():
    return sorted({*globals(), *LAZY})
