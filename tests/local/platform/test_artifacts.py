from __future__ import annotations

import gzip
import io
import os
import resource
import stat
import tarfile
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from mme_local.hosting.spec import split_s3_url
from mme_local.platform.artifacts import (
    ArtifactError,
    ArtifactMissing,
    ArtifactRejected,
    ArtifactStore,
    Cancelled,
    DiskFull,
    unpack,
)

from .conftest import Bucket, Pack

MiB = 1024 * 1024


def archive(
    *members: tuple[str | tarfile.TarInfo, bytes | None],
    compressed: bool = True,
    format: int = tarfile.PAX_FORMAT,
    **pax: str,
) -> bytes:
    """An archive of (TarInfo or name, content) pairs, exactly as given."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=format, pax_headers=pax) as tar:
        for member, content in members:
            info = tarfile.TarInfo(member) if isinstance(member, str) else member
            if content is not None:
                info.size = len(content)
            tar.addfile(info, io.BytesIO(content or b""))
    return gzip.compress(buffer.getvalue(), 1) if compressed else buffer.getvalue()


def member(name: str, kind: bytes, target: str = "") -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type = kind
    info.linkname = target
    return info


class Unpacked:
    """Unpacks bytes below tmp_path/inside and returns that folder."""

    def __init__(self, folder: Path) -> None:
        self._source, self._target = folder / "archive", folder / "inside"
        self.size = 0

    def __call__(
        self, data: bytes, *, max_members: int = 100, max_bytes: int = MiB, stop: threading.Event | None = None
    ) -> Path:
        self._source.write_bytes(data)
        self._target.mkdir()
        limits = {"max_members": max_members, "max_bytes": max_bytes}
        self.size = unpack(self._source, self._target, **limits, stop=stop or threading.Event())
        return self._target


@pytest.fixture
def unpacked(tmp_path: Path) -> Unpacked:
    return Unpacked(tmp_path)


def test_unpacks_files_and_folders(unpacked: Unpacked) -> None:
    target = unpacked(
        archive((member("sub", tarfile.DIRTYPE), None), ("./sub/model.json", b"{}"), ("top", b"1" * 5000))
    )
    assert (target / "sub/model.json").read_bytes() == b"{}"
    assert (target / "top").read_bytes() == b"1" * 5000
    assert unpacked.size == 4096 + 8192


def test_unpacks_what_the_tar_command_makes_of_a_directory(unpacked: Unpacked, tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.mkdir()
    (source / "model").write_bytes(b"m")
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as tar:
        tar.add(source, arcname=".")
    assert (unpacked(buffer.getvalue()) / "model").read_bytes() == b"m"


def test_unpacks_long_and_non_ascii_names(unpacked: Unpacked) -> None:
    name = "d" * 90 + "/" + "modèle" * 20
    assert (unpacked(archive((name, b"m"))) / name).read_bytes() == b"m"


def test_files_are_readable_and_lose_special_modes(unpacked: Unpacked) -> None:
    info = tarfile.TarInfo("run")
    info.mode = 0o6777
    mode = (unpacked(archive((info, b"x"))) / "run").stat().st_mode
    assert mode & 0o400
    assert not mode & (stat.S_ISUID | stat.S_ISGID | stat.S_IWOTH)


@pytest.mark.parametrize("name", ["../evil", "a/../../evil", "a/..", "/etc/evil", "//evil", "..\\evil", "C:\\evil"])
def test_refuses_names_that_leave_the_directory(unpacked: Unpacked, tmp_path: Path, name: str) -> None:
    with pytest.raises(ArtifactRejected, match=r"absolute name|leaves the model's directory"):
        unpacked(archive((name, b"evil")))
    assert not list(tmp_path.rglob("evil*"))


@pytest.mark.parametrize(
    ("kind", "target"),
    [
        (tarfile.SYMTYPE, "/etc/passwd"),
        (tarfile.SYMTYPE, "model"),
        (tarfile.LNKTYPE, "/etc/passwd"),
        (tarfile.LNKTYPE, "model"),
    ],
)
def test_refuses_links_even_to_the_inside(unpacked: Unpacked, kind: bytes, target: str) -> None:
    with pytest.raises(ArtifactRejected, match="is a link"):
        unpacked(archive(("model", b"m"), (member("link", kind, target), None)))


@pytest.mark.parametrize("kind", [tarfile.CHRTYPE, tarfile.BLKTYPE, tarfile.FIFOTYPE])
def test_refuses_devices_and_pipes(unpacked: Unpacked, kind: bytes) -> None:
    with pytest.raises(ArtifactRejected, match="neither a plain file nor a folder"):
        unpacked(archive((member("special", kind), None)))


def test_refuses_sparse_files_whose_size_is_a_claim(unpacked: Unpacked) -> None:
    info = tarfile.TarInfo("sparse")
    info.pax_headers = {"GNU.sparse.map": "0,1", "GNU.sparse.size": str(10**15), "GNU.sparse.numblocks": "1"}
    with pytest.raises(ArtifactRejected):
        unpacked(archive((info, b"x")))


def test_refuses_too_many_members(unpacked: Unpacked) -> None:
    with pytest.raises(ArtifactRejected, match="more than 10 members"):
        unpacked(archive(*((f"f{i}", b"") for i in range(11))), max_members=10)


def test_counts_the_folders_that_names_imply_once_each(unpacked: Unpacked) -> None:
    names = [f"a/./b//c/f{number}" for number in range(7)]
    assert len(list(unpacked(archive(*((name, b"") for name in names)), max_members=10).rglob("*"))) == 10


def test_refuses_implied_folders_beyond_the_number_of_members(unpacked: Unpacked) -> None:
    with pytest.raises(ArtifactRejected, match="more than 10 members, with the folders they are in"):
        unpacked(archive(("a/b/c/d/e/1", b""), ("f/g/h/i/j/2", b"")), max_members=10)


def test_refuses_more_bytes_than_allowed_in_all(unpacked: Unpacked) -> None:
    with pytest.raises(ArtifactRejected, match="more than 1048576 bytes"):
        unpacked(archive(("a", bytes(700_000)), ("b", bytes(700_000))))


def test_refuses_a_bomb_without_writing_it(unpacked: Unpacked, tmp_path: Path) -> None:
    bomb = archive(("zeros", bytes(64 * MiB)))
    assert len(bomb) < MiB
    with pytest.raises(ArtifactRejected, match="more than 1048576 bytes"):
        unpacked(bomb)
    assert sum(f.stat().st_size for f in (tmp_path / "inside").rglob("*")) <= MiB


def test_counts_what_follows_the_last_member_too(unpacked: Unpacked) -> None:
    data = archive(("a", b"x"), compressed=False) + bytes(8 * MiB)
    with pytest.raises(ArtifactRejected, match="more than 1048576 bytes"):
        unpacked(gzip.compress(data))


def test_refuses_a_header_that_would_be_read_into_memory(unpacked: Unpacked) -> None:
    with pytest.raises(ArtifactRejected, match="oversized header"):
        unpacked(archive(("a", b"x"), comment="c" * (3 * MiB)), max_bytes=100 * MiB)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"not an archive",
        gzip.compress(b"not a tar"),
        archive(("a", b"x"), compressed=False),
        archive(("a", os.urandom(50_000)))[:-20_000],
        archive(("a", os.urandom(50_000)))[:-8] + bytes(8),
    ],
    ids=["empty", "text", "gzip of text", "plain tar", "cut off", "wrong checksum"],
)
def test_refuses_what_is_not_a_gzip_tar(unpacked: Unpacked, data: bytes) -> None:
    with pytest.raises(ArtifactRejected):
        unpacked(data)


def test_a_file_and_a_folder_of_one_name_are_refused(unpacked: Unpacked) -> None:
    with pytest.raises(ArtifactRejected):
        unpacked(archive(("a", b"x"), ("a/b", b"y")))


def test_stops_when_asked_to(unpacked: Unpacked) -> None:
    stop = threading.Event()
    stop.set()
    with pytest.raises(Cancelled):
        unpacked(archive(("a", b"x")), stop=stop)


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("s3://bucket/a/b.tar.gz", ("bucket", "a/b.tar.gz")),
        ("https://s3.eu-west-1.amazonaws.com/bucket/a/b", ("bucket", "a/b")),
        ("https://bucket.s3.eu-west-1.amazonaws.com/a/b", ("bucket", "a/b")),
        ("https://bucket.s3.amazonaws.com/a/b", ("bucket", "a/b")),
        ("https://s3.amazonaws.com/bucket/a%20b/", ("bucket", "a%20b/")),
        ("https://s3.dualstack.eu-west-1.amazonaws.com/bucket/a", ("bucket", "a")),
        ("https://my.s3.bucket.s3-eu-west-1.amazonaws.com/a", ("my.s3.bucket", "a")),
        ("https://b.s3.cn-north-1.amazonaws.com.cn/a", ("b", "a")),
    ],
)
def test_knows_the_spellings_of_an_s3_url(url: str, expected: tuple[str, str]) -> None:
    assert split_s3_url(url) == expected


def store(url: str) -> ArtifactStore:
    return ArtifactStore(url, region="us-east-1", max_members=100, max_bytes=MiB)


def test_fetches_a_model_from_s3(ministack: str, bucket: Bucket, pack: Pack, tmp_path: Path) -> None:
    bucket.put("models/a.tar.gz", pack({"model": b"content"}))
    size = store(ministack).fetch(bucket.url + "a.tar.gz", tmp_path / "a", threading.Event())
    assert size == 4096
    assert [path.name for path in tmp_path.iterdir()] == ["a"]
    assert (tmp_path / "a/model").read_bytes() == b"content"


def test_an_absent_object_is_named_as_sagemaker_does(ministack: str, bucket: Bucket, tmp_path: Path) -> None:
    with pytest.raises(ArtifactMissing, match=rf"bucket: {bucket.name}, key: models/none\.tar\.gz"):
        store(ministack).fetch(bucket.url + "none.tar.gz", tmp_path / "a", threading.Event())
    assert list(tmp_path.iterdir()) == []


def test_an_absent_bucket_is_missing_too(ministack: str, tmp_path: Path) -> None:
    with pytest.raises(ArtifactMissing):
        store(ministack).fetch("s3://no-such-bucket/a", tmp_path / "a", threading.Event())


def test_leaves_nothing_behind_of_a_refused_archive(ministack: str, bucket: Bucket, tmp_path: Path) -> None:
    bucket.put("models/bad.tar.gz", archive(("good", b"x"), ("../evil", b"y")))
    with pytest.raises(ArtifactRejected):
        store(ministack).fetch(bucket.url + "bad.tar.gz", tmp_path / "bad", threading.Event())
    assert list(tmp_path.iterdir()) == []


@pytest.fixture
def small_disk() -> Iterator[None]:
    """What the kernel does to a process whose files may have 256 KiB at most; Python ignores its signal."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (256 * 1024, before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.mark.parametrize("content", [os.urandom(MiB // 2), bytes(MiB // 2)], ids=["at the download", "at unpacking"])
