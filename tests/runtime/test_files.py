"""Files: whole or not at all, and one clear line when something is wrong."""

import errno
import json
import os

import cv2
import numpy as np
import pytest

from scs_siam.data.images import read_image, write_image
from scs_siam.runtime import files
from scs_siam.runtime.files import atomic, digest, read_json, sha256, write_json, write_text


def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path):
    write_text(tmp_path / "note.txt", "old")
    for error in (KeyboardInterrupt, RuntimeError):
        with pytest.raises(error), atomic(tmp_path / "note.txt") as part:
            part.write_text("half")
            raise error
    assert [path.name for path in tmp_path.iterdir()] == ["note.txt"] and (
        tmp_path / "note.txt"
    ).read_text() == "old"
    with atomic(tmp_path / "deep" / "er" / "note.txt") as part:
        part.write_text("new")
        part.with_name(".tmp1").write_text(
            ""
        )  # safetensors writes a file of its own, which a kill leaves behind
    assert os.listdir(tmp_path / "deep" / "er") == ["note.txt"]
    umask = files._umask()
    assert (
        tmp_path / "note.txt"
    ).stat().st_mode & 0o777 == 0o666 & ~umask  # not the 0600 of a temporary file


@pytest.mark.parametrize(
    "error",
    [
        OSError(errno.ENOSPC, "No space left on device"),
        OSError("82369 requested and 4096 written"),
        files.SafetensorError("I/O error: No space left on device (os error 28)"),
    ],
)
def test_a_full_disk_is_one_line(tmp_path, refused, error):
    def write():
        with atomic(tmp_path / "crops.npy") as part:
            part.write_bytes(b"half")
            raise error

    refused(write, tmp_path / "crops.npy", "cannot be written", "free some space")
    assert not list(tmp_path.iterdir())


def test_a_disk_that_fills_up_at_the_last_moment(tmp_path, refused, monkeypatch):
    def full(_):
        raise OSError(errno.ENOSPC, "No space left on device")

    write_text(tmp_path / "note.txt", "old")
    monkeypatch.setattr(os, "fsync", full)
    refused(lambda: write_text(tmp_path / "note.txt", "new"), "note.txt", "No space left on device")
    assert [path.name for path in tmp_path.iterdir()] == ["note.txt"] and (
        tmp_path / "note.txt"
    ).read_text() == "old"


def test_folders_that_cannot_be_written(tmp_path, refused, monkeypatch):
    write_text(tmp_path / "file", "no folder")
    refused(lambda: write_text(tmp_path / "file" / "note.txt", ""), "note.txt", "cannot be written")

    def readonly(**_):
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(files.tempfile, "mkdtemp", readonly)
    refused(
        lambda: write_text(tmp_path / "note.txt", ""),
        "note.txt",
        "Permission denied",
        "another folder",
    )


def test_json_and_hashes(tmp_path, refused):
    write_json(tmp_path / "a.json", {"b": [1, 2.5], "a": None})
    assert read_json(tmp_path / "a.json") == {"a": None, "b": [1, 2.5]}
    refused(lambda: read_json(tmp_path / "none.json"), "none.json", "No such file")
    (tmp_path / "a.json").write_text('{"a": ')
    refused(lambda: read_json(tmp_path / "a.json"), "a.json", "not valid JSON")
    (tmp_path / "abc").write_bytes(b"abc")
    assert (
        sha256(tmp_path / "abc")
        == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    )  # FIPS 180-2, appendix B.1
    refused(lambda: sha256(tmp_path / "none"), "none")
    assert (
        digest({"a": (1, 2), "b": 3})
        == digest(json.loads('{"b": 3, "a": [1, 2]}'))
        != digest({"a": (2, 1), "b": 3})
    )


@pytest.mark.parametrize("suffix, tolerance", [(".png", 0), (".jpg", 20)])
def test_images_are_rgb_and_go_round(tmp_path, texture, suffix, tolerance):
    image = texture(30, 40)
    write_image(tmp_path / f"a{suffix}", image)
    assert np.abs(read_image(tmp_path / f"a{suffix}").astype(int) - image).max() <= tolerance
    np.testing.assert_array_equal(
        cv2.imread(str(tmp_path / f"a{suffix}"))[..., ::-1], read_image(tmp_path / f"a{suffix}")
    )
    cv2.imwrite(str(tmp_path / f"grey{suffix}"), image[..., 0])
    assert read_image(tmp_path / f"grey{suffix}").shape == (30, 40, 3)


@pytest.mark.parametrize(
    "settings", [[], [cv2.IMWRITE_JPEG_PROGRESSIVE, 1], [cv2.IMWRITE_JPEG_RST_INTERVAL, 4]]
)
@pytest.mark.parametrize("share", [0.0, 0.3, 0.7, 0.99])
def test_a_truncated_frame_is_refused(tmp_path, texture, refused, settings, share):
    data = cv2.imencode(".jpg", texture(60, 80), settings)[1].tobytes()
    for name, content in (
        ("cut.jpg", data[: int(len(data) * share)]),
        ("whole.jpg", data + b"\0\0"),
    ):  # some cameras pad the end
        (tmp_path / name).write_bytes(content)
    refused(
        lambda: read_image(tmp_path / "cut.jpg"),
        "cut.jpg",
        "an empty file" if share == 0 else "is cut off",
    )
    assert read_image(tmp_path / "whole.jpg").shape == (60, 80, 3)


def test_images_that_are_none(tmp_path, refused, texture):
    refused(lambda: read_image(tmp_path / "none.jpg"), "none.jpg", "No such file")
    refused(lambda: read_image(tmp_path), tmp_path, "directory")
    (tmp_path / "text.jpg").write_text("no image")
    refused(lambda: read_image(tmp_path / "text.jpg"), "text.jpg", "not a readable image")
    refused(lambda: write_image(tmp_path / "a.xyz", texture(8, 8)), "a.xyz", ".png")
    assert not (tmp_path / "a.xyz").exists()
