"""torch.hub: torch.hub.load(FOLDER, "scs_siam", source="local") gives a tracker that is ready for init(frame, box) and update(frame)."""

from scs_siam.config import Config
from scs_siam.model import SiameseNet
from scs_siam.track import Tracker
from scs_siam.weights import load_weights, shipped

dependencies = ["cv2", "numpy", "safetensors", "torch"]


def scs_siam(pretrained=True, device="cpu", precision="fast", **settings):
    """The tracker: with the network that comes with the package, or untrained at the paper's width; `settings` as "tracking.scales"=1.

    tracker.init(frame, box), then box = tracker.update(frame): frames RGB uint8 (H, W, 3), boxes (x, y, w, h), 0-based pixels.
    """
    model, config = load_weights(shipped()) if pretrained else (None, Config.preset())
    config = config.replace(**settings)
    return Tracker(model or SiameseNet(config.model), config.tracking, device, precision)
