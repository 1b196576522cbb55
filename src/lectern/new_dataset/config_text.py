"""Format the config files of a new origin and a new dataset."""

import re
from collections.abc import Iterator
from typing import Any

import yaml

from lectern.new_dataset.request import Request
from lectern.new_dataset.sources import Source
from lectern.new_dataset.template import MISSING, DatasetTemplate, Setting

MODELINE = "# yaml-language-server: $schema=../schema/{}.json"  # editors check the file with this JSON Schema
NUMBER_LIKE = re.compile(r"[-+.]?\d[\d_.:]*([eE][-+]?\d+)?")  # text that one of the YAML readers reads as a number


class ConfigDumper(yaml.SafeDumper):
    """A YAML writer that quotes texts that PyYAML, OmegaConf or DVC would read as a number."""


def represent_text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    style = "'" if NUMBER_LIKE.fullmatch(text) else None
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=style)


ConfigDumper.add_representer(str, represent_text)


def format_entry(key: str, value: Any) -> str:
    """Return one line with a key and its value. A list or a mapping is written in brackets."""
    if value == MISSING:
        return f"{key}: {MISSING}"
    plain = list(value) if isinstance(value, tuple) else value
    return dump_line({key: plain}, in_brackets=isinstance(plain, list | dict) and bool(plain))


def dump_line(value: Any, in_brackets: bool = False) -> str:
    """Return a value as YAML. If `in_brackets` is true, the innermost lists and mappings are written in brackets."""
    style = None if in_brackets else False
    text: str = yaml.dump(
        value, Dumper=ConfigDumper, default_flow_style=style, width=float("inf"), allow_unicode=True, sort_keys=False
    )
    return text.removesuffix("\n")


def format_origin(request: Request, source: Source) -> str:
    """Return the text of `conf/origin/<name>.yaml`."""
    default = f"The origin `{request.name}` contains {describe_source(source)}."
    lines = [f"# {request.description.strip() or default}"]
    if not source.section["urls"]:
        lines.append("# The origin has no public address. Provide the files in the folder of this origin in a mirror.")
    lines.append(MODELINE.format("origin"))
    lines += [format_entry("name", request.name), format_entry("licence", request.licence.strip())]
    lines += format_list("urls", source.section["urls"], "")
    lines += [*format_files(source.section.get("files", {})), *format_archive(source.section.get("archive", {}))]
    return "\n".join(lines) + "\n"


def describe_source(source: Source) -> str:
    count = len(source.files.names)
    return f"{count:,} {'file' if count == 1 else 'files'}" + (" of an archive" if source.files.archive else "")


def format_list(key: str, values: list[str], indent: str) -> list[str]:
    if not values:
        return [f"{indent}{key}: []"]
    return [f"{indent}{key}:", *(f"{indent}  {dump_line([value])}" for value in values)]


def format_files(files: dict[str, dict[str, Any]]) -> Iterator[str]:
    if files:
        yield "files:"
        yield from (f"  {format_entry(name, pinned)}" for name, pinned in files.items())


def format_archive(archive: dict[str, Any]) -> Iterator[str]:
    if archive:
        yield "archive:"
        for key, value in archive.items():
            lines = format_list(key, value, "  ") if isinstance(value, list) else [f"  {format_entry(key, value)}"]
            yield from lines


def format_dataset(request: Request, template: DatasetTemplate) -> str:
    """Return the text of `conf/dataset/<name>.yaml`."""
    lines = [f"# {request.description.strip()}"] if request.description.strip() else []
    lines.append(MODELINE.format("dataset"))
    lines += [format_entry("name", request.name), f"task: {request.task}", format_entry("origin", request.name)]
    lines += ["preprocess:", *(f"  {format_setting(setting)}" for setting in template.preprocess)]
    lines.append(format_entry("score", dict(template.score)))
    lines.append("guards: {}  # The promotion gate applies only the rules of conf/gate.yaml to this dataset.")
    return "\n".join(lines) + "\n"


def format_setting(setting: Setting) -> str:
    return format_entry(setting.key, setting.value) + (f"  # {setting.comment}" if setting.comment else "")
