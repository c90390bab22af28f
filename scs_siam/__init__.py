"""SCS-Siam: the executable companion to Fiaz, Mahmood and Jung, Sensors 2020, 20(14), 4021."""

from scs_siam.config import VARIANTS, Config

__all__ = ["VARIANTS", "Config"]
__version__ = "0.1.0"
