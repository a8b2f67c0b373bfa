"""Every kind of fault: how it begins, how it ends, and by what one sees that it took effect.

A fault that finds nothing to break (its node is down already) does nothing. Ends are called once, also when others are
under way; healing at the end of a run undoes whatever is left.
"""

import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from tests.chaos.node_party import NodeParty
from tests.chaos.schedule import Planned
from tests.chaos.store_proxy import FAIR, Weather
from tests.chaos.world import Durability, World

Act = Callable[[World, Planned], None]

_UP_SECONDS = 90.0
_HOUR_MS = 3_600_000


@dataclass(frozen=True)
class Kind:
    """One kind of fault."""

    name: str
    says: str
    begin: Act
    end: Act
    effects: tuple[str, ...]  # counters of which one must grow
    seconds: tuple[float, float]  # how long it lasts
    only: Durability | None = None
    settle: float = 8.0  # seconds after its end in which an effect may still show


def _victim(world: World, planned: Planned) -> NodeParty:
    return world.nodes[planned.victim % len(world.nodes)]


def _nothing(world: World, planned: Planned) -> None:
    return


def _kill(world: World, planned: Planned) -> None:
    _victim(world, planned).kill()


def _up(world: World, planned: Planned) -> None:
    victim = _victim(world, planned)
    victim.up()
    victim.await_up(_UP_SECONDS)


def _kill_all(world: World, planned: Planned) -> None:
    for node in world.everybody:
        node.kill()


def _up_all(world: World, planned: Planned) -> None:
    for node in world.nodes:
        node.up()
    for node in world.nodes:
        node.await_up(_UP_SECONDS)


def _pause(world: World, planned: Planned) -> None:
    _victim(world, planned).pause()


def _resume(world: World, planned: Planned) -> None:
    _victim(world, planned).resume()


def _roll(world: World, planned: Planned) -> None:
    for at in range(len(world.nodes)):
        node = world.nodes[(planned.victim + at) % len(world.nodes)]
        node.stop()
        node.up()
        node.await_up(_UP_SECONDS)


def _join(world: World, planned: Planned) -> None:
    world.guest.up()
    world.guest.await_up(_UP_SECONDS)


def _leave(world: World, planned: Planned) -> None:
    world.guest.leave()


def _lose_disk(world: World, planned: Planned) -> None:
    victim = _victim(world, planned)
    victim.kill()
    victim.lose_disk()


def _fill_disk(world: World, planned: Planned) -> None:
    victim = _victim(world, planned)
    victim.disk.fill(victim.process)


def _free_disk(world: World, planned: Planned) -> None:
    victim = _victim(world, planned)
    victim.disk.free(victim.process)


