"""What the page at / does with answers, in the order in which they come: its own script, run by Node."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from gateway.routes import home

BROWSER = Path(__file__).with_name("home_page.js").read_text(encoding="utf-8")


def shown(play: str) -> list[dict[str, Any]]:
    """What the page shows whenever a play tells; the test is skipped without Node."""
    node = shutil.which("node")
    if node is None:
        pytest.skip("node is not installed")
    page = Path(home.__file__).with_name("home.html").read_text(encoding="utf-8")
    [script] = re.findall(r"<script>(.*?)</script>", page, re.DOTALL)
    told = f"(async () => {{ const told = []; {play}; console.log(JSON.stringify(told)); }})();"
    source = f"{BROWSER}\n{script}\n{told}"
    ended = subprocess.run([node, "-"], check=False, input=source, capture_output=True, text=True, timeout=60)
    assert ended.returncode == 0, ended.stderr
    found: list[dict[str, Any]] = json.loads(ended.stdout)
    return found


def test_a_failed_cancel_is_still_said_when_the_list_has_been_asked_again() -> None:
    failed, later, again = shown("""
        await answered(200, list(run("running")));
        press();
        await answered(409, {detail: "It has ended."});
        told.push(shows());
        refresh();
        await answered(200, list(run("running", 2)));
        told.push(shows());
        press();
        told.push(shows());
    """)
    assert failed["fault"] == later["fault"] == "Cancelling eval-1: It has ended."
    assert not later["hidden"]
    assert later["done"] == "2 of 9"
    assert again["hidden"]


def test_that_there_are_no_older_runs_to_be_had_is_still_said_when_the_list_has_been_asked_again() -> None:
    [later] = shown("""
        await answered(200, list(run("succeeded")));
        document.getElementById("older").onclick();
        await answered(503, {detail: "The evaluation service is not there."});
        refresh();
        await answered(200, list(run("succeeded")));
        told.push(shows());
    """)
    assert later["fault"] == "Older runs: The evaluation service is not there."


def test_what_the_list_said_goes_away_with_its_cause_and_leaves_what_a_button_said() -> None:
    both, later, alone = shown("""
        await answered(200, list(run("running")));
        press();
        await answered(500, {});
        refresh();
        await answered(503, {detail: "No database."});
        told.push(shows());
        refresh();
        await answered(200, list(run("running")));
        told.push(shows());
        press();
        await answered(200, run("cancelled"));
        refresh();
        await answered(503, {detail: "No database."});
        refresh();
        await answered(200, list(run("cancelled")));
        told.push(shows());
    """)
    assert both["fault"].startswith("No database. The list is as it was; it is asked again.")
    assert both["fault"].endswith(later["fault"])
    assert later["fault"] == "Cancelling eval-1: Candor answered 500."
    assert (alone["fault"], alone["hidden"]) == ("", True)


def test_a_list_that_was_asked_before_a_cancel_and_comes_after_it_does_not_bring_the_run_back() -> None:
    running, late = shown("""
        await answered(200, list(run("running")));
        told.push(shows());
        refresh();
        const before = calls.at(-1);
        press();
        await answered(200, run("cancelled", 3));
        await answered(200, list(run("running", 2)), before);
        told.push(shows());
    """)
    assert (running["status"], running["cancel"]) == ("running", "cancel")
    assert (late["status"], late["done"], late["cancel"]) == ("cancelled", "3 of 9", "")
