"""Whether Redis is one that a cluster can use: version, role, settings, rights, distance; and its clock beside ours."""

import statistics
from typing import Any

from redis.exceptions import RedisError, ResponseError

from cauce.doctor.finding import Finding, any_failed, failed, ok, warning
from infra.clock import Clock
from infra.errors import BadStart
from infra.view.redis_address import open_redis, parse_redis

_TIMEOUT_SECONDS = 5.0
_OLDEST = (6, 2)
_FAR_MS = 10.0  # a publish is one round trip
_FULL = 0.8
_PINGS = 5
_SKEW_SECONDS, _MOST_SKEW_SECONDS = 2.0, 60.0
_KEY = b"{cauce:doctor}:probe"
_SCRIPT = """redis.call('SET', KEYS[1], '1', 'PX', 1000)
redis.call('PUBLISH', KEYS[1], '')
return redis.call('TIME')"""


async def check_redis(url: str, clock: Clock) -> list[Finding]:
    """Every line about Redis. `url` as settings have it, empty for an embedded one; no line repeats it."""
    if not url:
        return [ok("redis", "none is named: `cauce up` keeps one of its own, the nodes of a cluster share one")]
    try:
        address = parse_redis(url)
        client = open_redis(address, _TIMEOUT_SECONDS, _TIMEOUT_SECONDS)
    except BadStart as error:
        return [failed("redis", "its URL cannot be used", error.message)]
    try:
        before = clock.monotonic()
        info = _flat(await client.info())
        findings = [_version(info), _role(info, address.kind), _policy(info), _memory(info)]
        if not any_failed(findings):
            findings += await _rights_and_clock(client, clock)
        findings.append(await _distance(client, clock))
    except (RedisError, OSError) as error:
        waited = clock.monotonic() - before
        mend = "check address, login and TLS, and the way to it from this machine (security groups)"
        return [failed("redis", f"{type(error).__name__} after {waited:.1f} s: {error}", mend)]
    finally:
        await client.aclose()
    return findings


def _flat(info: Any) -> dict[str, Any]:
    """INFO of one server; a cluster answers it by server."""
    rows: dict[str, Any] = info
    first = next(iter(rows.values()), None)
    return first if isinstance(first, dict) and "redis_version" in first else rows


def _version(info: dict[str, Any]) -> Finding:
    valkey = info.get("valkey_version")
    text = str(valkey or info.get("redis_version", ""))
    found = f"{'Valkey' if valkey else 'Redis'} {text}"
    numbers = tuple(int(word) for word in text.split(".")[:2] if word.isdecimal())
    if not valkey and numbers < _OLDEST:
        return failed("redis: version", found, "take Redis 6.2 or newer, or any Valkey")
    return ok("redis: version", found)


def _role(info: dict[str, Any], kind: str) -> Finding:
    if info.get("role") not in (None, "master"):
        return failed("redis: role", "a replica, which takes no writes", "name the primary endpoint")
    if int(info.get("cluster_enabled", 0)) and kind != "cluster":
        return warning("redis: role", "one server of a Redis Cluster", "write redis+cluster:// (or rediss+cluster://)")
    return ok("redis: role", "primary")


def _policy(info: dict[str, Any]) -> Finding:
    policy = str(info.get("maxmemory_policy", "noeviction"))
    if policy != "noeviction":
        mend = "set maxmemory-policy to noeviction: what it evicts has to be built again from the bucket"
        return warning("redis: eviction", policy, mend)
    return ok("redis: eviction", policy)


def _memory(info: dict[str, Any]) -> Finding:
    used, most = int(info.get("used_memory", 0)), int(info.get("maxmemory", 0))
    found = f"{used >> 20} MiB used" + (f" of {most >> 20} MiB" if most else "")
    mend = "take a larger one: a full Redis refuses to publish"
    if most and used >= most:
        return failed("redis: memory", found, mend)
    if most and used > _FULL * most:
        return warning("redis: memory", found, mend)
    return ok("redis: memory", found)


def _clock(skew: float) -> Finding:
    found = f"{abs(skew):.1f} s {'behind' if skew > 0 else 'ahead of'} that of Redis"
    mend = "let chrony or systemd-timesyncd set the clock: retention, and S3's signatures, go by it"
    if abs(skew) > _MOST_SKEW_SECONDS:
        return failed("clock", found, mend)
    return warning("clock", found, mend) if abs(skew) > _SKEW_SECONDS else ok("clock", found)


async def _rights_and_clock(client: Any, clock: Clock) -> list[Finding]:
    try:
        seconds, micros = await client.eval(_SCRIPT, 1, _KEY)
        await client.delete(_KEY)
    except ResponseError as error:
        mend = "let its user run scripts, and read, write and publish below {cauce:*}: +@all ~{cauce:* &{cauce:*"
        return [failed("redis: rights", str(error), mend)]
    skew = int(seconds) + int(micros) / 1e6 - clock.now_ms() / 1000
    return [ok("redis: rights", "scripts, writes and messages"), _clock(skew)]


async def _distance(client: Any, clock: Clock) -> Finding:
    taken = []
    for _ in range(_PINGS):
        begun = clock.monotonic()
        await client.ping()
        taken.append(1000 * (clock.monotonic() - begun))
    found = f"{statistics.median(taken):.1f} ms"
    if statistics.median(taken) > _FAR_MS:
        return warning("redis: round trip", found, "let the nodes and Redis be in one region, as near as can be")
    return ok("redis: round trip", found)
