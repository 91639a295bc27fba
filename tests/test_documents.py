"""The documents: what is generated is current, and what is linked is there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import generate_architecture
import generate_reference

pytestmark = pytest.mark.all_cases

ROOT = Path(__file__).resolve().parents[1]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]


def test_the_generated_parts_of_the_architecture_page_are_current() -> None:
    page = generate_architecture.PAGE.read_text("utf-8")
    assert generate_architecture.generated(page) == page, "run `make docs`"


def test_the_reference_page_is_current() -> None:
    page = generate_reference.PAGE.read_text("utf-8")
    assert generate_reference.generated() == page, "run `make docs`"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)#:]+)\)", page.read_text("utf-8")):
        assert (page.parent / target).exists(), target


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_files_of_the_project_that_are_named_exist(page: Path) -> None:
    text = page.read_text("utf-8")
    named = re.findall(r"`((?:tests|tools|benchmarks|docs)/[\w/.]+\.\w+)`", text)
    named += [f"src/{name}" for name in re.findall(r"`(segue/[\w/]+\.py)`", text)]
    for name in named:
        assert (ROOT / name).exists(), name


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_nothing_is_left_to_be_filled_in(page: Path) -> None:
    assert not re.findall(r"^[A-Z]+(?:_[A-Z]+)*$", page.read_text("utf-8"), re.MULTILINE)
