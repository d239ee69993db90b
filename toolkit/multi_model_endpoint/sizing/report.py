"""The result in words: a table, JSON, the assumptions, and what to paste."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from decimal import Decimal
from math import ceil
from typing import Any

from rich.filesize import decimal

from .assumptions import Assumptions
from .demand import Demand
from .estimate import GIB, MONTH_HOURS, Estimate

HEADER = (
    *("INSTANCE TYPE", "COUNT", "FOR MODELS", "FIT", "HITS", "LOADS/S", "COLD P50", "COLD P99", "CPU"),
    *("DISK", "USD/MONTH", "ENOUGH"),
)
_LEAST_VOLUME, _LARGEST_VOLUME = 30, 512  # GiB


@dataclass(frozen=True)
class Report:
    """All that is said.

    Attributes:
        demand: What is asked for.
        assumptions: What is assumed.
        estimates: What was looked at: first what is enough, the cheapest first.
        refused: Types of which nothing is enough, and why.
        popularity: Where the calls are known from.
        measured: How models were measured, if they were.
        unpriced: Why prices are not known, if so.
    """

    demand: Demand
    assumptions: Assumptions
    estimates: Sequence[Estimate]
    refused: dict[str, str]
    popularity: str
    measured: str | None = None
    unpriced: str | None = None

    @property
    def best(self) -> Estimate | None:
        """The cheapest that is enough."""
        return next((each for each in self.estimates if each.meets), None)

    def rows(self) -> list[list[str]]:
        """The table's."""
        return [
            [
                each.machine.name,
                str(each.count),
                gib(each.model_memory),
                f"{each.fits:.0f}",
                percent(each.hit_ratio),
                digits(each.loads_per_second),
                seconds(each.cold_p50),
                seconds(each.cold_p99),
                "unknown" if each.cpu is None else percent(each.cpu),
                gib(each.disk),
                "unknown" if each.monthly is None else f"{each.monthly:,.0f}",
                "yes" if each.meets else "no",
            ]
            for each in self.estimates
        ]

    def assumed(self) -> Iterator[str]:
        """Sentences, each with what changes it."""
        models, assumed = self.demand.models.values(), self.assumptions
        total = sum(model.unpacked for model in models)
        packed = sum(not model.is_unpacked for model in models)
        yield f"{len(models)} models of {decimal(total)}, {decimal(round(total / len(models)))} on average." + (
            f" The files' size of {packed} is not known: their archives' was taken." if packed else ""
        )
        yield self.popularity
        yield self._memory()
        yield (
            f"{assumed.reserve:.0%} of an instance's memory are not for models but the system, the server, and "
            "calls under way (--reserve; AWS publishes no figure). Of a GPU type it is the GPUs' memory."
        )
        yield (
            "Models are unloaded least recently used first, when the next one needs room; AWS says 'unused' ones are, "
            "and not in which order."
        )
        yield (
            "A model's calls go to one instance, models are spread evenly by their bytes, and one that takes more than "
            "an instance's processors may give is on several; AWS says that calls go to where the model is, and with "
            "many to further instances, not at which number."
        )
        times = [assumed.load_seconds * factor for factor in assumed.load_spread]
        spread = f"; it took {digits(times[0])} to {digits(times[-1])} s" if len(times) > 1 else ""
        yield (
            f"A cold call waits for S3 with {decimal(round(assumed.bandwidth))} a second (--bandwidth), "
            f"{digits(assumed.load_seconds)} s of the server's for the load (--load-time{spread}), and where not all "
            f"models fit {digits(assumed.unload_seconds)} s for the unload of each that has to go (--unload-time)"
            + (f", {self.measured}. " if self.measured else ". ")
            + "What is still on the instance's disk is not downloaded, and so comes sooner."
        )
        if assumed.cpu_seconds is None:
            yield "What a call takes of the processors is not known, so they don't count (--cpu-ms, --payload)."
        else:
            yield (
                f"A call takes {digits(1000 * assumed.cpu_seconds)} ms of a processor (--cpu-ms, or measured with "
                "--payload). The time of GPUs does not count."
            )
        yield (
            f"Enough is a hit ratio of {assumed.hit_ratio:.4g} (--hit-ratio) on at least {assumed.least} instances "
            "(--min-instances)"
            + (f" whose processors are at most {assumed.busy:.0%} busy (--busy)." if assumed.cpu_seconds else ".")
        )
        if any(each.machine.price is not None for each in self.estimates):
            yield f"A month has {MONTH_HOURS} hours. Volumes, requests and traffic cost extra."
        if self.unpriced:
            yield f"Prices that are unknown: {self.unpriced}. --price TYPE=USD_PER_HOUR gives them."

    def _memory(self) -> str:
        assumed = self.assumptions
        taken = f"In memory a model takes {digits(assumed.memory_factor)} times its files' size (--memory-factor)"
        if assumed.overhead:
            taken += f" and {decimal(assumed.overhead)} (--overhead)"
        if self.measured is not None:
            return f"{taken}, {self.measured}."
        return (
            f"{taken}: an assumption. A server with a process for each model, as Multi Model Server, takes more "
            "(--measure)."
        )

    def as_json(self) -> dict[str, Any]:
        """All of it as data: bytes, seconds, shares from 0 to 1."""
        return {
            "models": len(self.demand.models),
            "bytes": sum(model.unpacked for model in self.demand.models.values()),
            "requests_per_second": self.demand.rate,
            "options": [_record(each) for each in self.estimates],
            "refused": self.refused,
            "assumptions": asdict(self.assumptions),
            "assumed": list(self.assumed()),
            "construct": self.best and construct(self.best, self.assumptions),
        }


