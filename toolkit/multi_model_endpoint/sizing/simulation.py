"""A trace of calls, replayed on caches of least recently used models."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from heapq import heapify, heapreplace


@dataclass(frozen=True)
class Replay:
    """What became of a trace's calls.

    Attributes:
        calls: How many there were.
        first: How many were the first on their instance for their model, and so had to load it.
        loaded: How often each model was loaded.
        evicting: How often others had to go for it.
        evicted: How many had to go for it, all in all.
    """

    calls: int
    first: int
    loaded: Mapping[str, int]
    evicting: Mapping[str, int]
    evicted: Mapping[str, int]

    @property
    def loads(self) -> int:
        """How many calls loaded their model."""
        return sum(self.loaded.values())

    @property
    def hit_ratio(self) -> float:
        """The share of calls whose model was loaded."""
        return 1 - self.loads / self.calls if self.calls else 1.0


def replay(
    calls: Sequence[str],
    sizes: Mapping[str, float],
    memory: float,
    *,
    instances: int = 1,
    copies: Mapping[str, int] | None = None,
    skip: int = 0,
) -> Replay:
    """Replay calls in their order.

    A model's first call goes to the instance with the fewest bytes of models, and all others to the same one; a model
    with several copies is called in turns on as many instances.

    Args:
        calls: The models, in the order of their calls.
        sizes: The bytes of each in memory. One that is larger than the memory is loaded for each call.
        memory: The bytes of each instance.
        instances: How many there are.
        copies: On how many instances a model is; one when it is left out.
        skip: How many calls are to fill the caches, and are not counted.
    """
    caches: list[OrderedDict[str, float]] = [OrderedDict() for _ in range(instances)]
    used = [0.0] * instances
    assigned = [(0.0, instance) for instance in range(instances)]
    heapify(assigned)
    homes: dict[str, list[int]] = {}
    turns: dict[str, int] = {}
    loaded: dict[str, int] = {}
    evicting: dict[str, int] = {}
    evicted: dict[str, int] = {}
    seen: set[tuple[str, int]] = set()
    first = 0
    for number, model in enumerate(calls):
        size = sizes[model]
        found = homes.get(model)
        if found is None:
            bytes_there, home = assigned[0]
            heapreplace(assigned, (bytes_there + size, home))
            wanted = min((copies or {}).get(model, 1), instances)
            found = homes[model] = [(home + offset) % instances for offset in range(wanted)]
        if len(found) == 1:
            instance = found[0]
        else:
            turns[model] = turn = turns.get(model, -1) + 1
            instance = found[turn % len(found)]
        cache = caches[instance]
        if model in cache:
            cache.move_to_end(model)
            continue
        if number >= skip:
            loaded[model] = loaded.get(model, 0) + 1
            first += (model, instance) not in seen
        seen.add((model, instance))
        if size > memory:
            continue
        if used[instance] + size > memory and number >= skip:
            evicting[model] = evicting.get(model, 0) + 1
        while cache and used[instance] + size > memory:
            used[instance] -= cache.popitem(last=False)[1]
            if number >= skip:
                evicted[model] = evicted.get(model, 0) + 1
        cache[model] = size
        used[instance] += size
    return Replay(len(calls) - skip, first, loaded, evicting, evicted)
