"""The image table: AWS's images for inference, their accounts and the regions that lack them.

Derived from ``sagemaker-core``'s image configuration, from botocore's partitions for the host names, and from AWS's
list of Deep Learning Containers for what the former does not have.
"""

from __future__ import annotations

import json
import re
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from fnmatch import fnmatch
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from scripts.deep_learning_containers import Listing

# Family: (registry, its repositories). Other repositories in the same configuration, such as sagemaker-pytorch or
# xgboost:1, are from before multi-model endpoints.
FAMILIES = {
    "knn": ("algorithms", ["knn"]),
    "linear-learner": ("algorithms", ["linear-learner"]),
    "randomcutforest": ("algorithms", ["randomcutforest"]),
    "xgboost": ("frameworks", ["sagemaker-xgboost"]),
    "sklearn": ("frameworks", ["sagemaker-scikit-learn"]),
    "sagemaker-tritonserver": ("dlc", ["sagemaker-tritonserver"]),
    "pytorch": ("dlc", ["pytorch-inference", "pytorch-inference-graviton", "pytorch-inference-arm64"]),
    "tensorflow": ("dlc", ["tensorflow-inference", "tensorflow-inference-graviton", "tensorflow-inference-arm64"]),
    "mxnet": ("dlc", ["mxnet-inference"]),
    "huggingface-pytorch": ("dlc", ["huggingface-pytorch-inference"]),
    "huggingface-tensorflow": ("dlc", ["huggingface-tensorflow-inference"]),
    "djl-lmi": ("dlc", ["djl-inference"]),
}

# Regions that exist in the configuration alone: me-west-1 is there for PyTorch 2.6.0 only
NO_SUCH_REGION = {"me-west-1"}

# Whether images carry the label com.amazonaws.sagemaker.capabilities.multi-models=true: the first pattern that fits
# "family:architecture:tag" counts, and no pattern means that we don't know. Sources: AWS's page on multi-model support
# names the CPU images of k-NN, Linear Learner, Random Cut Forest, XGBoost, scikit-learn, TensorFlow, MXNet and PyTorch,
# and Triton; the rest is read from the Dockerfiles of github.com/aws/deep-learning-containers, and from its issues.
MULTI_MODEL = [
    ("sagemaker-tritonserver:*", True),
    ("djl-lmi:*", True),  # Dockerfile
    ("pytorch:x86_64:2.6.0-gpu-*", True),  # Dockerfile
    ("pytorch:arm64:2.6*-cpu-*", True),  # Dockerfile
    ("pytorch:x86_64:1.9.*-gpu-*", False),  # issue 2131, which names 1.9, 1.10 and 1.12.0
    ("pytorch:x86_64:1.10.*-gpu-*", False),
    ("pytorch:x86_64:1.11.*-gpu-*", False),
    ("pytorch:x86_64:1.12.0-gpu-*", False),
    ("tensorflow:arm64:2.16.1-*", True),  # Dockerfile
    ("tensorflow:x86_64:2.20*-gpu-*", True),  # Dockerfile
    ("tensorflow:x86_64:*-gpu", False),  # Dockerfile of 2.19; amazon-sagemaker-examples issue 3925: 2.1, 2.3 and 2.7
    ("mxnet:x86_64:*-gpu-*", False),  # sagemaker-mxnet-inference-toolkit pull request 104
    ("huggingface-pytorch:x86_64:2.6.0-*", True),  # Dockerfiles, CPU and GPU
    ("huggingface-pytorch:x86_64:1.10.2-*-gpu-*", False),  # issue 2465
    ("huggingface-*", None),
    ("*:x86_64:*-gpu*", None),
    ("*:x86_64:*", True),
]


@dataclass(frozen=True)
class Image:
    """One tag, with the account of each region that has it; None where only AWS's list has it, which names none."""

    family: str
    version: str
    architecture: str
    gpu: bool
    repository: str
    tag: str
    accounts: dict[str, str] | None

    @property
    def registry(self) -> str:
        """The registry of its family."""
        return FAMILIES[self.family][0]

    @property
    def multi_model(self) -> bool | None:
        """Whether it has the label; None when that is not known."""
        name = f"{self.family}:{self.architecture}:{self.tag}"
        return next((label for pattern, label in MULTI_MODEL if fnmatch(name, pattern)), None)


def image_table(core: zipfile.ZipFile, botocore: zipfile.ZipFile, listing: Listing, source: str) -> dict[str, Any]:
    """The table, as it is shipped."""
    found = list(images(core))
    found += listed(listing, {(image.repository, image.tag) for image in found})
    registries: dict[str, dict[str, str]] = {registry: {} for registry, _ in FAMILIES.values()}
    for image in found:
        for region, account in (image.accounts or {}).items():
            if registries[image.registry].setdefault(region, account) != account:
                raise ValueError(f"{image.repository} has a second account in {region}: {account}")
    absences: dict[str, list[str]] = {}
    rows = []
    for image in sorted(found, key=_order):
        row: dict[str, Any] = {"family": image.family, "version": image.version}
        row |= {"repository": image.repository, "tag": image.tag}
        row |= {"architecture": image.architecture, "gpu": image.gpu, "multi_model": image.multi_model}
        end = listing.end_of_patch(image.family, image.repository, image.version, gpu=image.gpu)
        if end is not None:
            row["end_of_patch"] = end
        if image.accounts is None:
            row["missing"] = None
        elif missing := sorted(registries[image.registry].keys() - image.accounts.keys()):
            same = (name for name, regions in absences.items() if regions == missing)
            row["missing"] = name = next(same, f"{image.repository}:{image.tag}")
            absences[name] = missing
        rows.append(row)
    return {
        "_source": source,
        "partitions": _partitions(botocore, {region for accounts in registries.values() for region in accounts}),
        "registries": {name: dict(sorted(accounts.items())) for name, accounts in registries.items()},
        "families": {family: registry for family, (registry, _) in FAMILIES.items()},
        "missing_regions": absences,
        "images": rows,
    }


