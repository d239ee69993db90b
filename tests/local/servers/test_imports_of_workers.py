"""What a model's process imports before it can load: counted by module, not timed."""

from __future__ import annotations

import subprocess
import sys


def run(program: str) -> None:
    subprocess.run([sys.executable, "-c", program], check=True)


def test_a_booster_comes_without_scikit_learn_which_stays_importable() -> None:
    run(
        "import sys, mme_local.servers.handlers.xgboost_model\n"
        "assert 'sklearn' not in sys.modules\n"
        "import sklearn.base\n"
    )


def test_a_program_gets_estimators_that_are_scikit_learn_s() -> None:
    run(
        "import mme_local.servers.handlers.xgboost_script, sklearn.base, xgboost\n"
        "assert issubclass(xgboost.XGBClassifier, sklearn.base.ClassifierMixin)\n"
    )
