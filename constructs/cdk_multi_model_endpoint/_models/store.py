"""Where the models lie: an S3 prefix, and how models get there."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import cast

import aws_cdk as cdk
from aws_cdk import aws_iam as iam
from aws_cdk import aws_kms as kms
from aws_cdk import aws_s3 as s3
from constructs import Construct, DependencyGroup, IDependable

from cdk_multi_model_endpoint._rules import checks as validate
from cdk_multi_model_endpoint._rules import warnings as advise
from cdk_multi_model_endpoint._rules.errors import InvalidEndpointError, raise_if_any, warn
from cdk_multi_model_endpoint._rules.kinds import checked
from cdk_multi_model_endpoint._rules.places import PlacedConstruct
from cdk_multi_model_endpoint._rules.tokens import identity, is_token
from cdk_multi_model_endpoint._rules.units import days_problems
from multi_model_endpoint.artifacts import (
    Artifact,
    InvalidModelError,
    models_in,
    target_model,
)
from multi_model_endpoint.artifacts.alias_names import FOLDER
from multi_model_endpoint.artifacts.findings import Problem

from .approvals import ModelApprovals, approval_problems
from .asset import packed_in_assembly
from .bucket import bucket_problems, bucket_warnings, key_problems, place_problems
from .deployed_aliases import DeployedAliases, alias_pattern_problems
from .keys import DECRYPT, ENCRYPT, grant_key
from .permission import Permission
from .served import ServedModels
from .stored_model import StoredModel, too_many

_COPY_LIMIT = 5 * 1024**3  # of S3's CopyObject
_UPLOAD_DAYS = 7


class ModelStore(PlacedConstruct):
    """The S3 prefix that holds an endpoint's models: a bucket of its own, or a part of an existing one.

    SageMaker loads whatever lies under the prefix when it is first invoked; adding a model is an upload, not an update
    of the endpoint. The bucket that this construct makes is private, versioned, encrypted, refuses plain HTTP and is
    retained when the stack goes.

    Example:
        ```python
        store = ModelStore(self, "Models")
        resnet = store.add_model("resnet", "models/resnet")
        ```

    Args:
        bucket: An existing bucket in the endpoint's region. Left out, the store makes one. One of another account gets
            a warning: its policy, and that of its key, must allow the access.
        prefix: The folder in the bucket; a ``/`` is added at its end where it is missing. It can't be empty: the
            endpoint may read what is under the prefix, never a whole bucket.
        encryption_key: A key for the bucket that the store makes. Left out, Amazon S3's own. An existing bucket's key
            is found by itself where the CDK knows it.
        removal_policy: What becomes of the bucket that the store makes when it leaves the stack. ``DESTROY`` fails, and
            gets a warning, unless the bucket is empty by then or ``auto_delete_objects`` empties it.
        auto_delete_objects: Whether the bucket that the store makes is emptied before it is destroyed, as by the CDK's
            ``s3.Bucket``. Needs ``removal_policy=RemovalPolicy.DESTROY``.
        abort_incomplete_multipart_upload_after: When the bucket that the store makes forgets the parts of an upload
            that was never finished, in whole days. Left out, after seven: ``mme push`` goes on with a younger one.
        noncurrent_version_expiration: How long the bucket that the store makes keeps what was deleted or replaced, in
            whole days: a model that ``mme prune`` deleted can be had back until then, and an alias goes back that far.
            Left out, for ever.

    Raises:
        InvalidEndpointError: If the prefix is not one that SageMaker accepts, or the bucket is in another region.

    https://docs.aws.amazon.com/sagemaker/latest/dg/create-multi-model-endpoint.html

    Attributes:
        bucket: The bucket.
        prefix: The prefix, with its trailing ``/``.
        url: The prefix as an S3 URL: the ``ModelDataUrl`` of a multi-model container.
    """

    bucket: s3.IBucket
    prefix: str
    url: str

    @checked
    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        bucket: s3.IBucket | None = None,
        prefix: str = "models/",
        encryption_key: kms.IKey | None = None,
        removal_policy: cdk.RemovalPolicy = cdk.RemovalPolicy.RETAIN,
        auto_delete_objects: bool = False,
        abort_incomplete_multipart_upload_after: cdk.Duration | None = None,
        noncurrent_version_expiration: cdk.Duration | None = None,
    ) -> None:
        super().__init__(scope, construct_id)
        problems = list(validate.prefix("prefix", prefix))
        if bucket is not None:
            problems += bucket_problems(self._place, bucket)
        if encryption_key is not None:
            problems += key_problems("bucket", self._place, encryption_key)
            problems += place_problems("encryption_key", self._place, encryption_key.env.region)
        if bucket is not None and encryption_key is not None:
            problems.append(
                Problem(
                    "notForExistingBucket",
                    "encryption_key must not be given with bucket: an existing bucket has its own",
                )
            )
        if auto_delete_objects and bucket is not None:
            problems.append(
                Problem(
                    "notForExistingBucket",
                    "auto_delete_objects must not be given with bucket: it is not the store's to empty",
                )
            )
        if auto_delete_objects and removal_policy != cdk.RemovalPolicy.DESTROY:
            problems.append(
                Problem(
                    "autoDeleteNeedsDestroy",
                    "auto_delete_objects needs removal_policy=RemovalPolicy.DESTROY: else the bucket stays",
                )
            )
        lifecycle = {
            "abort_incomplete_multipart_upload_after": abort_incomplete_multipart_upload_after,
            "noncurrent_version_expiration": noncurrent_version_expiration,
        }
        for argument, duration in lifecycle.items():
            if bucket is not None and duration is not None:
                problems.append(
                    Problem(
                        "notForExistingBucket",
                        f"{argument} must not be given with bucket: its owner sets its lifecycle rules",
                    )
                )
            problems += days_problems(argument, duration)
        raise_if_any(self, problems)
        self.prefix = prefix if prefix.endswith("/") else f"{prefix}/"
        self._makes_bucket = bucket is None
        self._encryption_key = encryption_key if bucket is None else bucket.encryption_key
        self.bucket = bucket or self._create_bucket(
            encryption_key,
            removal_policy,
            auto_delete_objects,
            _lifecycle_rule(abort_incomplete_multipart_upload_after, noncurrent_version_expiration),
        )
        self.url = f"s3://{self.bucket.bucket_name}/{self.prefix}"
        raise_if_any(self, validate.model_data_url("prefix", self.url))
        # In a scope of their own, so that a model may be called "Bucket"
        self._models = Construct(self, "Models")
        self._first_upload = DependencyGroup()
        self._permission: list[IDependable] | None = None
        self._served = ServedModels(self)
        self._aliases = DeployedAliases(self)
        if bucket is not None:
            warn(self, bucket_warnings(self._place, bucket))
        elif removal_policy == cdk.RemovalPolicy.DESTROY and not auto_delete_objects:
            warn(self, advise.models_left())

    @property
    def first_upload(self) -> IDependable:
        """The first model added, as something to wait for; nothing as long as there is none.

        One model is enough to wait for, so that adding another does not change what waits.
        """
        return self._first_upload

    @checked
    def add_model(
        self,
        name: str,
        path: str | os.PathLike[str],
        *,
        check_layout: bool = True,
        aliases: Sequence[str] = (),
        alias_removal_policy: cdk.RemovalPolicy = cdk.RemovalPolicy.RETAIN,
    ) -> StoredModel:
        """Upload a model with the deployment.

        The model is named by its content, ``{name}-{hash}.tar.gz``: SageMaker keeps copies of what it has loaded, so
        AWS advises never to overwrite an artifact. A changed model is thus a new target model beside the old one, and
        an unchanged one is not uploaded again. Adding a model adds one resource to the stack and changes no other; what
        was uploaded stays when the model or the stack is removed.

        As soon as an endpoint serves the store, its models are checked for the layout that the image's framework loads:
        Triton, XGBoost, scikit-learn, PyTorch and TensorFlow. When containers of two frameworks serve it, each model
        must suit both, unless it is added with ``check_layout=False``.

        Args:
            name: What to call it; ``/`` makes sub-folders, as in ``tenant_a/resnet``.
            path: The model's directory, or a ``.tar.gz`` of it, of at most 5 GiB packed. ``__pycache__`` and
                ``.DS_Store`` are left out.
            check_layout: Whether a layout that a container of the store can't load is an error.
            aliases: Stable names for callers outside the app, such as ``churn@prod``, which ``MultiModelClient`` and
                ``mme alias`` know. A deployment moves them after the upload of a changed model; one that doesn't change
                the model leaves what ``mme alias`` set meanwhile.
            alias_removal_policy: What becomes of the aliases when they leave the stack, or the store does: they stay,
                or ``DESTROY`` deletes them.

        Returns:
            The model, with the ``target_model`` to invoke it by.

        Raises:
            InvalidEndpointError: If the name was added before or can't be a target model, or the path is not a model,
                can't be read, changes while it is packed, or is not a model that the store's containers can load, or
                an alias is another model's or can't be one.

        https://docs.aws.amazon.com/sagemaker/latest/dg/add-models-to-endpoint.html
        """
        raise_if_any(self._models, too_many(self, 1 + len(aliases)))
        (packed,) = packed_in_assembly(self, {name: path}).values()
        artifact, problems = self._checked(name, packed, check_layout)
        problems = [*problems, *self._aliases.problems(aliases)]
        raise_if_any(f"{self._models.node.path}/{name}", problems)
        assert artifact is not None  # else there were problems
        model = self._add(name, artifact, check_layout)
        for alias in aliases:
            self._aliases.add(alias, model, self.bucket, self.prefix, alias_removal_policy)
        return model

    @checked
    def add_models(
        self, directory: str | os.PathLike[str], *, folder: str | None = None, check_layout: bool = True
    ) -> dict[str, StoredModel]:
        """Upload all models of a folder: one per sub-folder or ``.tar.gz`` file, called like it.

        All are checked before the first is added. For models of several tenants, call it once per tenant.

        Example:
            ```python
            models = store.add_models("models/tenant_a", folder="tenant_a")
            models["tenant_a/resnet"].target_model
            ```

        Args:
            directory: The folder of models. Other files in it, and what begins with a dot, are passed over.
            folder: What to put before their names. Left out, nothing.
            check_layout: As for ``add_model``.

        Returns:
            The models by name, in the order of their names.

        Raises:
            InvalidEndpointError: If there is no model, or as ``add_model``; it lists what is wrong with any of them.
        """
        where = self._models.node.path
        try:
            found = models_in(directory, folder)
        except InvalidModelError as error:
            raise InvalidEndpointError(where, error.problems) from None
        raise_if_any(where, too_many(self, len(found)))
        artifacts: dict[str, Artifact] = {}
        problems: list[Problem] = []
        for name, packed in packed_in_assembly(self, found).items():
            artifact, own = self._checked(name, packed, check_layout)
            problems += [problem.of(name) for problem in own]
            if artifact is not None:
                artifacts[name] = artifact
        raise_if_any(where, problems)
        return {name: self._add(name, artifact, check_layout) for name, artifact in artifacts.items()}

    @checked
    def publish_on_approval(
        self, model_package_group: str, *, source: s3.IBucket, name: str | None = None, alias: str | None = None
    ) -> ModelApprovals:
        """Take in each model that is approved in SageMaker's Model Registry, and move an alias to it.

        When the approval status of a version becomes ``Approved``, a function copies its artifact under the name that
        ``mme push`` would give it, ``{name}-{hash}.tar.gz``, and has the alias name it. An alias that was moved after
        the approval stays where it is, and so does one whose version is rejected later. An artifact that can't be a
        model, or is too large, goes to the construct's ``dead_letters`` after two more attempts: it and the tar in it
        must fit into 10 GiB, and be read within 15 minutes. Layouts are not checked.

        Example:
            ```python
            training = s3.Bucket.from_bucket_name(self, "Training", "sagemaker-us-east-1-123456789012")
            store.publish_on_approval("churn", source=training)
            ```

        Args:
            model_package_group: The group's name.
            source: The bucket that the artifacts of its versions are in; the function may read all of it, and use its
                key as far as the CDK knows it.
            name: What to call the models. Left out, like the group.
            alias: What names the one that was approved last. Left out, ``{name}@approved``.

        Returns:
            The rule and the function, and the queue for what failed.

        Raises:
            InvalidEndpointError: If the name or the alias can't be one, or the group was given before.

        https://docs.aws.amazon.com/sagemaker/latest/dg/model-registry-approve.html
        """
        name = model_package_group if name is None else name
        alias = f"{name}@approved" if alias is None else alias
        problems = [*validate.model_name("name", name), *approval_problems(model_package_group, alias)]
        approvals = cast(Construct | None, self.node.try_find_child("Approvals"))
        if approvals is not None and approvals.node.try_find_child(model_package_group) is not None:
            problems.append(
                Problem(
                    "duplicateModelPackageGroup",
                    f"model_package_group must be new in this store, got {model_package_group!r} a second time",
                )
            )
        raise_if_any(self, problems)
        return ModelApprovals(
            approvals or Construct(self, "Approvals"),
            model_package_group,
            model_package_group=model_package_group,
            bucket=self.bucket,
            prefix=self.prefix,
            name=name,
            alias=alias,
            source=source,
            encryption_key=self._encryption_key,
        )

    @checked
    def grant_read(self, grantee: iam.IGrantable) -> iam.Grant:
        """Allow to read the models under the prefix, to list them, and to decrypt them; nothing else in the bucket."""
        read, browse = self._reading
        grant = read.grant(grantee).combine(browse.grant(grantee))
        key = self._encryption_key
        return grant if key is None else grant.combine(grant_key(grantee, key, *DECRYPT))

    @checked
    def grant_resolve(self, grantee: iam.IGrantable, *, aliases: Sequence[str] | None = None) -> iam.Grant:
        """Allow to look up which model an alias names, as ``MultiModelClient`` does; no model can be read by it.

        Args:
            grantee: Who may.
            aliases: Patterns of aliases, with ``*``, such as ``tenant_a/*``, or ``${aws:PrincipalTag/tenant}/*`` for
                each caller's own. Left out, every alias of the store.

        Raises:
            InvalidEndpointError: If a pattern can match no alias, or the list is empty.
        """
        if aliases is not None:
            raise_if_any(self, alias_pattern_problems(aliases))
        grant = self._on_aliases("s3:GetObject", patterns=["*"] if aliases is None else aliases).grant(grantee)
        key = self._encryption_key
        return grant if key is None else grant.combine(grant_key(grantee, key, *DECRYPT))

    @checked
    def grant_publish(self, grantee: iam.IGrantable) -> iam.Grant:
        """Allow to add models under the prefix, to list them, and to encrypt them; for a pipeline that trains models.

        Whoever may add models may also move aliases. It does not allow to read or to delete models, but to go on with
        an unfinished upload, which S3 lists for whole buckets only. Give every artifact a new name, as ``mme push``
        does: SageMaker may keep an old copy loaded.
        """
        grant = (
            self._on_objects("s3:PutObject", "s3:AbortMultipartUpload", "s3:ListMultipartUploadParts")
            .grant(grantee)
            .combine(self._listing.grant(grantee))
            .combine(Permission(["s3:ListBucketMultipartUploads"], [self._bucket_arn]).grant(grantee))
            .combine(self._on_aliases("s3:GetObject").grant(grantee))
        )
        key = self._encryption_key
        # A multipart upload also decrypts its own parts
        return grant if key is None else grant.combine(grant_key(grantee, key, *DECRYPT, *ENCRYPT))

    def _checked(
        self, name: str, packed: Artifact | InvalidModelError, check: bool
    ) -> tuple[Artifact | None, Sequence[Problem]]:
        """A model, if it could be packed, and what is wrong with it."""
        if is_token(name):  # it is a part of the asset's name
            return None, [Problem("notKnownAtSynth", "name must be known at synth, got a token")]
        problems = [*validate.model_name("name", name)]
        if self._models.node.try_find_child(_construct_id(name)) is not None:
            problems.append(
                Problem("duplicateModelName", f"name must be new in this store, got {name!r} a second time")
            )
        if isinstance(packed, InvalidModelError):
            return None, [*problems, *packed.problems]
        artifact = packed
        problems += validate.object_key("name", self.prefix, target_model(name, artifact.digest))
        size = artifact.path.stat().st_size
        if size > _COPY_LIMIT:
            problems.append(
                Problem(
                    "modelTooLargeToCopy",
                    f"path must pack to at most 5 GiB, the limit of S3's CopyObject, got {size} bytes: upload it with "
                    "'mme push'",
                )
            )
        if check:
            problems += self._served.problems(artifact.contents)
        return artifact, problems

    def _add(self, name: str, artifact: Artifact, check: bool) -> StoredModel:
        model = StoredModel(
            self._models,
            _construct_id(name),
            name=name,
            artifact=artifact,
            bucket=self.bucket,
            prefix=self.prefix,
            permit=self._permit_upload,
        )
        if not self._served.models:
            self._first_upload.add(model)
        self._served.add(name, model, artifact.contents, check=check)
        return model

    def _serve(self, family: str | None, environment: Mapping[str, str], instance_type: str) -> None:
        """Be told by an endpoint what serves the models, which are then checked for it."""
        self._served.serve(family, environment, instance_type)

    def _identity(self, scope: Construct) -> str:
        """What the URL refers to, for digests; of the store's own bucket it is known without asking the CDK."""
        if not self._makes_bucket or is_token(self.prefix):
            return identity(scope, self.url)
        return f"s3://*/{self.prefix} {self._path}/Bucket/Resource.Ref"

    @property
    def _reading(self) -> list[Permission]:
        return [self._on_objects("s3:GetObject"), self._listing]

    @property
    def _listing(self) -> Permission:
        of_prefix = {"StringLike": {"s3:prefix": f"{self.prefix}*"}}
        return Permission(["s3:ListBucket"], [self._bucket_arn], of_prefix)

    @cached_property
    def _bucket_arn(self) -> str:
        return self.bucket.bucket_arn

    def _on_objects(self, *actions: str) -> Permission:
        return Permission([*actions], [f"{self._bucket_arn}/{self.prefix}*"])

    def _on_aliases(self, *actions: str, patterns: Sequence[str] = ("*",)) -> Permission:
        return Permission([*actions], [f"{self._bucket_arn}/{self.prefix}{FOLDER}{pattern}" for pattern in patterns])

    def _create_bucket(
        self,
        encryption_key: kms.IKey | None,
        removal_policy: cdk.RemovalPolicy,
        auto_delete_objects: bool,
        lifecycle_rule: s3.LifecycleRule,
    ) -> s3.Bucket:
        return s3.Bucket(
            self,
            "Bucket",
            block_public_access=s3.BlockPublicAccess.BLOCK_ALL,
            encryption=s3.BucketEncryption.S3_MANAGED if encryption_key is None else s3.BucketEncryption.KMS,
            encryption_key=encryption_key,
            bucket_key_enabled=None if encryption_key is None else True,
            enforce_ssl=True,
            versioned=True,
            lifecycle_rules=[lifecycle_rule],
            removal_policy=removal_policy,
            auto_delete_objects=auto_delete_objects or None,
        )

    def _permit_upload(self, uploader: iam.IPrincipal, source: s3.IBucket) -> Sequence[IDependable]:
        """Allow the uploads, and return what they wait for. Granted once: a further model changes no policy."""
        if self._permission is None:
            read = iam.Grant.add_to_principal(
                grantee=uploader, actions=["s3:GetObject"], resource_arns=[source.arn_for_objects("*")]
            )
            write = self._on_objects("s3:PutObject").grant(uploader)
            key = self._encryption_key
            self._permission = [read, write] if key is None else [read, write, grant_key(uploader, key, *ENCRYPT)]
        return self._permission


def _lifecycle_rule(abort: cdk.Duration | None, expiration: cdk.Duration | None) -> s3.LifecycleRule:
    return s3.LifecycleRule(
        abort_incomplete_multipart_upload_after=cdk.Duration.days(_UPLOAD_DAYS) if abort is None else abort,
        noncurrent_version_expiration=expiration,
        # what is left of a deleted object when its versions are gone
        expired_object_delete_marker=None if expiration is None else True,
    )


def _construct_id(name: str) -> str:
    return name.replace("/", "--")
