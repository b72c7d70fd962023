"""The pictures of the documentation say what the program paints now; how it looks is in them, what is compared is what can be read."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parent.parent
IMAGES = ROOT / "docs" / "images"


def _module() -> Any:
    spec = spec_from_file_location("docs_pictures", ROOT / "docs" / "pictures.py")
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    sys.modules["docs_pictures"] = module
    spec.loader.exec_module(module)
    return module


pictures = _module()


@pytest.fixture(scope="module")
def studio() -> Iterator[Any]:
    with pictures.studio() as made:
        yield made


@pytest.mark.parametrize("picture", pictures.PICTURES, ids=lambda p: p.name)
def test_a_picture_says_what_is_painted_now(studio: Any, picture: Any) -> None:
    kept = (IMAGES / f"{picture.name}.svg").read_text("utf-8")
    painted = ["".join("".join(text for text, _ in line).split()) for line in studio.lines(picture)]
    assert pictures.rows_of(kept) == [row for row in painted if row], (
        "python docs/pictures.py, then look at what changed"
    )
    assert len(pictures.rows_of(kept)) > 10


def test_another_word_in_a_picture_is_noticed(studio: Any) -> None:
    picture = pictures.PICTURES[0]
    text = studio.paint(picture)
    assert pictures.rows_of(text.replace(">failed<", ">fine<")) != pictures.rows_of(text)


def test_nothing_of_the_machine_that_painted_is_in_a_picture() -> None:
    for file in IMAGES.glob("*.svg"):
        assert not re.search(r"/tmp/|/home/|pytest|/var/folders", file.read_text("utf-8")), file.name


def test_each_picture_is_made_by_the_script_and_shown_somewhere() -> None:
    made = {f"{p.name}.svg" for p in pictures.PICTURES}
    assert {f.name for f in IMAGES.glob("*.svg")} == made
    pages = [ROOT / "README.md", *(ROOT / "docs").rglob("*.md")]
    shown = {name for page in pages for name in re.findall(r"images/([\w-]+\.svg)", page.read_text("utf-8"))}
    assert made <= shown
