import asyncio
import os
import sys
from pathlib import Path

import pytest

from services.evaluation.suites.base import BadAnswer
from services.evaluation.suites.process import run_program


@pytest.mark.parametrize(
    ("program", "said"),
    [
        ("import os; os.kill(os.getpid(), 9)", r"^the task was ended by signal 9 and said nothing$"),
        ("print('no such set'); raise SystemExit(3)", r"^the task ended with 3: no such set$"),
    ],
)
def test_a_program_that_fails_is_told_by_how_it_ended_and_what_it_said_last(
    tmp_path: Path, program: str, said: str
) -> None:
    command = [sys.executable, "-c", program]
    with pytest.raises(BadAnswer, match=said):
        asyncio.run(run_program(command, "the task", folder=tmp_path, environment=os.environ, seconds=60))
