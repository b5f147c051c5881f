"""Pages that are generated from the program: the commands' help, the configuration, and the list of modules."""

import argparse
import contextlib
import importlib
import io
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from melanoma_pl import evaluate, train
from melanoma_pl.config.schema import EvaluateSettings, TrainSettings

ROOT = Path(__file__).parents[2]
CONF, PACKAGE = ROOT / "conf", ROOT / "src/melanoma_pl"
PARSERS = {
    "melanoma-predict": "melanoma_pl.predict",
    "melanoma-data": "melanoma_pl.data.__main__",
    "melanoma-runs": "melanoma_pl.runs.__main__",
    "melanoma-export": "melanoma_pl.export.__main__",
    "melanoma-app": "melanoma_pl.app.__main__",
}
COLUMNS = "100"  # of the terminal that help is printed for
KEY = re.compile(r"(?P<indent> *)(?P<name>[a-z_0-9]+):(?: +(?P<value>[^\s#].*?))?(?: +# (?P<comment>.*))?$")
ROOMS = {  # folders of the package in the order of an image's way
    "": "Commands and the preprocessing",
    "config": "Configuration",
    "data": "Data",
    "models": "Networks and the LightningModule",
    "training": "Training",
    "inference": "Prediction",
    "evaluation": "Metrics",
    "report": "Reports",
    "runs": "Run folders",
    "export": "Export",
    "app": "The local page",
    "foundations": "Foundations",
}


def write_reference(folder: Path) -> None:
    """Write the generated pages into a folder."""
    (folder / "api").mkdir(parents=True, exist_ok=True)
    (folder / "commands.md").write_text(commands_page(), encoding="utf-8")
    (folder / "configuration.md").write_text(configuration_page(), encoding="utf-8")
    for room, title in ROOMS.items():
        (folder / f"api/{room or 'commands'}.md").write_text(modules_page(room, title), encoding="utf-8")


# ---- commands ----


def commands_page() -> str:
    """Return each command's help as it prints it."""
    lines = ["# Commands", "", "Each command also answers `--version`. This page shows what `--help` prints.", ""]
    for command, body in (("melanoma-train", train.command), ("melanoma-evaluate", evaluate.command)):
        printed = io.StringIO()
        with contextlib.redirect_stdout(printed):
            body(["--help"])
        lines += help_block("##", command, printed.getvalue().replace(f"{ROOT}{os.sep}", ""))
    for command, module in PARSERS.items():
        with columns(COLUMNS):
            for level, name, text in helps(command, importlib.import_module(module).parser()):
                lines += help_block(level, name, text)
    return "\n".join(lines)


def help_block(level: str, name: str, text: str) -> list[str]:
    """Return a section with a command's help."""
    return [f"{level} {name}", "", "```text", text.strip(), "```", ""]


def helps(name: str, parser: argparse.ArgumentParser, level: str = "##") -> Iterator[tuple[str, str, str]]:
    """Return heading level, name and help of a command and of the commands below it."""
    yield level, name, parser.format_help()
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for below, inner in action.choices.items():
                yield from helps(f"{name} {below}", inner, level + "#")


@contextlib.contextmanager
def columns(count: str) -> Iterator[None]:
    """Set the width of the terminal that argparse formats for."""
    before = os.environ.get("COLUMNS")
    os.environ["COLUMNS"] = count
    yield
    os.environ.pop("COLUMNS") if before is None else os.environ.update(COLUMNS=before)


# ---- configuration ----


@dataclass(frozen=True)
class Key:
    """A line of a configuration file: dotted key, value as written, comment."""

    name: str
    value: str
    comment: str


def configuration_page() -> str:
    """Return every key of `conf/` with its default, its type, and its comment."""
    lines = [
        "# Configuration",
        "",
        "Every key of `conf/`, as its comment describes it, with the default and, in italics, the type and range that",
        "are checked before an image is read. `key=value` overrides a key of `melanoma-train` or `melanoma-evaluate`,",
        "and `group=option` takes another file of a group. Keys of a group's file are typed with the group's name, as",
        "`data.batch_size=64`; those of `experiment`, `sweep` and `debug` change keys of other groups.",
        "",
        *section("## melanoma-train", CONF / "train.yaml", "", TrainSettings.model_json_schema()),
        *section("## melanoma-evaluate", CONF / "evaluate.yaml", "", EvaluateSettings.model_json_schema()),
    ]
    schema = TrainSettings.model_json_schema()
    for group in sorted(path for path in CONF.iterdir() if path.is_dir() and path.name != "hydra"):
        lines += [f"## {group.name}", ""]
        for file in sorted(group.glob("*.yaml")):
            lines += section(f"### {group.name}={file.stem}", file, group.name, schema)
    return "\n".join(lines)


