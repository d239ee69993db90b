"""What AWS's repository of Deep Learning Containers says of its images: newer tags, and ends of patch.

It is on GitHub alone, not in a package, so what we take from it is kept beside this script. To renew that:

    git clone --depth 1 https://github.com/aws/deep-learning-containers /tmp/dlc
    python -m scripts.refresh_tables --deep-learning-containers /tmp/dlc

``docs/src/data/<repository>/*.yml`` has an image in each file; ``eop`` is its end of patch. ``docs/src/legacy`` has the
dates of versions that are past theirs; those of XGBoost and scikit-learn are on a page of SageMaker's guide.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import yaml  # type: ignore[import-untyped]

from scripts.image_table import FAMILIES

ML_FRAMEWORKS_PAGE = "https://docs.aws.amazon.com/sagemaker/latest/dg/pre-built-containers-support-policy.html"
# What the page says of the tag "latest" of the built-in algorithms is left out: they are patched in place, and have no
# newer version to take.
ML_FRAMEWORKS = {
    "xgboost": {
        "1.7-1": "2025-03-06",
        "1.5-1": "2023-02-21",
        "1.3-1": "2022-05-21",
        "1.2-2": "2021-09-20",
        "1.2-1": "2021-07-19",
    },
    "sklearn": {"1.2-1": "2025-03-06", "1.0-1": "2023-04-07", "0.23-1": "2021-06-02"},
}
KEPT = Path(__file__).with_suffix(".json")


@dataclass(frozen=True)
class Listed:
    """An image of a version, under all its tags; ``eop`` is None where AWS gives no end of patch."""

    repository: str
    version: str
    accelerator: str
    tags: tuple[str, ...]
    eop: str | None = None


@dataclass(frozen=True)
class Listing:
    """Everything kept."""

    source: str
    images: tuple[Listed, ...]
    legacy: dict[str, dict[str, str]]

    def end_of_patch(self, family: str, repository: str, version: str, *, gpu: bool) -> str | None:
        """The date after which AWS patches an image no more; of an old one the date by which it had ended.

        Images of Hugging Face have that of their framework, by the same page.
        """
        if family.startswith("huggingface-"):
            family = family.removeprefix("huggingface-")
            repository, version = f"{family}-inference", version.rpartition(family)[2]
        for image in self.images:
            same = (image.repository, image.accelerator) == (repository, "gpu" if gpu else "cpu")
            if same and image.eop and f"{version}.".startswith(f"{image.version}."):
                return image.eop
        # A version that the policy's list does not go back to had ended when the next newer one did
        dates = self.legacy.get(family) or ML_FRAMEWORKS.get(family, {})
        past = {numbers(each): date for each, date in dates.items()}
        newer = [each for each in past if each >= numbers(version)[: len(each)]]
        return past[min(newer)] if newer else None


def numbers(version: str) -> tuple[int, ...]:
    """A version to compare by."""
    return tuple(int(number) for number in re.findall(r"\d+", version))


def kept() -> Listing:
    """What is kept beside this script."""
    content = json.loads(KEPT.read_text(encoding="utf-8"))
    images = tuple(Listed(**{**row, "tags": tuple(row["tags"])}) for row in content["images"])
    return Listing(content["_source"], images, content["legacy"])


def read(checkout: Path) -> dict[str, Any]:
    """What a checkout says of the repositories of our families, for SageMaker."""
    rows = []
    for repository in (repository for _, repositories in FAMILIES.values() for repository in repositories):
        for file in sorted(Path(checkout, "docs", "src", "data", repository).glob("*.yml")):
            image = yaml.safe_load(file.read_text(encoding="utf-8"))
            if image["platform"] == "sagemaker":
                row = {"repository": repository, "version": image["version"], "accelerator": image["accelerator"]}
                row["tags"] = image.get("tags") or [image["tag"]]
                rows.append(row | ({"eop": image["eop"]} if "eop" in image else {}))
    rows.sort(key=lambda row: (row["repository"], numbers(row["version"]), row["accelerator"], row["tags"]))
    legacy = yaml.safe_load(Path(checkout, "docs/src/legacy/legacy_support.yml").read_text(encoding="utf-8"))
    dates = {family: {each["version"]: each["eop"] for each in versions} for family, versions in legacy.items()}
    source = "github.com/aws/deep-learning-containers (docs/src/data and docs/src/legacy), read on "
    source += datetime.now(UTC).date().isoformat()
    return {
        "_source": source,
        "images": rows,
        "legacy": {family: each for family, each in dates.items() if family in FAMILIES},
    }
