"""The crop store: resumed, refused, checked, and the same however it was built."""

import os
import time
import tracemalloc
from pathlib import Path

import numpy as np
import pytest

from scs_siam.config import Config
from scs_siam.data import store as store_module
from scs_siam.data.images import read_image, write_image
from scs_siam.data.store import SIZE, CropStore
from scs_siam.data.training_sets import Video, read_got10k
from scs_siam.pairs import PairSampler
from scs_siam.runtime.files import digest, read_json, write_json


@pytest.fixture
def shards_of_four(monkeypatch):
    monkeypatch.setattr(store_module, "SHARD", 4)  # `videos` make four shards then, one a clip


def contents(store):
    return (
        store.read(np.arange(len(store))).tobytes(),
        {name: value.tobytes() for name, value in store.index.items()},
        store.manifest,
    )


def stop_at(monkeypatch, number):
    """Let the build break off at the `number`-th frame it decodes; returns the list of what it has decoded."""
    seen = []

    def reading(path):
        seen.append(path)
        if len(seen) == number:
            raise KeyboardInterrupt
        return read_image(path)

    monkeypatch.setattr(store_module, "read_image", reading)
    return seen


def test_reads_a_got10k_root(videos, refused, tmp_path):
    assert [(video.name, len(video.frames), video.boxes.shape) for video in videos] == [
        ("moving", 4, (4, 4)),
        ("leaving", 3, (3, 4)),
        ("wide", 5, (5, 4)),
        ("small", 4, (4, 4)),
    ]
    np.testing.assert_allclose(videos[2].boxes[1], (63, 80, 100, 30.5), atol=1e-4)  # 0-based again
    assert videos[0].frames[2].endswith("moving/00000003.jpg")
    refused(lambda: read_got10k(tmp_path / "empty"), tmp_path, "no such folder")
    refused(lambda: read_got10k(tmp_path), tmp_path, "list.txt")


def test_got10k_layout_as_people_have_it(tmp_path, texture, write_clips):
    """Any folder name, no list.txt, .JPG and .png, one frame, a byte-order mark, blank lines."""
    boxes = [(5, 5, 20, 20), (6, 5, 20, 20)]
    write_clips(
        tmp_path, {"a": ([texture(60, 60)] * 2, boxes), "b": ([texture(60, 60)], boxes[:1])}
    )
    root = (tmp_path / "train").rename(tmp_path / "my set")
    (root / "list.txt").unlink()
    for path in (root / "a").glob("*.jpg"):
        path.rename(path.with_suffix(".JPG"))
    write_image(root / "b" / "00000001.png", texture(60, 60))
    (root / "b" / "00000001.jpg").unlink()
    for name in "ab":
        truth = root / name / "groundtruth.txt"
        truth.write_bytes(b"\xef\xbb\xbf" + truth.read_bytes().replace(b"\n", b"\r\n\r\n"))
    found = read_got10k(root)
    assert [(video.name, len(video.frames)) for video in found] == [("a", 2), ("b", 1)]
    np.testing.assert_allclose(found[0].boxes, boxes)


def test_frames_stand_beside_their_own_boxes(tmp_path, texture, write_clips):
    """1.jpg, 2.jpg, ..., 10.jpg, 11.jpg: numbers count as numbers."""
    frames, boxes = [texture(60, 60, k) for k in range(12)], [(5 + k, 5, 20, 20) for k in range(12)]
    root = write_clips(tmp_path, {"clip": (frames, boxes)})
    for path in (root / "clip").glob("*.jpg"):
        path.rename(path.with_name(f"{int(path.stem)}.jpg"))
    (video,) = read_got10k(root)
    numbers = [int(Path(path).stem) for path in video.frames]
    assert numbers == list(range(1, 13)) and video.boxes[:, 0].tolist() == [
        5 + k for k in range(12)
    ]


