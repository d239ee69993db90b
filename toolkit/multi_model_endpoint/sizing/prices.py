"""What an instance costs, by AWS's Pricing API."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from typing import Any

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

_REGION = "us-east-1"  # of the API, which knows the prices of all regions


def asked(names: Sequence[str]) -> tuple[dict[str, float], str | None]:
    """US dollars an hour on demand of real-time hosting in the region that is set, and why some are not known.

    What is not AWS, such as the local endpoint, is not asked.
    """
    session = boto3.Session()
    region = session.region_name
    if region is None:
        return {}, "no region is set"
    try:
        client = session.client("pricing", region_name=_REGION, config=Config(connect_timeout=5, read_timeout=10))
        if not re.search(r"\.amazonaws\.com(\.cn)?$", client.meta.endpoint_url):
            return {}, f"{client.meta.endpoint_url} is not AWS"
        return {name: price for name in names if (price := _price(client, name, region)) is not None}, None
    except (BotoCoreError, ClientError) as error:
        return {}, str(error)


def _price(client: Any, name: str, region: str) -> float | None:
    answer = client.get_products(
        ServiceCode="AmazonSageMaker",
        Filters=[
            {"Type": "TERM_MATCH", "Field": "regionCode", "Value": region},
            {"Type": "TERM_MATCH", "Field": "instanceName", "Value": name},
        ],
    )
    prices = {price for product in answer["PriceList"] for price in hourly(json.loads(product), name)}
    return prices.pop() if len(prices) == 1 else None


def hourly(product: dict[str, Any], name: str) -> Iterator[float]:
    """The prices an hour of a product, if it is real-time hosting on an instance type."""
    if not re.fullmatch(rf"([A-Z0-9]+-)?Host:{re.escape(name)}", product["product"]["attributes"].get("usagetype", "")):
        return
    for term in product.get("terms", {}).get("OnDemand", {}).values():
        for dimension in term["priceDimensions"].values():
            if "USD" in dimension["pricePerUnit"]:
                yield float(dimension["pricePerUnit"]["USD"])
