"""Model artifacts on their way from S3 to an instance's disk. Everything here blocks and runs in threads."""

from __future__ import annotations

import errno
import functools
import gzip
import shutil
import tarfile
import tempfile
import threading
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

from botocore.exceptions import BotoCoreError, ClientError

from mme_local.hosting import loopback
from mme_local.hosting.spec import split_s3_url
from multi_model_endpoint.artifacts.members import MAX_HEADER, folders_above, member_problem

_CHUNK = 1024 * 1024
# In stream mode tarfile reads a record of 20 blocks at a time: it is always a little ahead of the member at hand.
_READ_AHEAD = 2 * tarfile.RECORDSIZE
# With a limit on the size of files, such as a container's, the kernel says EFBIG.
_NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


class ArtifactError(Exception):
    """An artifact could not be brought to disk."""


class ArtifactMissing(ArtifactError):
    """There is no such object, or it may not be read."""


class ArtifactRejected(ArtifactError):
    """The object is not a model archive that is safe to unpack."""


class DiskFull(ArtifactError):
    """The local disk has no room for it."""


class Cancelled(ArtifactError):
    """The download was given up."""


class ArtifactStore:
    """Downloads and unpacks model archives.

    Args:
        endpoint_url: Where S3 is: the address that mme-local itself answers on.
        region: The region to sign for.
        max_members: Most files and folders in one archive.
        max_bytes: Most bytes that one archive may unpack to.
        role_credentials: Access key, secret and token of an execution role's session, where policies are enforced;
            those in the environment, the account's own, when left out.
    """

    def __init__(
        self,
        endpoint_url: str,
        *,
        region: str,
        max_members: int,
        max_bytes: int,
        role_credentials: Callable[[str], tuple[str, str, str]] | None = None,
    ) -> None:
        self._role_credentials = role_credentials
        self._role: str | None = None
        self._endpoint_url = endpoint_url
        self._region = region
        self._max_members = max_members
        self._max_bytes = max_bytes
        self._client_lock = threading.Lock()

    def as_role(self, role: str | None) -> ArtifactStore:
        """Return a store that reads what the execution role may read."""
        if self._role_credentials is None:
            return self
        store = ArtifactStore(
            self._endpoint_url,
            region=self._region,
            max_members=self._max_members,
            max_bytes=self._max_bytes,
            role_credentials=self._role_credentials,
        )
        store._role = role
        return store

    @functools.cached_property
    def _s3(self) -> Any:
        credentials = None
        if self._role_credentials is not None and self._role is not None:
            credentials = self._role_credentials(self._role)
        return loopback.client(
            "s3", self._endpoint_url, self._region, credentials=credentials, read_timeout=60, attempts=2
        )

    def connect(self) -> Any:
        """Return the S3 client, made by the first call: worth doing before anybody waits for it."""
        with self._client_lock:
            return self._s3

    def fetch(self, url: str, directory: Path, stop: threading.Event) -> int:
        """Download the archive at ``url`` and unpack it to ``directory``, which appears complete or not at all.

        Args:
            url: The object's ``s3://`` URL.
            directory: Where the unpacked model is to be; it does not exist yet, its parent does.
            stop: Ends the work early, with ``Cancelled``.

        Returns:
            The bytes that the unpacked model takes on disk.

        Raises:
            ArtifactError: It is not there; nothing is left of it.
        """
        try:
            return self._fetch(url, directory, stop)
        except OSError as error:
            raise of_disk(error) from error

    def _fetch(self, url: str, directory: Path, stop: threading.Event) -> int:
        with tempfile.TemporaryDirectory(prefix=".partial-", dir=directory.parent) as scratch:
            archive = Path(scratch, "archive")
            self._download(url, archive, stop)
            unpacked = Path(scratch, "model")
            unpacked.mkdir()
            size = unpack(archive, unpacked, max_members=self._max_members, max_bytes=self._max_bytes, stop=stop)
            archive.unlink()
            _check(stop)
            unpacked.rename(directory)
        return size

    def _download(self, url: str, target: Path, stop: threading.Event) -> None:
        bucket, key = split_s3_url(url)
        _check(stop)
        try:
            body = self.connect().get_object(Bucket=bucket, Key=key)["Body"]
            with body, target.open("wb") as file:
                for chunk in body.iter_chunks(_CHUNK):
                    _check(stop)
                    file.write(chunk)
        except ClientError as error:
            if error.response["ResponseMetadata"]["HTTPStatusCode"] < 500:
                raise ArtifactMissing(
                    f"Failed to download model data(bucket: {bucket}, key: {key}). Please ensure that there is an "
                    "object located at the URL and that the role passed to CreateModel has permissions to download "
                    "the model."
                ) from error
            raise ArtifactError(f"S3 failed on {url}: {error}") from error
        except BotoCoreError as error:
            raise ArtifactError(f"S3 failed on {url}: {error}") from error


