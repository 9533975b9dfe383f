"""Products: made whole or not at all, made once, and recorded with licence and origin."""

import errno
import json
import shutil
import threading
import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from gateway.data import manifest
from gateway.data.archives import Archive, Fetch, PullError
from gateway.data.product import Product, from_archive
from gateway.data.pull import pull_products

from .conftest import MakeWheel

TEXT = "texts/birds/herons.jsonl"


@pytest.fixture
def home(tmp_path: Path, archive: Archive, index: Path) -> Path:
    """A data folder that has the archive already: what pip does is test_archives' matter."""
    downloads = tmp_path / "home" / "downloads"
    downloads.mkdir(parents=True)
    shutil.copy(index / archive.filename, downloads)
    return downloads.parent


@pytest.fixture
def archive(make_wheel: MakeWheel) -> Archive:
    return make_wheel({"herons.jsonl": b'{"text": "A heron waits."}\n'})


def unpack(archive: Archive) -> Callable[[Fetch, Path], dict[str, int]]:
    def build(fetch: Fetch, into: Path) -> dict[str, int]:
        (into / TEXT).parent.mkdir(parents=True)
        with zipfile.ZipFile(fetch(archive)) as wheel:
            (into / TEXT).write_bytes(wheel.read("herons.jsonl"))
        return {"documents": 1}

    return build


@pytest.fixture
def product(archive: Archive) -> Product:
    return Product(
        name="herons",
        owner="birds",
        licence="CC0-1.0",
        origin="a test",
        package=from_archive(archive),
        build=unpack(archive),
    )


def no_build(fetch: Fetch, into: Path) -> dict[str, int]:
    raise AssertionError("a finished product was made again")


def test_licence_origin_package_hash_and_files_of_every_source_are_recorded(
    product: Product, archive: Archive, home: Path
) -> None:
    pull_products([product], home)
    [source] = json.loads((home / "sources.json").read_text())["sources"]
    assert (source["name"], source["owner"], source["licence"], source["origin"]) == (
        "herons",
        "birds",
        "CC0-1.0",
        "a test",
    )
    assert source["package"] == {"name": "tiny-texts", "version": "1.0", "sha256": archive.sha256}
    assert source["counts"] == {"documents": 1}
    assert [file["path"] for file in source["files"]] == [TEXT]
    assert (home / TEXT).stat().st_size == source["files"][0]["bytes"]


def test_a_second_pull_needs_no_network_and_makes_nothing(product: Product, home: Path, index: Path) -> None:
    first = pull_products([product], home)
    for wheel in [*index.iterdir(), *(home / "downloads").iterdir()]:
        wheel.unlink()
    assert pull_products([replace(product, build=no_build)], home) == first


def test_a_product_interrupted_while_it_is_made_is_made_anew(product: Product, home: Path) -> None:
    def interrupted(fetch: Fetch, into: Path) -> dict[str, int]:
        product.build(fetch, into)
        (into / TEXT).write_bytes(b'{"text": "A her')
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        pull_products([replace(product, build=interrupted)], home)
    assert not (home / TEXT).exists(), "half a file stands where a whole one belongs"
    assert not (home / ".making").exists()
    assert manifest.read(home).sources == []

    pull_products([product], home)
    assert (home / TEXT).read_bytes() == b'{"text": "A heron waits."}\n'
    assert not (home / ".making").exists()


def test_what_was_finished_before_an_interruption_is_kept(product: Product, home: Path) -> None:
    def interrupted(fetch: Fetch, into: Path) -> dict[str, int]:
        raise KeyboardInterrupt

    later = replace(product, name="later", build=interrupted)
    with pytest.raises(KeyboardInterrupt):
        pull_products([product, later], home)
    finished = replace(product, build=no_build)
    held = pull_products([finished, replace(later, build=lambda fetch, into: {})], home)
    assert {source.name for source in held.sources} == {"herons", "later"}


@pytest.mark.parametrize("damage", ["removed", "cut short"])
def test_a_file_that_was_damaged_is_made_again(product: Product, home: Path, damage: str) -> None:
    pull_products([product], home)
    if damage == "removed":
        (home / TEXT).unlink()
    else:
        (home / TEXT).write_bytes(b"{")
    pull_products([product], home)
    assert (home / TEXT).read_bytes() == b'{"text": "A heron waits."}\n'


@pytest.mark.parametrize("change", [{"recipe": 2}, {"licence": "CC-BY-4.0"}])
def test_a_source_that_changed_in_the_code_is_made_again(
    product: Product, home: Path, change: dict[str, object]
) -> None:
    pull_products([product], home)
    made: list[bool] = []

    def build(fetch: Fetch, into: Path) -> dict[str, int]:
        made.append(True)
        return product.build(fetch, into)

    held = pull_products([replace(product, build=build, **change)], home)  # type: ignore[arg-type]
    assert made
    assert len(held.sources) == 1


def test_a_full_disk_is_named_with_what_to_do(product: Product, home: Path) -> None:
    def full(fetch: Fetch, into: Path) -> dict[str, int]:
        raise OSError(errno.ENOSPC, "No space left on device")

    with pytest.raises(PullError, match=r"disk of .* is full\. Free some space"):
        pull_products([replace(product, build=full)], home)


def test_a_manifest_that_cannot_be_read_counts_as_none(product: Product, home: Path) -> None:
    pull_products([product], home)
    (home / "sources.json").write_text('{"sources": [{"na')
    assert [source.name for source in pull_products([product], home).sources] == ["herons"]


def test_two_pulls_at_once_make_each_product_once(product: Product, home: Path) -> None:
    made: list[bool] = []

    def build(fetch: Fetch, into: Path) -> dict[str, int]:
        made.append(True)
        return product.build(fetch, into)

    counted = replace(product, build=build)
    threads = [threading.Thread(target=pull_products, args=([counted], home)) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(made) == 1
