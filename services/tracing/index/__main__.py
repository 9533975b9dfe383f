"""`python -m services.tracing.index`: build the corpora of CANDOR_HOME for the owners of owners.yaml."""

from __future__ import annotations

import sys
import time

from services.tracing.index.build import build_all
from shared.owners import load_owners
from shared.settings import candor_home


def main() -> None:
    """Build what is missing or changed and say what there is."""
    started = time.perf_counter()
    for corpus in build_all(candor_home(), load_owners(), lambda line: print(line, file=sys.stderr)):
        state = "built" if corpus.fresh else "unchanged"
        print(f"{corpus.corpus}: {corpus.documents:,} documents, {corpus.tokens:,} tokens, {state}")
    print(f"{time.perf_counter() - started:.1f} s")


main()
