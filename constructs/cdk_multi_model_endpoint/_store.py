"""Where the models lie: an S3 prefix, and how models get there."""

from __future__ import annotations

import os
from collections.abc import Sequence

import aws_cdk as cdk
from aws_cdk import aws_iam as iam
from aws_cdk import aws_kms as kms
from aws_cdk import aws_logs as logs
from aws_cdk import aws_s3 as s3
from aws_cdk import aws_s3_assets as s3_assets
from aws_cdk import custom_resources as cr
from constructs import Construct, DependencyGroup, IDependable

from . import _validation as validate
from ._errors import raise_if_any
from ._packing import Artifact, packed

_COPY_LIMIT = 5 * 1024**3
_DIGEST_LENGTH = 8


class StoredModel(Construct):
    """A model that a deployment uploads.

    Made by ``ModelStore.add_model``. Whoever invokes the model from the same app can wait for the upload with
    ``function.node.add_dependency(model)``.

    Attributes:
        target_model: What to send in ``TargetModel`` to invoke it, such as ``resnet-1a2b3c4d.tar.gz``.
    """

    target_model: str

    def __init__(
        self, scope: Construct, construct_id: str, *, store: ModelStore, name: str, artifact: Artifact
    ) -> None:
        super().__init__(scope, construct_id)
        self.target_model = f"{name}-{artifact.digest[:_DIGEST_LENGTH]}.tar.gz"
        raise_if_any(
            self,
            [
                *validate.object_key("name", store.prefix, self.target_model),
                *(
                    [f"path must pack to at most 5 GiB, got {artifact.path.stat().st_size} bytes: upload it yourself"]
                    if artifact.path.stat().st_size > _COPY_LIMIT
                    else []
                ),
            ],
        )
        asset = s3_assets.Asset(
            self,
            "Asset",
            path=str(artifact.path),
            asset_hash=artifact.digest,
            asset_hash_type=cdk.AssetHashType.CUSTOM,
        )
        copy = cr.AwsSdkCall(
            service="S3",
            action="copyObject",
            parameters={
                "Bucket": store.bucket.bucket_name,
                "Key": f"{store.prefix}{self.target_model}",
                "CopySource": f"{asset.s3_bucket_name}/{asset.s3_object_key}",
            },
            physical_resource_id=cr.PhysicalResourceId.of(name),
            output_paths=["CopyObjectResult.ETag"],
        )
        uploads = _Uploads.of(self)
        upload = cr.AwsCustomResource(
            self,
            "Upload",
            on_create=copy,
            on_update=copy,
            install_latest_aws_sdk=False,
            role=uploads.role,
            log_group=uploads.log_group,
            timeout=cdk.Duration.minutes(15),
        )
        upload.node.add_dependency(*store._upload_permission(upload.grant_principal, asset))


