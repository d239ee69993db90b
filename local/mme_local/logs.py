"""Logs: readable or JSON, on standard error, MiniStack's included."""

from __future__ import annotations

import logging
import sys

import structlog


def configure_logging(*, as_json: bool, verbose: bool) -> None:
    """Send structlog's and the standard library's records through one formatter.

    Args:
        as_json: One JSON object a line in place of readable text.
        verbose: MiniStack's and uvicorn's records too, not just their warnings.
    """
    shared: list[structlog.typing.Processor] = [
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso"),
        structlog.processors.format_exc_info,
    ]
    renderer: structlog.typing.Processor = (
        structlog.processors.JSONRenderer() if as_json else structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty())
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared, processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, renderer]
        )
    )
    logging.basicConfig(handlers=[handler], level=logging.INFO if verbose else logging.WARNING, force=True)
    logging.getLogger("mme_local").setLevel(logging.INFO)
    if not verbose:
        # warns at import that it could not sign, which nobody asked it to
        logging.getLogger("kms").setLevel(logging.ERROR)
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )
