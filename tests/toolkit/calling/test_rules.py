"""Failures that no server of a test can bring about."""

from __future__ import annotations

import pytest
from botocore.exceptions import ConnectTimeoutError, NoCredentialsError, ProxyConnectionError, SSLError

from multi_model_endpoint.calling.rules import Failure, failure_of


@pytest.mark.parametrize(
    "exception", [ConnectTimeoutError(endpoint_url="u"), ProxyConnectionError(proxy_url="u")], ids=repr
)
def test_without_a_connection_nothing_was_executed(exception: Exception) -> None:
    assert failure_of(exception) is Failure.NOT_EXECUTED


def test_tls_that_breaks_passes_and_a_wrong_certificate_does_not() -> None:
    broken = SSLError(endpoint_url="u", error=OSError("EOF occurred in violation of protocol"))
    wrong = SSLError(endpoint_url="u", error=OSError("[SSL: CERTIFICATE_VERIFY_FAILED] certificate verify failed"))
    assert failure_of(broken) is Failure.MAYBE_EXECUTED
    assert failure_of(wrong) is Failure.FINAL


def test_missing_credentials_do_not_come_by_waiting() -> None:
    assert failure_of(NoCredentialsError()) is Failure.FINAL