def test_a_full_disk_is_told_from_a_bad_archive_and_leaves_nothing(
    ministack: str, bucket: Bucket, tmp_path: Path, content: bytes, request: pytest.FixtureRequest
) -> None:
    bucket.put("models/big.tar.gz", archive(("model", content)))
    one = store(ministack)
    one.connect()
    request.getfixturevalue("small_disk")
    with pytest.raises(DiskFull, match="no space left on the local disk"):
        one.fetch(bucket.url + "big.tar.gz", tmp_path / "a", threading.Event())
    assert list(tmp_path.iterdir()) == []


def test_a_disk_that_cannot_be_written_is_no_fault_of_the_archive(tmp_path: Path) -> None:
    with pytest.raises(ArtifactError, match="the local disk failed") as caught:
        store("http://127.0.0.1:9").fetch("s3://b/k", tmp_path / "gone" / "a", threading.Event())
    assert not isinstance(caught.value, ArtifactRejected)


def test_an_s3_that_does_not_answer_is_no_fault_of_the_caller(tmp_path: Path) -> None:
    with pytest.raises(ArtifactError) as caught:
        store("http://127.0.0.1:9").fetch("s3://b/k", tmp_path / "a", threading.Event())
    assert not isinstance(caught.value, ArtifactMissing)
