"""Make the sample models of the two stacks, and an example request for each with the libraries' own answer.

Run ``python stacks/models/make_models.py`` in an environment with xgboost 3.2.0, the version of the image that the CPU
stack names. The data is generated from fixed seeds and the files carry no clock, so a second run changes nothing.
"""

from __future__ import annotations

import json
import re
import sys
import types
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import xgboost
from numpy.typing import NDArray

HERE = Path(__file__).parent
Floats = NDArray[np.float64]

# Species, then mean and standard deviation of sepal length, sepal width, petal length and petal width (Fisher 1936).
IRIS = {
    "setosa": ((5.01, 3.43, 1.46, 0.25), (0.35, 0.38, 0.17, 0.11)),
    "versicolor": ((5.94, 2.77, 4.26, 1.33), (0.52, 0.31, 0.47, 0.20)),
    "virginica": ((6.59, 2.97, 5.55, 2.03), (0.64, 0.32, 0.55, 0.27)),
}
SENTENCES = {
    "de": "Der Zug nach Hamburg fährt heute nicht, weil auf der Strecke ein Baum liegt. Wir haben gestern lange auf "
    "die Nachricht gewartet und sind dann nach Hause gegangen. Können Sie mir bitte sagen, wo ich eine Karte kaufen "
    "kann? Das Kind spielt mit seiner Schwester im Garten. Ich möchte noch einen Kaffee und ein Stück Kuchen.",
    "en": "The train to London is not running today because there is a tree on the line. We waited a long time for the "
    "message yesterday and then went home. Could you please tell me where I can buy a ticket? The child is playing "
    "with her sister in the garden. I would like another coffee and a piece of cake, thank you.",
    "es": "El tren a Madrid no circula hoy porque hay un árbol en la vía. Ayer esperamos mucho tiempo el mensaje y "
    "nos fuimos a casa. ¿Puede decirme, por favor, dónde puedo comprar un billete? El niño juega con su hermana en el "
    "jardín. Quisiera otro café y un trozo de pastel, muchas gracias.",
    "fr": "Le train pour Paris ne circule pas aujourd'hui parce qu'il y a un arbre sur la voie. Hier nous avons "
    "attendu le message et puis nous sommes rentrés à la maison. Pouvez-vous me dire où je peux acheter un billet ? "
    "L'enfant joue avec sa sœur dans le jardin. Je voudrais encore un café et un morceau de gâteau, merci beaucoup.",
}
LANGUAGE_BUCKETS = 1024


def main() -> None:
    """Write every model and ``samples.json``."""
    samples = [make_house_price(), make_customer_churn(), make_iris(), make_language()]
    text = json.dumps(samples, indent=2, ensure_ascii=False) + "\n"
    (HERE / "samples.json").write_text(text, encoding="utf-8")


def make_house_price() -> dict[str, Any]:
    """A regression: thousands of dollars from square metres, rooms, age in years and kilometres to the centre."""
    random = np.random.default_rng(1)
    columns = [random.uniform(30, 250, 600), random.integers(1, 8, 600)]
    columns += [random.uniform(0, 100, 600), random.uniform(0, 40, 600)]
    features = np.column_stack(columns).round(1)
    area, rooms, age, distance = features.T
    price = 60 + 3.2 * area + 15 * rooms - 0.8 * age - 4 * distance + random.normal(0, 10, 600)
    return _make_xgboost(
        "house-price",
        features,
        price,
        {"objective": "reg:squarederror", "max_depth": 3, "eta": 0.4, "seed": 1},
        "120,4,15,3.5\n55,2,60,12",
    )


def make_customer_churn() -> dict[str, Any]:
    """A classification: does a customer leave, from months as a customer, monthly bill and support calls a year."""
    random = np.random.default_rng(2)
    columns = [random.integers(1, 73, 800), random.uniform(15, 120, 800), random.poisson(2, 800)]
    features = np.column_stack(columns).round(1)
    months, bill, calls = features.T
    odds = 0.8 * calls + 0.03 * (bill - 60) - 0.06 * (months - 20) - 1.5
    left = (random.uniform(size=800) < 1 / (1 + np.exp(-odds))).astype(np.float64)
    return _make_xgboost(
        "customer-churn",
        features,
        left,
        {"objective": "binary:logistic", "max_depth": 2, "eta": 0.4, "seed": 2},
        "3,95.5,5\n60,30,0",
    )


def _make_xgboost(name: str, features: Floats, target: Floats, settings: dict[str, Any], body: str) -> dict[str, Any]:
    # One thread: sums in another order would change the last digits of the trees.
    booster = xgboost.train(settings | {"nthread": 1}, xgboost.DMatrix(features, target), num_boost_round=16)
    path = HERE / "xgboost" / name / "xgboost-model"
    path.parent.mkdir(parents=True, exist_ok=True)
    # Not save_model(path): it takes the format from the file's extension, and this name, AWS's, has none.
    path.write_bytes(booster.save_raw(raw_format="json"))
    with xgboost.config_context(verbosity=0):  # it says that it guesses the format, as it does in AWS's container
        loaded = xgboost.Booster(model_file=str(path))
    rows = np.array([[float(cell) for cell in row.split(",")] for row in body.split("\n")])
    prediction = [float(score) for score in loaded.predict(xgboost.DMatrix(rows))]
    return {
        "server": "xgboost",
        "model": name,
        "content_type": "text/csv",
        "accept": "application/json",
        "body": body,
        "prediction": prediction,
    }


