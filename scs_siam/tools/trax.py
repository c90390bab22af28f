"""The tracker behind the TraX protocol, as the VOT toolkit starts it; rectangles and polygons of VOT in, rectangles out, 0-based."""

import numpy as np

from scs_siam.data.boxes import from_polygon
from scs_siam.data.images import read_image
from scs_siam.runtime.files import BadInput


def serve(tracker, name="SCS-Siam"):
    """Answer a TraX client on standard input and output until it quits; BadInput without the extra package vot-trax.

    Each region of the first frame starts the tracker anew; an image comes as a path or as pixels.
    """
    try:
        import trax
    except ImportError:
        raise BadInput("TraX is not installed; pip install 'scs-siam[vot]'") from None
    with trax.Server(
        [trax.Region.RECTANGLE, trax.Region.POLYGON],
        [trax.Image.PATH, trax.Image.MEMORY],
        tracker_name=name,
    ) as server:
        while (request := server.wait()).type in ("initialize", "frame"):
            frame = _pixels(request.image["color"])
            if request.type == "initialize":
                box = _box(request.objects[0][0])
                tracker.init(frame, box)
            else:
                box = tracker.update(frame)
            server.status([(trax.Rectangle.create(*map(float, box)), {})])


def _box(region):
    """Our box of a TraX region, rectangle or polygon."""
    import trax

    if region.type == trax.Region.RECTANGLE:
        return np.array(region.bounds(), np.float64)
    return from_polygon(np.array(list(region), np.float64).reshape(-1))


def _pixels(image):
    """RGB uint8 (H, W, 3) of a TraX image: a path or pixels."""
    import trax

    return (
        read_image(image.path())
        if image.type() == trax.Image.PATH
        else np.ascontiguousarray(image.array())
    )
