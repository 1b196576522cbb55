"""Provide four short poems as works, and prepare a dataset from them."""

from pathlib import Path

from lectern.artifacts.dataset import read_facts
from lectern.tasks.language_model.data.preprocess import preprocess

WORKS = {
    "one.txt": """Shall I compare thee to a summer's day?
Thou art more lovely and more temperate:
Rough winds do shake the darling buds of May,
And summer's lease hath all too short a date:
Sometime too hot the eye of heaven shines,
And often is his gold complexion dimm'd;
And every fair from fair sometime declines,
By chance or nature's changing course untrimm'd;
But thy eternal summer shall not fade
Nor lose possession of that fair thou owest;
""",
    "two.txt": """When, in disgrace with fortune and men's eyes,
I all alone beweep my outcast state
And trouble deaf heaven with my bootless cries
And look upon myself and curse my fate,
Wishing me like to one more rich in hope,
Featured like him, like him with friends possess'd,
Desiring this man's art and that man's scope,
With what I most enjoy contented least;
""",
    "three.txt": """That time of year thou mayst in me behold
When yellow leaves, or none, or few, do hang
Upon those boughs which shake against the cold,
Bare ruin'd choirs, where late the sweet birds sang.
""",
    "four.txt": """Let me not to the marriage of true minds
Admit impediments. Love is not love
Which alters when it alteration finds,
Or bends with the remover to remove: [Exit]
""",
}
BY_NAME = {"split_by": "name", "validation": ["three.txt"], "test": ["four.txt"]}


def write_works(folder: Path, works: dict[str, str] = WORKS) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in works.items():
        (folder / name).write_text(text)
    return folder


def make_processed(folder: Path, **arguments) -> tuple[Path, dict]:
    """Preprocess the works. Return the folder of the prepared dataset and its facts."""
    preprocess(write_works(folder / "raw"), folder / "processed", **{**BY_NAME, **arguments})
    return folder / "processed", read_facts(folder / "processed")
