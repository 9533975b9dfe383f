"""Python's own documentation, of the interpreter that runs the tests."""

import inspect
import json
import platform
import pydoc_data.topics
import subprocess
import sys

import pytest

from gateway.data.records import Document
from gateway.data.sources import python_docs
from gateway.data.sources.pages import Entry, pages_of


@pytest.fixture(scope="module")
def pages() -> dict[str, Document]:
    documents = python_docs.read_docstrings().documents
    pages = {document.title: document for document in documents}
    assert len(pages) == len(documents)
    return pages


def test_every_help_topic_is_a_document() -> None:
    documents = python_docs.read_topics().documents
    assert {document.id for document in documents} == {f"python-topics:{name}" for name in pydoc_data.topics.topics}
    assert next(d.title for d in documents if d.id == "python-topics:assert") == 'The "assert" statement'


def test_a_modules_page_has_its_docstring_and_those_of_its_functions(pages: dict[str, Document]) -> None:
    text = pages["json"].text
    assert inspect.cleandoc(json.__doc__ or "") in text
    assert inspect.cleandoc(json.dumps.__doc__ or "") in text
    assert "json.dumps(obj, *, skipkeys=False" in text


def test_a_large_class_has_a_page_of_its_own(pages: dict[str, Document]) -> None:
    assert inspect.cleandoc(json.JSONDecoder.__doc__ or "") in pages["json.decoder.JSONDecoder"].text
    assert "Simple JSON <https" not in pages["json.decoder"].text


def test_what_is_written_in_c_is_documented_under_the_name_users_know(pages: dict[str, Document]) -> None:
    assert pages["builtins.str"].text.startswith("class str\n")
    assert "str.capitalize(self, /)" in pages["builtins.str"].text
    assert "collections.deque.appendleft" in pages["collections.deque"].text


def test_the_python_version_is_said(pages: dict[str, Document]) -> None:
    assert platform.python_version() in python_docs.DOCSTRINGS.origin
    assert python_docs.DOCSTRINGS.note
    assert "another version" in python_docs.DOCSTRINGS.note


def test_every_page_has_a_name_and_a_text_of_its_own(pages: dict[str, Document]) -> None:
    assert len({page.id for page in pages.values()}) == len({page.text for page in pages.values()})


def test_reading_imports_no_module_that_does_things() -> None:
    code = (
        "import sys; from gateway.data.sources import python_docs; python_docs.read_docstrings();"
        "print([m for m in ('antigravity', 'this', 'turtle', 'tkinter', 'torch') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_small_classes_stand_on_their_modules_page_and_silent_ones_nowhere() -> None:
    small = Entry("m.Small", "class m.Small", "A small class.")
    silent = Entry("m.Silent", "class m.Silent", None, [Entry("m.Silent.f", "m.Silent.f(self)", None)])
    large = Entry("m.Large", "class m.Large", "A large class.", [Entry("m.Large.f", "m.Large.f(self)", "Does. " * 99)])
    pages = list(pages_of(Entry("m", "m", "A module.", [small, silent, large])))
    assert [page.name for page in pages] == ["m", "m.Large"]
    assert pages[0].text == "m\n\nA module.\n\nclass m.Small\n\nA small class."
