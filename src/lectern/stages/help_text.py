"""Create the `--help` text of a stage.

Hydra's own `--help` fails if the command line does not select a file of every config group.
"""

from pathlib import Path

import yaml

from lectern.artifacts.text_lines import split_lines

TEXT = """{description}

Example:
  {example}

Config groups. For each group, select one file of the folder conf/<group>/ with group=file:
{groups}

Config values. Set a value in this list, or a value in the selected files, with key=value:
{values}

Hydra's options:
  --cfg job        print the composed config and exit
  -m key=a,b,c     run the stage once for each value of key
  --hydra-help     list all options of Hydra
"""


def format_help(name: str, description: str, conf: Path) -> str:
    """Return the help text of the stage with the primary config `conf/<name>.yaml`."""
    text = (conf / f"{name}.yaml").read_text(encoding="utf-8")
    example = next(line.removeprefix("# ") for line in split_lines(text) if line.startswith("# python"))
    groups = [group for entry in yaml.safe_load(text)["defaults"] if isinstance(entry, dict) for group in entry]
    choices = {group: ", ".join(sorted(path.stem for path in (conf / group).glob("*.yaml"))) for group in groups}
    values = [line for line in split_lines(text) if line[:1].isalpha() and not line.startswith("defaults")]
    return TEXT.format(
        description=description,
        example=example,
        groups="\n".join(f"  {group:<16} {files}" for group, files in choices.items()) or "  (none)",
        values="\n".join(f"  {line}" for line in values) or "  (none)",
    )
