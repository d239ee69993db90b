"""The sizes of models in folders, archives and stores."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from math import ceil
from pathlib import Path

from multi_model_endpoint.artifacts import models_in
from multi_model_endpoint.artifacts.archive import find
from multi_model_endpoint.artifacts.errors import invalid, reading
from multi_model_endpoint.artifacts.sources import model_name_of
from multi_model_endpoint.store_url import StoreUrl
from multi_model_endpoint.stores.listing import Model

from .demand import SizedModel

_BLOCK = 4096  # bytes that a file takes a multiple of, on disk and mapped into memory


def sized(sources: Sequence[str], in_store: Callable[[StoreUrl], Sequence[Model]]) -> dict[str, SizedModel]:
    """The models of sources by name.

    Args:
        sources: Folders of models, archives, and stores, ``s3://bucket/prefix/``.
        in_store: Lists the models of a store.

    Raises:
        InvalidModelError: If there is no model, one can't be read, or two have one name.
        ValueError: If a store's URL is none.
    """
    found: dict[str, SizedModel] = {}
    for source in sources:
        for model in _models(source, in_store):
            if model.name in found:
                raise invalid("duplicateModelName", f"models must have different names, got {model.name!r} twice")
            found[model.name] = model
    if not found:
        raise invalid("noModels", f"models must be there, got none in {', '.join(map(repr, sources))}")
    return found


def _models(source: str, in_store: Callable[[StoreUrl], Sequence[Model]]) -> Iterator[SizedModel]:
    if "://" in source:
        url = StoreUrl.parse(source)
        for model in in_store(url):
            yield SizedModel(model.target_model, model.size, model.size, is_unpacked=False, store=url)
        return
    path = Path(source)
    if path.is_dir():
        for name, each in models_in(path).items():
            yield _file(name, each)
    else:
        yield _file(model_name_of(path) or path.name, path)


def _file(name: str, path: Path) -> SizedModel:
    members = find(path).members
    if members is not None:
        sizes = [member.size for member in members]
        return SizedModel(name, sum(sizes), sum(ceil(size / _BLOCK) * _BLOCK for size in sizes), path=path)
    with reading(path):
        packed = path.stat().st_size
        unpacked = _unpacked(path, packed)
    return SizedModel(name, packed, unpacked or packed, is_unpacked=unpacked is not None, path=path)


def _unpacked(path: Path, packed: int) -> int | None:
    """What a gzip says of its content's size; None where that is more than it can say, or of a part only."""
    with path.open("rb") as file:
        file.seek(-min(4, packed), os.SEEK_END)
        size = int.from_bytes(file.read(), "little")
    return size if packed <= size and packed < 2**30 else None
