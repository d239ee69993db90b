"""For each rule of the constructs, something that it is about."""

from __future__ import annotations

from pathlib import Path

import aws_cdk as cdk
from aws_cdk import aws_applicationautoscaling as appscaling
from aws_cdk import aws_ec2 as ec2
from aws_cdk import aws_iam as iam
from aws_cdk import aws_kms as kms
from aws_cdk import aws_logs as logs
from aws_cdk import aws_s3 as s3

from cdk_multi_model_endpoint import DeploymentPolicy, InferenceImage, ModelStore, TritonSettings, WarmUpCall
from cdk_multi_model_endpoint._endpoint import policy_size, warming
from cdk_multi_model_endpoint._endpoint.network import check_network
from cdk_multi_model_endpoint._endpoint.script_mode import script_problems
from cdk_multi_model_endpoint._models import bucket as buckets
from cdk_multi_model_endpoint._models.deployed_aliases import DeployedAliases, alias_pattern_problems
from cdk_multi_model_endpoint._models.stored_model import ModelUploads, too_many
from cdk_multi_model_endpoint._rules import checks, units
from cdk_multi_model_endpoint._rules import warnings as advise
from cdk_multi_model_endpoint._variants.call_log import call_log_warnings
from multi_model_endpoint.artifacts import Artifact, Contents
from multi_model_endpoint.artifacts.findings import Problem

from .scene import Example, Scene

_MINUTES = cdk.Duration.minutes
_LOG_GROUP = "arn:aws:logs:us-west-2:111111111111:log-group:calls"
_KEY = "arn:aws:kms:us-west-2:111111111111:key/0a"
_ROLE = "arn:aws:iam::123456789012:role/theirs"


def _many_models(s: Scene) -> ModelUploads:
    uploads = ModelUploads._of(s.stack)
    for _ in range(301):
        uploads._count()
    return uploads


def _too_large_to_copy(s: Scene) -> object:
    with open("large", "wb") as archive:
        archive.truncate(5 * 1024**3 + 1)
    artifact = Artifact(Path("large"), "0a1b2c3d", Contents((), (), {}, 0))
    return s.store._checked("large", artifact, False)[1]


def _shared_role(s: Scene) -> list[Problem]:
    role = iam.Role(s.stack, "Role", assumed_by=iam.ServicePrincipal("sagemaker.amazonaws.com"))
    for number in range(14):
        s.endpoint(f"Endpoint{number}", role=role)
    return [*policy_size._fit(s.place)._problems(role)]


def _scaled_twice(s: Scene) -> None:
    variant = s.endpoint().default_variant
    for _ in range(2):
        variant.auto_scale_instance_count(max_capacity=4)


def _tracked_twice(s: Scene) -> None:
    for construct_id in ("Cpu", "More"):
        s.scaling.scale_on_cpu_utilization(construct_id, target_utilization_percent=50)


def _scheduled_twice(s: Scene) -> None:
    for _ in range(2):
        s.scaling.scale_on_schedule("Night", schedule=appscaling.Schedule.rate(_MINUTES(5)), min_capacity=1)


def _approved_twice(s: Scene) -> None:
    for name in ("churn", "fraud"):
        s.store.publish_on_approval("approved", source=s.bucket, name=name)


