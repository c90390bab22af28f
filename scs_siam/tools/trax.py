"""The tracker behind the TraX protocol, as the VOT toolkit starts it."""

import numpy as np

from scs_siam.data.boxes import from_center, from_polygon
from scs_siam.data.images import read_image
from scs_siam.runtime.files import BadInput


def serve(tracker, name: str = "SCS-Siam") -> None:
    """Answer a TraX client on standard input and output until it quits.

    Regions are 0-based: rectangles and polygons in, rectangles out. Each region of a first frame
    starts the tracker anew; an image comes as a path or as pixels. BadInput without vot-trax.
    """
    try:
        import trax
    except ImportError:
        raise BadInput("TraX is not installed; pip install 'scs-siam[vot]'") from None
    regions = [trax.Region.RECTANGLE, trax.Region.POLYGON]
    images = [trax.Image.PATH, trax.Image.MEMORY]
    with trax.Server(regions, images, tracker_name=name) as server:
        while (request := server.wait()).type in ("initialize", "frame"):
            frame = _pixels(request.image["color"])
            if request.type == "initialize":
                box = _box(request.objects[0][0])
                tracker.init(frame, box)
            else:
                box = tracker.update(frame)
            server.status([(trax.Rectangle.create(*map(float, box)), {})])


def _box(region):
    """Our box of a TraX region: a rectangle or a polygon of any number of corners."""
    import trax

    if region.type == trax.Region.RECTANGLE:
        return np.array(region.bounds(), np.float64)
    corners = np.array(list(region), np.float64)
    if len(corners) == 4:
        return from_polygon(corners.reshape(-1))
    low, high = corners.min(0), corners.max(0)
    return from_center((low + high) / 2, high - low + 1)


def _pixels(image):
    """RGB uint8 (H, W, 3) of a TraX image: a path or pixels."""
    import trax

    if image.type() == trax.Image.PATH:
        return read_image(image.path())
    return np.ascontiguousarray(image.array())
