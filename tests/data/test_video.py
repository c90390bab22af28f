"""A clip is the same from a list, a folder, a video and an array, and bad frames are named."""

import struct
import threading
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from scs_siam.data.images import read_image, write_image
from scs_siam.data.video import ClipWriter, Frames, is_live, prefetch
from scs_siam.runtime.files import BadInput


def picture(number, width=48, height=32):
    return np.full((height, width, 3), (20 * number + 10, 100, 200), np.uint8)


def raises(call):
    with pytest.raises(BadInput) as error:
        call()
    assert "\n" not in str(error.value)
    return str(error.value)


def test_frames_of_every_source_agree(tmp_path):
    pictures = np.stack([picture(number) for number in range(11)])
    for number, image in enumerate(pictures):
        write_image(tmp_path / "clip" / f"f{number}.png", image)
    (tmp_path / "clip" / "notes.txt").write_text("no frame")
    paths = [tmp_path / "clip" / f"f{number}.png" for number in range(11)]
    for source in (pictures, tmp_path / "clip", str(tmp_path / "clip"), paths, tuple(paths)):
        frames = Frames(source)
        assert len(frames) == 11
        np.testing.assert_array_equal(
            np.stack(list(frames)), pictures
        )  # f10 after f9, not after f1
        np.testing.assert_array_equal(frames[10], pictures[10])
        np.testing.assert_array_equal(np.stack(list(prefetch(frames))), pictures)
    assert len(Frames(paths[0])) == 1


def test_frames_of_a_video(tmp_path):
    path = str(tmp_path / "clip.avi")
    writer = cv2.VideoWriter(path, cv2.VideoWriter_fourcc(*"MJPG"), 25, (48, 32))
    for number in range(9):
        writer.write(picture(number)[..., ::-1])
    writer.release()
    frames = Frames(path)
    for clip in (list(frames), list(frames), list(prefetch(frames))):
        assert len(clip) == len(frames) == 9
        assert (
            np.abs(
                np.stack(clip).astype(int) - np.stack([picture(number) for number in range(9)])
            ).max()
            <= 6
        )  # RGB, in order
    assert "in order" in raises(lambda: frames[3])


def test_a_clip_of_one_frame_per_hour(tmp_path, texture):
    with ClipWriter(tmp_path / "slow.mp4", fps=1 / 3600) as clip:
        for number in range(3):
            clip.write(texture(64, 64, number), (1, 1, 20, 20))
    assert len(list(Frames(tmp_path / "slow.mp4"))) == 3


def test_an_image_is_turned_wherever_its_header_asks_for_it(tmp_path):
    exif, path = Image.Exif(), tmp_path / "turned.jpg"
    exif[274] = 6  # a quarter turn
    Image.fromarray(picture(1)).save(path, exif=exif)
    data, segment = path.read_bytes(), b"\xff\xe2" + struct.pack(">H", 65_000) + bytes(64_998)
    path.write_bytes(data[:2] + 2 * segment + data[2:])
    assert read_image(path).shape == (48, 32, 3)


def test_prefetch_reads_no_further_than_asked():
    read = []

    def source():
        for number in range(100):
            read.append(number)
            yield number

    stream = prefetch(source(), ahead=4)
    assert [next(stream), next(stream)] == [0, 1]
    stream.close()
    assert 2 <= len(read) <= 6


def test_bad_frames(tmp_path):
    for number in range(3):
        write_image(tmp_path / "clip" / f"{number}.jpg", picture(number))
    (tmp_path / "empty").mkdir()
    (tmp_path / "clip.mp4").write_bytes(b"no video")
    assert str(tmp_path / "empty") in raises(lambda: Frames(tmp_path / "empty"))
    assert "gone" in raises(lambda: Frames(tmp_path / "gone"))
    assert "clip.mp4" in raises(lambda: list(Frames(tmp_path / "clip.mp4")))
    assert "empty" in raises(lambda: Frames([]))
    assert "gone.jpg" in raises(lambda: list(Frames([tmp_path / "gone.jpg"])))
    assert "float64" in raises(lambda: Frames(np.zeros((2, 4, 4, 3))))
    for bad in (b"", b"\xff\xd8 cut"):
        (tmp_path / "clip" / "1.jpg").write_bytes(bad)
        assert "1.jpg" in raises(lambda: list(Frames(tmp_path / "clip")))
        assert "1.jpg" in raises(lambda: list(prefetch(Frames(tmp_path / "clip"))))
        assert "1.jpg" in raises(lambda: Frames(tmp_path / "clip")[1])
    write_image(tmp_path / "clip" / "1.jpg", picture(1, width=40))
    for message in (
        raises(lambda: list(Frames(tmp_path / "clip"))),
        raises(lambda: Frames(tmp_path / "clip")[1]),
    ):
        assert "1.jpg" in message and "40 x 32" in message and "48 x 32" in message


def test_cameras_and_streams_are_named_so(tmp_path, monkeypatch, refused, texture):
    """A number is a camera unless a file has that name; a stream is read over HTTP from this machine."""
    monkeypatch.chdir(tmp_path)
    assert [
        is_live(source)
        for source in ("0", "12", "rtsp://host/1", "clip.mp4", "C:\\clip.mp4", "123", Path("0"))
    ] == [True, True, True, False, False, False, True]
    write_image(tmp_path / "7" / "1.png", texture(40, 60))
    assert not is_live("7") and len(Frames("7")) == 1
    with ClipWriter(tmp_path / "clip.mp4") as clip:
        for number in range(3):
            clip.write(texture(96, 128, number), (1, 1, 20, 20))
    handler = type("Quiet", (SimpleHTTPRequestHandler,), {"log_message": lambda *_: None})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        frames = Frames(f"http://127.0.0.1:{server.server_port}/clip.mp4")
        assert frames.live and [frame.shape for frame in frames] == [(96, 128, 3)] * 3
        server.shutdown()
    with pytest.raises(TypeError, match="no length"):
        len(frames)
    refused(lambda: next(iter(Frames("97"))), "97: this camera cannot be opened")
