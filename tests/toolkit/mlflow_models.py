"""Train models, log them on the server of MLFLOW_TRACKING_URI, and print what they predict here; by test_mlflow.py."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import mlflow
import numpy as np
import pandas
import xgboost
from mlflow.models import infer_signature
from sklearn.compose import make_column_transformer  # type: ignore[import-untyped]
from sklearn.linear_model import LinearRegression, LogisticRegression  # type: ignore[import-untyped]
from sklearn.pipeline import make_pipeline  # type: ignore[import-untyped]
from sklearn.preprocessing import FunctionTransformer, OneHotEncoder  # type: ignore[import-untyped]

random = np.random.default_rng(1)
SKLEARN = {"pip_requirements": ["scikit-learn==1.9.1"]}


def churn() -> Any:
    """A pipeline that knows its columns by their names, some of them texts, in skops' format, MLflow's default."""
    customers = pandas.DataFrame(
        {
            "age": random.integers(18, 80, 200),
            "spent": random.normal(50, 9, 200),
            "plan": random.choice(["basic", "gold"], 200),
        }
    )
    left = (customers["age"] + 20 * (customers["plan"] == "gold") > 50).astype(int)
    model = make_pipeline(
        make_column_transformer((OneHotEncoder(), ["plan"]), remainder="passthrough"), LogisticRegression(max_iter=1000)
    ).fit(customers, left)
    signature = infer_signature(customers, model.predict(customers))
    mlflow.sklearn.log_model(model, name="churn", registered_model_name="churn", signature=signature, **SKLEARN)
    asked = customers[:20]
    return {"rows": asked.to_numpy().tolist(), "answers": model.predict(asked).tolist()}


def scores() -> Any:
    """Probabilities for rows of numbers, pickled, with a module of its own."""
    code = Path(sys.argv[1], "shipped_with_the_model.py")
    code.write_text("def halved(rows):\n    return rows / 2\n")
    sys.path.insert(0, str(code.parent))
    from shipped_with_the_model import halved  # type: ignore[import-not-found]

    rows = random.normal(size=(50, 3))
    model = make_pipeline(FunctionTransformer(halved), LogisticRegression()).fit(rows, rows.sum(1) > 0)
    mlflow.sklearn.log_model(
        model,
        name="scores",
        registered_model_name="scores",
        serialization_format="cloudpickle",
        code_paths=[str(code)],
        pyfunc_predict_fn="predict_proba",
        **SKLEARN,
    )
    return {"rows": rows[:5].tolist(), "answers": model.predict_proba(rows[:5]).tolist()}


def risk() -> Any:
    """A booster, and a classifier of the same library."""
    rows = random.normal(size=(50, 3))
    labels = (rows.sum(1) > 0).astype(int)
    booster = xgboost.train({"objective": "binary:logistic"}, xgboost.DMatrix(rows, labels), 4)
    classifier = xgboost.XGBClassifier(n_estimators=4).fit(rows, labels)
    for name, model in (("risk", booster), ("risk-class", classifier)):
        mlflow.xgboost.log_model(
            model, name=name, registered_model_name=name, pip_requirements=[f"xgboost=={xgboost.__version__}"]
        )
    return {"rows": rows[:5].tolist(), "answers": booster.predict(xgboost.DMatrix(rows[:5])).tolist()}


def prices() -> Any:
    """Two versions of a model whose input is a tensor."""
    rows = random.normal(size=(30, 2))
    for factor in (1, 2):
        model = LinearRegression().fit(rows, factor * rows.sum(1))
        signature = infer_signature(rows, model.predict(rows))
        mlflow.sklearn.log_model(model, name="prices", registered_model_name="prices", signature=signature, **SKLEARN)
    return {"rows": rows[:3].tolist(), "answers": model.predict(rows[:3]).tolist()}


class Echo(mlflow.pyfunc.PythonModel):  # type: ignore[misc, name-defined]
    """No library's."""

    def predict(self, context: Any, model_input: Any, params: Any = None) -> Any:
        """Return two columns for two."""
        text = model_input["text"].where(model_input["text"].notna(), "nothing") + "!"
        return pandas.DataFrame({"text": text, "twice": model_input["number"] * 2})


def echo() -> Any:
    """Any Python, with columns that may be left out."""
    given = pandas.DataFrame({"text": ["a", "bé"], "number": [1.5, 2.5]})
    model = Echo()
    signature = infer_signature(given, model.predict(None, given))
    mlflow.pyfunc.log_model(
        name="echo", python_model=model, registered_model_name="echo", signature=signature, pip_requirements=[]
    )
    return {"rows": given.to_numpy().tolist(), "answers": model.predict(None, given).to_numpy().tolist()}


def notes() -> str:
    """Something that is no model, on a run."""
    with mlflow.start_run() as run:
        mlflow.log_text("none", "notes/README.md")
    return str(run.info.run_id)


if __name__ == "__main__":
    logged = {make.__name__: make() for make in (churn, scores, risk, prices, echo, notes)}
    mlflow.MlflowClient().set_registered_model_alias("churn", "champion", "1")
    print(json.dumps(logged))
