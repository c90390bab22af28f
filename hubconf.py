"""Entry point of torch.hub: torch.hub.load(FOLDER, "scs_siam", source="local")."""

from scs_siam.config import Config
from scs_siam.model import SiameseNet
from scs_siam.track import Tracker
from scs_siam.weights import load_weights, shipped

dependencies = ["cv2", "numpy", "safetensors", "torch"]


def scs_siam(pretrained=True, device="cpu", precision="fast", **settings):
    """Return the tracker with the pretrained network, or an untrained one of the paper's width.

    Use it as tracker.init(frame, box), then box = tracker.update(frame). Frames are RGB uint8
    (H, W, 3), boxes (x, y, w, h) in pixels from 0. `settings` are such as **{"tracking.scales": 1}.
    """
    model, config = load_weights(shipped()) if pretrained else (None, Config.preset())
    config = config.replace(**settings)
    return Tracker(model or SiameseNet(config.model), config.tracking, device, precision)