def _jump(world: World, planned: Planned) -> None:
    """One back and the others forward, each by another time: only what is ahead shows in a stamp."""
    ahead = round(_HOUR_MS * (0.2 + 3 * planned.strength))
    for at, node in enumerate(world.nodes):
        node.set_clock(-ahead if node is _victim(world, planned) else ahead // (1 + at))


def _set_clocks(world: World, planned: Planned) -> None:
    for node in world.nodes:
        node.set_clock(0)


def _kill_redis(world: World, planned: Planned) -> None:
    world.redis.kill()


def _start_redis(world: World, planned: Planned) -> None:
    world.redis.kill()
    world.redis.start()


def _wipe_redis(world: World, planned: Planned) -> None:
    world.redis.wipe()


def _set_redis_back(world: World, planned: Planned) -> None:
    world.redis.go_back(5 + 25 * planned.strength)


def _bad_store(weather: Callable[[random.Random], Weather], *, everybody: bool) -> Act:
    def begin(world: World, planned: Planned) -> None:
        chance = random.Random(f"{planned.victim} {planned.strength}")
        world.set_weather(world.everybody if everybody else [_victim(world, planned)], planned, weather(chance))

    return begin


def _good_store(*, everybody: bool) -> Act:
    def end(world: World, planned: Planned) -> None:
        world.set_weather(world.everybody if everybody else [_victim(world, planned)], planned, FAIR)

    return end


def _outage(chance: random.Random) -> Weather:
    return Weather(outage=chance.choice(("reset", "silence", "503")))


def _errors(chance: random.Random) -> Weather:
    return Weather(refused=chance.uniform(0.1, 0.5), reset=chance.uniform(0, 0.2), broken=chance.uniform(0, 0.1))


def _slow(chance: random.Random) -> Weather:
    return Weather(slow=chance.uniform(0.3, 1.0), slow_seconds=(0.1, chance.choice((0.5, 2.0, 5.0))))


def _lost(chance: random.Random) -> Weather:
    return Weather(lost=chance.uniform(0.1, 0.3), wrong=chance.uniform(0, 0.2))


def _cut(*which: str) -> Act:
    def begin(world: World, planned: Planned) -> None:
        how = "silence" if planned.strength < 0.5 else "reset"
        for name in which:
            proxy = getattr(_victim(world, planned), name)
            world.loop.call(proxy.cut(how))

    return begin


def _mend(*which: str) -> Act:
    def end(world: World, planned: Planned) -> None:
        for name in which:
            world.loop.call(getattr(_victim(world, planned), name).heal())

    return end


_TAKEN = ("leases taken", "WAL returns")
_STORE = ("store silent", "store resets", "store refused")

_KINDS = (
    Kind("node-kill", "kill -9 of a node", _kill, _up, _TAKEN, (0.5, 12)),
    Kind("all-killed", "kill -9 of all nodes at once", _kill_all, _up_all, _TAKEN, (0.5, 6), settle=15),
    Kind("node-pause", "SIGSTOP of a node", _pause, _resume, ("fenced sessions",), (10, 18)),
    Kind("restart", "clean restart of one node after the other", _roll, _nothing, ("leases taken",), (0.1, 1)),
    Kind("join-leave", "a node joins, and leaves again", _join, _leave, ("leases taken",), (6, 15)),
    Kind("disk-lost", "kill -9 of a node and loss of its disk", _lose_disk, _up, _TAKEN, (0.5, 8), only="object"),
    Kind("disk-full", "a full disk", _fill_disk, _free_disk, ("full disks",), (4, 12)),
    Kind("redis-kill", "kill -9 of Redis", _kill_redis, _start_redis, ("Redis missed",), (1, 12)),
    Kind("redis-wipe", "FLUSHALL", _wipe_redis, _nothing, ("views built",), (0.1, 1), settle=15),
    Kind(
        "redis-stale",
        "Redis set back to an older copy",
        _set_redis_back,
        _nothing,
        ("view repairs",),
        (0.1, 1),
        settle=20,
    ),
    Kind(
        "store-outage",
        "the store away for all",
        _bad_store(_outage, everybody=True),
        _good_store(everybody=True),
        _STORE,
        (4, 25),
    ),
    Kind(
        "store-errors",
        "503, resets and torn answers",
        _bad_store(_errors, everybody=True),
        _good_store(everybody=True),
        ("store refused",),
        (5, 20),
    ),
    Kind(
        "store-slow",
        "a slow store",
        _bad_store(_slow, everybody=True),
        _good_store(everybody=True),
        ("store slow",),
        (5, 20),
    ),
    Kind(
        "store-lost",
        "requests whose answer is lost",
        _bad_store(_lost, everybody=True),
        _good_store(everybody=True),
        ("store absorbed",),
        (5, 20),
    ),
    Kind(
        "cut-store",
        "a node cut off from the store",
        _bad_store(_outage, everybody=False),
        _good_store(everybody=False),
        _STORE,
        (4, 20),
    ),
    Kind("cut-redis", "a node cut off from Redis", _cut("redis"), _mend("redis"), ("Redis missed",), (3, 14)),
    Kind(
        "cut-clients",
        "a node cut off from its clients",
        _cut("clients"),
        _mend("clients"),
        ("clients connections cut",),
        (2, 12),
    ),
    Kind(
        "cut-off",
        "a node cut off from Redis and clients",
        _cut("redis", "clients"),
        _mend("redis", "clients"),
        ("fenced sessions",),
        (10, 18),
    ),
    Kind("clock-jump", "wall clocks that jump by minutes or hours", _jump, _set_clocks, ("clock jumps seen",), (5, 15)),
    Kind("topics", "topics created and deleted", _nothing, _nothing, ("topics created", "topics deleted"), (15, 20)),
)

KINDS: Mapping[str, Kind] = {kind.name: kind for kind in _KINDS}


def kinds_at(durability: Durability) -> list[str]:
    """What may happen at a durability without breaking its promise."""
    return [kind.name for kind in _KINDS if kind.only in (None, durability)]


SECONDS: Mapping[str, tuple[float, float]] = {kind.name: kind.seconds for kind in _KINDS}