def listed(listing: Listing, known: set[tuple[str, str]]) -> Iterator[Image]:
    """The images of AWS's list whose tag is no longer form of a known one, as ``1.0-cpu-sagemaker`` is of ``1.0-cpu``.

    Those of scikit-learn and XGBoost have other tags there than in the SDK, whose URIs ours have to equal.
    """
    for family, (registry, repositories) in FAMILIES.items():
        for each in (each for each in listing.images if registry == "dlc" and each.repository in repositories):
            for tag in each.tags:
                if not any(
                    each.repository == repository and f"{tag}-".startswith(f"{of}-") for repository, of in known
                ):
                    architecture = "arm64" if each.repository.endswith("-arm64") else "x86_64"
                    gpu = each.accelerator == "gpu"
                    yield Image(family, each.version, architecture, gpu, each.repository, tag, None)


def images(core: zipfile.ZipFile) -> Iterator[Image]:
    """Every image of the families."""
    for framework in dict.fromkeys(family.removesuffix("-pytorch") for family in FAMILIES):
        if framework == "huggingface-tensorflow":
            continue  # in the same file as PyTorch's
        config = json.loads(core.read(f"sagemaker/core/image_uri_config/{framework}.json"))
        scopes = {"x86_64": config} if "scope" in config else _scopes(config)
        for architecture, scope in scopes.items():
            for version, entry in scope["versions"].items():
                for family, full_version, leaf in _leaves(framework, version, entry):
                    if leaf["repository"] in FAMILIES[family][1]:
                        yield from _images(family, full_version, architecture, scope, leaf)


def _scopes(config: dict[str, Any]) -> dict[str, dict[str, Any]]:
    names = {"x86_64": "inference", "arm64": "inference_graviton"}
    return {architecture: config[name] for architecture, name in names.items() if name in config}


def _leaves(framework: str, version: str, entry: dict[str, Any]) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """What a version's entry describes: it nests base frameworks (Hugging Face) or Python versions (MXNet 1.4.1)."""
    if "repository" in entry:
        yield framework, version, entry
        return
    for key, leaf in entry.items():
        if key == "version_aliases":
            continue
        if framework == "huggingface":
            yield f"{framework}-{key.rstrip('0123456789.')}", f"{version}/{key}", leaf
        else:
            yield framework, version, {**leaf, "py_versions": [key]}


def _images(
    family: str, version: str, architecture: str, scope: dict[str, Any], leaf: dict[str, Any]
) -> Iterator[Image]:
    accounts = {region: account for region, account in leaf["registries"].items() if region not in NO_SUCH_REGION}
    for processor in scope.get("processors") or leaf.get("processors") or [None]:
        for python in leaf.get("py_versions") or [None]:
            gpu = processor == "gpu" or family == "djl-lmi"
            tag = _tag(family, version, architecture, processor, python, leaf)
            yield Image(family, version, architecture, gpu, leaf["repository"], tag, accounts)


def _tag(
    family: str, version: str, architecture: str, processor: str | None, python: str | None, leaf: dict[str, Any]
) -> str:
    prefix: str = leaf.get("tag_prefix", version)
    build: str | None = leaf.get("container_version", {}).get(processor)
    if family == "sagemaker-tritonserver" and processor == "gpu":
        processor = None
    if family.startswith("huggingface-"):
        transformers, _, base = version.partition("/")
        prefix = f"{base.lstrip('abcdefghijklmnopqrstuvwxyz')}-transformers{transformers}"
    if leaf["repository"].endswith(("-graviton", "-arm64")):
        build = f"{build}-sagemaker"
    if architecture == "arm64" and family in ("xgboost", "sklearn"):
        # Of these the configuration has the versions only; image_uris.py has the tags
        prefix += "-arm64"
    return "-".join(part for part in (prefix, processor, python, build) if part)


def _partitions(botocore: zipfile.ZipFile, regions: set[str]) -> dict[str, dict[str, Any]]:
    partitions: dict[str, dict[str, Any]] = {}
    for partition in json.loads(botocore.read("botocore/data/partitions.json"))["partitions"]:
        inside = sorted(region for region in regions if re.fullmatch(partition["regionRegex"].strip("^$"), region))
        if inside:
            suffix = partition["outputs"]["dnsSuffix"]
            partitions[partition["id"]] = {"dns_suffix": suffix, "regions": inside}
            regions = regions - set(inside)
    if regions:
        raise ValueError(f"botocore has no partition for {', '.join(sorted(regions))}")
    return partitions


def _order(image: Image) -> tuple[int, list[int], bool, bool, str]:
    numbers = [int(number) for number in re.findall(r"\d+", image.version)]
    return list(FAMILIES).index(image.family), numbers, image.architecture == "arm64", image.gpu, image.tag
