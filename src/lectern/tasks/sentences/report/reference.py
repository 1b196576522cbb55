"""Score the reference model: logistic regression on words and pairs of words, from scikit-learn.

Linear models on n-grams are strong for short texts (Wang & Manning 2012, "Baselines and bigrams"). The reference is
reported next to every network. It is not registered, and the promotion gate does not use it.
"""

from functools import partial
from pathlib import Path

import pandas as pd
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline, make_pipeline

from lectern.artifacts.dataset import read_facts
from lectern.tasks.sentences.data.format.words import split_words

STRENGTHS = (0.3, 1.0, 3.0, 10.0, 30.0)  # inverse strengths of the regularization; the validation split selects one


def score_reference(processed: Path) -> float:
    """Return the test accuracy of the n-gram model that has the highest validation accuracy."""
    train, validation, test = (
        pd.read_parquet(processed / f"{split}.parquet", columns=["text", "label"])
        for split in ("train", "validation", "test")
    )
    lowercase = read_facts(processed)["prepare"]["lowercase"]
    models = [build_model(strength, lowercase).fit(train["text"], train["label"]) for strength in STRENGTHS]
    best = max(models, key=lambda model: model.score(validation["text"], validation["label"]))
    return float(best.score(test["text"], test["label"]))


def build_model(strength: float, lowercase: bool) -> Pipeline:
    """Return a logistic regression on the weighted counts of words and pairs of words."""
    ngrams = TfidfVectorizer(
        tokenizer=partial(split_words, lowercase=lowercase),
        token_pattern=None,
        lowercase=False,
        ngram_range=(1, 2),
        sublinear_tf=True,
    )
    return make_pipeline(ngrams, LogisticRegression(C=strength, max_iter=2000))