def section(heading: str, file: Path, group: str, schema: dict[str, Any]) -> list[str]:
    """Return the heading, the description and the keys of a configuration file."""
    text = file.read_text(encoding="utf-8")
    description = re.match(r"(?:# @package _global_\n)?# (.*)\n", text)
    is_global = "# @package _global_" in text
    rows = [row(key, "" if is_global else group, schema) for key in read_keys(text)]
    table = ["| key | default | meaning |", "|---|---|---|", *rows, ""] if rows else []
    return [heading, "", escaped(description[1]) if description else "", "", *parents(text), *table]


def parents(text: str) -> list[str]:
    """Return a sentence on the options of other groups that a file takes and then changes."""
    listed = (yaml.safe_load(text) or {}).get("defaults", []) if "defaults:" in text else []
    named = [each for each in listed if each != "_self_"]
    taken = [f"`{each}`" for each in named if isinstance(each, str)]
    taken += [
        f"`{key.removeprefix('override ').strip('/')}={'null' if value is None else value}`"
        for each in named
        if isinstance(each, dict)
        for key, value in each.items()
        if "/hydra" not in key and " hydra" not in key
    ]
    return [f"Defaults: {', '.join(taken)}.", ""] if taken else []


def read_keys(text: str) -> list[Key]:
    """Return the keys of a configuration file, without the list of defaults and Hydra's own settings of a command."""
    keys: list[Key] = []
    above: list[str] = []
    for line in text.splitlines():
        found = KEY.match(line)
        if found is None:
            continue
        above = [*above[: len(found["indent"]) // 2], found["name"]]
        is_hidden = above[0] == "defaults" or above[:2] in (["hydra", each] for each in HYDRA)
        if not is_hidden and (found["value"] or found["comment"]):
            keys.append(Key(".".join(above), found["value"] or "", found["comment"] or ""))
    return keys


HYDRA = ("output_subdir", "job", "run", "sweep", "callbacks")  # how the commands use Hydra


def row(key: Key, group: str, schema: dict[str, Any]) -> str:
    """Return a row of the table of keys."""
    name = f"{group}.{key.name}" if group else key.name
    value = f"`{key.value}`" if key.value else ""
    checked = f" *({found})*" if (found := kind(name, schema)) else ""
    return f"| `{name}` | {value} | {escaped(key.comment)}{checked} |"


def escaped(text: str) -> str:
    """Return a comment as Markdown that shows it as it is."""
    return re.sub(r"([\\*_<>\[\]{}`$|])", r"\\\1", text)


def kind(name: str, schema: dict[str, Any]) -> str:
    """Return the type and the range of a key in the schema; empty if a class that the file names decides."""
    found: Any = schema
    for part in name.split("."):
        found = resolved(found, schema).get("properties", {}).get(part)
        if found is None:
            return ""
    return described(found, schema)


def resolved(node: dict[str, Any], schema: dict[str, Any]) -> dict[str, Any]:
    """Follow a reference to a definition of the schema."""
    options = [each for each in node.get("anyOf", []) if each.get("type") != "null"]
    node = options[0] if len(options) == 1 else node
    return schema["$defs"][node["$ref"].rsplit("/", 1)[1]] if "$ref" in node else node


RANGE = {"minimum": "≥ {}", "exclusiveMinimum": "> {}", "maximum": "≤ {}", "exclusiveMaximum": "< {}"}
NOUNS = {"string": "text", "boolean": "true, false", "array": "list", "object": "keys", "null": "null"}


def number(value: float) -> str:
    """Return a bound without a decimal point that it does not need."""
    return str(int(value)) if value == int(value) else str(value)


def described(node: dict[str, Any], schema: dict[str, Any]) -> str:
    """Return a JSON schema in a few words, such as `integer ≥ 1`."""
    if "anyOf" in node:
        return ", or ".join(dict.fromkeys(described(each, schema) for each in node["anyOf"]))
    node = resolved(node, schema)
    if "enum" in node or "const" in node:
        return ", ".join(f"`{each}`" for each in node.get("enum", [node.get("const")]))
    bounds = [words.format(number(node[key])) for key, words in RANGE.items() if key in node]
    noun = NOUNS.get(node.get("type", ""), node.get("type", ""))
    return " ".join([noun, ", ".join(bounds)]).strip()


# ---- modules ----


def modules_page(room: str, title: str) -> str:
    """Return a page with the docstrings of a folder's modules."""
    files = PACKAGE.glob("*.py") if not room else (PACKAGE / room).rglob("*.py")
    names = sorted(".".join(file.relative_to(PACKAGE.parent).with_suffix("").parts) for file in files)
    lines = [f"# {title}", ""]
    for name in names:
        if not name.endswith(("__init__", "__main__")):
            shown = name.removeprefix("melanoma_pl.").removeprefix(f"{room}.")
            lines += [f"## {shown}", "", "```{eval-rst}", f".. automodule:: {name}", "   :members:", "```", ""]
    return "\n".join(lines)
