"""The app as app.py makes it, with cdk-nag's rule packs looking on."""

from __future__ import annotations

import runpy
import sys
from pathlib import Path
from typing import Any

import aws_cdk as cdk
from cdk_nag import AwsSolutionsChecks, NIST80053R5Checks

ROOT = Path(__file__).parents[2]


class NaggedApp(cdk.App):
    def __init__(self, **properties: Any) -> None:
        super().__init__(**properties)
        cdk.Validations.of(self).add_plugins(AwsSolutionsChecks(self), NIST80053R5Checks(self))


cdk.App = NaggedApp  # type: ignore[misc]  # what app.py will find
sys.path.insert(0, str(ROOT))
runpy.run_path(str(ROOT / "app.py"))
