"""What commands say of runs, of files they write, and of a list that is empty."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from gateway.cli.reports import report
from gateway.cli.runs import runs
from tests.contract.endpoint_support import endpoint


@contextmanager
def answering(body: dict[str, object]) -> Iterator[str]:
    with endpoint(lambda path, asked: (200, body)) as url:
        yield url


def test_an_empty_list_says_how_to_start_a_run(capsys: pytest.CaptureFixture[str]) -> None:
    with answering({"data": [], "first_id": None, "last_id": None, "has_more": False}) as url:
        runs(limit=20, after=None, url=url, json=False)
    assert "There is no run yet. Start one with: candor eval run rag-qa" in capsys.readouterr().out


def test_a_small_file_is_not_of_no_size(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with answering({"report": "x" * 2000}) as url:
        report("eval-1", markdown=tmp_path / "report.md", url=url)
    assert "report.md: 2 kB" in capsys.readouterr().err