def test_few_unreadable_frames_are_left_out_and_named(tmp_path, texture, write_clips, refused):
    frames = [texture(60, 60, k) for k in range(250)]
    root = write_clips(tmp_path, {"clip": (frames, [(5, 5, 20, 20)] * 250)})
    missing, cut = root / "clip" / "00000002.jpg", root / "clip" / "00000007.jpg"
    missing.unlink()
    cut.write_bytes(cut.read_bytes()[:300])
    store = CropStore.build(read_got10k(root), tmp_path / "store")
    assert len(store) == 248 and store.manifest["skipped"]["unreadable"] == 2
    assert not {1, 6} & set(store.index["frame"].tolist())
    report = (tmp_path / "store" / "unreadable.txt").read_text().splitlines()
    assert str(missing) in report[0] and str(cut) in report[1] and len(report) == 2
    for k in (10, 11):
        (root / "clip" / f"{k:08d}.jpg").write_bytes(bytes([k]))
    words = "4 of 250 frames cannot be read", str(missing), "unreadable.txt"
    refused(lambda: CropStore.build(read_got10k(root), tmp_path / "second"), *words)


@pytest.mark.parametrize(
    "truth, words",
    [
        ("1,1,30,30\n", "clip"),
        ("1,1,x,30\n" * 2, "groundtruth.txt"),
        ("1,1,30\n" * 2, "3 numbers"),
        ("1,1,30,30,5,6,7,8\n" * 2, "8 numbers"),
        (None, "groundtruth.txt"),
        ("", "groundtruth.txt"),
    ],
)
def test_a_bad_sequence_is_named(tmp_path, refused, texture, write_clips, truth, words):
    root = write_clips(
        tmp_path, {"clip": ([texture(60, 60), texture(60, 60, 1)], [(5, 5, 20, 20)] * 2)}
    )
    path = root / "clip" / "groundtruth.txt"
    path.unlink() if truth is None else path.write_text(truth)
    refused(lambda: read_got10k(root), "clip", words)


def test_a_folder_with_brackets_is_no_pattern(tmp_path, texture, write_clips):
    root = write_clips(
        tmp_path / "data [1]", {"clip[2]": ([texture(60, 60)] * 2, [(5, 5, 20, 20)] * 2)}
    )
    assert len(read_got10k(root)[0].frames) == 2


def test_index_says_what_a_crop_shows(store, videos):
    boxes = np.concatenate([video.boxes for video in videos])
    frames = [path for video in videos for path in video.frames]
    shapes = np.array([read_image(path).shape for path in frames])
    context = boxes[:, 2:] + boxes[:, 2:].sum(1, keepdims=True) / 2
    scale = 127 / np.sqrt(context.prod(1))
    np.testing.assert_allclose(store.index["scale"], scale, rtol=1e-6)
    np.testing.assert_allclose(store.index["box"][:, 2:], boxes[:, 2:] * scale[:, None], rtol=1e-5)
    np.testing.assert_allclose(
        store.index["box"][:, :2] + (store.index["box"][:, 2:] - 1) / 2, 143, atol=1e-3
    )  # centred
    np.testing.assert_allclose(
        store.index["image"][:, 2:], shapes[:, 1::-1] * scale[:, None], rtol=1e-5
    )
    edges = (
        (-0.5 - (boxes[:, :2] + (boxes[:, 2:] - 1) / 2)) * scale[:, None] + 143 + 0.5
    )  # the frame's corner, seen from the box
    np.testing.assert_allclose(store.index["image"][:, :2], edges, atol=1e-3)
    np.testing.assert_allclose(
        store.index["mean"], [read_image(path).reshape(-1, 3).mean(0) for path in frames], rtol=1e-5
    )
    assert store.index["sequence"].tolist() == [0] * 4 + [1] * 3 + [2] * 5 + [3] * 4
    assert store.index["frame"].tolist() == [*range(4), *range(3), *range(5), *range(4)]


