"""Test scores, word counts and duplicates in scripts without spaces, and the scores of perfect translations."""

from pathlib import Path
from typing import get_args

import pandas as pd
import pytest
import sacrebleu
import yaml

from lectern.errors import UserError
from lectern.tasks.translation.data.duplicates import comparison_keys
from lectern.tasks.translation.data.format.bleu_tokenizer import bleu_tokenizer, check_bleu_tokenizer
from lectern.tasks.translation.data.format.cleaning import normalize
from lectern.tasks.translation.data.format.words import count_words
from lectern.tasks.translation.data.preprocess import ScoreName, describe_score
from lectern.tasks.translation.report import scoring
from lectern.tasks.translation.report.baseline import read_tests
from lectern.tasks.translation.serving.word_attention import group_into_words

ROOT = Path(__file__).parents[1]
CHINESE = ["一个男人在骑自行车。", "两只狗在草地上奔跑。", "一个小女孩在看书。"]
ONE_SIGN_OFF = ["一个男人在骑自行车。", "两只狗在草地上奔跑。", "一个小男孩在看书。"]
THAI = ["ผู้ชายกำลังขี่จักรยาน", "สุนัขสองตัววิ่งบนหญ้า"]
FRENCH = [  # as in raw files: no-break spaces, a soft hyphen, an HTML entity, a decomposed accent, a ligature
    "«\u00a0Bonjour\u00a0!\u00a0» dit-il\u202f: «\u00a0ça va\u202f?\u00a0»",
    "Un homme fait du v\u00e9\u00adlo.",
    "Le chat &amp; le chien",
    "Une fene\u0302tre ouverte.",
    "l\u2019of\ufb01cier  parle\u2026 ",
]


def score(name: str, language: str, translations: list[str], references: list[str]) -> float:
    return scoring.score(scoring.tabulate_items(name, language, references, translations, references))


def test_bleu_uses_the_tokenizer_of_the_target_language():
    expected = sacrebleu.corpus_bleu(ONE_SIGN_OFF, [CHINESE], tokenize="zh", lowercase=True).score
    assert 80 < expected < 95
    for code in ("zh", "zh_CN", "ZH-Hans"):
        assert score("bleu", code, ONE_SIGN_OFF, CHINESE) == pytest.approx(expected)
    metrics = scoring.corpus_metrics(ONE_SIGN_OFF, CHINESE, "zh")
    assert "tok:zh" in metrics["bleu_true_case_detokenised_signature"]
    assert metrics["bleu_true_case_detokenised"] == pytest.approx(expected)


def test_the_facts_name_the_tokenizer():
    assert describe_score("bleu", "zh", CHINESE) == {"score": "bleu", "bleu_tokenizer": "zh"}
    assert describe_score("bleu", "de", ["Ein Mann fährt Rad."]) == {"score": "bleu", "bleu_tokenizer": "13a"}
    assert describe_score("chrf", "th", THAI) == {"score": "chrf"}


@pytest.mark.parametrize("path", sorted((ROOT / "conf" / "dataset").glob("*.yaml")), ids=lambda path: path.stem)
def test_the_unit_of_a_dataset_names_the_tokenizer(path):
    config = yaml.safe_load(path.read_text())
    if config["preprocess"].get("score") == "bleu":
        tokenizer = bleu_tokenizer(config["preprocess"]["target"])
        assert f"tokenizer {tokenizer}" in config["score"]["unit"]


@pytest.mark.parametrize(("language", "targets"), [("th", THAI), ("cmn", CHINESE), ("x", CHINESE + ["Hello world"])])
def test_bleu_is_refused_for_a_script_without_spaces_that_has_no_tokenizer(language, targets):
    with pytest.raises(UserError, match=f"'{language}' belong to a script without spaces.*preprocess.score to chrf"):
        check_bleu_tokenizer(language, targets)


@pytest.mark.parametrize(
    "text", ["Ein Mann.", "Мужчина едет.", "رجل يركب دراجة", "남자가 자전거를 탄다", "一人 sind Zeichen"]
)
def test_bleu_is_accepted_for_languages_with_spaces(text):
    assert check_bleu_tokenizer("de", [text]) == "13a"


def test_a_tokenizer_that_is_not_installed_is_reported(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "sacrebleu.tokenizers.tokenizer_ja_mecab", None)
    with pytest.raises(UserError, match=r"pip install 'sacrebleu\[ja\]'"):
        check_bleu_tokenizer("ja", ["犬"])


@pytest.mark.parametrize("translations", [ONE_SIGN_OFF, CHINESE, ["", "a", "一个 小男孩"], ["x y z"] * 3])
def test_chrf_equals_that_of_sacrebleu(translations):
    expected = sacrebleu.corpus_chrf(translations, [CHINESE]).score
    assert score("chrf", "zh", translations, CHINESE) == pytest.approx(expected)


@pytest.mark.parametrize("name", get_args(ScoreName))
@pytest.mark.parametrize(("language", "references"), [("fr", FRENCH), ("zh", CHINESE)])
def test_a_perfect_translation_has_the_best_score(name, language, references, tmp_path):
    """A model is trained on normalized targets, so it returns normalized sentences."""
    table = pd.DataFrame({"source": references, "target": references, "test": "test"})
    table.to_parquet(tmp_path / "test.parquet")
    ((_, read),) = read_tests(tmp_path).values()
    best = 1.0 if name == "exact_match" else 100.0
    assert score(name, language, [normalize(text) for text in references], read) == pytest.approx(best)


def test_words_are_counted_in_scripts_without_spaces():
    assert count_words("Two dogs-and a cat.") == 4
    assert count_words("两只狗 run 。") == 5
    assert count_words("สุนัข") == 5


def test_near_duplicates_are_found_in_scripts_without_spaces():
    assert not comparison_keys(CHINESE[2], 8).isdisjoint(comparison_keys(ONE_SIGN_OFF[2], 8))
    assert comparison_keys(CHINESE[0], 8).isdisjoint(comparison_keys(CHINESE[1], 8))


def test_each_token_of_a_script_without_spaces_is_a_word_of_the_attention_map():
    assert group_into_words(["▁我们", "看书", "▁now", "here"]) == [[0], [1], [2, 3]]
