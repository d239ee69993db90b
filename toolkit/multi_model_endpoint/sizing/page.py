"""The result as a page of its own."""

from __future__ import annotations

from collections.abc import Iterator
from html import escape

from multi_model_endpoint.pages import COLOURS, Axis, Line, document, figure, key, table

from .estimate import GIB, Estimate, Sizing
from .report import HEADER, Report, construct, digits, gib, percent, seconds

_POINTS = 32
_COUNTS = 8


def page(report: Report, sizing: Sizing) -> str:
    """A page that needs nothing but itself."""
    return document(
        f"Instances for {len(report.demand.models)} models",
        [
            *_answer(report),
            "<h2>What instances give</h2>",
            *_table(report),
            '<div class="charts">',
            *_hits(report, sizing),
            *_costs(report, sizing),
            *_popularity(report),
            "</div>",
            "<h2>For your stack</h2>",
            f"<pre>{escape(construct(report.best, report.assumptions))}</pre>" if report.best else "",
            "<h2>Assumed</h2><ul>",
            *(f"<li>{escape(sentence)}</li>" for sentence in report.assumed()),
            "</ul>",
        ],
    )


def _answer(report: Report) -> Iterator[str]:
    best = report.best
    if best is None:
        yield "<h1>No instance type is enough</h1>"
        return
    yield f"<h1>{best.count} &times; {escape(best.machine.name)}</h1>"
    cost = "at a price that is not known" if best.monthly is None else f"for {best.monthly:,.0f} US dollars a month"
    yield (
        f"<p>for {len(report.demand.models)} models and {digits(report.demand.rate)} calls a second, {cost}. "
        f"{percent(best.hit_ratio)} of the calls find their model in memory; a cold call waits "
        f"{seconds(best.cold_p50)} (median), {seconds(best.cold_p99)} (99th percentile).</p>"
    )


def _table(report: Report) -> Iterator[str]:
    header = [name.title().replace("Cpu", "CPU").replace("Usd", "USD") for name in HEADER]
    yield table(header, report.rows())
    for name, why in report.refused.items():
        yield f'<p class="quiet">{escape(name)}: none is enough: {escape(why)}</p>'


def _hits(report: Report, sizing: Sizing) -> Iterator[str]:
    curve = sizing.curve(_POINTS)
    found = [each for each in report.estimates if each.count * each.model_memory <= 2 * curve[-1][0]]
    sizes = [curve[-1][0], *(each.count * each.model_memory for each in found)]
    memory = Axis.from_zero("memory for models, GiB", [size / GIB for size in sizes])
    ratio = Axis("hit ratio", 0.0, 1.0, written=lambda value: f"{value:.0%}")
    lines = [
        Line([(size / GIB, hits) for size, hits in curve]),
        Line(
            [(each.count * each.model_memory / GIB, each.hit_ratio) for each in found],
            [f"{_named(each)}: {percent(each.hit_ratio)}" for each in found],
            joined=False,
            colour=1,
        ),
    ]
    caption = "The line is one memory, up to that of all models; the dots are instances."
    yield figure("Hit ratio against memory", memory, ratio, lines, caption)


def _costs(report: Report, sizing: Sizing) -> Iterator[str]:
    title = "Cost against p99 wait"
    best = {each.machine: each for each in reversed(report.estimates)}
    machines = dict.fromkeys(each.machine for each in report.estimates)
    priced = [best[machine] for machine in machines if machine.price is not None][:COLOURS]
    if not priced:
        yield f'<figure><h2>{title}</h2><p class="quiet">No price is known: --price TYPE=USD_PER_HOUR gives one.</p>'
        yield "</figure>"
        return
    series = [_counts(best, sizing) for best in priced]
    every = [each for found in series for each in found]
    wait = Axis.from_zero("wait of all calls, p99, seconds", [each.wait_p99 for each in every])
    cost = Axis.from_zero("US dollars a month", [each.monthly or 0 for each in every], "{:,.0f}".format)
    lines = [
        Line(
            [(each.wait_p99, each.monthly or 0) for each in found],
            [f"{_named(each)}: {each.monthly:,.0f} US dollars, {seconds(each.wait_p99)}" for each in found],
            colour=number,
        )
        for number, found in enumerate(series)
    ]
    keys = key([best.machine.name for best in priced])
    yield figure(title, wait, cost, lines, f"{keys}<br>Each dot is a number of instances.")


def _counts(best: Estimate, sizing: Sizing) -> list[Estimate]:
    """Fewer instances of the type, and some more."""
    most = best.count + 2
    counts = range(sizing.assumptions.least, most + 1)
    every = max(1, len(counts) // _COUNTS)
    return [sizing.estimate(best.machine, count) for count in sorted({*counts[::every], best.count})]


def _popularity(report: Report) -> Iterator[str]:
    shares = sorted((share for share in report.demand.shares.values() if share > 0), reverse=True)
    ranks = sorted({min(len(shares), round(1.15**step)) for step in range(200)})
    points = [(float(rank), shares[rank - 1]) for rank in ranks]
    rank = Axis.in_decades("rank of the model", [1, len(shares)], "{:,.0f}".format)
    share = Axis.in_decades("share of the calls", [value for _, value in points], lambda value: f"{100 * value:g}%")
    tenth = max(1, len(shares) // 10)
    caption = f"The {tenth} most popular of {len(shares)} models get {percent(sum(shares[:tenth]))} of the calls."
    yield figure("Popularity", rank, share, [Line(points)], caption)


def _named(each: Estimate) -> str:
    return f"{each.count} {each.machine.name}, {gib(each.count * each.model_memory)}"
