"""Every limit of a node in one place, each with its reason. Values only: whoever enforces one names it here.

Sizes are bytes, times are seconds unless the name says otherwise. `WireLimits` is what a node may be configured with;
the constants are fixed.
"""

from dataclasses import dataclass

MAX_PARTITIONS_OF_TOPIC = 10_000
"""One request must not make work for hours: each partition is an epoch record and a lease."""

FETCH_MAX_BYTES = 55 * 1024 * 1024
"""Kafka's fetch.max.bytes of a broker: bounds what one answer keeps alive, however many partitions it names."""

SMALL_FRAME_BYTES = 64 * 1024
"""Below it a frame is copied out of the receive buffer (cheaper than a buffer of its own, and its bytes stay small
when the tail keeps views of them); from it on the socket writes straight into a pooled buffer."""

RECEIVE_BUFFER_BYTES = 128 * 1024
"""What one read from a socket may bring: two small frames at least. Shared by the connections of a loop."""

POOLED_BUFFERS_BYTES = 256 * 1024 * 1024
"""Frame buffers kept for reuse, free or still viewed by a tail; beyond it buffers are left to the garbage collector."""

MAX_HEADER_BYTES = 40 * 1024
"""The longest request header that makes sense: a client id has an int16 length (32 KiB), the rest is small."""

MAX_PENDING_ANSWER_BYTES = 8 * 1024 * 1024
"""Unsent answer bytes of one connection above which no further request is started: the peer does not read."""

MAX_FETCHES_PER_CONNECTION = 4
"""Fetches under way beside one another for one peer: each may hold FETCH_MAX_BYTES, and clients send one at a time."""

TLS_SHUTDOWN_SECONDS = 5.0
"""How long a peer may take to say goodbye after we did; then its socket is closed all the same."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WireLimits:
    """What a node accepts from the network. The names in brackets are Kafka's broker configs."""

    max_frame_bytes: int = 100 * 1024 * 1024  # [socket.request.max.bytes] a longer length is an attack or a mistake
    max_connections: int = 10_000  # [max.connections] a file descriptor and some 10 KiB each
    max_connections_per_ip: int = 0  # [max.connections.per.ip] 0 is no limit: behind a NAT all have one address
    max_requests_per_connection: int = 100  # in flight; clients send at most 5 to 100, so more is no client
    # Received and not yet answered. Above either bound reading pauses until answers leave: peers wait, nothing fails.
    max_bytes_per_connection: int = 128 * 1024 * 1024  # one frame of the greatest size always fits
    max_bytes_per_node: int = 1024 * 1024 * 1024  # [queued.max.request.bytes] what all connections hold together
    idle_seconds: float = 600.0  # [connections.max.idle.ms] no frame for so long, and none being answered
    authentication_seconds: float = 30.0  # [cauce.authentication.timeout.ms] for the TLS handshake, and again for SASL
    write_high_bytes: int = 1024 * 1024  # the socket's own buffer in user space before writing counts as paused
