"""URLs of buckets, and what is said about wrong ones; counting of requests."""

import asyncio
from pathlib import Path

import pytest

from infra.errors import BadStart, Exists, NotFound
from infra.store.open import is_local, open_store


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("memory:", "MemoryObjectStore(0 objects)"),
        ("s3://name", "S3Store(s3://name/)"),
        ("s3://name/", "S3Store(s3://name/)"),
        ("s3://name/some/prefix", "S3Store(s3://name/some/prefix/)"),
        ("s3://name/p/?endpoint=http://127.0.0.1:9000&region=eu-west-1", "S3Store(s3://name/p/)"),
    ],
)
def test_good_urls(url: str, shown: str) -> None:
    assert repr(open_store(url)) == shown


def test_a_folder_is_made(tmp_path: Path) -> None:
    folder = tmp_path / "with space" / "bucket"
    store = open_store(folder.as_uri())
    assert repr(store) == f"FolderStore({folder})"
    assert folder.is_dir()
    asyncio.run(store.close())


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("", "unknown kind: write file:///path"),
        ("./bucket", r"is no URL: for a folder write file:///.*/bucket"),
        ("/data/bucket", "write file:///data/bucket"),
        ("file://data/bucket", "names the host 'data': write three slashes, file:///"),
        ("file:///", "names no folder"),
        ("file:bucket", "names no folder"),
        ("s4://name", "unknown kind: write"),
        ("http://host/x", "unknown kind"),
        ("s3:///prefix", "has no name"),
        ("s3://name?endpont=http://x", "unknown option 'endpont'.*did you mean endpoint"),
        ("s3://name?endpoint=localhost:9000", "write endpoint=http://host:port"),
        ("s3://key:secret@name", "leave credentials to the AWS chain"),
        ("s3://host:9000/name", r"write \?endpoint=http://host:port"),
    ],
)
def test_bad_urls_say_what_to_write(url: str, says: str) -> None:
    with pytest.raises(BadStart, match=says) as raised:
        open_store(url)
    assert "secret" not in str(raised.value)


def test_a_folder_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(BadStart, match="cannot hold the bucket"):
        open_store((tmp_path / "file" / "bucket").as_uri())


def test_local_or_not() -> None:
    assert is_local("file:///x")
    assert is_local("memory:")
    assert not is_local("s3://x")


def test_requests_are_counted() -> None:
    seen: list[tuple[str, str, int]] = []

    async def main() -> None:
        store = open_store("memory:", observe=lambda kind, outcome, seconds, size: seen.append((kind, outcome, size)))
        await store.create("a", [b"12", b"345"])
        with pytest.raises(Exists):
            await store.create("a", b"x")
        await store.get("a")
        with pytest.raises(NotFound):
            await store.get_range("b", 0, 1)
        await store.get_range("a", 1, 2)
        await store.head("a")
        assert [info.key async for info in store.list("")] == ["a"]
        await store.delete(["a"])
        await store.close()

    asyncio.run(main())
    assert seen == [
        ("create", "ok", 5),
        ("create", "exists", 0),
        ("get", "ok", 5),
        ("get", "missing", 0),
        ("get", "ok", 2),
        ("head", "ok", 0),
        ("list", "ok", 0),
        ("delete", "ok", 0),
    ]
