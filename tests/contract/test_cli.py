"""The `candor` command against a real stack."""

import json
import os
import subprocess
import sys
from pathlib import Path

from shared.contracts.candor import ChatAnswer
from shared.contracts.evaluation import Report, RunList
from shared.contracts.tracing import Trace
from tests.contract.command_support import candor

QUESTION = "What is the largest organ of the human body?"


def test_ask_shows_passages_samples_and_whose_data_took_part(stack: str) -> None:
    done = candor(stack, "ask", QUESTION, "--samples", "2", "--k", "2")
    assert done.returncode == 0, done.stderr
    for part in ("Answer", "Passages it read", "[1]", "[2]", "Samples that voted", "Whose data took part", " ms: "):
        assert part in done.stdout
    assert "\x1b" not in done.stdout


def test_ask_json_is_the_whole_response_and_nothing_else(stack: str) -> None:
    done = candor(stack, "ask", QUESTION, "--json", "--exclude", "medicine", "--exclude", "news", "--samples", "1")
    answer = ChatAnswer.model_validate_json(done.stdout)
    assert {"medicine", "news"}.isdisjoint(answer.candor.owners.effective)
    assert len(answer.candor.samples) == 1
    assert done.stderr == ""


def test_an_unknown_owner_is_refused_in_the_gateway_s_words(stack: str) -> None:
    done = candor(stack, "ask", QUESTION, "--exclude", "kitchen")
    assert (done.returncode, done.stdout) == (1, "")
    assert "There is no owner 'kitchen'" in done.stderr


def test_trace_says_what_it_cannot_read_or_ask_instead_of_a_traceback(tmp_path: Path) -> None:
    text = tmp_path / "text.txt"
    text.write_text("Any words.")
    for arguments, said, says in (
        (["-"], b"half \xff a", "Cannot read -"),
        ([str(text), "--owner", "../x"], b"", "owners.0: "),
    ):
        done = subprocess.run(
            [sys.executable, "-m", "gateway.cli", "trace", *arguments],
            input=said,
            capture_output=True,
            env={**os.environ, "LC_ALL": "C"},
            check=False,
        )
        assert (done.returncode, says in done.stderr.decode()) == (1, True), done.stderr
        assert b"Traceback" not in done.stderr


def test_trace_marks_what_stands_in_an_owner_s_corpus(stack: str, candor_home: Path, tmp_path: Path) -> None:
    line = (candor_home / "texts" / "python" / "python-topics.jsonl").read_text(encoding="utf-8").splitlines()[0]
    text = " ".join(json.loads(line)["text"].split()[:60])
    file = tmp_path / "text.txt"
    file.write_text("Wholly xylographic zebu quoth: " + text, encoding="utf-8")
    done = candor(stack, "trace", str(file), "--owner", "python")
    assert done.returncode == 0, done.stderr
    assert "«" in done.stdout
    assert "python" in done.stdout
    read = candor(stack, "trace", str(file), "--owner", "python", "--passage", str(file))
    assert "⟨" in read.stdout
    assert "«so»: verbatim" in read.stdout
    found = Trace.model_validate_json(candor(stack, "trace", str(file), "--owner", "python", "--json").stdout)
    assert {document.owner for span in found.spans for document in span.documents} == {"python"}


def test_eval_run_prints_the_table_and_eval_show_prints_it_again(stack: str) -> None:
    one = ("--sets", "coqa-cnn", "--settings", "closed_book,rag", "--limit", "1")
    done = candor(stack, "eval", "run", "rag-qa", *one)
    assert done.returncode == 0, done.stderr
    assert "closed_book" in done.stdout
    assert "contains_gold" in done.stdout
    run = done.stderr.split()[1]
    again = candor(stack, "eval", "show", run, "--json")
    assert Report.model_validate_json(again.stdout).run.id == run
    assert run in candor(stack, "eval", "list").stdout
    listed = RunList.model_validate_json(candor(stack, "eval", "list", "--limit", "1", "--json").stdout)
    assert [one.id for one in listed.data] == [run]
    late = candor(stack, "eval", "cancel", run)
    assert (late.returncode, late.stdout) == (1, "")
    assert "succeeded" in late.stderr


def test_eval_cancel_ends_a_run_and_keeps_what_it_has(stack: str) -> None:
    many = ("--sets", "coqa-cnn", "--settings", "closed_book", "--limit", "40")
    watched = subprocess.Popen(
        [sys.executable, "-m", "gateway.cli", "eval", "run", "rag-qa", *many, "--url", stack],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert watched.stderr is not None
    run = watched.stderr.readline().split()[1]
    done = candor(stack, "eval", "cancel", run)
    assert done.returncode == 0, done.stderr
    assert f"{run} is cancelled after" in done.stdout
    assert watched.wait(timeout=60) == 1
    assert f"The run {run} was cancelled." in watched.stderr.read()


def test_an_unknown_suite_is_refused(stack: str) -> None:
    done = candor(stack, "eval", "run", "guesswork")
    assert (done.returncode, done.stdout) == (1, "")
    assert "guesswork" in done.stderr
