"""Select the tokenizer with which BLEU splits texts into words. The target language determines the tokenizer."""

import re
from collections.abc import Iterable
from typing import Any

from sacrebleu.metrics.bleu import BLEU

from lectern.errors import UserError
from lectern.tasks.translation.data.format.words import share_of_unspaced_letters

FOR_SPACED_LANGUAGES = "13a"  # sacreBLEU's default


def create_bleu(language: str, **options: Any) -> BLEU:
    """Return BLEU with the tokenizer that sacreBLEU recommends for a language code such as `zh` or `zh_CN`.

    Raises UserError if the packages of the tokenizer are not installed.
    """
    code = re.split(r"[-_]", language.lower())[0]
    try:
        return BLEU(trg_lang=code, **options)
    except (ImportError, RuntimeError) as error:
        raise UserError(
            f"sacreBLEU's tokenizer for the language {language!r} is not installed. "
            f"Install it with `pip install 'sacrebleu[{code}]'`, or set preprocess.score to chrf."
        ) from error


def bleu_tokenizer(language: str) -> str:
    """Return the name of the tokenizer, such as `13a` or `zh`."""
    return str(create_bleu(language).tokenizer.signature())


def check_bleu_tokenizer(language: str, targets: Iterable[str]) -> str:
    """Return the name of the tokenizer. Raises UserError if the tokenizer cannot split the targets into words."""
    name = bleu_tokenizer(language)
    share = share_of_unspaced_letters(targets)
    if name == FOR_SPACED_LANGUAGES and share > 0.5:
        raise UserError(
            f"{share:.0%} of the letters of the target language {language!r} belong to a script without spaces between "
            f"words. sacreBLEU's tokenizer {name} splits words at spaces, so BLEU would compare complete sentences. "
            "Set preprocess.score to chrf. If the language is Chinese, Japanese or Korean, you can instead set "
            "preprocess.target to the code zh, ja or ko."
        )
    return name
