"""What is sent to a node: each input follows from the seed and its number alone."""

import struct
from collections.abc import Callable
from dataclasses import dataclass
from random import Random

from infra.wire.apis import request_table
from infra.wire.messages import produce
from tests.fuzz import valid_requests

_LIES = (b"\xff\xff\xff\xff", b"\x7f\xff\xff\xff", b"\x80\0\0\0", b"\0\0\0\0", b"\xff\xff\xff\xff\x0f", b"\x40\0\0\0")
_FRAME_LENGTHS = (-1, 0, -(2**31), 2**31 - 1, 100 * 1024 * 1024 + 1, 0x47455420, 0x16030100)


@dataclass(frozen=True, slots=True)
class Input:
    """Bytes for a connection. `ends` when the sender closes behind them: what follows could not be told apart."""

    number: int
    kind: str
    data: bytes
    ends: bool = False


class Inputs:
    """The generator. `corpus` holds valid requests to damage: a few for each API and version."""

    def __init__(self, seed: int, per_version: int = 3) -> None:
        self._seed = seed
        random = Random(seed)
        self._corpus = [
            _frame(api_key, version, valid_requests.request_body(random, api_key, version))
            for api_key, version in valid_requests.all_versions()
            for _ in range(per_version)
        ]
        self._versions = valid_requests.all_versions()
        self._kinds: tuple[Callable[[Random], tuple[bytes, bool]], ...] = tuple(
            kind
            for weight, kind in (
                (2, self.random_bytes),
                (2, self.framed_random_bytes),
                (1, self.lying_frame_length),
                (2, self.truncated),
                (2, self.random_body),
                (6, self.mutated),
                (3, self.lying_inner_length),
                (1, self.valid),
                (6, self.absurd),
                (3, self.damaged_batch),
            )
            for _ in range(weight)
        )

    def make(self, number: int) -> Input:
        """Input `number`, the same one each time."""
        random = Random(self._seed * 1_000_003 + number)
        kind = random.choice(self._kinds)
        data, ends = kind(random)
        return Input(number, kind.__name__, data, ends)

    def random_bytes(self, random: Random) -> tuple[bytes, bool]:
        return random.randbytes(random.randint(1, 300)), True

    def framed_random_bytes(self, random: Random) -> tuple[bytes, bool]:
        return _framed(random.randbytes(random.randint(0, 300))), False

    def lying_frame_length(self, random: Random) -> tuple[bytes, bool]:
        frame = random.choice(self._corpus)
        length = random.choice((*_FRAME_LENGTHS, len(frame) - 4 - random.randint(1, 8), len(frame) + 50))
        return struct.pack(">i", length) + frame[4:], True

    def truncated(self, random: Random) -> tuple[bytes, bool]:
        frame = random.choice(self._corpus)
        return frame[: random.randint(1, len(frame) - 1)], True

    def random_body(self, random: Random) -> tuple[bytes, bool]:
        api_key, version = random.choice(self._versions)
        return _frame(api_key, version, random.randbytes(random.randint(0, 300))), False

    def mutated(self, random: Random) -> tuple[bytes, bool]:
        body = bytearray(random.choice(self._corpus)[4:])
        for _ in range(random.choice((1, 1, 2, 4, 8))):
            body[random.randrange(len(body))] = random.getrandbits(8)
        if random.getrandbits(2) == 0:
            body = body[: random.randint(1, len(body))]
        return _framed(bytes(body)), False

    def lying_inner_length(self, random: Random) -> tuple[bytes, bool]:
        body = bytearray(random.choice(self._corpus)[4:])
        lie = random.choice(_LIES)
        start = random.randrange(8, len(body)) if len(body) > 8 else 0
        body[start : start + len(lie)] = lie
        return _framed(bytes(body)), False

    def valid(self, random: Random) -> tuple[bytes, bool]:
        return random.choice(self._corpus), False

    def absurd(self, random: Random) -> tuple[bytes, bool]:
        """Well-formed, with values that make little sense, or thousands of elements."""
        api_key, version = random.choice(self._versions)
        return _frame(api_key, version, valid_requests.request_body(random, api_key, version)), False

    def damaged_batch(self, random: Random) -> tuple[bytes, bool]:
        """A Produce request that is right around a batch that is not: lengths, magic, CRC, counts, anything."""
        version = random.choice(request_table(produce.API_KEY).versions.numbers())
        records = bytearray(valid_requests.batch(random) * random.choice((1, 1, 2)))
        for _ in range(random.choice((0, 1, 1, 3))):
            records[random.randrange(min(len(records), 70))] = random.getrandbits(8)
        cut = random.choice((0, 0, 0, 1, 30, 61))
        return _frame(
            produce.API_KEY, version, valid_requests.produce_body(random, version, bytes(records[cut:]))
        ), False


def _framed(body: bytes) -> bytes:
    return struct.pack(">i", len(body)) + body


def _frame(api_key: int, version: int, body: bytes) -> bytes:
    flexible = b"\0" if version in request_table(api_key).flexible else b""
    return _framed(struct.pack(">hhih4s", api_key, version, 7, 4, b"fuzz") + flexible + body)