class ModelStore(Construct):
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
        bucket: An existing bucket in the endpoint's region. Left out, the store makes one.
        prefix: The folder in the bucket; a ``/`` is added at its end where it is missing. It can't be empty: the
            endpoint may read what is under the prefix, never a whole bucket.
        encryption_key: A key for the bucket that the store makes. Left out, Amazon S3's own. An existing bucket's key
            is found by itself where the CDK knows it.
        removal_policy: What becomes of the bucket that the store makes when it leaves the stack.

    Raises:
        InvalidEndpointError: If the prefix is not one that SageMaker accepts.

    https://docs.aws.amazon.com/sagemaker/latest/dg/create-multi-model-endpoint.html

    Attributes:
        bucket: The bucket.
        prefix: The prefix, with its trailing ``/``.
        url: The prefix as an S3 URL: the ``ModelDataUrl`` of a multi-model container.
    """

    bucket: s3.IBucket
    prefix: str
    url: str

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        bucket: s3.IBucket | None = None,
        prefix: str = "models/",
        encryption_key: kms.IKey | None = None,
        removal_policy: cdk.RemovalPolicy = cdk.RemovalPolicy.RETAIN,
    ) -> None:
        super().__init__(scope, construct_id)
        problems = list(validate.prefix("prefix", prefix))
        if bucket is not None and encryption_key is not None:
            problems.append("encryption_key must not be given with bucket: an existing bucket has its own")
        raise_if_any(self, problems)
        self.prefix = prefix if prefix.endswith("/") else f"{prefix}/"
        self.bucket = self._create_bucket(encryption_key, removal_policy) if bucket is None else bucket
        self.url = f"s3://{self.bucket.bucket_name}/{self.prefix}"
        raise_if_any(self, validate.model_data_url("prefix", self.url))
        # In a scope of their own, so that a model may be called "Bucket"
        self._models = Construct(self, "Models")
        self._first_upload = DependencyGroup()
        self._permission: list[IDependable] | None = None

    @property
    def first_upload(self) -> IDependable:
        """The first model added, as something to wait for; nothing as long as there is none.

        One model is enough to wait for, so that adding another does not change what waits.
        """
        return self._first_upload

    def add_model(self, name: str, path: str | os.PathLike[str]) -> StoredModel:
        """Upload a model with the deployment.

        The model is named by its content, ``{name}-{hash}.tar.gz``: SageMaker keeps copies of what it has loaded, so
        AWS advises never to overwrite an artifact. A changed model is thus a new target model beside the old one, and
        an unchanged one is not uploaded again. Adding a model adds one resource to the stack and changes no other; what
        was uploaded stays when the model or the stack is removed.

        Args:
            name: What to call it; ``/`` makes sub-folders, as in ``tenant_a/resnet``.
            path: The model's directory, or a ``.tar.gz`` of it, of at most 5 GiB packed. ``__pycache__`` and
                ``.DS_Store`` are left out.

        Returns:
            The model, with the ``target_model`` to invoke it by.

        Raises:
            InvalidEndpointError: If the name was added before or can't be a target model, or the path is not a model.

        https://docs.aws.amazon.com/sagemaker/latest/dg/add-models-to-endpoint.html
        """
        where = self._models.node.path
        raise_if_any(where, validate.model_name("name", name))
        construct_id = name.replace("/", "--")
        if self._models.node.try_find_child(construct_id) is not None:
            raise_if_any(where, [f"name must be new in this store, got {name!r} a second time"])
        with packed(f"{where}/{name}", path) as artifact:
            model = StoredModel(self._models, construct_id, store=self, name=name, artifact=artifact)
        if len(self._models.node.children) == 1:
            self._first_upload.add(model)
        return model

    def grant_read(self, grantee: iam.IGrantable) -> iam.Grant:
        """Allow to read the models under the prefix, to list them, and to decrypt them; nothing else in the bucket."""
        grant = self._grant_objects(grantee, "s3:GetObject").combine(self._grant_list(grantee))
        key = self.bucket.encryption_key
        return grant if key is None else grant.combine(key.grant_decrypt(grantee))

    def grant_publish(self, grantee: iam.IGrantable) -> iam.Grant:
        """Allow to add models under the prefix, to list them, and to encrypt them; for a pipeline that trains models.

        It does not allow to read or delete. Give every artifact a new name: SageMaker may keep an old copy loaded.
        """
        grant = self._grant_objects(grantee, "s3:PutObject", "s3:AbortMultipartUpload").combine(
            self._grant_list(grantee)
        )
        key = self.bucket.encryption_key
        # A multipart upload also decrypts its own parts
        return grant if key is None else grant.combine(key.grant_encrypt_decrypt(grantee))

    def _grant_objects(self, grantee: iam.IGrantable, *actions: str) -> iam.Grant:
        return iam.Grant.add_to_principal(
            grantee=grantee, actions=[*actions], resource_arns=[self.bucket.arn_for_objects(f"{self.prefix}*")]
        )

    def _grant_list(self, grantee: iam.IGrantable) -> iam.Grant:
        return iam.Grant.add_to_principal(
            grantee=grantee,
            actions=["s3:ListBucket"],
            resource_arns=[self.bucket.bucket_arn],
            conditions={"StringLike": {"s3:prefix": f"{self.prefix}*"}},
        )

    def _create_bucket(self, encryption_key: kms.IKey | None, removal_policy: cdk.RemovalPolicy) -> s3.Bucket:
        return s3.Bucket(
            self,
            "Bucket",
            block_public_access=s3.BlockPublicAccess.BLOCK_ALL,
            encryption=s3.BucketEncryption.S3_MANAGED if encryption_key is None else s3.BucketEncryption.KMS,
            encryption_key=encryption_key,
            bucket_key_enabled=None if encryption_key is None else True,
            enforce_ssl=True,
            versioned=True,
            removal_policy=removal_policy,
        )

    def _upload_permission(self, uploader: iam.IPrincipal, asset: s3_assets.Asset) -> Sequence[IDependable]:
        """What the uploads wait for. Granted once, so that a further model changes no policy."""
        if self._permission is None:
            read = iam.Grant.add_to_principal(
                grantee=uploader, actions=["s3:GetObject"], resource_arns=[asset.bucket.arn_for_objects("*")]
            )
            write = self._grant_objects(uploader, "s3:PutObject")
            key = self.bucket.encryption_key
            self._permission = [read, write] if key is None else [read, write, key.grant_encrypt(uploader)]
        return self._permission


class _Uploads(Construct):
    """A stack's one role and log group for uploads.

    One, because all ``AwsCustomResource`` of a stack share one function, and the first one's role is the function's.
    """

    _ID = "ModelUploads"

    def __init__(self, scope: cdk.Stack) -> None:
        super().__init__(scope, self._ID)
        self.log_group = logs.LogGroup(
            self, "Logs", retention=logs.RetentionDays.ONE_MONTH, removal_policy=cdk.RemovalPolicy.DESTROY
        )
        self.role = iam.Role(self, "Role", assumed_by=iam.ServicePrincipal("lambda.amazonaws.com"))
        self.log_group.grant_write(self.role)

    @classmethod
    def of(cls, scope: Construct) -> _Uploads:
        stack = cdk.Stack.of(scope)
        existing = stack.node.try_find_child(cls._ID)
        if existing is None:
            return cls(stack)
        assert isinstance(existing, cls)
        return existing
