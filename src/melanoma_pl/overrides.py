"""Overrides as a person can paste them: words that both the shell and Hydra's grammar read as meant. Light."""

import re
import shlex

BARE = re.compile(r"[\w./-]+", re.ASCII)
CONSTANTS = ("null", "true", "false")
KEY = re.compile(r"[a-z_][\w-]*|0|[1-9][0-9]*", re.ASCII | re.IGNORECASE)
MAPPED_KEY = re.compile(r"[\w\-+.%*@?|/ ()\[\]{}:=,]+", re.ASCII)  # Hydra's grammar knows no quoted keys
ESCAPED = re.compile(r"[ ()\[\]{}:=,]")
FOLDER_NAMES = "data.folder_names"


def hydra_word(key: str, value: str) -> str:
    """Return `key=value` as one word of a shell command, which Hydra reads as that very text.

    Args:
        key: Such as `data.root`.
        value: Any text; it is quoted twice (by the shell and in Hydra's grammar) unless it is plain.
    """
    if BARE.fullmatch(value) and not _means_more(value):
        return f"{key}={value}"
    return shlex.quote(f"{key}={literal(value)}")


def literal(value: str) -> str:
    """Return a text in the double quotes of Hydra's grammar."""
    # within quotes Hydra takes a backslash for itself except before a quote, OmegaConf except before an interpolation
    escaped = re.sub(r'(\\*)("|\Z)', lambda match: match[1] * 2 + match[2].replace('"', '\\"'), value)
    return '"' + escaped.replace("${", "\\${") + '"'


def class_word(name: str, meant: str) -> str | None:
    """Return the override that tells training which class a label or class folder stands for.

    Args:
        name: Of the label or folder.
        meant: The class, or a placeholder such as `<class>`.

    Returns:
        A word of a shell command; None where Hydra's grammar cannot express the name.
    """
    if KEY.fullmatch(name):
        return shlex.quote(f"+{FOLDER_NAMES}.{name}={meant}")
    if not MAPPED_KEY.fullmatch(name) or name != name.strip() or _means_more(name):
        return None
    escaped = ESCAPED.sub(r"\\\g<0>", name)
    return shlex.quote(f"+{FOLDER_NAMES}={{{escaped}: {meant}}}")


def _means_more(text: str) -> bool:
    """Tell whether Hydra takes an unquoted text for a number, a truth value or nothing."""
    try:
        float(text)
    except ValueError:
        return text.lower() in CONSTANTS
    return True
