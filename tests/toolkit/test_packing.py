"""Packing: the same archive from the same files, and nothing but plain files in it."""

from __future__ import annotations

import gzip
import io
import os
import socket
import tarfile
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from multi_model_endpoint.artifacts import InvalidModelError, inspect, models_in, packed

MIB = 1024**2
POINTER = b"version https://git-lfs.github.com/spec/v1\noid sha256:" + b"0" * 64 + b"\nsize 12345\n"


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
        (("../up", b""), "which leaves the model's directory"),
        (("/etc/passwd", b""), "which has an absolute name"),
        (special("link", tarfile.SYMTYPE, "/etc/passwd"), "got 'link' in"),
        (special("link", tarfile.LNKTYPE, "model"), "which is a link"),
        (special("pipe", tarfile.FIFOTYPE), "which is neither a plain file nor a folder"),
        (special("sparse", tarfile.GNUTYPE_SPARSE), "which is neither a plain file nor a folder"),
        (("n" * 256, b""), "which has a name of more than 255 bytes"),
        (("/".join(["n" * 200] * 20), b""), "or of 3072 with its folders"),
        (("d/" * 101 + "f", b""), "which is in more than 100 folders"),
        (("\udcff", b""), "got '\\udcff' in"),
        ((".", b""), "which has no name"),
        (("model/below", b""), "a file and a folder of one name, got 'model' in"),
        (special("model", tarfile.DIRTYPE), "a file and a folder of one name, got 'model' in"),
        (("model", b"again"), "without duplicates, got 'model' twice"),
        (("./model", b"again"), "without duplicates"),
    ],
)
def test_refuses_a_hostile_archive(tmp_path: Path, member: tuple[str, bytes] | tarfile.TarInfo, problem: str) -> None:
    path = archive(tmp_path / "model.tar.gz", ("model", b"content"), member)
    with pytest.raises(InvalidModelError) as caught:
        digest(path)
    assert problem in str(caught.value)


@pytest.mark.parametrize(("name", "content"), [("zeros", bytes(64 * MIB)), ("weights.bin", os.urandom(2 * MIB))])
def test_does_not_unzip_without_bound(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, content: bytes
) -> None:
    """Small archives stay below what an endpoint takes, and large ones are what weights are: hardly compressible."""
    monkeypatch.setattr("multi_model_endpoint.artifacts.unzip.MAX_BYTES", MIB)
    path = archive(tmp_path / "model.tar.gz", (name, content))
    chunks: list[None] = []
    if name == "weights.bin":
        digest(path)
        return
    with (
        pytest.raises(InvalidModelError, match=f"unzip to at most {MIB} bytes, got '.*', which goes on"),
        packed(path, lambda *_: chunks.append(None)),
    ):
        pass
    assert len(chunks) == 2


def test_reads_no_header_of_any_size_into_memory(tmp_path: Path) -> None:
    path = tmp_path / "model.tar.gz"
    with tarfile.open(path, "w:gz", pax_headers={"comment": "c" * 3 * MIB}) as tar:
        tar.addfile(tarfile.TarInfo("model"))
    with pytest.raises(InvalidModelError, match=r"it has a header of 31\d+ bytes"):
        digest(path)


