"""A stage's primary config to the text of its `--help`, which Hydra cannot give while a group is still to be chosen."""

from pathlib import Path

import yaml

TEXT = """{what}

  {example}

Groups: choose one of each, a file of conf/<group>/
{groups}

Values: any key of a chosen file, or of conf/{name}.yaml, can be set as key=value
{values}

Flags of Hydra's
  --cfg job        print the composed config and stop
  -m key=a,b,c     run once for each value
  --hydra-help     all of them
"""


def describe(name: str, what: str, conf: Path) -> str:
    """The help of the stage whose primary config is `conf/<name>.yaml` and whose script says `what` it does."""
    text = (conf / f"{name}.yaml").read_text()
    example, *_ = (line.removeprefix("# ") for line in text.splitlines() if line.startswith("# python"))
    groups = [group for entry in yaml.safe_load(text)["defaults"] if isinstance(entry, dict) for group in entry]
    choices = {group: ", ".join(sorted(path.stem for path in (conf / group).glob("*.yaml"))) for group in groups}
    keys = [line for line in text.splitlines() if line[:1].isalpha() and not line.startswith("defaults")]
    return TEXT.format(
        what=what,
        example=example,
        name=name,
        groups="\n".join(f"  {group:<16} {listed}" for group, listed in choices.items()),
        values="\n".join(f"  {line}" for line in keys) or "  (none)",
    )
