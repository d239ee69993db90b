"""What is not known, and can be said."""

from __future__ import annotations

from dataclasses import dataclass

from .demand import SizedModel


@dataclass(frozen=True)
class Assumptions:
    """What is not known of AWS or of the models, and can be said.

    Attributes:
        reserve: The share of an instance's memory that is not for models.
        memory_factor: How many times its files' bytes a model takes in memory, where that was not measured.
        overhead: The bytes that each model takes beside.
        bandwidth: Bytes a second of a download from S3.
        load_seconds: What a model's load takes once it is downloaded: the median.
        load_spread: How many times the median loads take, each equally often.
        unload_seconds: What the unload of another model takes, for which a load waits when memory is full.
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
    load_spread: tuple[float, ...] = (1.0,)
    unload_seconds: float = 0.0
    cpu_seconds: float | None = None
    busy: float = 0.5
    hit_ratio: float = 0.95
    least: int = 2

    def memory(self, model: SizedModel) -> float:
        """The bytes that a model takes in memory."""
        if model.measured is not None:
            return float(model.measured)
        return model.unpacked * self.memory_factor + self.overhead

    def waits(self, model: SizedModel, unloads: float) -> list[float]:
        """Seconds that calls wait for a model that has to be downloaded, once so many others have been unloaded."""
        rest = model.download / self.bandwidth + unloads * self.unload_seconds
        return [rest + factor * self.load_seconds for factor in self.load_spread]
