"""`python -m gateway.data`: pull into CANDOR_HOME and say what is there."""

from __future__ import annotations

import sys

from gateway.data import manifest
from gateway.data.archives import PullError
from gateway.data.console import bars
from gateway.data.pull import pull
from shared.settings import candor_home


def main() -> int:
    """Return 0 when everything is in place, 1 with a message when it is not."""
    home = candor_home()
    try:
        with bars() as progress:
            held = pull(home, progress)
    except PullError as error:
        print(error, file=sys.stderr)
        return 1
    for source in held.sources:
        counts = ", ".join(f"{count:,} {name.replace('_', ' ')}" for name, count in source.counts.items())
        print(f"{source.owner or 'model':13} {source.name:22} {source.licence:20} {counts}")
    print(f"In {home}; licences and origins in {manifest.FILE_NAME}.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