def _record(each: Estimate) -> dict[str, Any]:
    values = asdict(each)
    machine = values.pop("machine")
    return {
        "instance_type": machine["name"],
        "vcpus": machine["vcpus"],
        "memory": machine["memory"],
        **values,
        "usd_per_hour": machine["price"],
        "usd_per_month": each.monthly,
    }


def construct(best: Estimate, assumptions: Assumptions) -> str:
    """The construct's arguments, as Python."""
    lines = [
        "endpoint = MultiModelEndpoint(",
        '    self, "Endpoint",',
        "    container=container,",
        f'    instance_type="{best.machine.name}",',
        f"    initial_instance_count={best.count},",
    ]
    if best.machine.volume:
        volume = min(_LARGEST_VOLUME, max(_LEAST_VOLUME, ceil(1.2 * best.disk / GIB)))
        lines.append(f"    volume_size=cdk.Size.gibibytes({volume}),")
    lines.append(")")
    if assumptions.cpu_seconds and best.machine.vcpus:
        lines += [
            f"scaling = endpoint.default_variant.auto_scale_instance_count(max_capacity={2 * best.count})",
            f'scaling.scale_on_invocations("Load", max_requests_per_second='
            f"{digits(best.machine.vcpus / assumptions.cpu_seconds)})",
        ]
    else:
        lines.append("# scale_on_invocations(max_requests_per_second=...): what one instance takes is not known")
    wait = min(60, max(1, ceil(2 * best.cold_p99)))
    lines += [
        'endpoint.monitor("Monitoring", thresholds=AlarmThresholds(',
        f"    model_cache_hit_ratio={0.9 * best.hit_ratio:.2f}, model_loading_wait_time=cdk.Duration.seconds({wait}),",
        "))",
    ]
    return "\n".join(lines)


def digits(value: float) -> str:
    """Three digits of a number, without an exponent."""
    return f"{Decimal(f'{value:.3g}'):f}"


def gib(size: float) -> str:
    """Bytes as GiB; a few of them are 0.01."""
    return "0.01 GiB" if 0 < size < GIB / 100 else f"{digits(size / GIB)} GiB"


def percent(share: float) -> str:
    """A share with two digits of what is missing to a whole."""
    return f"{100 * share:.2f}%"


def seconds(time: float) -> str:
    """Seconds."""
    return f"{time:.2f} s"
