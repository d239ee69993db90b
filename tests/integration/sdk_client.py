"""What a user of the SageMaker Python SDK does; an environment of its own runs it, and writes down what came of it.

Nothing here knows that AWS is local: the SDK finds that in its environment variables.
Usage: ``sdk_client.py '<task as JSON>' FILE``
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import sagemaker
from botocore.exceptions import ClientError
from sagemaker.deserializers import JSONDeserializer
from sagemaker.multidatamodel import MultiDataModel
from sagemaker.predictor import Predictor
from sagemaker.serializers import CSVSerializer
from sagemaker.session_settings import SessionSettings
from sagemaker.sklearn.model import SKLearnModel

CSV_IN_JSON_OUT = {"serializer": CSVSerializer(), "deserializer": JSONDeserializer()}


def use_deployed_endpoint(session: sagemaker.Session, task: dict[str, Any]) -> dict[str, Any]:
    """Predict on an endpoint that somebody else has deployed."""
    predictor = Predictor(task["endpoint"], session, **CSV_IN_JSON_OUT)
    prediction = predictor.predict(task["body"], target_model=task["target_model"])
    try:
        predictor.predict(task["body"], target_model="absent.tar.gz")
    except ClientError as error:
        return {"prediction": prediction, "error": error.response["Error"]}
    raise AssertionError("an absent model was invoked")


def make_own_endpoint(session: sagemaker.Session, task: dict[str, Any]) -> dict[str, Any]:
    """Make a multi-model endpoint, put models behind it, predict, and clean up."""
    client = session.sagemaker_client
    models = MultiDataModel(
        "made-by-the-sdk",
        task["prefix"],
        image_uri=sagemaker.image_uris.retrieve("xgboost", session.boto_region_name, version="1.7-1"),
        role=task["role"],
        predictor_cls=Predictor,
        sagemaker_session=session,
    )
    # the SDK looks every 30 seconds if it is to wait by itself
    predictor = models.deploy(1, "ml.m5.large", wait=False, **CSV_IN_JSON_OUT)
    session.wait_for_endpoint(predictor.endpoint_name, poll=0.5)
    uploaded = [models.add_model(task["archive"]), models.add_model(task["object"], "north/copy.tar.gz")]
    listed = sorted(models.list_models())
    predictions = [predictor.predict(task["body"], target_model=model) for model in listed]
    predictor.delete_model()
    predictor.delete_endpoint(delete_endpoint_config=True)
    client.get_waiter("endpoint_deleted").wait(
        EndpointName=predictor.endpoint_name, WaiterConfig={"Delay": 1, "MaxAttempts": 60}
    )
    return {"uploaded": uploaded, "listed": listed, "predictions": predictions}


def make_scikit_learn_endpoint(session: sagemaker.Session, task: dict[str, Any]) -> dict[str, Any]:
    """Make a multi-model endpoint whose models a script of ours loads."""
    model = SKLearnModel(
        task["sklearn_archive"],
        task["role"],
        "inference.py",
        framework_version="1.2-1",
        source_dir=task["source_dir"],
        code_location=task["prefix"] + "code",
        sagemaker_session=session,
    )
    models = MultiDataModel("scripted", task["prefix"] + "sklearn/", model=model, sagemaker_session=session)
    predictor = models.deploy(1, "ml.m5.large", wait=False, serializer=CSVSerializer(), deserializer=JSONDeserializer())
    session.wait_for_endpoint(predictor.endpoint_name, poll=0.5)
    models.add_model(task["sklearn_archive"], "double.tar.gz")
    prediction = predictor.predict([1, 2], target_model="double.tar.gz")
    predictor.delete_model()
    predictor.delete_endpoint(delete_endpoint_config=True)
    return {"prediction": prediction}


def main() -> None:
    task = json.loads(sys.argv[1])
    session = sagemaker.Session(settings=SessionSettings(encrypt_repacked_artifacts=False))
    steps = (use_deployed_endpoint, make_own_endpoint, make_scikit_learn_endpoint)
    results = [step(session, task) for step in steps]
    Path(sys.argv[2]).write_text(json.dumps(results))  # the SDK itself prints dots on standard output


if __name__ == "__main__":
    main()
