"""What can be wrong with a file, for the tests of bad inputs."""

from pathlib import Path

LONG = "x" * 300  # longer than a file system's names
ODD = "bäd ćlip 跟踪 [1]"
ROW = "5,6,10,8\n"
TRUTHS = {
    "otb": "otb/clip/groundtruth_rect.txt",
    "tc128": "tc128/clip/clip_gt.txt",
    "uav123": "uav123/anno/UAV123/clip.txt",
    "vot": "vot/clip/groundtruth.txt",
    "got": "got/train/clip/groundtruth.txt",
    "vid": "vid/Annotations/VID/val/ILSVRC2015_val_0/000001.xml",
}
LISTS = {"vot": "vot/list.txt", "got": "got/train/list.txt"}


def loop(path):
    """Make `path` a link that leads to itself."""
    path.symlink_to(path.name)


def put(content):
    """A damage: the file holds `content`, is missing (None), or is what a function makes of its path."""

    def damage(path):
        path.unlink(missing_ok=True)
        if callable(content):
            content(path)
        elif content is not None:
            path.write_bytes(content if isinstance(content, bytes) else content.encode())

    return damage


FILES = {
    "missing": None,
    "empty": b"",
    "a folder": Path.mkdir,
    "a loop": loop,
    "UTF-16": "1,2,3,4".encode("utf-16"),
    "zeros": b"\0" * 64,
    "a comma too many": "1,,2,3,4\n",
    "a ragged end": "1,2,3,4\n1,2",
    "words": "x y w h\n1 2 3 4\n",
    "hexadecimal": "0x1,2,3,4\n",
    "minus": "-,-,-,-\n",
}
