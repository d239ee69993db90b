"""Archives made to do harm: each is refused as an archive, and touches nothing but its own folder."""

from __future__ import annotations

import gzip
import io
import tarfile
import threading
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest

from mme_local.platform.artifacts import ArtifactRejected, unpack
from multi_model_endpoint.artifacts import InvalidModelError, packed

MIB = 1024 * 1024
MAX_MEMBERS = 300
MAX_BYTES = MIB
EVIL = "evil-of-the-archives"


def member(name: str, kind: bytes = tarfile.REGTYPE, *, target: str = "", **pax: str) -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.linkname, info.pax_headers = kind, target, pax
    return info


def tar(*members: tuple[tarfile.TarInfo, bytes], format: int = tarfile.PAX_FORMAT, **pax: str) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=format, pax_headers=pax) as archive:
        for info, content in members:
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return buffer.getvalue()


def one(name: str, kind: bytes = tarfile.REGTYPE, *, target: str = "", content: bytes = b"", **pax: str) -> bytes:
    """A good file, and then the member."""
    return tar((member("model"), b"good"), (member(name, kind, target=target, **pax), content))


def raw(header: bytearray | bytes, *rest: bytes) -> bytes:
    """A header with its checksum put right, and what follows it."""
    header = bytearray(header)
    header[148:156] = b" " * 8
    header[148:156] = b"%06o\0 " % sum(header)
    return bytes(header) + b"".join(rest) + bytes(2 * tarfile.BLOCKSIZE)


def patched(start: int, value: bytes, name: str = "model", kind: bytes = tarfile.REGTYPE) -> bytes:
    """The one header of an archive with some of its bytes overwritten."""
    header = bytearray(member(name, kind).tobuf(tarfile.USTAR_FORMAT))
    header[start : start + len(value)] = value
    return raw(header)


def chain(kind: bytes, content: bytes, count: int) -> bytes:
    """Headers that each stand before a header."""
    block = member("h", kind)
    block.size = len(content)
    one_of_them = block.tobuf(tarfile.USTAR_FORMAT) + content.ljust(tarfile.BLOCKSIZE, b"\0")
    return one_of_them * count + member("model").tobuf(tarfile.USTAR_FORMAT) + bytes(1024)


def many(names: Iterable[str], kind: bytes = tarfile.REGTYPE) -> bytes:
    return tar(*((member(name, kind), b"") for name in names))


NAMES = {
    "parent": f"../{EVIL}",
    "parents": f"../../../../../../tmp/{EVIL}",
    "parent inside": f"a/../../{EVIL}",
    "parent behind a folder": f"model.d/../../{EVIL}",
    "parent last": "a/..",
    "parent alone": "..",
    "parent behind a dot": f"./../{EVIL}",
    "parent in two slashes": f"a//..//..//{EVIL}",
    "absolute": f"/tmp/{EVIL}",
    "absolute in two slashes": f"//tmp/{EVIL}",
    "absolute with parent": f"/../../tmp/{EVIL}",
    "backslashes": f"..\\{EVIL}",
    "mixed slashes": f"a\\..\\..\\{EVIL}",
    "absolute backslash": f"\\tmp\\{EVIL}",
    "drive": f"C:\\{EVIL}",
    "drive with slash": f"c:/{EVIL}",
    "drive without slash": f"c:{EVIL}",
    "network": f"\\\\host\\share\\{EVIL}",
    "longer than a file system's": "n" * 300,
    "longer than a path": "/".join(["n" * 200] * 30),
    "deep": "d/" * 2000 + "model",
    "deep in dots": "./" * 2000 + "model",
    "under a file": "model/below",
}
LINKS = {
    "to a file": "/etc/passwd",
    "to a folder": "/tmp",
    "to the parent": "..",
    "to the inside": "model",
    "to itself": "member",
    "to nothing": "",
}
SPECIAL = {
    "character device": tarfile.CHRTYPE,
    "block device": tarfile.BLKTYPE,
    "pipe": tarfile.FIFOTYPE,
    "old sparse": tarfile.GNUTYPE_SPARSE,
}
TIMES = ["1e30", "1e308", "-1e30", "inf", "-inf", "nan", "9" * 400]
SIZES = ["9" * 18, "9" * 30, "-1", "-512", "-" + "9" * 20, str(MAX_BYTES + 1)]
SPARSE: dict[str, dict[str, Any]] = {
    "0.0": {"GNU.sparse.size": "9" * 15, "GNU.sparse.numblocks": "1", "GNU.sparse.offset": "0"},
    "0.1": {"GNU.sparse.map": "0,1", "GNU.sparse.size": "9" * 15},
    "1.0": {"GNU.sparse.major": "1", "GNU.sparse.minor": "0", "GNU.sparse.realsize": "9" * 15},
    "of garbage": {"GNU.sparse.map": "a,b", "GNU.sparse.size": "c"},
}