def make_iris() -> dict[str, Any]:
    """Softmax regression, fitted by gradient descent on flowers drawn from the published means and deviations."""
    random = np.random.default_rng(3)
    flowers = [random.normal(mean, deviation, (200, 4)) for mean, deviation in IRIS.values()]
    measurements = np.concatenate(flowers)
    wanted = np.repeat(np.eye(len(IRIS)), 200, axis=0)
    centre, scale = measurements.mean(axis=0), measurements.std(axis=0)
    standard = (measurements - centre) / scale
    weights, bias = np.zeros((len(IRIS), 4)), np.zeros(len(IRIS))
    for _ in range(400):
        error = _softmax(standard @ weights.T + bias) - wanted
        weights -= 0.5 * error.T @ standard / len(standard)
        bias -= 0.5 * error.mean(axis=0)
    coefficients = weights / scale
    _save_weights(
        "iris",
        coefficients=coefficients.round(4).astype(np.float32),
        intercepts=(bias - coefficients @ centre).round(4).astype(np.float32),
        species=np.array(list(IRIS), dtype=np.bytes_),
    )
    data = [5.1, 3.5, 1.4, 0.2, 6.3, 2.9, 5.6, 1.8]
    return _triton_sample("iris", "MEASUREMENTS", "FP32", [2, 4], data)


def make_language() -> dict[str, Any]:
    """Naive Bayes over hashed character trigrams, with add-one smoothing."""
    counts = np.ones((len(SENTENCES), LANGUAGE_BUCKETS))
    for row, text in zip(counts, SENTENCES.values(), strict=True):
        np.add.at(row, _trigram_buckets(text), 1)
    _save_weights(
        "language",
        log_probabilities=np.log(counts / counts.sum(axis=1, keepdims=True)).round(4).astype(np.float32),
        languages=np.array(list(SENTENCES), dtype=np.bytes_),
    )
    texts = ["Wo ist der Bahnhof, bitte?", "Where is the station, please?", "Merci pour le gâteau !"]
    return _triton_sample("language", "TEXT", "BYTES", [3, 1], texts)


def _trigram_buckets(text: str) -> list[int]:
    words = (f" {word} " for word in re.findall(r"\w+", text.lower()))
    trigrams = [word[i : i + 3] for word in words for i in range(len(word) - 2)]
    return [zlib.crc32(trigram.encode()) % LANGUAGE_BUCKETS for trigram in trigrams]


def _softmax(logits: Floats) -> Floats:
    odds = np.exp(logits - logits.max(axis=1, keepdims=True))
    return np.asarray(odds / odds.sum(axis=1, keepdims=True))


def _save_weights(name: str, **arrays: NDArray[Any]) -> None:
    # np.savez dates its entries 1980-01-01, so the file depends on the arrays alone.
    np.savez_compressed(HERE / "triton" / name / "1" / "weights.npz", **arrays)


def _triton_sample(name: str, tensor: str, datatype: str, shape: list[int], data: list[Any]) -> dict[str, Any]:
    request = {"inputs": [{"name": tensor, "shape": shape, "datatype": datatype, "data": data}]}
    return {
        "server": "triton",
        "model": name,
        "content_type": "application/json",
        "body": json.dumps(request, ensure_ascii=False),
        "prediction": _predict_without_triton(name, tensor, datatype, shape, data),
    }


def _predict_without_triton(
    name: str, tensor: str, datatype: str, shape: list[int], data: list[Any]
) -> dict[str, list[Any]]:
    """Run the model's own ``model.py`` here, with the little that it needs of the backend's utility module."""
    utils = types.ModuleType("triton_python_backend_utils")
    values: NDArray[Any] = np.array(data, dtype=np.float32 if datatype == "FP32" else object)
    if datatype == "BYTES":
        values = np.array([text.encode() for text in data], dtype=object)
    array = types.SimpleNamespace(as_numpy=lambda: values.reshape(shape))
    utils.__dict__["get_input_tensor_by_name"] = lambda request, wanted: request[wanted]
    utils.__dict__["Tensor"] = lambda output, result: (output, result)
    utils.__dict__["InferenceResponse"] = lambda output_tensors: dict(output_tensors)
    sys.modules[utils.__name__] = utils
    path = HERE / "triton" / name / "1" / "model.py"
    module: dict[str, Any] = {"__file__": str(path)}
    exec(compile(path.read_text(encoding="utf-8"), path, "exec"), module)  # noqa: S102 - our own file, beside this one
    model = module["TritonPythonModel"]()
    model.initialize({})
    (answer,) = model.execute([{tensor: array}])
    return {
        output: [value.decode() if isinstance(value, bytes) else value for value in result.reshape(-1).tolist()]
        for output, result in answer.items()
    }


if __name__ == "__main__":
    main()
