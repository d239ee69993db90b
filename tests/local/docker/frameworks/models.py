"""Models of Hugging Face that need no download: a small BERT of random weights that tells good texts from bad ones."""

from __future__ import annotations

from pathlib import Path
from typing import Any

WORDS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "a", "bad", "film", "good", "not"]
TEXTS = ["a good film", "not a bad film", "a bad, bad film"]
PROGRAM = """
def predict_fn(data, model):
    return {"labels": [each["label"] for each in model(data["inputs"])]}
"""


def make_model(folder: Path, seed: int) -> None:
    """Save a model of about 0.6 MiB with its tokenizer, as ``save_pretrained`` lays them out."""
    import torch
    from transformers import BertConfig, BertForSequenceClassification, BertTokenizerFast

    folder.mkdir()
    (folder / "vocab.txt").write_text("\n".join(WORDS), encoding="utf-8")
    torch.manual_seed(seed)
    labels = ["bad", "good"]
    config = BertConfig(
        vocab_size=len(WORDS),
        hidden_size=64,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=1024,
        initializer_range=0.5,
        id2label=dict(enumerate(labels)),
        label2id={label: number for number, label in enumerate(labels)},
    )
    BertForSequenceClassification(config).save_pretrained(folder)
    BertTokenizerFast(str(folder / "vocab.txt")).save_pretrained(folder)


def predictions(folder: Path) -> list[dict[str, Any]]:
    """What ``transformers`` itself makes of the texts."""
    from transformers import pipeline

    found: list[dict[str, Any]] = pipeline("text-classification", str(folder), device=-1)(TEXTS)
    return found