ARCHIVES: dict[str, bytes] = {
    **{f"name: {what}": one(name) for what, name in NAMES.items()},
    **{f"folder: {what}": one(name, tarfile.DIRTYPE) for what, name in NAMES.items() if what.startswith("parent")},
    **{f"symbolic link {what}": one("member", tarfile.SYMTYPE, target=target) for what, target in LINKS.items()},
    **{f"hard link {what}": one("member", tarfile.LNKTYPE, target=target) for what, target in LINKS.items()},
    "through a link": tar((member("out", tarfile.SYMTYPE, target="/tmp"), b""), (member(f"out/{EVIL}"), b"evil")),
    **{f"special: {what}": one("member", kind) for what, kind in SPECIAL.items()},
    **{f"time of {time[:9]}": one("member", mtime=time) for time in TIMES},
    **{f"size of {size[:19]} ({len(size)} digits)": one("member", size=size) for size in SIZES},
    "name in a header leaves": one("member", path=f"../../{EVIL}"),
    "name in a global header leaves": tar((member("model"), b""), path=f"../../{EVIL}"),
    "a zero byte in the name": one("member", path=f"a\0{EVIL}"),
    **{f"sparse {what}": one("s", **pax) for what, pax in SPARSE.items()},
    "negative size": patched(124, b"\xff" * 12),
    "huge size": patched(124, b"\x80" + b"\x7f" * 11),
    "size that is no number": patched(124, b"zzzzzzzzzzz\0"),
    "type that is unknown": patched(156, b"Z", f"../{EVIL}"),
    "prefix that leaves": patched(345, b"../../..", EVIL),
    "wrong header checksum": b"\1" * 512 + bytes(1024),
    "headers of headers": chain(tarfile.XHDTYPE, b"13 a=bcdefgh\n", 3000),
    "long names of long names": chain(tarfile.GNUTYPE_LONGNAME, b"name\0", 3000),
    "header of 3 MB": one("member", comment="c" * 3 * MIB),
    "bomb": one("zeros", content=bytes(64 * MIB)),
    "bomb after the end": one("model2") + bytes(64 * MIB),
    "bomb of empty files": many(f"f{number}" for number in range(MAX_MEMBERS + 1)),
    "bomb of one name": many("same" for _ in range(MAX_MEMBERS + 1)),
    "bomb of folders": many((f"d{number}" for number in range(MAX_MEMBERS + 1)), tarfile.DIRTYPE),
    "bomb of implied folders": many("/".join([f"d{number}"] * 90 + ["f"]) for number in range(10)),
    "bomb of implied folders in dots": many("/./".join([f"d{number}"] * 40 + ["f"]) for number in range(10)),
}


def test_there_are_as_many_as_an_attack_has_tried() -> None:
    assert len(ARCHIVES) >= 69


@pytest.mark.parametrize("what", ARCHIVES)
def test_a_hostile_archive_is_refused_and_touches_nothing_outside(tmp_path: Path, what: str) -> None:
    archive, inside = tmp_path / "archive", tmp_path / "up" / "up" / "inside"
    archive.write_bytes(gzip.compress(ARCHIVES[what], 1))
    inside.mkdir(parents=True)
    with pytest.raises(ArtifactRejected):
        unpack(archive, inside, max_members=MAX_MEMBERS, max_bytes=MAX_BYTES, stop=threading.Event())
    assert {path.name for path in tmp_path.iterdir()} == {"archive", "up"}
    assert [path.name for path in inside.parent.iterdir()] == ["inside"]
    assert not Path("/tmp", EVIL).exists()
    left = list(inside.rglob("*"))
    assert len(left) <= MAX_MEMBERS
    assert all(not path.is_symlink() and (path.is_file() or path.is_dir()) for path in left)
    assert sum(path.stat().st_size for path in left if path.is_file()) <= MAX_BYTES


@pytest.mark.parametrize("what", ARCHIVES)
def test_what_packing_takes_of_it_can_be_unpacked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, what: str) -> None:
    """Both have the same rules; times, of which packing takes none, are what only the endpoint refuses."""
    monkeypatch.setattr("multi_model_endpoint.artifacts.unzip.MAX_BYTES", MAX_BYTES)
    monkeypatch.setattr("multi_model_endpoint.artifacts.archive.MAX_MEMBERS", MAX_MEMBERS)
    path = tmp_path / "model.tar.gz"
    path.write_bytes(gzip.compress(ARCHIVES[what], 1))
    try:
        with packed(path) as artifact:
            (tmp_path / "model").mkdir()
            unpack(
                artifact.path,
                tmp_path / "model",
                max_members=MAX_MEMBERS,
                max_bytes=MAX_BYTES,
                stop=threading.Event(),
            )
    except InvalidModelError:
        return
    assert what.startswith("time of")
