"""The table of instance types: what matters about each here.

Names from botocore's SageMaker model, specifications from moto's copy of EC2's, classes by AWS's page on multi-model
endpoints: https://docs.aws.amazon.com/sagemaker/latest/dg/multi-model-support.html
"""

from __future__ import annotations

import gzip
import json
import zipfile
from typing import Any

# The instance types that the page lists for GPUs
DOCUMENTED_GPU = {
    "ml.p2.xlarge",
    "ml.p3.2xlarge",
    *(f"ml.{family}.{size}xlarge" for family in ("g4dn", "g5") for size in ("", 2, 4, 8, 16)),
}

# Not in moto: three retired families, from EC2's user guide, and one of which nothing is published that we could read.
# dl1 has accelerators of Habana.
UNLISTED: dict[str, dict[str, Any]] = {
    "ml.dl1.24xlarge": {"arm64": False, "vcpus": 96, "memory_mib": 786432, "gpus": 0, "local_storage": True},
    "ml.p2.xlarge": {"arm64": False, "vcpus": 4, "memory_mib": 62464, "gpus": 1, "local_storage": False},
    "ml.p2.8xlarge": {"arm64": False, "vcpus": 32, "memory_mib": None, "gpus": 8, "local_storage": False},
    "ml.p2.16xlarge": {"arm64": False, "vcpus": 64, "memory_mib": None, "gpus": 16, "local_storage": False},
    "ml.p3.2xlarge": {"arm64": False, "vcpus": 8, "memory_mib": 62464, "gpus": 1, "local_storage": False},
    "ml.p3.8xlarge": {"arm64": False, "vcpus": 32, "memory_mib": None, "gpus": 4, "local_storage": False},
    "ml.p3.16xlarge": {"arm64": False, "vcpus": 64, "memory_mib": None, "gpus": 8, "local_storage": False},
    "ml.p6e-gb200.36xlarge": {"arm64": None, "vcpus": None, "memory_mib": None, "gpus": None, "local_storage": False},
}


def instance_table(botocore: zipfile.ZipFile, moto: zipfile.ZipFile, source: str) -> dict[str, Any]:
    """The table, as it is shipped."""
    model = json.loads(gzip.decompress(botocore.read("botocore/data/sagemaker/2017-07-24/service-2.json.gz")))
    ec2 = json.loads(gzip.decompress(moto.read("moto/ec2/resources/instance_types.json.gz")))
    types = {}
    for name in sorted(model["shapes"]["ProductionVariantInstanceType"]["enum"]):
        description = ec2.get(name.removeprefix("ml."))
        if description is None and name not in UNLISTED:
            raise ValueError(f"{name} is new and not in moto: add what is known of it to UNLISTED")
        specification = UNLISTED[name] if description is None else _specification(description)
        types[name] = {**specification, "multi_model": _multi_model(name, specification, description or {})}
    return {"_source": source, "types": types}


def _specification(description: dict[str, Any]) -> dict[str, Any]:
    gpus = [gpu for gpu in description.get("GpuInfo", {}).get("Gpus", []) if gpu["Manufacturer"] == "NVIDIA"]
    return {
        "arm64": "arm64" in description["ProcessorInfo"]["SupportedArchitectures"],
        "vcpus": description["VCpuInfo"]["DefaultVCpus"],
        "memory_mib": description["MemoryInfo"]["SizeInMiB"],
        "gpus": sum(gpu["Count"] for gpu in gpus),
        "local_storage": description.get("InstanceStorageSupported", False),
        "gpu_memory_mib": sum(gpu["Count"] * gpu["MemoryInfo"]["SizeInMiB"] for gpu in gpus),
    }


def _multi_model(name: str, specification: dict[str, Any], description: dict[str, Any]) -> str:
    if name in DOCUMENTED_GPU:
        return "gpu-documented"
    if specification["gpus"] == 0:
        accelerators = any(key in description for key in ("GpuInfo", "InferenceAcceleratorInfo", "NeuronInfo"))
        return "accelerator-unsupported" if accelerators or name.startswith("ml.dl1.") else "cpu"
    return "gpu-single-undocumented" if specification["gpus"] == 1 else "gpu-multi"