def test_read_is_a_slice(tmp_path, videos, shards_of_four):
    store = CropStore.build(videos, tmp_path / "store")
    crops = np.concatenate(
        [np.load(tmp_path / "store" / name) for name in store.manifest["shards"]]
    )
    assert len(store.manifest["shards"]) > 1 and crops.shape == (len(store), SIZE, SIZE, 3) == (
        16,
        287,
        287,
        3,
    )
    for ids in (np.arange(16), np.array([15, 0, 7, 7, 3]), np.array([], int)):
        np.testing.assert_array_equal(store.read(ids), crops[ids])


def test_parallel_is_serial(tmp_path, videos, shards_of_four):
    ticks = []
    serial = CropStore.build(videos, tmp_path / "serial", on_shard=lambda *tick: ticks.append(tick))
    assert ticks == [(number, 3) for number in (1, 2, 3)]
    assert contents(serial) == contents(CropStore.open(tmp_path / "serial"))
    assert contents(CropStore.build(videos, tmp_path / "parallel", workers=2)) == contents(serial)


def test_every_kth_frame(tmp_path, videos):
    whole = CropStore.build(videos, tmp_path / "whole")
    third = CropStore.build(videos, tmp_path / "third", every=3)
    rows = np.flatnonzero(whole.index["frame"] % 3 == 0)
    np.testing.assert_array_equal(third.read(np.arange(len(third))), whole.read(rows))
    for name, column in whole.index.items():
        np.testing.assert_array_equal(
            third.index[name], column[rows]
        )  # frames keep their numbers, so distances keep their meaning
    assert third.manifest["every"] == 3 and third.fingerprint != whole.fingerprint


def test_a_wider_store_shows_the_same_and_more_around_it(tmp_path, videos):
    plain, wide = (CropStore.build(videos, tmp_path / str(size), size=size) for size in (SIZE, 447))
    crops, more = plain.read(np.arange(16)), wide.read(np.arange(16))
    assert more.shape == (16, 447, 447, 3) and plain.fingerprint != wide.fingerprint
    difference = np.abs(more[:, 80:-80, 80:-80].astype(int) - crops)
    assert np.quantile(difference, 0.99) <= 2  # the warp rounds its coordinates to 1/32 of a pixel
    np.testing.assert_allclose(wide.index["box"][:, :2] - 80, plain.index["box"][:, :2], atol=1e-3)


def test_the_fingerprint_of_the_defaults_stays(videos):
    settings = [287, 127, 512, 10.0, 1]  # trainings name their store by it
    described = [
        [v.name, len(v.frames), digest(np.round(v.boxes, 3).tolist()), os.stat(v.frames[0]).st_size]
        for v in videos
    ]
    assert store_module.fingerprint_of(videos, store_module.Settings()) == digest(
        {"videos": described, "settings": settings}
    )


def test_a_build_holds_one_shard(tmp_path, videos, shards_of_four):
    peaks = []
    for repeats in (1, 4):
        tracemalloc.start()
        CropStore.build(videos * repeats, tmp_path / str(repeats))
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] < peaks[0] + SIZE * SIZE * 3, peaks


def test_a_stopped_build_goes_on(tmp_path, videos, shards_of_four, monkeypatch, refused):
    whole = contents(CropStore.build(videos, tmp_path / "whole"))
    seen = stop_at(monkeypatch, 7)
    with pytest.raises(KeyboardInterrupt):
        CropStore.build(videos, tmp_path / "store")
    refused(lambda: CropStore.open(tmp_path / "store"), "no finished crop store")
    assert not list((tmp_path / "store").glob(".part*"))
    assert contents(CropStore.build(videos, tmp_path / "store")) == whole
    assert len(seen) == 7 + 12  # the four frames of the first shard were not decoded again
    for name in (
        "manifest.json",
        "index-00002.npz",
        "crops-00002.npy",
    ):  # as if killed before the last shard
        (tmp_path / "store" / name).unlink()
    assert (
        contents(CropStore.build(videos, tmp_path / "store")) == whole and len(seen) == 7 + 12 + 4
    )
    assert (
        contents(CropStore.build(videos, tmp_path / "store")) == whole and len(seen) == 7 + 12 + 4
    )


