"""Services that start on one SQLite file at once, and one that was killed while it made the tables."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from sqlalchemy import make_url

from services.evaluation.store.database import open_database
from services.evaluation.store.runs import Store

OPEN = """
import os, sys, time
from alembic import op
from sqlalchemy import make_url
from services.evaluation.store.database import open_database
{before}
open_database(make_url("sqlite:///" + sys.argv[1]))
"""

DIES = "op.create_index = lambda *_: os._exit(9)"
"""In the middle of the first migration: of its tables two are made."""

IN_STEP = """
create = op.create_table
def slowly(*table):
    time.sleep(0.3)
    create(*table)
op.create_table = slowly
print("ready", flush=True)
sys.stdin.readline()
"""


def opening(file: Path, before: str) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-c", OPEN.format(before=before), str(file)]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE)


def test_a_file_whose_first_service_was_killed_while_it_made_the_tables_can_be_opened(tmp_path: Path) -> None:
    killed = opening(tmp_path / "runs.db", DIES)
    killed.communicate()
    assert killed.returncode == 9
    assert Store(open_database(make_url(f"sqlite:///{tmp_path / 'runs.db'}"))).unfinished() == []


def test_services_that_start_at_once_on_one_file_all_open_it(tmp_path: Path) -> None:
    services = [opening(tmp_path / "runs.db", IN_STEP) for _ in range(2)]
    for service in services:
        assert service.stdout is not None
        assert service.stdout.readline() == b"ready\n"
    for service in services:
        assert service.stdin is not None
        service.stdin.write(b"go\n")
        service.stdin.flush()
    said = [service.communicate()[1].decode() for service in services]
    assert [service.returncode for service in services] == [0, 0], said
