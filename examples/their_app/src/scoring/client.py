"""What other services import."""

from __future__ import annotations

import json
from dataclasses import dataclass

from multi_model_endpoint import MultiModelClient


@dataclass(frozen=True)
class Customer:
    """What is known of a customer.

    Attributes:
        months: For how long they have been one.
        bill: What they pay a month.
        calls: How often they called for support within a year.
    """

    months: int
    bill: float
    calls: int


class Scoring:
    """Calls the endpoint.

    Args:
        endpoint_name: The endpoint.
        models: The URL of its model store.
    """

    def __init__(self, endpoint_name: str, models: str) -> None:
        self._client = MultiModelClient(endpoint_name, models=models)

    def churn(self, customer: Customer) -> float:
        """How likely the customer is to leave, 0 to 1, by the model that is promoted."""
        row = f"{customer.months},{customer.bill},{customer.calls}"
        (leaves,) = json.loads(self._client.invoke("churn@prod", row.encode(), content_type="text/csv").body)
        return float(leaves)