def test_other_data_or_settings_are_refused(tmp_path, videos, refused, texture, write_clips):
    CropStore.build(videos[3:], tmp_path / "store")
    moved = Video("small", videos[3].frames, videos[3].boxes + 1)
    for other, area in ((videos[2:], 10.0), ([moved], 10.0), (videos[3:], 11.0)):
        refused(
            lambda other=other, area=area: CropStore.build(
                other, tmp_path / "store", min_area=area
            ),
            "other data or settings",
        )
    (tmp_path / "store" / "claim.json").unlink()
    refused(lambda: CropStore.build([moved], tmp_path / "store"), "other data or settings")
    assert len(CropStore.build(videos[3:], tmp_path / "store")) == 4


def test_what_cannot_be_used_is_counted(tmp_path, texture, write_clips, refused):
    image, other = texture(90, 100), texture(90, 100, 1)
    good = (30, 30, 20, 20)
    root = write_clips(
        tmp_path,
        {
            "still": ([image, image], [good] * 2),
            "bad": (
                [texture(90, 100, seed) for seed in range(2, 9)],
                [
                    good,
                    (1, 1, 3, 3),
                    (1, 1, 0, 9),
                    (np.nan,) * 4,
                    (1, 1, 9, -9),
                    (100, 30, 20, 20),
                    (-30, 30, 30, 20),
                ],
            ),
            "useless": ([image, other], [(1, 1, 2, 2)] * 2),
        },
    )
    store = CropStore.build(read_got10k(root), tmp_path / "store")
    assert (
        store.manifest["skipped"] == {"repeated": 1, "small": 3, "invalid": 5}
        and store.manifest["crops"] == len(store) == 2
    )
    assert store.index["sequence"].tolist() == [0, 1]
    template, search = PairSampler(store.index, Config().training).draw(
        20, np.random.default_rng(0)
    )
    assert (template == search).all()  # a single image is paired with itself
    refused(lambda: CropStore.build(read_got10k(root)[2:], tmp_path / "none"), "no box", "small")
    refused(lambda: CropStore.build([], tmp_path / "none"), "at least one video")
    refused(
        lambda: CropStore.build([Video("v", ("a.jpg",), np.ones((2, 4)))], tmp_path / "none"),
        "v: 1 frames but 2 boxes",
    )


@pytest.mark.parametrize("content", [None, b"", b"no image", b"cut"])
@pytest.mark.parametrize("workers", [1, 2])
def test_a_bad_frame_is_named(tmp_path, videos, texture, write_clips, refused, content, workers):
    root = write_clips(
        tmp_path, {"clip": ([texture(90, 100, k) for k in range(3)], [(30, 30, 20, 20)] * 3)}
    )
    clip, path = read_got10k(root), root / "clip" / "00000002.jpg"
    if content is None:
        path.unlink()
    else:
        path.write_bytes(path.read_bytes()[:900] if content == b"cut" else content)
    refused(lambda: CropStore.build(clip, tmp_path / "store", workers=workers), path)
    assert not list((tmp_path / "store").glob("crops*")) and not list(
        (tmp_path / "store").glob(".part*")
    )


@pytest.mark.parametrize("name", ["index.npz", "crops-00000.npy", "manifest.json"])
@pytest.mark.parametrize("keep", [0, 40, 0.5, None])
def test_damage_is_noticed(tmp_path, videos, refused, name, keep):
    CropStore.build(videos[3:], tmp_path)
    data = (tmp_path / name).read_bytes()
    (tmp_path / name).write_bytes(data[: int(len(data) * keep) if keep == 0.5 else keep])
    if keep is None:
        (tmp_path / name).unlink()
    refused(lambda: CropStore.open(tmp_path), tmp_path)


