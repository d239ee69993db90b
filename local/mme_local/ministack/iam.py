"""MiniStack's evaluation of IAM policies, put to use where MiniStack does not do so itself."""

from __future__ import annotations

import json
import os
import re
import secrets
from collections.abc import Iterable, Mapping
from contextvars import Context
from typing import Any

from mme_local.aws.permissions import Permission
from mme_local.aws.scope import Scope

_VARIABLE = re.compile(r"\$\{([^}]+)\}")


class Iam:
    """MiniStack's evaluation of policies, for the calls that it does not evaluate by itself, and for roles."""

    def __init__(self) -> None:
        from ministack import app
        from ministack.core import iam_actions, iam_evaluator, responses
        from ministack.services import iam

        self._actions, self._evaluator, self._responses = iam_actions, iam_evaluator, responses
        self._roles = iam._roles
        self._pin_origin = self._evaluator.pin_request_origin
        _resolve_policy_variables(self._evaluator)
        _verify_every_signature(self._evaluator)
        _name_resources_as_aws_does(self._actions)
        # AWS is called over TLS, and buckets deny what is not, those of `cdk bootstrap` among them; here the requests
        # never leave the machine
        app.pin_request_origin = lambda address, _: self._pin_origin(address, True)

    def refusal(self, access_key: str, scope: Scope, permissions: Iterable[Permission]) -> str | None:
        """Why the caller of the present request may not do all this, in AWS's words."""
        # also where nothing is needed
        if (unknown := self._evaluator.check_credentials(access_key, "sagemaker")) is not None:
            return str(unknown.message)
        for needed in permissions:
            found = self._evaluator.enforce(
                access_key, needed.action, "sagemaker", scope.region, needed.resource, dict(needed.context)
            )
            if isinstance(found, self._evaluator.AuthError):
                return str(found.message)
            if found is not None:
                explicit = found.decision == "Deny"
                message = self._actions.identity_denial_message
                return str(message(needed.action, found.principal_arn, needed.resource, explicit))
        return None

    def trusts(self, role_arn: str, principal: str) -> bool:
        """Whether the role exists and lets the service assume it."""
        role = self._roles.get_scoped(_account(role_arn), None, role_arn.rpartition("/")[2])
        if role is None:
            return False
        document = role["AssumeRolePolicyDocument"]
        statements = (json.loads(document) if isinstance(document, str) else document).get("Statement", [])
        # the evaluator knows users and roles as callers, and lets root pass for any service
        names_it = self._evaluator._service_principal_matches
        own = [
            {**statement, "Principal": "*"}
            for statement in ([statements] if isinstance(statements, dict) else statements)
            if statement.get("Principal") == "*" or names_it(statement.get("Principal"), principal)
        ]
        return bool(self._evaluator.evaluate_trust_policy({"Statement": own}, principal))

    def allows(self, role_arn: str, permission: Permission) -> bool:
        """Whether the role's policies allow it, and no policy of the resource denies it."""
        access_key, _, _ = role_credentials(role_arn)
        service = permission.action.partition(":")[0]

        def evaluate() -> bool:
            self._pin_origin("127.0.0.1", True)
            self._responses.set_request_account_id(access_key)
            region, context = self._responses.get_region(), dict(permission.context)
            enforce = self._evaluator.enforce
            return enforce(access_key, permission.action, service, region, permission.resource, context) is None

        # not as part of the present request, whose caller is somebody else
        return Context().run(evaluate)


_sessions: dict[tuple[str, str], tuple[str, str, str]] = {}


