"""How both planes reach the AWS services that this very process answers for."""

from __future__ import annotations

from typing import Any

import boto3
from botocore.config import Config

Credentials = tuple[str, str, str]
"""Access key, secret and token of a session."""


def client(
    service: str,
    endpoint_url: str,
    region: str,
    *,
    credentials: Credentials | None = None,
    read_timeout: float = 10,
    attempts: int = 1,
) -> Any:
    """Make a boto3 client of a service of this process; it costs a tenth of a second.

    Args:
        service: The service, as boto3 calls it.
        endpoint_url: The address that this process answers on; it is said explicitly, or boto3 would go to AWS.
        region: The region to sign for.
        credentials: Those of an execution role; the account's own, from the environment, when left out.
        read_timeout: Seconds to wait for an answer: the process may be closing, accept a call and answer nothing.
        attempts: How often a call is sent at most.
    """
    if not endpoint_url:
        raise ValueError("endpoint_url must be the address of this process, got '': without it boto3 would go to AWS")
    key, secret, token = credentials or (None, None, None)
    config = Config(
        s3={"addressing_style": "path"},
        connect_timeout=2,
        read_timeout=read_timeout,
        retries={"total_max_attempts": attempts},
        # it takes longer than to send the request, which has hundreds of lines of output or of counted values
        parameter_validation=False,
    )
    # a session of its own: the default one is not safe to share between threads
    session: Any = boto3.session.Session()  # its stubs know services by their literal names alone
    return session.client(
        service,
        endpoint_url=endpoint_url,
        region_name=region,
        aws_access_key_id=key,
        aws_secret_access_key=secret,
        aws_session_token=token,
        config=config,
    )
