"""What is installed is what is locked, and the few versions that were chosen by measurement stay chosen."""

import re
import tomllib
from functools import cache
from importlib.metadata import PackageNotFoundError, version

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

from tests.house.sources import ROOT

LOCK = ROOT / ".lock" / "requirements.txt"
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())


@cache
def locked() -> dict[str, Version]:
    """The version of every package that the lock has for this Python and system."""
    pins = (Requirement(line.rstrip("\\ ")) for line in LOCK.read_text().splitlines() if re.match(r"[a-z0-9]", line))
    return {
        canonicalize_name(pin.name): Version(next(iter(pin.specifier)).version)
        for pin in pins
        if pin.marker is None or pin.marker.evaluate()
    }


def declared() -> list[Requirement]:
    """Every requirement of pyproject.toml that holds here: to run, to build, to work on it."""
    extras = PROJECT["project"]["optional-dependencies"].values()
    texts = [*PROJECT["build-system"]["requires"], *PROJECT["project"]["dependencies"], *(t for e in extras for t in e)]
    requirements = [Requirement(text) for text in texts]
    return [one for one in requirements if one.name != "stockpool" and (one.marker is None or one.marker.evaluate())]


def test_installed_is_locked() -> None:
    differences = {}
    for name, wanted in locked().items():
        try:
            found = version(name)
        except PackageNotFoundError:
            found = "missing"
        if found != str(wanted):
            differences[name] = f"{found}, locked {wanted}"
    assert not differences, f"run `make setup`: {differences}"


@pytest.mark.parametrize("requirement", declared(), ids=str)
def test_lock_answers_pyproject(requirement: Requirement) -> None:
    name = canonicalize_name(requirement.name)
    assert name in locked(), "not locked; run `make lock`"
    assert requirement.specifier.contains(locked()[name]), f"locked {locked()[name]}; run `make lock`"


def test_lock_names_no_place() -> None:
    """Where packages come from is the business of whoever installs; the hashes say what they must be."""
    for line in LOCK.read_text().splitlines():
        assert not re.search(r"https?|://|file:|@ |^-", line), line


def test_every_locked_package_has_a_hash() -> None:
    entries = re.split(r"\n(?=[a-z0-9])", LOCK.read_text())
    bare = [entry.splitlines()[0] for entry in entries if "--hash=sha256:" not in entry]
    assert not bare, bare


def test_grpcio_is_of_the_fast_line() -> None:
    """Lines from 1.82 on serve two thirds of what 1.76 does."""
    assert Version(version("grpcio")) < Version("1.82")
    assert {locked()[name] for name in locked() if name.startswith("grpcio")} == {locked()["grpcio"]}


def test_solver_is_exact() -> None:
    """Another version may return another optimum of the same cost, and golden results would differ."""
    assert version("ortools") == "9.15.6755"


def test_generated_code_is_not_newer_than_its_runtime() -> None:
    generated = sorted((ROOT / "protos" / "stockpool").rglob("*_pb2.py"))
    assert generated, "run `make proto`"
    written_for = {
        re.search(r"Protobuf Python Version: (\S+)", path.read_text())[1]  # type: ignore[index]
        for path in generated
    }
    assert len(written_for) == 1, f"compiled by different versions, run `make proto`: {written_for}"
    assert Version(written_for.pop()) <= Version(version("protobuf"))


def test_changelog_has_this_version() -> None:
    changelog = (ROOT / "CHANGELOG.md").read_text()
    assert f"## [{PROJECT['project']['version']}]" in changelog
    assert version("stockpool") == PROJECT["project"]["version"], "run `make setup`"
