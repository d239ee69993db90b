"""What the models are sent."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from mimetypes import guess_type
from pathlib import Path

from multi_model_endpoint.artifacts.naming import DIGEST_LENGTH

_ARCHIVE = re.compile(rf"(-[0-9a-f]{{{DIGEST_LENGTH}}})?\.tar\.gz$")


@dataclass(frozen=True)
class Payload:
    """The body of a request.

    Attributes:
        body: Its bytes.
        content_type: Their type; None leaves it to the container.
    """

    body: bytes
    content_type: str | None = None

    @classmethod
    def read(cls, path: Path, content_type: str | None = None) -> Payload:
        """A file, whose type is guessed by its name where none is given."""
        return cls(path.read_bytes(), content_type or guess_type(path.name)[0])


def payloads_in(
    folder: Path | None, models: Collection[str], *, content_type: str | None = None, default: Path | None = None
) -> dict[str, Payload]:
    """Read the payload of each model from a folder.

    It is the file that is called as the model or the alias, as the model without digest and ``.tar.gz``, or as the
    alias without what is behind ``@``, with any ending or none: ``tenant_a/churn.csv`` for ``tenant_a/churn@prod``.

    Args:
        folder: Where they are, if anywhere.
        models: Target models and aliases.
        content_type: Of all of them. Left out, it is guessed by the files' names.
        default: The file for models that have none.

    Raises:
        ValueError: If a model has no payload, or several.
    """
    payloads = some_payloads_in(folder, models, content_type=content_type, default=default)
    for model in models:
        if model not in payloads:
            raise ValueError(f"{model!r} has no payload: name a file for all, or a folder with {_names(model)[-1]}.csv")
    return payloads


def some_payloads_in(
    folder: Path | None, models: Iterable[str], *, content_type: str | None = None, default: Path | None = None
) -> dict[str, Payload]:
    """Read the payloads of the models that have one, as ``payloads_in`` does.

    Raises:
        ValueError: If a model has several.
    """
    otherwise = None if default is None else Payload.read(default, content_type)
    payloads = {}
    for model in models:
        found = None if folder is None else _payload(folder, model, content_type)
        if (payload := found or otherwise) is not None:
            payloads[model] = payload
    return payloads


def _payload(folder: Path, model: str, content_type: str | None) -> Payload | None:
    for name in _names(model):
        parent, _, last = name.rpartition("/")
        place = folder / parent
        files = [] if not place.is_dir() else [each for each in place.iterdir() if each.is_file()]
        named = sorted(each for each in files if last in (each.name, each.stem))
        if len(named) > 1:
            raise ValueError(f"{folder} has several payloads for {model!r}: {', '.join(each.name for each in named)}")
        if named:
            return Payload.read(named[0], content_type)
    return None


def _names(model: str) -> list[str]:
    return list(dict.fromkeys([model, _ARCHIVE.sub("", model).partition("@")[0]]))
