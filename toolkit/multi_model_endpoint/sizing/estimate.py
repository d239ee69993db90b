"""What so many instances of a type give."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from math import ceil

from multi_model_endpoint.instances import InstanceType

from .cache import Caches, Item, grouped, quantile
from .demand import Demand, SizedModel
from .simulation import replay

GIB = 1024**3
MONTH_HOURS = 730
_FEW = 100  # models in memory: with fewer the approximation is off by more than half a percent
_MOST = 1000


@dataclass(frozen=True)
class Assumptions:
    """What is not known of AWS or of the models, and can be said.

    Attributes:
        reserve: The share of an instance's memory that is not for models.
        memory_factor: How many times its files' bytes a model takes in memory, where that was not measured.
        overhead: The bytes that each model takes beside.
        bandwidth: Bytes a second of a download from S3.
        load_seconds: What a model's load takes once it is downloaded.
        cpu_seconds: The processor time of a call; None when it is not known.
        busy: The share of the processors that may be busy.
        hit_ratio: The share of calls that shall find their model in memory.
        least: The fewest instances.
    """

    reserve: float = 0.2
    memory_factor: float = 1.2
    overhead: int = 0
    bandwidth: float = 100e6
    load_seconds: float = 1.0
    cpu_seconds: float | None = None
    busy: float = 0.5
    hit_ratio: float = 0.95
    least: int = 2

    def memory(self, model: SizedModel) -> float:
        """The bytes that a model takes in memory."""
        if model.measured is not None:
            return float(model.measured)
        return model.unpacked * self.memory_factor + self.overhead

    def wait(self, model: SizedModel) -> float:
        """The seconds that a call waits for a model that has to be downloaded."""
        return model.download / self.bandwidth + self.load_seconds


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
            ValueError: If neither knows its memory.
        """
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
        hit_ratio: The share of calls that find their model in memory.
        loads_per_second: Of all instances.
        loading: How many models each instance is loading at a time, on average.
        waiting: The share of calls that wait for a model, also for one that another call is having loaded.
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
    waiting: float
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
class Sizing:
    """Estimates for one demand.

    Attributes:
        demand: What is asked for.
        assumptions: What is assumed.
    """

    demand: Demand
    assumptions: Assumptions
    _estimates: dict[tuple[Machine, int], Estimate] = field(default_factory=dict, init=False, compare=False)
    _items: dict[tuple[tuple[str, int], ...], tuple[Caches, list[list[str]]]] = field(
        default_factory=dict, init=False, compare=False
    )

    def smallest(self, machine: Machine) -> Estimate | None:
        """What the fewest instances give that are enough; None when even a thousand are not."""
        low, high = self.assumptions.least, self.assumptions.least
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
        found = []
        for point in range(1, points + 1):
            memory = whole * point / points
            loads, _ = self._loads(memory, 1, {})
            found.append((memory, 1 - sum(loads.values())))
        return found

    def _estimate(self, machine: Machine, count: int) -> Estimate:
        assumed, demand = self.assumptions, self.demand
        memory = machine.memory * (1 - assumed.reserve)
        sizes = self._sizes
        copies = self._copies(machine, count)
        loads, first = self._loads(memory, count, copies)
        missed = sum(loads.values())
        models = demand.models
        waits = [(assumed.wait(models[name]), share) for name, share in loads.items() if share > 0]
        cold = waits or [(assumed.wait(model), 1.0) for model in models.values()]
        # whoever calls a model while it is being loaded waits, too
        joined = sum(
            share * demand.rate * demand.shares[name] / copies.get(name, 1) * assumed.wait(models[name])
            for name, share in loads.items()
        )
        waiting = min(1.0, (missed + joined) / (1 + joined))
        needed = None
        if assumed.cpu_seconds is not None and machine.vcpus:
            needed = demand.rate * assumed.cpu_seconds / (machine.vcpus * count)
        hits = 1 - missed
        average = sum(sizes.values()) / len(sizes)
        stored = sum(model.unpacked * copies.get(name, 1) for name, model in models.items())
        return Estimate(
            machine,
            count,
            memory,
            min(len(sizes), memory * count / average),
            hits,
            demand.rate * missed,
            demand.rate * sum(wait * share for wait, share in waits) / count,
            waiting,
            quantile(cold, 0.5),
            quantile(cold, 0.99),
            quantile([*waits, (0.0, max(0.0, 1 - missed))], 0.99),
            needed,
            stored / count + max(model.download for model in models.values()),
            sum(size > memory for size in sizes.values()),
            first,
            hits >= assumed.hit_ratio and (needed is None or needed <= assumed.busy),
        )

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

    def _loads(self, memory: float, count: int, copies: Mapping[str, int]) -> tuple[dict[str, float], float | None]:
        """The share of all calls that load each model, and in a trace of those that were its first."""
        demand, sizes = self.demand, self._sizes
        if demand.trace is not None:
            found = replay(demand.trace, sizes, memory, instances=count, copies=copies)
            loads = {name: number / found.calls for name, number in found.loaded.items()}
            return loads, found.first / found.calls
        if memory * len(sizes) < _FEW * sum(sizes.values()):
            calls = demand.drawn
            found = replay(calls, sizes, memory, instances=count, copies=copies, skip=len(calls) // 2)
            return {name: number / found.calls for name, number in found.loaded.items()}, None
        caches, members = self._caches(copies)
        misses = caches.misses(memory, count)
        return {
            name: demand.shares[name] * miss
            for miss, names in zip(misses, members, strict=True)
            if miss
            for name in names
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
