"""Schedule expressions: ``at(…)``, ``rate(…)`` and ``cron(…)``, in a time zone.

https://docs.aws.amazon.com/autoscaling/application/userguide/scheduled-scaling-using-cron-expressions.html
"""

from __future__ import annotations

import datetime
import math
import re
from dataclasses import dataclass
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from aws_croniter import AwsCroniter  # type: ignore[import-untyped]  # it has no py.typed

from mme_local.aws.errors import ValidationError

_EXPRESSION = re.compile(r"(at|rate|cron)\((.*)\)")
_RATE = re.compile(r"([1-9]\d*) (minute|hour|day)(s?)")
_SECONDS = {"minute": 60, "hour": 3600, "day": 86400}


@dataclass(frozen=True)
class Schedule:
    """When a scheduled action runs.

    Args:
        expression: As in the request.
        timezone: The zone of ``at`` and ``cron``; a rate has none.
        start: The first moment at which it may run, and where a rate is counted from.
        end: The last moment at which it may run.
    """

    expression: str
    timezone: str
    start: float
    end: float | None

    @classmethod
    def parsed(cls, expression: str, timezone: str, start: float, end: float | None) -> Schedule:
        """A schedule that has been seen to work; ``ValidationError`` for what the service refuses."""
        schedule = cls(expression, timezone, start, end)
        try:
            _zone(timezone)
        except (ZoneInfoNotFoundError, ValueError) as error:
            raise ValidationError(f"Timezone is not a valid time zone: {timezone}") from error
        if end is not None and end <= start:
            raise ValidationError("The end time must be after the start time.")
        try:
            schedule.after(start)
        except ValueError as error:
            raise ValidationError(f"Invalid schedule expression: {expression}. {error}".rstrip()) from error
        return schedule

    def after(self, moment: float) -> float | None:
        """The first run after a moment, or None when there is none left."""
        # a run at the very start is one
        moment = max(moment, math.nextafter(self.start, -math.inf))
        match = _EXPRESSION.fullmatch(self.expression)
        if match is None:
            raise ValueError("It must be at(yyyy-mm-ddThh:mm:ss), rate(value unit) or cron(fields).")
        kind, content = match.groups()
        run = {"at": self._at, "rate": self._rate, "cron": self._cron}[kind](content, moment)
        return None if run is None or (self.end is not None and run > self.end) else run

    def _at(self, content: str, moment: float) -> float | None:
        local = datetime.datetime.strptime(content, "%Y-%m-%dT%H:%M:%S")
        run = local.replace(tzinfo=_zone(self.timezone)).timestamp()
        return run if run > moment else None

    def _rate(self, content: str, moment: float) -> float:
        match = _RATE.fullmatch(content)
        if match is None or (match[1] == "1") == bool(match[3]):
            raise ValueError("A rate is a number and minute, hour or day; minutes, hours or days when it is above 1.")
        period = int(match[1]) * _SECONDS[match[2]]
        return self.start + (math.floor((moment - self.start) / period) + 1) * period

    def _cron(self, content: str, moment: float) -> float | None:
        zone = _zone(self.timezone)
        # the library knows UTC only: it gets the zone's wall clock as if that were UTC
        wall = datetime.datetime.fromtimestamp(moment, zone).replace(tzinfo=datetime.UTC)
        try:
            cron = AwsCroniter(content)
        except Exception as error:
            # its errors have no common class
            raise ValueError(str(error)) from error
        while (found := cron.get_next(wall)[0]) is not None:
            run = float(found.replace(tzinfo=zone).timestamp())
            if run > moment:
                return run
            # an hour that clocks show twice
            wall = found
        return None


def _zone(name: str) -> datetime.tzinfo:
    # machines without a time zone database know this one
    return datetime.UTC if name == "UTC" else ZoneInfo(name)
