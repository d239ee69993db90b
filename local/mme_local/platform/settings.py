"""The platform's numbers in one place: SageMaker's limits, and ours where SageMaker's are not known."""

from __future__ import annotations

from dataclasses import dataclass

from multi_model_endpoint.artifacts.members import MAX_BYTES, MAX_MEMBERS


@dataclass(frozen=True)
class Settings:
    """Limits and times of the platform; the defaults are SageMaker's where it documents one.

    Attributes:
        wait_timeout: Seconds that a call waits for its model before ``ModelNotReadyException``.
        load_timeout: Seconds after which downloading and loading one model is given up.
        invoke_timeout: Seconds that a container has to answer an invocation.
        drain_timeout: Seconds that an old instance has to finish the calls it is answering.
        watch_interval: Seconds between two health checks of a server.
        failed_pings: Health checks in a row that a server may miss before it is replaced.
        restart_backoff: Seconds before the second restart in a row; doubles up to ``restart_backoff_max``.
        restart_backoff_max: The longest pause between two restarts.
        max_restarts: Failed starts in a row after which an instance answers 503, until ``restart_cooldown`` is over.
        restart_cooldown: Seconds of rest after ``max_restarts``, and of quiet after which a crash counts as the first.
        publish_interval: Seconds between two deliveries of metrics to CloudWatch.
        log_interval: Seconds between two deliveries of the servers' output to CloudWatch Logs.
        max_members: Most files and folders in one model archive.
        max_unpacked_bytes: Most bytes that one model archive may unpack to.
        parallel_transfers: Downloads, unpackings and deletions at the same time, over all endpoints.
        parallel_loads: Models that one server loads at the same time; the others queue.
        spread_at: How many more calls than the least busy instance the one that holds the model may be answering
            before a call goes to the former, which then loads the model too.
    """

    wait_timeout: float = 60.0
    load_timeout: float = 360.0
    invoke_timeout: float = 60.0
    drain_timeout: float = 65.0
    watch_interval: float = 5.0
    failed_pings: int = 3
    restart_backoff: float = 0.2
    restart_backoff_max: float = 5.0
    max_restarts: int = 5
    restart_cooldown: float = 60.0
    publish_interval: float = 10.0
    log_interval: float = 1.0
    max_members: int = MAX_MEMBERS
    max_unpacked_bytes: int = MAX_BYTES
    parallel_transfers: int = 8
    parallel_loads: int = 4
    spread_at: int = 8
