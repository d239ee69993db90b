"""What has not changed is neither read nor packed again, and what has is never taken for unchanged."""

from __future__ import annotations

import gzip
import hashlib
import io
import os
import random
import shutil
import sys
import tarfile
import threading
import tracemalloc
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from click.testing import CliRunner

from mme_local.testing import LocalEndpoint
from multi_model_endpoint.artifacts import Artifact, InvalidModelError, each, gzipped, inspect, memory, packed, stored
from multi_model_endpoint.artifacts.errors import invalid
from multi_model_endpoint.publishing import push

MIB = 1024**2
_opened: list[str] | None = None


def _audit(event: str, arguments: tuple[object, ...]) -> None:
    if event == "open" and _opened is not None and isinstance(arguments[0], str | bytes | os.PathLike):
        _opened.append(os.fsdecode(arguments[0]))


sys.addaudithook(_audit)


@pytest.fixture
def opened() -> Iterator[list[str]]:
    """The names of all files that this process opens, to be cleared before what is looked at."""
    global _opened
    _opened = []
    yield _opened
    _opened = None


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache folder of the test's own, in which also what was written just now is remembered."""
    folder = tmp_path / "cache"
    monkeypatch.setattr(memory, "_folder", lambda: folder)
    monkeypatch.setattr("multi_model_endpoint.artifacts.archive.CLOCK_TICK_NS", 0)
    return folder


@pytest.fixture
def assembly(tmp_path: Path) -> Path:
    folder = tmp_path / "cdk.out"
    folder.mkdir()
    return folder


def name(digest: str) -> str:
    return f"asset.{digest}.tar.gz"


def store(model: Path, assembly: Path) -> Artifact:
    return stored(model, assembly, name)


def of(opened: list[str], folder: Path) -> list[str]:
    return [path for path in opened if Path(path).is_relative_to(folder)]


def tar_digest(path: Path) -> str:
    return hashlib.sha256(gzip.decompress(path.read_bytes())).hexdigest()


@pytest.mark.parametrize("kind", ["directory", "archive"])
def test_opens_no_file_of_an_unchanged_model(
    model: Path, tmp_path: Path, assembly: Path, opened: list[str], kind: str
) -> None:
    (model / "config.pbtxt").write_text('backend: "python"')
    (model / "small").write_bytes(b"as long as a pointer of Git LFS may be " * 4)
    source = model
    if kind == "archive":
        source = tmp_path / "archives" / "model.tar.gz"
        source.parent.mkdir()
        with tarfile.open(source, "w:gz") as tar:
            tar.add(model, arcname=".")
    first = store(source, assembly)
    assert of(opened, source) != []
    opened.clear()
    assert store(source, assembly) == first
    assert inspect(source) == (first.digest, first.contents)
    assert of(opened, source) == []


def test_writes_nothing_into_an_assembly_that_has_the_archive(model: Path, assembly: Path) -> None:
    path = store(model, assembly).path
    before = path.stat()
    after = store(model, assembly).path.stat()
    assert (after.st_ino, after.st_ctime_ns) == (before.st_ino, before.st_ctime_ns)
    assert [*assembly.iterdir()] == [path]


def edit(file: Path) -> None:
    file.write_bytes(bytes(reversed(file.read_bytes())))


@pytest.mark.parametrize(
    "kind", ["edited", "edited and the clock set back", "replaced and the clock set back", "moved"]
)
def test_reads_a_file_again_after_each_edit_that_keeps_its_size(model: Path, assembly: Path, kind: str) -> None:
    file = model / "weights.bin"
    before, found = store(model, assembly), file.stat()
    if kind.startswith("replaced"):
        other = model.with_name("other")
        shutil.copyfile(file, other)
        other.replace(file)
    if kind == "moved":
        edit(file)
        file.rename(file.with_name("other"))
        file.with_name("other").rename(file)
    else:
        edit(file)
    if kind.endswith("set back"):
        os.utime(file, ns=(found.st_atime_ns, found.st_mtime_ns))
        assert file.stat().st_mtime_ns == found.st_mtime_ns
    assert file.stat().st_size == found.st_size
    after = store(model, assembly)
    assert after.digest != before.digest
    assert tar_digest(after.path) == after.digest