EXAMPLES: dict[str, Example] = {
    "wrongType": lambda s: s.endpoint(initial_instance_count="3"),
    "outOfRange": lambda s: checks.at_least("initial_instance_count", 0, 1),
    "notWholeUnits": lambda s: units.seconds_problems(
        "model_data_download_timeout", cdk.Duration.millis(90_500), 60, 3600
    ),
    "notKnownAtSynth": lambda s: checks.target_model("model", cdk.Aws.REGION),
    "unknownValue": lambda s: checks.choices("capture", ["Inputs"], ("Input", "Output")),
    "emptyList": lambda s: alias_pattern_problems([]),
    "invalidName": lambda s: checks.name("variant_name", "all_traffic"),
    "invalidEndpointArn": lambda s: checks.endpoint_arn("endpoint_arn", "churn"),
    "unknownVariant": lambda s: s.endpoint().find_variant("Blue"),
    "duplicateVariantName": lambda s: checks.variant_names(["Blue", "Blue"]),
    "tooManyVariants": lambda s: checks.variant_names([f"V{number}" for number in range(11)]),
    "weightsAllZero": lambda s: checks.weights([0, 0]),
    "singleInstance": lambda s: advise.instance_count("initial_instance_count", 1),
    "routingStrategyUndocumented": lambda s: advise.routing_strategy("RANDOM"),
    "dataCaptureUndocumented": lambda s: advise.data_capture(),
    "invalidContentType": lambda s: checks.content_types("csv_content_types", ["csv"]),
    "tooManyContentTypes": lambda s: checks.content_types("csv_content_types", ["text/csv"] * 11),
    "invalidInstanceType": lambda s: checks.instance_type("instance_type", "m5.large"),
    "instanceTypeNotSupported": lambda s: checks.instance_type("instance_type", "ml.inf2.xlarge"),
    "unknownInstanceType": lambda s: advise.instance_type("instance_type", "ml.m99.xlarge"),
    "multiGpuInstanceType": lambda s: advise.instance_type("instance_type", "ml.g5.12xlarge"),
    "undocumentedGpuInstanceType": lambda s: advise.instance_type("instance_type", "ml.g6.xlarge"),
    "architectureMismatch": lambda s: checks.architecture("instance_type", "ml.m6g.large", "x86_64"),
    "encryptionKeyOnLocalStorage": lambda s: checks.encryption_key("instance_type", "ml.g5.xlarge"),
    "volumeSizeOnLocalStorage": lambda s: advise.volume("instance_type", "ml.m5d.large"),
    "modelLargerThanMemory": lambda s: advise.model_size(40 * 1024**3, "ml.m5.large"),
    "gpuImageNotTriton": lambda s: advise.gpu_image("instance_type", "ml.g5.xlarge", "xgboost"),
    "unknownInferenceAmiVersion": lambda s: advise.inference_ami_version("al2023-gpu", "ml.g5.xlarge", ""),
    "inferenceAmiVersionNeeded": lambda s: advise.inference_ami_version(
        None, "ml.g5.xlarge", "/sagemaker-tritonserver:26.05-py3"
    ),
    "invalidImageName": lambda s: InferenceImage.from_uri("xgboost:latest"),
    "imageVersionMissing": lambda s: InferenceImage.built_in("sklearn"),
    "cpuTagConflict": lambda s: InferenceImage.triton("26.05-py3-cpu", cpu=False),
    "repositoryMissing": lambda s: InferenceImage.from_uri(cdk.Fn.import_value("Image")),
    "imageNotInRegion": lambda s: InferenceImage.triton("26.05").bind(s.stack_in("us-gov-west-1")),
    "privateRegistryWithoutVpc": lambda s: s.endpoint(
        container=s.container(image=InferenceImage.from_private_registry("registry.example.com/serving:1"))
    ),
    "imageNotMultiModel": lambda s: advise.image_label("tensorflow", False),
    "unknownImage": lambda s: advise.unknown_image("sagemaker-xgboost:99.0-0"),
    "imagePastEndOfPatch": lambda s: advise.image_past_end_of_patch("pytorch-inference:2.6.0-cpu-py312", "2026-06-30"),
    "invalidTritonArgument": lambda s: TritonSettings(additional_args=["--log-verbose 1"]),
    "tooManyContainers": lambda s: checks.pipeline([None] * 16),
    "severalMultiModelContainers": lambda s: s.endpoint(preprocessors=[s.container()]),
    "hostnameMissing": lambda s: checks.pipeline(["scaler", None]),
    "duplicateHostname": lambda s: checks.pipeline(["scaler", "scaler"]),
    "reservedVariable": lambda s: checks.environment("environment", {"SAGEMAKER_MULTI_MODEL": "true"}),
    "invalidVariable": lambda s: checks.environment("environment", {"log-level": "debug"}),
    "environmentTooLarge": lambda s: checks.environment("environment", {f"K{number}": "" for number in range(101)}),
    "scriptMissing": lambda s: s.endpoint(container=s.container(image=InferenceImage.built_in("sklearn", "1.9-0"))),
    "sourceWithoutEntryPoint": lambda s: script_problems(s.container(source_directory="code"), False),
    "scriptVariableConflict": lambda s: script_problems(
        s.container(
            source_directory="code", entry_point="inference.py", environment={"SAGEMAKER_PROGRAM": "inference.py"}
        ),
        False,
    ),
    "sourceNotFound": lambda s: script_problems(
        s.container(source_directory="code", entry_point="inference.py"), False
    ),
    "codeUnderNetworkIsolation": lambda s: script_problems(
        s.container(source_directory="code", entry_point="inference.py"), True
    ),
    "invalidPrefix": lambda s: checks.prefix("prefix", "models/resnet.tar.gz"),
    "invalidModelDataUrl": lambda s: checks.object_url("model_data_url", "scaler.tar.gz"),
    "invalidTargetModel": lambda s: checks.target_model_pattern("/tenant_a/*"),
    "modelTooLargeToCopy": _too_large_to_copy,
    "tooManyModels": lambda s: too_many(s.stack, 497),
    "manyModels": _many_models,
    "bucketNotEmptied": lambda s: advise.models_left(),
    "notForExistingBucket": lambda s: ModelStore(
        s.stack, "Models", bucket=s.bucket, encryption_key=kms.Key(s.stack, "Key")
    ),
    "autoDeleteNeedsDestroy": lambda s: ModelStore(s.stack, "Models", auto_delete_objects=True),
    "bucketNameUnknown": lambda s: buckets.bucket_problems(
        s.place, s3.Bucket(s.stack_in("us-west-2", "111111111111"), "Bucket"), own=True
    ),
    "wrongRegionOrAccount": lambda s: buckets.place_problems("vpc", s.place, "eu-west-1"),
    "keyNotImported": lambda s: buckets.key_problems("volumes", s.place, kms.Key(s.stack_in("eu-west-1"), "Key")),
    "crossAccountBucket": lambda s: buckets.bucket_warnings(s.place, s.bucket_of_other_account()),
    "crossAccountKey": lambda s: buckets.bucket_warnings(
        s.place, s.bucket_of_other_account(encryption_key=kms.Key.from_key_arn(s.stack, "Key", _KEY))
    ),
    "crossAccountDestination": lambda s: buckets.destination_warnings(s.place, s.bucket_of_other_account()),
    "crossAccountCallLog": lambda s: call_log_warnings(
        s.place, logs.LogGroup.from_log_group_arn(s.stack, "Calls", _LOG_GROUP)
    ),
    "invalidAlias": lambda s: alias_pattern_problems(["churn prod"]),
    "duplicateAlias": lambda s: DeployedAliases(s.stack).problems(["churn@prod", "churn@prod"]),
    "duplicateModelPackageGroup": _approved_twice,
    "vpcMissing": lambda s: check_network(None, None, [], None),
    "allowAllOutboundConflict": lambda s: check_network(ec2.Vpc(s.stack, "Vpc"), None, [], False),
    "invalidVpcSelection": lambda s: checks.vpc(17, 1),
    "rolePolicyNotAttached": lambda s: s.endpoint(role=iam.Role.from_role_arn(s.stack, "Role", _ROLE, mutable=False)),
    "rolePoliciesTooLarge": _shared_role,
    "invalidDeploymentStep": lambda s: DeploymentPolicy.canary(wait=_MINUTES(5))._problems([4]),
    "deploymentNeedsTwoInstances": lambda s: DeploymentPolicy.canary(percent=10, wait=_MINUTES(5))._problems([1]),
    "rollingSeveralVariants": lambda s: DeploymentPolicy.rolling(percent=50, wait=_MINUTES(5))._problems([2, 2]),
    "deploymentTimeTooShort": lambda s: DeploymentPolicy.canary(
        percent=10, wait=_MINUTES(20), maximum_execution_time=_MINUTES(15)
    )._problems([10]),
    "rollbackAlarmCount": lambda s: checks.rollback_alarms([]),
    "duplicateRollbackAlarm": lambda s: checks.rollback_alarms(["errors", "errors"]),
    "deploymentPolicyUndocumented": lambda s: advise.deployment("canary"),
    "burstableNotScalable": lambda s: checks.scalable("instance_type", "ml.t2.medium"),
    "minCapacityAboveMax": lambda s: checks.capacity(3, 2),
    "instanceCountOutsideCapacity": lambda s: checks.capacity_around("initial_instance_count", 2, 3, 4),
    "scaledTwice": _scaled_twice,
    "metricTrackedTwice": _tracked_twice,
    "scheduleWithoutCapacity": lambda s: s.scaling.scale_on_schedule(
        "Night", schedule=appscaling.Schedule.rate(_MINUTES(5))
    ),
    "duplicateSchedule": _scheduled_twice,
    "coresUnknown": lambda s: s.scaling.scale_on_gpu_utilization("Gpu", target_utilization_percent=50),
    "logRetentionMissing": lambda s: checks.log_group(None, "RemovalPolicy.DESTROY"),
    "bodyTooLarge": lambda s: WarmUpCall("churn.tar.gz", bytes(7 * 1024**2), "text/csv"),
    "warmUpTooLarge": lambda s: warming._problems(
        [WarmUpCall(f"tenant_a/{'long' * 200}-{number}.tar.gz", "1", "text/csv") for number in range(12)], None, None
    ),
}
