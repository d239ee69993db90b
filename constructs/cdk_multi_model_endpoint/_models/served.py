"""The models of a store, and what serves them: each pair is checked, whichever comes first."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from constructs import Construct

from cdk_multi_model_endpoint._rules import warnings as advise
from cdk_multi_model_endpoint._rules.errors import raise_if_any, warn
from cdk_multi_model_endpoint._rules.tokens import is_token
from multi_model_endpoint.artifacts import Contents, ModelServer, check_layout
from multi_model_endpoint.artifacts.findings import Problem

PROGRAM = "SAGEMAKER_PROGRAM"


class ServedModels:
    """What a store knows of its models and of the variants that serve them.

    Attributes:
        models: The models by name, with what is in them.
    """

    def __init__(self, store: Construct) -> None:
        self._store = store
        self.models: dict[str, tuple[Construct, Contents]] = {}
        self._unchecked: set[str] = set()
        self._servers: list[ModelServer] = []
        self._instance_types: list[str] = []

    def problems(self, contents: Contents) -> Iterator[Problem]:
        """Why a server could not load a model."""
        for server in self._servers:
            yield from check_layout(contents, server).problems

    def add(self, name: str, model: Construct, contents: Contents, *, check: bool) -> None:
        """Remember a model without problems, and warn of what is odd about it."""
        self.models[name] = (model, contents)
        if not check:
            self._unchecked.add(name)
        for server in self._servers if check else ():
            warn(model, check_layout(contents, server).warnings)
        for instance_type in self._instance_types:
            warn(model, advise.model_size(contents.size, instance_type))

    def serve(self, family: str | None, environment: Mapping[str, str], instance_type: str) -> None:
        """Check the models, also those that are added later, for a container and its instances.

        Args:
            family: The image's family; None for one that is not known, and not checked.
            environment: The container's variables, of which ``SAGEMAKER_PROGRAM`` names the inference script. What
                XGBoost's image loads is the script's business where there is one.
            instance_type: The instances, which may be too small for a model: a warning.

        Raises:
            InvalidEndpointError: If a model's layout is wrong; it lists what is wrong with any of them.
        """
        if not (family == "xgboost" and environment.get(PROGRAM)):
            program = environment.get(PROGRAM, "inference.py")
            self._expect(ModelServer(family, None if is_token(program) else program))
        if instance_type in self._instance_types:
            return
        self._instance_types.append(instance_type)
        for model, contents in self.models.values():
            warn(model, advise.model_size(contents.size, instance_type))

    def _expect(self, server: ModelServer) -> None:
        if server in self._servers:
            return
        findings = {
            name: check_layout(contents, server)
            for name, (_, contents) in self.models.items()
            if name not in self._unchecked
        }
        raise_if_any(self._store, [problem.of(name) for name, found in findings.items() for problem in found.problems])
        self._servers.append(server)
        for name, found in findings.items():
            warn(self.models[name][0], found.warnings)
