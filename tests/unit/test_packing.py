"""Packing: the same archive from the same files, and nothing but plain files in it."""

from __future__ import annotations

import gzip
import io
import os
import tarfile
from pathlib import Path

import pytest

from mme_local.packing import InvalidModelError, inspect, packed


def digest(path: Path) -> str:
    with packed(path) as artifact:
        return artifact.digest


def archive(path: Path, *members: tuple[str, bytes] | tarfile.TarInfo) -> Path:
    with tarfile.open(path, "w:gz") as tar:
        for member in members:
            if isinstance(member, tarfile.TarInfo):
                tar.addfile(member)
            else:
                info = tarfile.TarInfo(member[0])
                info.size = len(member[1])
                tar.addfile(info, io.BytesIO(member[1]))
    return path


def special(name: str, kind: bytes, target: str = "") -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type = kind
    info.linkname = target
    return info


def test_packs_a_directorys_content_without_the_directory(model: Path) -> None:
    with packed(model) as artifact, tarfile.open(artifact.path) as tar:
        assert tar.getnames() == ["code/inference.py", "weights.bin"]
        for info in tar:
            assert (info.uid, info.gid, info.uname, info.gname, info.mtime) == (0, 0, "", "", 0)
            assert info.isreg()


def test_does_not_depend_on_clocks_owners_or_modes(model: Path) -> None:
    before = digest(model)
    os.utime(model / "weights.bin", (1, 1))
    (model / "weights.bin").chmod(0o600)
    assert digest(model) == before


def test_depends_on_names_contents_and_executability(model: Path) -> None:
    digests = {digest(model)}
    (model / "code" / "inference.py").chmod(0o755)
    digests.add(digest(model))
    (model / "weights.bin").rename(model / "other.bin")
    digests.add(digest(model))
    (model / "other.bin").write_bytes(b"other")
    digests.add(digest(model))
    assert len(digests) == 4


def test_leaves_out_caches(model: Path) -> None:
    before = digest(model)
    (model / "code" / "__pycache__").mkdir()
    (model / "code" / "__pycache__" / "inference.pyc").write_bytes(b"x")
    (model / ".DS_Store").write_bytes(b"x")
    assert digest(model) == before


def test_an_archive_is_the_same_as_its_directory(model: Path, tmp_path: Path) -> None:
    path = tmp_path / "model.tar.gz"
    with tarfile.open(path, "w:gz", compresslevel=1) as tar:
        tar.add(model, arcname=".")
    assert digest(path) == digest(model)


def test_keeps_folders_without_files(model: Path, tmp_path: Path) -> None:
    """The version folder of a Triton ensemble is empty."""
    (model / "ensemble" / "1").mkdir(parents=True)
    with packed(model) as artifact, tarfile.open(artifact.path) as tar:
        assert tar.getnames() == ["code/inference.py", "ensemble/1", "weights.bin"]
        assert tar.getmember("ensemble/1").isdir()
        assert artifact.contents.folders == ("ensemble/1",)
    path = tmp_path / "model.tar.gz"
    with tarfile.open(path, "w:gz") as tar:
        tar.add(model, arcname=".")
    assert digest(path) == digest(model)


def test_inspects_as_it_packs(model: Path) -> None:
    (model / "config.pbtxt").write_text('backend: "python"')
    with packed(model) as artifact:
        assert inspect(model) == (artifact.digest, artifact.contents)
    assert artifact.contents.texts == {"config.pbtxt": b'backend: "python"'}


def test_removes_its_file(model: Path) -> None:
    with packed(model) as artifact:
        assert artifact.path.exists()
    assert not artifact.path.parent.exists()


def test_follows_links_to_files(model: Path, tmp_path: Path) -> None:
    blob = tmp_path / "blob"
    blob.write_bytes(b"blob")
    (model / "linked.bin").symlink_to(blob)
    with packed(model) as artifact, tarfile.open(artifact.path) as tar:
        content = tar.extractfile("linked.bin")
        assert content is not None
        assert content.read() == b"blob"


def test_refuses_a_linked_folder(model: Path, tmp_path: Path) -> None:
    (model / "linked").symlink_to(tmp_path)
    with pytest.raises(InvalidModelError, match="got the linked folder"):
        digest(model)


def test_refuses_a_broken_link(model: Path) -> None:
    (model / "linked").symlink_to("absent")
    with pytest.raises(InvalidModelError, match="remove it, or mend the link"):
        digest(model)


def test_refuses_an_empty_directory(tmp_path: Path) -> None:
    with pytest.raises(InvalidModelError, match="which has no files"):
        digest(tmp_path)


@pytest.mark.parametrize("name", ["model.zip", "absent"])
def test_refuses_what_is_neither_directory_nor_archive(tmp_path: Path, name: str) -> None:
    (tmp_path / "model.zip").write_bytes(b"PK")
    with pytest.raises(InvalidModelError, match=r"path must be a model's directory or \.tar\.gz file, got"):
        digest(tmp_path / name)


@pytest.mark.parametrize(
    "content", [b"", b"no gzip", gzip.compress(b"no tar"), gzip.compress(b"cut short" * 10_000, mtime=0)[:40]]
)
def test_refuses_a_broken_archive(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "model.tar.gz"
    path.write_bytes(content)
    with pytest.raises(InvalidModelError, match=r"path must (be a gzipped tar archive|hold a model)"):
        digest(path)


@pytest.mark.parametrize(
    ("member", "problem"),
    [
        (("../up", b""), "relative names, got '../up'"),
        (("/etc/passwd", b""), "relative names, got '/etc/passwd'"),
        (special("link", tarfile.SYMTYPE, "/etc/passwd"), "plain files, got the link 'link'"),
        (special("link", tarfile.LNKTYPE, "model"), "plain files, got the link 'link'"),
        (special("pipe", tarfile.FIFOTYPE), "plain files"),
        (("model", b"again"), "without duplicates, got 'model' twice"),
        (("./model", b"again"), "without duplicates"),
    ],
)
def test_refuses_a_hostile_archive(tmp_path: Path, member: tuple[str, bytes] | tarfile.TarInfo, problem: str) -> None:
    path = archive(tmp_path / "model.tar.gz", ("model", b"content"), member)
    with pytest.raises(InvalidModelError) as caught:
        digest(path)
    assert problem in str(caught.value)
