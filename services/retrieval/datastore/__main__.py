"""`python -m services.retrieval.datastore`: build the datastore of CANDOR_HOME."""

from __future__ import annotations

from services.retrieval.build import build_all
from shared.owners import load_owners
from shared.settings import candor_home

if __name__ == "__main__":
    build_all(candor_home(), load_owners(), lambda line: print(line, flush=True))
