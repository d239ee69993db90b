"""Where an existing bucket is, and what can't be granted from here when that is elsewhere."""

from __future__ import annotations

from collections.abc import Iterator

from aws_cdk import aws_kms as kms
from aws_cdk import aws_s3 as s3

from cdk_multi_model_endpoint._rules.places import Place, place_of
from cdk_multi_model_endpoint._rules.tokens import is_token
from multi_model_endpoint.artifacts.findings import Advice, Problem


def place_problems(argument: str, place: Place, region: str, account: str | None = None) -> Iterator[Problem]:
    """Whether something is in an endpoint's region and account, as far as they are known."""
    for what, there, here in (("region", region, place.region), ("account", account, place.account)):
        if there is not None and not is_token(there) and not is_token(here) and there != here:
            yield Problem("wrongRegionOrAccount", f"{argument} must be in the endpoint's {what} {here}, got {there}")


def key_problems(argument: str, place: Place, key: kms.IKey | None) -> Iterator[Problem]:
    """Whether a key is one that a stack can't name: of a stack of this app in another account or region."""
    if key is None or not is_token(key.key_arn) or place_of(key) is place:
        return
    for what, there, here in (("account", key.env.account, place.account), ("region", key.env.region, place.region)):
        if not is_token(there) and there != here:
            yield Problem(
                "keyNotImported",
                f"{argument} must not be encrypted with a KMS key that this app makes in another {what}, got one in "
                f"{there}: its ARN is not known here; import it with Key.from_key_arn(…), and a bucket that has it "
                "with Bucket.from_bucket_attributes(encryption_key=…)",
            )


def bucket_problems(place: Place, bucket: s3.IBucket, *, own: bool = False) -> Iterator[Problem]:
    """Whether SageMaker would refuse a bucket for its region, or a stack can't name its key or a store's own bucket."""
    account = bucket.env.account
    if own and [*place_problems("bucket", place, place.region, account)]:
        yield Problem(
            "bucketNameUnknown",
            f"model_store must be given a bucket with a bucket_name, got one that makes its own in account {account}: "
            "the name of another account's bucket must be known here",
        )
    yield from key_problems("bucket", place, bucket.encryption_key)
    region = bucket.env.region
    if not is_token(region) and not is_token(place.region) and region != place.region:
        yield Problem(
            "wrongRegionOrAccount",
            f"bucket must be in the endpoint's region {place.region}, got one in {region}: SageMaker reads no models "
            "from other regions; replicate them to a bucket there",
        )


def bucket_warnings(place: Place, bucket: s3.IBucket) -> Iterator[Advice]:
    """Warnings, with their ids, about policies of another account.

    Access to another account's bucket and key takes two policies: that of the role, which is granted here, and that of
    the bucket or key, which only its owner can change.
    """
    account = bucket.env.account
    elsewhere = not is_token(account) and account != place.account
    if elsewhere:
        yield Advice(
            "crossAccountBucket",
            f"bucket is in account {account}, whose policy can't be changed from here: it must allow the endpoint's "
            "role s3:GetObject and s3:ListBucket, and for add_model the role of the uploads s3:PutObject; if it is "
            "encrypted with a KMS key, name that in Bucket.from_bucket_attributes(encryption_key=…)",
        )
    key = bucket.encryption_key
    if key is None:
        return
    key_account = key.env.account
    if not is_token(key_account) and key_account != place.account and (elsewhere or not is_token(place.account)):
        yield Advice(
            "crossAccountKey",
            f"bucket is encrypted with a KMS key of account {key_account}, whose policy can't be changed from here: it "
            "must allow the endpoint's role kms:Decrypt, and for add_model the role of the uploads kms:GenerateDataKey "
            "and kms:Decrypt",
        )


def destination_warnings(place: Place, bucket: s3.IBucket) -> Iterator[Advice]:
    """A warning, with its id, about the policy of another account's bucket that instances write to."""
    account = bucket.env.account
    if not is_token(account) and account != place.account:
        yield Advice(
            "crossAccountDestination",
            f"bucket of data_capture or core_dump is in account {account}, whose policy can't be changed from here: it "
            "must allow the endpoint's role s3:PutObject, and the policy of its key, if it has one, "
            "kms:GenerateDataKey and kms:Decrypt",
        )