def test_refuses_more_files_and_folders_than_the_endpoint_takes(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("multi_model_endpoint.artifacts.archive.MAX_MEMBERS", 3)
    digest(model)
    (model / "more").mkdir()
    folders = [special(f"d{number}", tarfile.DIRTYPE) for number in range(4)]
    for path in (model, archive(tmp_path / "model.tar.gz", *folders)):
        with pytest.raises(InvalidModelError, match="at most 3 files and folders, got more in"):
            digest(path)


def test_packs_sparse_files_on_disk_as_what_they_read_as(tmp_path: Path) -> None:
    for name in ("sparse", "full"):
        (tmp_path / name).mkdir()
    with (tmp_path / "sparse" / "model").open("wb") as file:
        file.truncate(MIB)
    (tmp_path / "full" / "model").write_bytes(bytes(MIB))
    assert digest(tmp_path / "sparse") == digest(tmp_path / "full")


@pytest.fixture
def locked() -> Iterator[Path]:
    """A model with a file and a folder that may not be read, not even by root, and not under a folder of root's."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        model = Path(folder, "model")
        (model / "folder").mkdir(parents=True)
        for name in ("model", "folder/weights.bin"):
            (model / name).write_bytes(b"weights")
        user = os.geteuid()
        if user == 0:
            os.seteuid(65534)
        try:
            yield model
        finally:
            os.seteuid(user)


@pytest.mark.parametrize("name", ["folder", "model"])
def test_refuses_what_it_may_not_read(locked: Path, name: str) -> None:
    lock(locked / name)
    with pytest.raises(InvalidModelError, match=rf"path must be readable, got '.*/model/{name}': Permission denied"):
        digest(locked)


def test_refuses_a_folder_of_models_that_it_may_not_read(locked: Path) -> None:
    lock(locked)
    with pytest.raises(InvalidModelError, match=r"path must be readable, got '.*/model': Permission denied"):
        models_in(locked)


def lock(path: Path) -> None:
    nobody, user = os.geteuid(), os.getuid()
    os.seteuid(user)
    path.chmod(0)
    os.seteuid(nobody)


def test_passes_over_no_broken_link_in_a_folder_of_models(model: Path) -> None:
    (model / "resnet").symlink_to("absent")
    with pytest.raises(InvalidModelError, match=r"got the broken link '.*/resnet': remove or mend it"):
        models_in(model)


def at_write(number: int, change: Callable[[], object]) -> Callable[[int, int], None]:
    """Change something when the archive is written to for the n-th time."""
    writes: list[None] = []

    def check(_: int, __: int) -> None:
        writes.append(None)
        if len(writes) == number:
            change()

    return check


@pytest.mark.parametrize("change", ["shrinks", "grows", "is rewritten", "shrinks before", "grows before"])
def test_refuses_a_file_that_changes_while_it_is_packed(tmp_path: Path, change: str) -> None:
    file = tmp_path / "weights.bin"
    file.write_bytes(bytes(32 * MIB))
    (tmp_path / "a").write_bytes(b"first")
    changes: dict[str, Callable[[], object]] = {
        "shrinks": lambda: os.truncate(file, 10),
        "grows": lambda: os.truncate(file, 2 * MIB),
        "is rewritten": lambda: os.utime(file, (1, 1)),
    }
    check = at_write(1 if change.endswith("before") else 20, changes[change.removesuffix(" before")])
    with (
        pytest.raises(InvalidModelError, match=r"must not change while it is packed, got '.*/weights\.bin', which did"),
        packed(tmp_path, check),
    ):
        pass


def test_refuses_a_file_that_vanishes_while_it_is_packed(model: Path) -> None:
    vanish = at_write(1, (model / "weights.bin").unlink)
    with (
        pytest.raises(InvalidModelError, match=r"readable, got '.*/weights\.bin': No such file or directory"),
        packed(model, vanish),
    ):
        pass


def test_says_that_there_is_no_room_to_pack_in(model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_: int, __: int) -> None:
        raise OSError(28, "No space left on device")

    with (
        pytest.raises(InvalidModelError, match=r"can't be packed in '.*': No space left on device; free space there"),
        packed(model, full),
    ):
        pass


@pytest.mark.parametrize("kind", ["pipe", "socket", "device", "loop"])
def test_refuses_what_is_no_plain_file_and_does_not_wait_for_it(
    model: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    monkeypatch.chdir(model)
    with socket.socket(socket.AF_UNIX) as listener:
        if kind == "pipe":
            os.mkfifo("odd")
        elif kind == "socket":
            listener.bind("odd")
        else:
            Path("odd").symlink_to("/dev/zero" if kind == "device" else "odd")
        with pytest.raises(InvalidModelError, match=r"path must hold plain files, got '.*/odd'"):
            digest(model)


@pytest.mark.parametrize(("name", "problem"), [(b"\xff", "not UTF-8"), (b"\\a", "absolute name")])
def test_refuses_a_name_that_the_endpoint_refuses(model: Path, name: bytes, problem: str) -> None:
    Path(os.fsdecode(os.fsencode(model) + b"/" + name)).write_bytes(b"x")
    with pytest.raises(InvalidModelError, match=f"files that can be unpacked, got '.*', which has an? .*{problem}"):
        digest(model)


def test_takes_any_other_name(model: Path) -> None:
    for name in ("new\nline", " ", "quote'", "ü" * 127, "a:\\"):
        (model / f"x{name}").write_bytes(b"x")
    assert len(inspect(model)[1].files) == 7


def test_refuses_pointers_of_git_lfs(model: Path, tmp_path: Path) -> None:
    (model / "weights.bin").write_bytes(POINTER)
    path = archive(tmp_path / "model.tar.gz", *((f"{name}.bin", POINTER) for name in "abcde"))
    with pytest.raises(InvalidModelError, match=r"got Git LFS's pointers 'weights\.bin' in '.*': run 'git lfs pull'"):
        digest(model)
    with pytest.raises(InvalidModelError, match=r"pointers 'a\.bin', 'b\.bin', 'c\.bin' and 2 more in"):
        digest(path)


@pytest.mark.parametrize("name", ["xgboost-model", "model.joblib", "1/saved_model.pb", "model.pt"])
def test_refuses_an_empty_model_file(model: Path, name: str) -> None:
    (model / name).parent.mkdir(exist_ok=True)
    (model / name).write_bytes(b"")
    with pytest.raises(InvalidModelError, match=f"path must hold a model, got '{name}' without content in"):
        digest(model)


def test_takes_empty_markers_but_no_model_of_nothing_else(model: Path, tmp_path: Path) -> None:
    for name in ("__init__.py", ".keep", "py.typed"):
        (model / name).write_bytes(b"")
    assert inspect(model)[1].empty == (".keep", "__init__.py", "py.typed")
    with pytest.raises(InvalidModelError, match="whose files are all empty"):
        digest(archive(tmp_path / "model.tar.gz", ("model", b"")))


def test_leaves_nothing_when_it_is_stopped(model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(scratch))

    class Stopped(Exception):
        pass

    def stop(_: int, __: int) -> None:
        raise Stopped

    with pytest.raises(Stopped), packed(model, stop):
        pass
    assert [*scratch.iterdir()] == []
