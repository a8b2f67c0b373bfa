"""Whether the bucket lets a node do what it does there, and keeps two writers apart. Leaves nothing behind."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from urllib.parse import parse_qs, unquote, urlsplit

from cauce.doctor.finding import Finding, failed, ok, warning
from infra.clock import Clock
from infra.errors import BadStart, CauceError
from infra.object_key import CLUSTER, ProbeKey
from infra.store.open import open_store
from infra.store.port import ObjectStore, StoreRefuses
from infra.store.probe import probe_store

_RIGHTS = {
    "write": "s3:PutObject on the bucket's objects",
    "read": "s3:GetObject on the bucket's objects",
    "list": "s3:ListBucket on the bucket itself",
    "delete": "s3:DeleteObject on the bucket's objects",
}


async def check_bucket(url: str, clock: Clock) -> list[Finding]:
    """Rights one by one, then the conditional write. `url` as settings have it."""
    missing = _missing_folder(url)
    if missing is not None:
        return [missing]
    try:
        store = open_store(url, clock=clock)
    except BadStart as error:
        return [failed("bucket", url, error.message)]
    try:
        findings = await _rights(store, ProbeKey(clock.token()).key)
        if all(one.state == "ok" for one in findings):
            findings += [await _conditional(store, url, clock), await _cluster(store)]
        return findings
    finally:
        await store.close()


async def check_credentials(url: str) -> list[Finding]:
    """Who we are for AWS; nothing for a bucket that is elsewhere."""
    parts = urlsplit(url)
    if parts.scheme != "s3" or "endpoint" in parse_qs(parts.query):
        return []
    region = parse_qs(parts.query).get("region", [None])[0]
    return [await asyncio.to_thread(_who, region)]


def _who(region: str | None) -> Finding:
    from botocore.exceptions import BotoCoreError, ClientError

    from infra.aws import ClientOptions, client

    mend = "give AWS_ACCESS_KEY_ID …, a profile, or a role of the task or the instance; and AWS_REGION"
    try:
        return ok("credentials", str(client("sts", ClientOptions(region=region)).get_caller_identity()["Arn"]))
    except (BotoCoreError, BadStart) as error:
        return failed("credentials", str(error), mend)
    except ClientError as error:
        return warning("credentials", str(error), mend)


def _missing_folder(url: str) -> Finding | None:
    parts = urlsplit(url)
    if parts.scheme != "file" or Path(unquote(parts.path)).is_dir():
        return None
    return ok("bucket", f"the folder {unquote(parts.path)} is not there yet; the node makes it")


async def _rights(store: ObjectStore, key: str) -> list[Finding]:
    async def write() -> None:
        await store.create(key, b"doctor")

    async def read() -> None:
        await store.get(key)

    async def look() -> None:
        async for _ in store.list(key):
            pass

    async def delete() -> None:
        await store.delete([key])

    steps = {"write": write, "read": read, "list": look, "delete": delete}
    findings: list[Finding] = []
    for right, step in steps.items():
        findings.append(await _right(right, step))
        if findings[-1].state == "failed" and right == "write":
            break  # the others would only fail for the same reason
    return findings


async def _right(right: str, step: Callable[[], Awaitable[None]]) -> Finding:
    check = f"bucket: {right}"
    try:
        await step()
    except StoreRefuses as error:
        return failed(check, str(error), f"check its name, region and credentials; grant {_RIGHTS[right]}")
    except CauceError as error:
        return failed(check, error.message, "check the address, and the way to it from this machine")
    return ok(check, "may")


async def _conditional(store: ObjectStore, url: str, clock: Clock) -> Finding:
    try:
        await probe_store(store, url, clock)
    except CauceError as error:
        return failed("bucket: conditional writes", error.message, "take a store that honours If-None-Match")
    return ok("bucket: conditional writes", "one of 32 writers wins")


async def _cluster(store: ObjectStore) -> Finding:
    found = await store.head(CLUSTER)
    return ok("bucket: cluster", "none yet, the first node founds it" if found is None else "there is one")
