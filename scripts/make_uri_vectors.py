"""Write what the SageMaker SDK's ``image_uris.retrieve`` returns, for the tests to compare our image URIs with.

The SDKs are large, so ``python -m scripts.make_uri_vectors`` runs itself in an environment of its own for each, and
only the result is kept. Each run replaces the part of its own SDK: version 2 as the public reference, and
``sagemaker-core``, which our table is made from and which has the same function with newer images.

What to know of the SDKs:

- Triton's GPU tag is made by ``tag.rstrip("-gpu")``, which strips letters, not a suffix; with today's tags it comes to
  the same.
- ``container_version`` of Hugging Face and Graviton images is read from the configuration, also where an argument of
  that name is given.
- The processor is told by the instance type: ``ml.c5``, ``ml.g5`` and, for arm64, ``ml.c6g`` stand for them here.
- The tags of Graviton images end in ``-sagemaker``; those of the repository ``pytorch-inference-arm64`` do in
  ``sagemaker-core`` alone, since version 2 does not know it.
- Of xgboost and sklearn for arm64 ``image_uris.py`` itself holds the tags.
- PyTorch 2.6.0 of ``sagemaker-core`` is also in ``me-west-1``, a region that does not exist: recorded, but not ours.
- TensorFlow images have no Python version in their tags up to 2.19, and have one from 2.20 on.
"""

from __future__ import annotations

import functools
import gzip
import importlib
import itertools
import json
import logging
import os
import subprocess
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

VECTORS = Path(__file__).parent.parent / "tests" / "unit" / "data" / "image_uris.json.gz"
FRAMEWORKS = ["knn", "linear-learner", "randomcutforest", "xgboost", "sklearn"]
FRAMEWORKS += ["sagemaker-tritonserver", "pytorch", "tensorflow", "mxnet", "huggingface", "djl-lmi"]
# From before multi-model endpoints
LEGACY = {"xgboost", "sagemaker-pytorch", "sagemaker-tensorflow", "sagemaker-tensorflow-serving"}
LEGACY |= {"sagemaker-mxnet", "sagemaker-mxnet-serving"}
SCOPES = {"inference": "x86_64", "inference_graviton": "arm64"}


SDK_VERSION = "2.257.7"


def run_in_environments() -> None:
    """Run this script once with each SDK."""
    from scripts.refresh_tables import VERSIONS

    for sdk in (f"sagemaker=={SDK_VERSION}", f"sagemaker-core=={VERSIONS['sagemaker-core']}"):
        command = ["uv", "run", "--quiet", "--isolated", "--no-project", "--with", sdk, "python", __file__]
        subprocess.run(command, check=True)


def main() -> None:
    """Ask the SDK that is installed here for every URI."""
    os.environ.setdefault("AWS_DEFAULT_REGION", "us-east-1")
    logging.disable(logging.WARNING)
    try:
        sdk, module = f"sagemaker {version('sagemaker')}", "sagemaker.image_uris"
    except PackageNotFoundError:
        sdk, module = f"sagemaker-core {version('sagemaker-core')}", "sagemaker.core.image_uris"
    image_uris: Any = importlib.import_module(module)
    # The SDK parses botocore's endpoints and its own configuration anew for each URI: an hour for all of them
    image_uris.utils._botocore_resolver = functools.cache(image_uris.utils._botocore_resolver)
    image_uris.config_for_framework = functools.cache(image_uris.config_for_framework)
    vectors: dict[str, list[str]] = {}
    for key, arguments in requests(image_uris):
        vectors.setdefault(key, []).append(image_uris.retrieve(**arguments))
    kept = json.loads(gzip.decompress(VECTORS.read_bytes())) if VECTORS.exists() else {}
    package = sdk.partition(" ")[0]
    result = {name: part for name, part in kept.items() if name.partition(" ")[0] != package}
    result[sdk] = {key: sorted(uris) for key, uris in sorted(vectors.items())}
    VECTORS.parent.mkdir(exist_ok=True)
    text = json.dumps(dict(sorted(result.items())), separators=(",", ":"))
    VECTORS.write_bytes(gzip.compress(text.encode(), mtime=0))
    print(f"{sdk}: {sum(len(uris) for uris in vectors.values())} URIs of {len(vectors)} images")


def requests(image_uris: Any) -> Iterator[tuple[str, dict[str, Any]]]:
    """The arguments for every URI, with the name of its image: family, version, processor and architecture."""
    for framework in FRAMEWORKS:
        config = image_uris.config_for_framework(framework)
        for scope, architecture in SCOPES.items():
            part = config if "scope" in config and scope == "inference" else config.get(scope)
            for full_version, entry in (part or {}).get("versions", {}).items():
                for base, pythons, leaf in leaves(framework, entry):
                    if leaf["repository"] in LEGACY:
                        continue
                    family = framework if base is None else f"{framework}-{base.rstrip('0123456789.')}"
                    name = full_version if base is None else f"{full_version}/{base}"
                    processors = (part or {}).get("processors") or leaf.get("processors") or ["none"]
                    for processor, python, region in itertools.product(processors, pythons, leaf["registries"]):
                        yield (
                            f"{family} {name} {processor} {architecture}",
                            {
                                "framework": framework,
                                "region": region,
                                "version": full_version,
                                "py_version": python,
                                "instance_type": instance_type(processor, architecture, framework),
                                "image_scope": scope,
                                "base_framework_version": base,
                            },
                        )


def leaves(framework: str, entry: dict[str, Any]) -> Iterator[tuple[str | None, list[str | None], dict[str, Any]]]:
    """Base framework, Python versions and the entry that has the repository."""
    if "repository" in entry:
        yield None, entry.get("py_versions") or [None], entry
        return
    for key, leaf in entry.items():
        if key == "version_aliases":
            continue
        if framework == "huggingface":
            yield key, leaf["py_versions"], leaf
        else:
            yield None, [key], leaf


def instance_type(processor: str, architecture: str, framework: str) -> str:
    """An instance type that stands for a processor."""
    if architecture == "arm64":
        return "ml.c6g.xlarge"
    return "ml.g5.xlarge" if processor == "gpu" or framework == "djl-lmi" else "ml.c5.xlarge"


if __name__ == "__main__":
    if __package__:
        run_in_environments()
    else:
        main()