def unpack(archive: Path, directory: Path, *, max_members: int, max_bytes: int, stop: threading.Event) -> int:
    """Unpack a ``.tar.gz`` into an empty directory, or raise ``ArtifactRejected`` saying what is wrong with it.

    Nothing is taken on trust: names must stay inside, members must be plain files and folders, and the bound on size
    counts what comes out of the decompressor, not what headers claim.

    Returns:
        The bytes of all files, each rounded up to the disk's blocks.
    """
    try:
        with gzip.open(archive) as stream:
            bounded = _Bounded(stream, max_bytes, functools.partial(_check, stop))
            # The stream mode never seeks, so every byte goes through the bound exactly once.
            with tarfile.open(fileobj=cast(Any, bounded), mode="r|") as tar:
                size = _extract_members(tar, bounded, directory, max_members)
            bounded.drain()
            return size
    except ArtifactError:
        raise
    except OSError as error:
        if error.errno in _NO_ROOM:
            raise of_disk(error) from error
        raise ArtifactRejected(f"the archive cannot be unpacked: {error}") from error
    # OverflowError: a time that no clock has. RecursionError: headers of headers of headers.
    except (tarfile.TarError, EOFError, zlib.error, ValueError, OverflowError, RecursionError) as error:
        raise ArtifactRejected(f"the object is not a gzip-compressed tar archive: {error}") from error


def of_disk(error: OSError) -> ArtifactError:
    """What an error of the local disk is to whoever waits for an artifact."""
    if error.errno in _NO_ROOM:
        return DiskFull(f"no space left on the local disk: {error}")
    return ArtifactError(f"the local disk failed: {error}")


def _extract_members(tar: tarfile.TarFile, stream: _Bounded, directory: Path, max_members: int) -> int:
    count = size = 0
    folders: set[str] = set()
    while True:
        stream.allow_header()
        member = tar.next()
        if member is None:
            return size
        _check_member(member)
        # Folders that a name implies are made like members
        implied = set(folders_above(member.name)) - folders
        folders |= implied
        count += 1 + len(implied)
        if count > max_members:
            raise ArtifactRejected(f"the archive has more than {max_members} members, with the folders they are in")
        stream.allow_data(member.size)
        tar.extract(member, directory, set_attrs=True, filter="data")
        if member.isfile():
            size += -(-member.size // 4096) * 4096


def _check_member(member: tarfile.TarInfo) -> None:
    """Refuse what a model archive never needs, before ``filter="data"`` has its say."""
    if problem := member_problem(member):
        raise ArtifactRejected(f"member {member.name[:100]!r} {problem}")


class _Bounded:
    """A decompressed stream that yields at most so many bytes, in all and for the member at hand."""

    def __init__(self, stream: gzip.GzipFile, max_bytes: int, check: Callable[[], None]) -> None:
        self._stream = stream
        self._max_bytes = max_bytes
        self._total = max_bytes
        self._check = check
        self.allow_header()

    def allow_header(self) -> None:
        """Let one member's header through, and a little more for what tarfile reads ahead."""
        self._until = MAX_HEADER + _READ_AHEAD

    def allow_data(self, size: int) -> None:
        """Let one member's content through, if there can be as much as its header claims."""
        if size > self._total:
            self._refuse()
        self._until = size + _READ_AHEAD

    def read(self, size: int = -1) -> bytes:
        """Return the next bytes, counted."""
        self._check()
        data = self._stream.read(size if size >= 0 else _CHUNK)
        self._total -= len(data)
        self._until -= len(data)
        if self._total < 0:
            self._refuse()
        if self._until < 0:
            raise ArtifactRejected("the archive has an oversized header")
        return data

    def drain(self) -> None:
        """Read to the end, which makes gzip verify its checksum."""
        self._until = self._max_bytes + _CHUNK
        while self.read(_CHUNK):
            pass

    def _refuse(self) -> None:
        raise ArtifactRejected(f"the archive unpacks to more than {self._max_bytes} bytes")


def _check(stop: threading.Event) -> None:
    if stop.is_set():
        raise Cancelled("the download was given up")


def remove_tree(directory: Path) -> None:
    """Delete a model's files; what is gone already is fine."""
    shutil.rmtree(directory, ignore_errors=True)
