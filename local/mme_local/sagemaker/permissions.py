"""What IAM is asked about a call, and what SageMaker asks of an execution role, when policies are enforced."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Protocol

from mme_local.aws.permissions import Permission
from mme_local.aws.scope import Scope
from mme_local.hosting.headers import TARGET_CONTAINER, TARGET_MODEL
from mme_local.hosting.spec import split_s3_url
from mme_local.sagemaker.errors import ValidationError
from mme_local.sagemaker.records import RECORD_TYPES, Endpoint, Model, arn

PRINCIPAL = "sagemaker.amazonaws.com"
_TARGETS = {
    "sagemaker:TargetModel": TARGET_MODEL,
    "sagemaker:TargetContainerHostname": TARGET_CONTAINER,
}


class Roles(Protocol):
    """What is known of execution roles."""

    def trusts(self, role_arn: str, principal: str) -> bool:
        """Whether the role exists and lets the service assume it."""

    def allows(self, role_arn: str, permission: Permission) -> bool:
        """Whether the role's policies allow it."""


def needed(scope: Scope, operation: str, request: Any) -> Iterator[Permission]:
    """The permissions that a call of the SageMaker API needs, by AWS's Service Authorization Reference.

    https://docs.aws.amazon.com/service-authorization/latest/reference/list_amazonsagemaker.html
    """
    members = request if isinstance(request, dict) else {}
    action, context = f"sagemaker:{operation}", _context(scope, members)
    named = [(record_type.kind, members.get(record_type.name_member())) for record_type in RECORD_TYPES]
    resources = [arn(scope, kind, str(name)) for kind, name in named if name is not None]
    if "ResourceArn" in members:
        resources = [str(members["ResourceArn"])]
    for resource in resources or ["*"]:
        yield Permission(action, resource, context)
    if "ExecutionRoleArn" in members:
        # whoever hands a role to a service could do with it what the role may
        yield Permission("iam:PassRole", str(members["ExecutionRoleArn"]), {"iam:PassedToService": PRINCIPAL})


def needed_to_invoke(
    scope: Scope, endpoint: str, headers: Mapping[str, str], operation: str = "InvokeEndpoint"
) -> Permission:
    """The permission that calling an endpoint needs.

    Without a target, which only InvokeEndpoint has, its key is absent and matches no pattern.
    """
    targets = _TARGETS if operation == "InvokeEndpoint" else {}
    context = {key: headers[header] for key, header in targets.items() if header in headers}
    return Permission(f"sagemaker:{operation}", arn(scope, Endpoint.kind, endpoint), context)


def check_execution_role(roles: Roles, request: Mapping[str, Any]) -> None:
    """What CreateModel asks of the role: to be assumable, and to read the artifacts.

    SageMaker does not document how it checks a prefix. Here a role passes that may read objects right below the
    prefix, or list it; every single artifact is then fetched with the role's own credentials.
    """
    containers = [request["PrimaryContainer"]] if "PrimaryContainer" in request else request["Containers"]
    urls = [container["ModelDataUrl"] for container in containers if "ModelDataUrl" in container]
    role = request.get("ExecutionRoleArn")
    if role is None:
        if urls:
            raise ValidationError(f"An ExecutionRoleArn is required to access model data at {urls[0]}.")
        return
    if not roles.trusts(role, PRINCIPAL):
        raise ValidationError(
            f"Could not assume role {role}. Please ensure that the role exists and allows principal '{PRINCIPAL}' to"
            " assume the role."
        )
    for url in urls:
        bucket, key = split_s3_url(url)
        listing = Permission("s3:ListBucket", f"arn:aws:s3:::{bucket}", {"s3:prefix": key})
        if not roles.allows(role, Permission("s3:GetObject", f"arn:aws:s3:::{bucket}/{key}")) and not (
            key.endswith("/") and roles.allows(role, listing)
        ):
            raise ValidationError(
                f'Could not access model data at {url}. Please ensure that the role "{role}" exists and that its trust'
                f' relationship policy allows the action "sts:AssumeRole" for the service principal "{PRINCIPAL}". Also'
                ' ensure that the role has "s3:GetObject" permissions and that the object is located in the region.'
            )


def _context(scope: Scope, members: Mapping[str, Any]) -> dict[str, Any]:
    context: dict[str, Any] = {}
    tags = [tag for tag in members.get("Tags") or [] if isinstance(tag, dict)]
    context.update({f"aws:RequestTag/{tag.get('Key')}": str(tag.get("Value", "")) for tag in tags})
    keys = [str(tag.get("Key")) for tag in tags] + [str(key) for key in members.get("TagKeys") or []]
    if keys:
        context["aws:TagKeys"] = keys
    variants = [variant for variant in members.get("ProductionVariants") or [] if isinstance(variant, dict)]
    if variants:
        context["sagemaker:InstanceTypes"] = [str(v["InstanceType"]) for v in variants if "InstanceType" in v]
        context["sagemaker:ModelArn"] = [
            arn(scope, Model.kind, str(v["ModelName"])) for v in variants if "ModelName" in v
        ]
    vpc = members.get("VpcConfig")
    if isinstance(vpc, dict):
        context["sagemaker:VpcSubnets"] = vpc.get("Subnets") or []
        context["sagemaker:VpcSecurityGroupIds"] = vpc.get("SecurityGroupIds") or []
    if "KmsKeyId" in members:
        context["sagemaker:VolumeKmsKey"] = str(members["KmsKeyId"])
    if "EnableNetworkIsolation" in members:
        context["sagemaker:NetworkIsolation"] = str(members["EnableNetworkIsolation"]).lower()
    return context
