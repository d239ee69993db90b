"""Models that cannot be had, unpacked, loaded or held: a clear error, and nobody else is hurt."""

from __future__ import annotations

import io
import os
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest

from .conftest import MIB, SERVERS, THIRD, Endpoint, Site, archive

Shared = Callable[[str], Endpoint]


def hostile(kind: bytes, name: str, *, target: str = "", size: int = 0) -> bytes:
    """An archive whose second member is the given one; of a size that is claimed there are no bytes."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as tar:
        tar.addfile(tarfile.TarInfo("inference.py"))
        member = tarfile.TarInfo(name)
        member.type, member.linkname, member.size = kind, target, size
        tar.addfile(member)
    return buffer.getvalue()


EVIL = "evil-of-the-fault-tests"
ARCHIVES = {
    "cut off": (archive({"model": os.urandom(50_000)})[:-20_000], "not a gzip-compressed tar archive"),
    "no archive": (b"<html>not found</html>", "valid tar.gz archive"),
    "traversal": (hostile(tarfile.REGTYPE, f"../../../../{EVIL}"), "leaves the model's directory"),
    "absolute": (hostile(tarfile.REGTYPE, f"/tmp/{EVIL}"), "absolute name"),
    "link": (hostile(tarfile.SYMTYPE, "model", target="/etc/passwd"), "is a link"),
    "hard link": (hostile(tarfile.LNKTYPE, "model", target="/etc/passwd"), "is a link"),
    "device": (hostile(tarfile.CHRTYPE, "model"), "neither a plain file nor a folder"),
    "bomb": (hostile(tarfile.REGTYPE, "model", size=2**40), "unpacks to more than"),
}


@pytest.mark.parametrize("fault", ARCHIVES)
def test_an_archive_that_cannot_be_unpacked_safely_is_refused(site: Site, shared: Shared, fault: str) -> None:
    endpoint = shared("mms")
    content, reason = ARCHIVES[fault]
    model = f"{fault.replace(' ', '-')}.tar.gz"
    endpoint.put(model, content)
    answer = endpoint.call(model)
    assert (answer.status, answer.error) == (400, "ValidationError")
    assert reason in answer.message
    assert endpoint.ask("good.tar.gz").ok
    assert not list(site.hosting.parent.rglob(f"{EVIL}*"))
    assert not Path("/tmp", EVIL).exists()
    # each model on disk has a folder of its own, and nothing is left of what was refused
    partial = [path for path in site.hosting.rglob("*") if path.name.startswith(".partial")]
    assert partial == []


def test_an_absent_object_is_named_and_found_once_it_is_there(shared: Shared) -> None:
    endpoint = shared("mms")
    answer = endpoint.call("late.tar.gz")
    assert (answer.status, answer.error) == (400, "ValidationError")
    assert f"bucket: models, key: {endpoint.prefix}/late.tar.gz" in answer.message
    endpoint.add("late.tar.gz")
    assert endpoint.ask("late.tar.gz").ok


@pytest.mark.parametrize("kind", SERVERS)
def test_a_model_that_fails_to_load_harms_no_other_and_works_once_fixed(shared: Shared, kind: str) -> None:
    endpoint = shared(kind)
    endpoint.put("broken.tar.gz", archive(endpoint.kind.broken()))
    for _ in range(2):
        answer = endpoint.call("broken.tar.gz")
        assert (answer.status, answer.error) == (424, "ModelError")
        assert answer.details["OriginalStatusCode"] >= 400
        assert answer.details["OriginalMessage"]
    assert endpoint.ask("good.tar.gz", 1).ok
    endpoint.add("fixed.tar.gz")
    assert endpoint.ask("fixed.tar.gz", 2).ok


@pytest.mark.parametrize("kind", SERVERS)
def test_a_model_too_big_for_the_memory_budget_evicts_nobody(shared: Shared, kind: str) -> None:
    endpoint = shared(kind)
    assert endpoint.ask("good.tar.gz").ok
    loads = endpoint.loads("good.tar.gz")
    endpoint.add("big.tar.gz", padding=MIB)
    answer = endpoint.call("big.tar.gz")
    assert (answer.status, answer.error) == (424, "ModelError")
    assert answer.details["OriginalStatusCode"] == 507
    assert "more than the whole budget of 1048576" in answer.message
    assert endpoint.ask("good.tar.gz").ok
    assert endpoint.loads("good.tar.gz") == loads
    endpoint.add("third.tar.gz", padding=THIRD)
    assert endpoint.ask("third.tar.gz").ok
