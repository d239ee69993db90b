"""What so many instances of a type give."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from math import ceil
from statistics import fmean

from multi_model_endpoint.instances import InstanceType

from .assumptions import Assumptions
from .cache import Caches, Item, grouped, quantile
from .demand import Demand
from .simulation import Replay, replay

GIB = 1024**3
MONTH_HOURS = 730
_FEW = 100  # models in memory: with fewer the approximation is off by more than half a percent
_MOST = 1000


@dataclass(frozen=True)
class Machine:
    """An instance type, as far as it matters here.

    Attributes:
        name: Its name.
        vcpus: Its processors.
        memory: Its bytes of memory, of which models take theirs: the GPUs' where it has some.
        volume: Whether it has an EBS volume, and not disks of its own.
        price: US dollars an hour; None when it is not known.
    """

    name: str
    vcpus: int | None
    memory: int
    volume: bool = True
    price: float | None = None

    @classmethod
    def of(cls, name: str, known: InstanceType | None, memory: int | None, price: float | None) -> Machine:
        """What the table knows, and the user.

        Raises:
            ValueError: If neither knows its memory, or it has accelerators that serve no multi-model endpoint.
        """
        if known is not None and known.multi_model == "accelerator-unsupported":
            raise ValueError(
                f"must be a CPU or NVIDIA GPU instance type, got {name!r}: multi-model endpoints don't run on "
                "Inferentia, Trainium or Gaudi"
            )
        if memory is None and known is not None:
            mib = known.gpu_memory_mib if known.gpus else known.memory_mib
            memory = None if mib is None else mib * 1024**2
        if memory is None:
            raise ValueError(f"the memory of {name!r} is not known: say --memory {name}=GIB")
        return cls(name, known.vcpus if known else None, memory, not (known and known.local_storage), price)


@dataclass(frozen=True)
class Estimate:
    """What so many instances of a type give.

    Attributes:
        machine: The type.
        count: How many.
        model_memory: The bytes that each has for models.
        fits: How many models fit into the memory of all at once, by their average size.
        hit_ratio: The share of calls that find their model in memory; the others wait for it, some of them for a load
            that another call has begun.
        loads_per_second: Of all instances.
        loading: How many models each instance is loading at a time, on average.
        cold_p50: The seconds that a call waits that has its model downloaded and loaded: the median; of
            first calls where nothing is loaded again.
        cold_p99: The 99th percentile of that.
        wait_p99: The 99th percentile of the wait of all calls.
        cpu: The share of the processors that is busy; None when the time of a call is not known.
        disk: The bytes of models on the disk of each.
        too_big: How many models fit on no instance of the type.
        first: The share of calls that were the first of their model in the trace; None without one.
        meets: Whether it is enough.
    """

    machine: Machine
    count: int
    model_memory: float
    fits: float
    hit_ratio: float
    loads_per_second: float
    loading: float
    cold_p50: float
    cold_p99: float
    wait_p99: float
    cpu: float | None
    disk: float
    too_big: int
    first: float | None
    meets: bool

    @property
    def monthly(self) -> float | None:
        """US dollars a month; None when the price is not known."""
        return None if self.machine.price is None else self.machine.price * self.count * MONTH_HOURS


@dataclass(frozen=True)
class _Outcome:
    """What becomes of calls.

    Attributes:
        loads: Seconds, and the share of all calls that begin such a load.
        waits: Seconds, and the share of all calls that wait so long.
        first: The share that was the first of its model in the trace.
    """

    loads: list[tuple[float, float]]
    waits: list[tuple[float, float]]
    first: float | None

    @property
    def waiting(self) -> float:
        """The share of all calls that wait."""
        return min(1.0, sum(share for _, share in self.waits))


@dataclass(frozen=True)
class Sizing:
    """Estimates for one demand.

    Attributes:
        demand: What is asked for.
        assumptions: What is assumed.
    """

    demand: Demand
    assumptions: Assumptions
    _estimates: dict[tuple[Machine, int], Estimate] = field(default_factory=dict, init=False, compare=False)
    _outcomes: dict[tuple[float, int, tuple[tuple[str, int], ...]], _Outcome] = field(
        default_factory=dict, init=False, compare=False
    )
    _items: dict[tuple[tuple[str, int], ...], tuple[Caches, list[list[str]]]] = field(
        default_factory=dict, init=False, compare=False
    )

    def smallest(self, machine: Machine) -> Estimate | None:
        """What the fewest instances give that are enough; None when even a thousand are not."""
        low, high = self.assumptions.least, self.assumptions.least
        if self.estimate(machine, low).too_big:
            return None
        while not self.estimate(machine, high).meets:
            low, high = high + 1, 2 * high
            if low > _MOST:
                return None
        while low < high:
            middle = (low + high) // 2
            if self.estimate(machine, middle).meets:
                high = middle
            else:
                low = middle + 1
        return self.estimate(machine, high)

    def estimate(self, machine: Machine, count: int) -> Estimate:
        """What so many instances give."""
        key = (machine, count)
        if key not in self._estimates:
            self._estimates[key] = self._estimate(machine, count)
        return self._estimates[key]

    def curve(self, points: int) -> list[tuple[float, float]]:
        """The hit ratio by the bytes of one memory, up to all models'."""
        whole = sum(self._sizes.values())
        memories = [whole * point / points for point in range(1, points + 1)]
        return [(memory, 1 - self._outcome(memory, 1, {}).waiting) for memory in memories]

    def _estimate(self, machine: Machine, count: int) -> Estimate:
        assumed, demand, sizes = self.assumptions, self.demand, self._sizes
        models = demand.models
        memory = machine.memory * (1 - assumed.reserve)
        copies = self._copies(machine, count)
        outcome = self._outcome(memory, count, copies)
        hits = 1 - outcome.waiting
        cold = outcome.loads or [(wait, 1.0) for model in models.values() for wait in assumed.waits(model, 0)]
        busy = None
        if assumed.cpu_seconds is not None and machine.vcpus:
            busy = demand.rate * assumed.cpu_seconds / (machine.vcpus * count)
        too_big = sum(size > memory for size in sizes.values())
        stored = sum(model.unpacked * copies.get(name, 1) for name, model in models.items())
        return Estimate(
            machine,
            count,
            memory,
            min(len(sizes), memory * count * len(sizes) / sum(sizes.values())),
            hits,
            demand.rate * sum(share for _, share in outcome.loads),
            demand.rate * sum(wait * share for wait, share in outcome.loads) / count,
            quantile(cold, 0.5),
            quantile(cold, 0.99),
            quantile([*outcome.waits, (0.0, hits)], 0.99),
            busy,
            stored / count + max(model.download for model in models.values()),
            too_big,
            outcome.first,
            not too_big and hits >= assumed.hit_ratio and (busy is None or busy <= assumed.busy),
        )

    def _outcome(self, memory: float, count: int, copies: Mapping[str, int]) -> _Outcome:
        """What becomes of the calls.

        Who calls a model while it is being loaded waits as well, and loads nothing: of the calls of a model that come
        ``rate`` times a second, a load that takes ``wait`` seconds is joined by ``rate * wait``.
        """
        key = memory, count, tuple(copies.items())
        if key not in self._outcomes:
            missed, first = self._misses(memory, count, copies)
            loads, waits = [], []
            for name, (share, evicting, unloads) in missed.items():
                called, model = self.demand.shares[name], self.demand.models[name]
                kinds = [(self.assumptions.waits(model, unloads), evicting)]
                kinds.append((self.assumptions.waits(model, 0), 1 - evicting))
                joined = self.demand.rate * called / copies.get(name, 1) * sum(fmean(each) * of for each, of in kinds)
                loaded = share / (1 + share / called * joined)
                found = [(wait, loaded * of / len(each)) for each, of in kinds if of for wait in each]
                loads += found
                waits += [(wait, part * (1 + joined)) for wait, part in found]
            self._outcomes[key] = _Outcome(loads, waits, first)
        return self._outcomes[key]

    @cached_property
    def _sizes(self) -> dict[str, float]:
        return {name: self.assumptions.memory(model) for name, model in self.demand.models.items()}

    def _copies(self, machine: Machine, count: int) -> dict[str, int]:
        """On how many instances each model is that one can't answer the calls of."""
        assumed = self.assumptions
        if assumed.cpu_seconds is None or not machine.vcpus:
            return {}
        of_one = assumed.busy * machine.vcpus / assumed.cpu_seconds
        wanted = {name: ceil(self.demand.rate * share / of_one) for name, share in self.demand.shares.items()}
        return {name: min(count, number) for name, number in wanted.items() if number > 1}

    def _misses(
        self, memory: float, count: int, copies: Mapping[str, int]
    ) -> tuple[dict[str, tuple[float, float, float]], float | None]:
        """The share of all calls that would load each model if that took no time, that of these which evict, how many.

        In a trace also the share of all calls that are a model's first.
        """
        demand, sizes = self.demand, self._sizes
        if demand.trace is not None:
            found = replay(demand.trace, sizes, memory, instances=count, copies=copies)
            return _shares(found), found.first / found.calls
        if memory * len(sizes) < _FEW * sum(sizes.values()):
            calls = demand.drawn
            return _shares(replay(calls, sizes, memory, instances=count, copies=copies, skip=len(calls) // 2)), None
        caches, members = self._caches(copies)
        misses = caches.misses(memory, count)
        return {
            name: (demand.shares[name] * miss, 1.0, 1.0)
            for miss, names in zip(misses, members, strict=True)
            for name in names
            if miss and demand.shares[name]
        }, None

    def _caches(self, copies: Mapping[str, int]) -> tuple[Caches, list[list[str]]]:
        """The models as items, and which are in each; the same for all instances that hold as many copies."""
        key = tuple(copies.items())
        if key not in self._items:
            names = list(self.demand.shares)
            items = []
            for name in names:
                number = copies.get(name, 1)
                items.append(Item(self.demand.shares[name] / number, self._sizes[name], number))
            groups = grouped(items)
            members = [[names[index] for index in indices] for _, indices in groups]
            self._items[key] = Caches([item for item, _ in groups]), members
        return self._items[key]


def _shares(found: Replay) -> dict[str, tuple[float, float, float]]:
    shares = {}
    for name, number in found.loaded.items():
        evicting = found.evicting.get(name, 0)
        shares[name] = number / found.calls, evicting / number, found.evicted.get(name, 0) / max(1, evicting)
    return shares
