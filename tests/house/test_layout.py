"""Where things lie, what they are called, and that no machine's paths are written down."""

import re
from pathlib import Path

from tests.house.sources import ROOT, project_files

TOP_LEVEL = {
    "CHANGELOG.md",
    "CONTRIBUTING.md",
    "LICENSE",
    "Makefile",
    "README.md",
    "adapters",
    "benchmarks",
    "engine",
    "protos",
    "pyproject.toml",
    "tests",
}

# A file named so collects what has no better place; name the noun and put it beside its only user.
BANNED_NAMES = {"base", "common", "helper", "helpers", "manager", "managers", "misc", "shared", "util", "utils"}

# Written with a class in the middle so that this file does not match itself.
MACHINE_WORDS = re.compile(
    r"(?<![\w.])/(?:wor[k]|roo[t]|hom[e]|User[s]|op[t]|tm[p])/\w|[A-Z]:\\User[s]|pypi\.or[g]|pythonhoste[d]|index-ur[l]|find-link[s]",
)
BINARY = {".png", ".parquet", ".snapshot", ".sqlite", ".gz"}


def test_top_level_holds_only_what_it_may() -> None:
    strangers = {path.parts[0] for path in project_files()} - TOP_LEVEL
    strangers = {name for name in strangers if not name.startswith(".")}
    assert not strangers, f"place these in a folder, or in a dot-folder: {sorted(strangers)}"


def test_python_names_are_lower_case_nouns() -> None:
    names = {part for path in project_files() if path.suffix == ".py" for part in (*path.parts[:-1], path.stem)}
    odd = {name for name in names if not re.fullmatch(r"[a-z][a-z0-9_]*|__init__|__main__", name)}
    assert not odd - {name for name in odd if name.startswith(".")}, sorted(odd)


def test_no_file_is_named_for_having_no_subject() -> None:
    banned = [path for path in project_files() if {*path.parts[:-1], path.stem} & BANNED_NAMES]
    assert not banned, f"name the noun: {banned}"


def test_no_machine_is_written_down() -> None:
    found = [
        f"{path}:{number}: {line.strip()[:120]}"
        for path in project_files()
        if path.suffix not in BINARY and path.name != "Makefile"
        for number, line in enumerate((ROOT / path).read_text(encoding="utf-8").splitlines(), start=1)
        if MACHINE_WORDS.search(line)
    ]
    assert not found, "\n".join(found)


def test_generated_code_is_not_committed() -> None:
    generated = [path for path in project_files() if re.search(r"_pb2(_grpc)?\.pyi?$", path.name)]
    assert not generated, f"the build writes these: {generated}"


def test_every_text_file_ends_with_one_newline() -> None:
    ragged = [
        path
        for path in project_files()
        if path.suffix in {".py", ".proto", ".md", ".toml", ".yaml"} and not _ends_well(path)
    ]
    assert not ragged, ragged


def _ends_well(path: Path) -> bool:
    text = (ROOT / path).read_text(encoding="utf-8")
    return not text or (text.endswith("\n") and not text.endswith("\n\n"))