def role_credentials(role_arn: str, session_name: str = "SageMaker") -> tuple[str, str, str]:
    """Access key, secret and token of a service's session as a role.

    AWS services assume roles without an API call that could be made here, so the session is entered into MiniStack's
    table.
    """
    from ministack.services import sts

    if (role_arn, session_name) not in _sessions:
        role = role_arn.rpartition("/")[2]
        key, secret, token = f"ASIA{secrets.token_hex(8).upper()}", secrets.token_hex(20), secrets.token_hex(32)
        session = {
            "Arn": f"arn:aws:sts::{_account(role_arn)}:assumed-role/{role}/{session_name}",
            "UserId": f"{role}:{session_name}",
            "SecretAccessKey": secret,
            "SessionToken": token,
        }
        sts.register_session(key, session)
        _sessions[role_arn, session_name] = key, secret, token
    return _sessions[role_arn, session_name]


def random_credentials_for_functions(enforced: bool) -> None:
    """Give Lambda functions credentials that nobody can guess: MiniStack makes them from account, function and role."""
    from ministack.core import lambda_runtime
    from ministack.services import lambda_svc

    def credentials(config: Mapping[str, Any]) -> dict[str, str]:
        if enforced:
            key, secret, token = role_credentials(config["Role"], config["FunctionName"][:64])
        else:
            key, secret, token = os.environ["AWS_ACCESS_KEY_ID"], os.environ["AWS_SECRET_ACCESS_KEY"], ""
        return {"AWS_ACCESS_KEY_ID": key, "AWS_SECRET_ACCESS_KEY": secret, "AWS_SESSION_TOKEN": token}

    lambda_runtime.execution_credentials = lambda_svc.execution_credentials = credentials


def _verify_every_signature(evaluator: Any) -> None:
    """Don't take the account's own access key on trust; of other keys of root, the door lets none in."""
    evaluator._is_root_key = lambda key: not key


def _name_resources_as_aws_does(actions: Any) -> None:
    """Evaluate access to ``a//b`` on that object, not on ``a/b``, and a look at one repository on that, not on all."""
    extract = actions.extract_resource_arn
    if getattr(extract, "names_as_aws_does", False):
        return

    def extract_resource_arn(
        service: str, method: str, path: str, headers: Any, body: bytes, query: Any, region: str, account: str
    ) -> str:
        arn = str(extract(service, method, path, headers, body, query, region, account))
        if service == "ecr" and len(names := actions._safe_json_field(body, "repositoryNames")) == 1:
            return f"arn:aws:ecr:{region}:{account}:repository/{names[0]}"
        bucket, _, key = path.lstrip("/").partition("/")
        return f"arn:aws:s3:::{bucket}/{key}" if arn.startswith(f"arn:aws:s3:::{bucket}/") else arn

    extract_resource_arn.names_as_aws_does = True  # type: ignore[attr-defined]
    actions.extract_resource_arn = extract_resource_arn


def _resolve_policy_variables(evaluator: Any) -> None:
    """Let conditions name the caller's keys, as ``${aws:PrincipalTag/tenant}/*`` does: MiniStack takes it literally."""
    met, resolve = evaluator._conditions_met, evaluator._resolve_condition_key
    if getattr(met, "resolves_variables", False):
        return

    def conditions_met(conditions: Mapping[str, Any], context: Any) -> bool:
        def filled(value: Any) -> Any:
            if isinstance(value, list):
                return [found for item in value if (found := filled(item)) is not None]
            if not isinstance(value, str):
                return value
            keys = {name: resolve(name, context) for name in _VARIABLE.findall(value)}
            # a value with an unknown variable matches nothing
            return None if None in keys.values() else _VARIABLE.sub(lambda match: str(keys[match[1]]), value)

        replaced = {
            operator: {key: _or_nothing(filled(value)) for key, value in keys.items()}
            if isinstance(keys, dict)
            else keys
            for operator, keys in (conditions or {}).items()
        }
        return bool(met(replaced, context))

    conditions_met.resolves_variables = True  # type: ignore[attr-defined]
    evaluator._conditions_met = conditions_met


def _or_nothing(value: Any) -> Any:
    return [] if value is None else value


def _account(arn: str) -> str:
    return arn.split(":")[4]