def test_an_index_of_other_crops_is_noticed(tmp_path, videos, refused):
    store = CropStore.build(videos[3:], tmp_path)
    np.savez(tmp_path / "index.npz", **{key: value[:-1] for key, value in store.index.items()})
    refused(lambda: CropStore.open(tmp_path), tmp_path, "does not fit")
    write_json(tmp_path / "manifest.json", {"fingerprint": store.fingerprint})
    refused(lambda: CropStore.open(tmp_path), tmp_path, "damaged")
    assert read_json(tmp_path / "claim.json")["fingerprint"] == store.fingerprint


def test_a_full_disk_is_noticed(tmp_path, videos, refused, monkeypatch, shards_of_four):
    free = 16 * SIZE * SIZE * 3
    monkeypatch.setattr(
        store_module.shutil, "disk_usage", lambda place: type("Usage", (), {"free": free - 1})
    )
    refused(
        lambda: CropStore.build(videos, tmp_path / "a" / "store"),
        tmp_path / "a" / "store",
        "GB",
        "another disk",
    )
    assert not (tmp_path / "a").exists()
    monkeypatch.setattr(
        store_module.shutil, "disk_usage", lambda place: type("Usage", (), {"free": free})
    )
    stop_at(monkeypatch, 7)
    with pytest.raises(KeyboardInterrupt):
        CropStore.build(videos, tmp_path / "store")
    monkeypatch.setattr(
        store_module.shutil,
        "disk_usage",
        lambda place: type("Usage", (), {"free": free - 4 * SIZE * SIZE * 3}),
    )
    assert (
        len(CropStore.build(videos, tmp_path / "store")) == 16
    )  # what is built already needs no more room

    def short(file, array):
        file.write(b"half")
        raise OSError("247107 requested and 4096 written")  # what numpy.save says on a full disk

    monkeypatch.setattr(store_module.np, "save", short)
    refused(
        lambda: CropStore.build(videos[:1], tmp_path / "full"), "crops-00000.npy", "free some space"
    )
    assert [path.name for path in (tmp_path / "full").iterdir()] == ["claim.json"]


def synthetic_index(sequences, each):
    n = sequences * each
    shapes = {"box": (n, 4), "image": (n, 4), "mean": (n, 3), "centre": (n, 2), "scale": (n,)}
    return {
        "sequence": np.repeat(np.arange(sequences, dtype=np.int32), each),
        "frame": np.tile(np.arange(each, dtype=np.int32), sequences),
        **{name: np.zeros(shape, np.float32) for name, shape in shapes.items()},
    }


def test_the_size_of_got10k_costs_nothing(tmp_path):
    index, each = synthetic_index(10_000, 150), 500
    np.savez(tmp_path / "index.npz", **index)
    names = [f"crops-{number:05d}.npy" for number in range(1_500_000 // each)]
    for number, name in enumerate(names):  # the size of a crop does not matter here
        np.save(tmp_path / name, np.full((each, 2, 2, 3), number % 251, np.uint8))
    write_json(tmp_path / "manifest.json", {"fingerprint": "x", "shards": names, "size": 2})
    started = time.process_time()
    store = CropStore.open(tmp_path)
    sampler = PairSampler(store.index, Config().training)
    assert time.process_time() - started < 1 and len(store) == 1_500_000
    rows = np.random.default_rng(0).integers(
        len(store), size=3000
    )  # touches more shards than a process may keep open
    np.testing.assert_array_equal(store.read(rows)[:, 0, 1, 2], rows // each % 251)
    seconds = {}
    for name, drawn in (
        ("large", sampler),
        ("small", PairSampler(synthetic_index(10, 150), Config().training)),
    ):
        rng = np.random.default_rng(0)
        drawn.draw(1000, rng)
        started = time.process_time()
        for _ in range(10):
            drawn.draw(1000, rng)
        seconds[name] = time.process_time() - started
    assert seconds["large"] < 10 * seconds["small"] + 0.05