@pytest.mark.parametrize("change", ["name", "mode", "new file", "new folder"])
def test_notices_what_changes_beside_the_contents(model: Path, assembly: Path, change: str) -> None:
    before = store(model, assembly)
    if change == "name":
        (model / "weights.bin").rename(model / "weights2.bin")
    elif change == "mode":
        (model / "weights.bin").chmod(0o755)
    elif change == "new file":
        (model / "empty").touch()
    else:
        (model / "1").mkdir()
    assert store(model, assembly).digest != before.digest


def test_does_not_trust_what_was_changed_within_a_tick_of_the_file_systems_clock(
    model: Path, assembly: Path, opened: list[str], monkeypatch: pytest.MonkeyPatch, cache: Path
) -> None:
    """It may be changed once more at what is the same time to that clock."""
    monkeypatch.setattr("multi_model_endpoint.artifacts.archive.CLOCK_TICK_NS", 3600 * 10**9)
    first = store(model, assembly)
    opened.clear()
    assert store(model, assembly) == first
    assert of(opened, model) != []
    assert not cache.exists()


def test_reads_but_does_not_pack_what_was_only_touched(
    model: Path, assembly: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = store(model, assembly)
    os.utime(model / "weights.bin", (1, 1))
    monkeypatch.setattr(gzipped, "writer", None)
    assert store(model, assembly) == first
    os.unlink(first.path)
    with pytest.raises(TypeError):
        store(model, assembly)


def test_shares_the_archive_of_another_assembly(
    model: Path, assembly: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each test of an app has an assembly of its own."""
    first = store(model, assembly)
    (tmp_path / "other").mkdir()
    monkeypatch.setattr(gzipped, "writer", None)
    assert store(model, tmp_path / "other").path.samefile(first.path)
    assert [*(tmp_path / "other").iterdir()] == [tmp_path / "other" / first.path.name]


def test_copies_the_archive_of_an_assembly_on_another_disk(
    model: Path, assembly: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = store(model, assembly)
    (tmp_path / "other").mkdir()

    def other_disk(*_: object) -> None:
        raise OSError(18, "Invalid cross-device link")

    monkeypatch.setattr(Path, "hardlink_to", other_disk)
    monkeypatch.setattr(gzipped, "writer", None)
    assert store(model, tmp_path / "other").path.read_bytes() == first.path.read_bytes()


@pytest.mark.parametrize("there", [b"", b"\x1f\x8b half of an archive", bytes(1000)])
def test_takes_no_half_written_archive_for_a_whole_one(model: Path, assembly: Path, there: bytes) -> None:
    path = store(model, assembly).path
    path.write_bytes(there)
    again = store(model, assembly)
    assert (again.path, tar_digest(again.path)) == (path, again.digest)


def test_leaves_nothing_in_the_assembly_when_it_is_stopped(model: Path, assembly: Path) -> None:
    class Stopped(Exception):
        pass

    def stop(_: int, __: int) -> None:
        assert len([*assembly.iterdir()]) == 1
        raise Stopped

    with pytest.raises(Stopped):
        stored(model, assembly, name, stop)
    assert [*assembly.iterdir()] == []


@pytest.mark.parametrize("broken", [b"", b"{}", b"[]", b"\xff", b'{"state": 1, "digest": 2}', b"[" * 100_000])
def test_ignores_a_broken_memory_and_mends_it(
    model: Path, assembly: Path, cache: Path, opened: list[str], broken: bytes
) -> None:
    first = store(model, assembly)
    (entry,) = cache.glob("*.json")
    entry.write_bytes(broken)
    assert store(model, assembly) == first
    opened.clear()
    assert store(model, assembly) == first
    assert of(opened, model) == []


def test_works_where_nothing_can_be_remembered(model: Path, assembly: Path, cache: Path) -> None:
    cache.write_text("a file where the folder should be")
    assert store(model, assembly) == store(model, assembly)


def test_needs_no_home(model: Path, assembly: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.undo()
    monkeypatch.setattr("multi_model_endpoint.artifacts.archive.CLOCK_TICK_NS", 0)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("platformdirs.user_cache_path", lambda _: Path("~/.cache"))
    store(model, assembly)
    assert not (tmp_path / "~").exists()


def test_remembers_in_the_users_cache_folder(
    model: Path, assembly: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.undo()
    monkeypatch.setattr("multi_model_endpoint.artifacts.archive.CLOCK_TICK_NS", 0)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    store(model, assembly)
    assert len([*(tmp_path / "xdg" / "multi-model-endpoint" / "models").glob("*.json")]) == 1


def test_reads_everything_again_with_another_release(
    model: Path, assembly: Path, opened: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Which may refuse more, or pack it differently."""
    first = store(model, assembly)
    monkeypatch.setattr(memory, "_release", lambda: "another")
    opened.clear()
    assert store(model, assembly) == first
    assert of(opened, model) != []


def test_forgets_once_a_day_what_was_not_asked_for_in_a_long_time(
    model: Path, assembly: Path, cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store(model, assembly)
    (old,) = cache.glob("*.json")
    os.utime(old, (1, 1))
    other = shutil.copytree(model, tmp_path / "other")
    store(other, assembly)
    assert old.exists()  # today it was tidied already
    os.utime(cache / "tidied", (1, 1))
    edit(other / "weights.bin")
    store(other, assembly)
    (kept,) = cache.glob("*.json")
    assert kept != old
    monkeypatch.setattr(memory, "_MODELS", 0)
    os.utime(cache / "tidied", (1, 1))
    edit(other / "weights.bin")
    store(other, assembly)
    assert [*cache.glob("*.json")] == []


def test_many_can_pack_one_model_at_once(model: Path, assembly: Path, cache: Path) -> None:
    (model / "weights.bin").write_bytes(os.urandom(MIB))
    with ThreadPoolExecutor(8) as pool:
        artifacts = [*pool.map(lambda _: store(model, assembly), range(32))]
    assert {artifact.path for artifact in artifacts} == {artifacts[0].path}
    assert tar_digest(artifacts[0].path) == artifacts[0].digest
    assert [*assembly.iterdir()] == [artifacts[0].path]
    assert len([*cache.glob("*.json")]) == 1
    assert [*cache.glob("*.new")] == []


def test_copies_an_archive_whose_tar_is_as_we_write_it(
    model: Path, assembly: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (model / ("long" * 50)).write_bytes(b"a name for a header of its own")
    with packed(model) as artifact:
        given = shutil.copyfile(artifact.path, tmp_path / "model.tar.gz")
    recompressed = gzip.compress(gzip.decompress(given.read_bytes()), 9, mtime=1)
    given.write_bytes(recompressed)
    monkeypatch.setattr(gzipped, "writer", None)
    copied = store(given, assembly)
    assert (copied.digest, copied.contents) == (artifact.digest, artifact.contents)
    assert copied.path.read_bytes() == recompressed
    assert not copied.path.samefile(given)  # which its owner may edit in place
    with packed(given) as pushed:
        assert pushed.path.read_bytes() == recompressed


def test_packs_every_other_archive_anew(model: Path, assembly: Path, tmp_path: Path) -> None:
    given = tmp_path / "model.tar.gz"
    with packed(model) as artifact:
        whole = gzip.decompress(artifact.path.read_bytes())
        for tar in (whole + bytes(512), whole[:-512]):  # of tar's records
            given.write_bytes(gzip.compress(tar))
            again = store(given, assembly)
            assert (again.digest, tar_digest(again.path)) == (artifact.digest, artifact.digest)
            again.path.unlink()
        given.write_bytes(gzip.compress(whole[:1000]) + gzip.compress(whole[1000:]))
        again = store(given, assembly)
        assert (again.digest, again.path.read_bytes()) != (artifact.digest, given.read_bytes())
        assert store(given, assembly) == again


def test_refuses_an_archive_that_changes_while_it_is_copied(model: Path, assembly: Path, tmp_path: Path) -> None:
    given = tmp_path / "model.tar.gz"
    with packed(model) as artifact:
        shutil.copyfile(artifact.path, given)

    def change(_: int, __: int) -> None:
        os.utime(given, (1, 1))

    with pytest.raises(InvalidModelError, match=r"must not change while it is packed, got '.*/model\.tar\.gz'"):
        stored(given, assembly, name, change)
    assert [*assembly.iterdir()] == []


def test_zlib_packs_where_there_is_no_isal(
    model: Path, assembly: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = store(model, assembly)
    monkeypatch.setattr(gzipped, "_isal", lambda _: None)
    with packed(model) as artifact:
        assert (artifact.digest, tar_digest(artifact.path)) == (first.digest, first.digest)
        given = shutil.copyfile(artifact.path, tmp_path / "model.tar.gz")
    assert inspect(given)[0] == first.digest


def test_the_tar_of_a_model_is_the_same_in_every_release(tmp_path: Path) -> None:
    """A release that packs it differently renames every model of its users."""
    for path in ("ü/" + "long" * 60, "code/run.sh", "empty/.keep", "weights.bin"):
        file = tmp_path / "model" / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(path.encode() * 100 if path != "empty/.keep" else b"")
        file.chmod(0o755 if path.endswith(".sh") else 0o644)
    (tmp_path / "model" / "1").mkdir()
    assert inspect(tmp_path / "model")[0] == "c349be50f294580ed06865157ba6b7fdc66684da6523f0148dd93d2935562d69"


def test_push_reads_no_unchanged_model_and_packs_none_that_is_there(
    control_plane: LocalEndpoint, model: Path, opened: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for variable, value in control_plane.environment.items():
        monkeypatch.setenv(variable, value)
    control_plane.client("s3").create_bucket(Bucket="push-unchanged")
    arguments = [str(model), "s3://push-unchanged/models/"]
    first = CliRunner().invoke(push, arguments)
    assert first.exit_code == 0, first.output
    monkeypatch.setattr(gzipped, "writer", None)
    opened.clear()
    second = CliRunner().invoke(push, arguments)
    assert second.output == f"unchanged {first.stdout}{first.stdout}"
    assert of(opened, model) == []
    (model / "weights.bin").write_bytes(b"changed")
    assert isinstance(CliRunner().invoke(push, arguments).exception, TypeError)


def test_the_gzip_has_neither_clock_nor_name(model: Path, assembly: Path) -> None:
    header = store(model, assembly).path.read_bytes()[:10]
    assert header[3:8] == bytes(5)


def test_packs_in_memory_that_does_not_grow_with_the_model(
    model: Path, assembly: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gzipped, "_THREADS", 2)
    with (model / "weights.bin").open("wb") as file:
        for part in range(64):
            file.write(random.Random(part).randbytes(MIB))
    tracemalloc.start()
    try:
        store(model, assembly)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 32 * MIB


def test_works_on_several_models_at_a_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("multi_model_endpoint.artifacts.progress._AT_A_TIME", 3)
    together = threading.Barrier(3, timeout=60)

    def work(path: Path, _: Callable[[int, int], None]) -> str:
        together.wait()
        if path.name == "b":
            raise invalid("emptyModel", path.name)
        return path.name

    done = each("working", {letter: tmp_path / letter for letter in "abc"}, work)
    assert [*done] == ["a", "b", "c"]
    assert isinstance(done["b"], InvalidModelError)
    assert (done["a"], done["c"]) == ("a", "c")


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(
    ("stream", "patience", "said"), [(Terminal, 0, True), (Terminal, 1e9, False), (io.StringIO, 0, False)]
)
def test_shows_its_progress_only_on_a_terminal_and_only_when_it_takes_long(
    model: Path,
    assembly: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
    stream: type[io.StringIO],
    patience: float,
    said: bool,
) -> None:
    monkeypatch.setattr("multi_model_endpoint.artifacts.progress._PATIENCE", patience)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.delenv("NO_COLOR", raising=False)
    errors = stream()
    monkeypatch.setattr(sys, "stderr", errors)
    each("packing models", {"model": model}, lambda path, step: stored(path, assembly, name, step))
    assert ("packing models" in errors.getvalue()) is said
    assert bool(errors.getvalue()) is said
    assert capfd.readouterr() == ("", "")


def test_ends_the_work_that_nobody_waits_for(tmp_path: Path) -> None:
    begun = threading.Event()
    ended = []

    def work(path: Path, step: Callable[[int, int], None]) -> None:
        if path.name == "fails":
            assert begun.wait(60)
            raise KeyboardInterrupt
        begun.set()
        try:
            while True:
                step(0, 1)
        finally:
            ended.append(path.name)

    with pytest.raises(KeyboardInterrupt):
        each("working", {letter: tmp_path / letter for letter in ("fails", "works")}, work)
    assert ended == ["works"]


def test_tells_that_there_is_no_room_in_the_assembly(model: Path, assembly: Path) -> None:
    def full(_: int, __: int) -> None:
        raise OSError(28, "No space left on device")

    with pytest.raises(InvalidModelError, match=r"can't be packed in '.*/cdk\.out': No space left on device; free sp"):
        stored(model, assembly, name, full)
