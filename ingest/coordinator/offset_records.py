"""Changes of offsets and groups, to records of `__consumer_offsets` and back. Formats stand in record_tables.py."""

import struct
from dataclasses import dataclass
from typing import Any, TypeAlias

from infra.store.port import Buffer
from infra.view.port import OffsetRow
from infra.wire.codec import decode_whole, encode
from ingest.coordinator.group_effects import GroupSnapshot, MemberSnapshot
from ingest.coordinator.record_tables import (
    GroupMember,
    GroupMetadataKey,
    GroupMetadataValue,
    OffsetCommitKey,
    OffsetCommitValue,
)

_VERSION = struct.Struct(">h")
_OFFSET_KEY = 1
_OFFSET_KEYS = (0, 1)
_OFFSET_VALUE = 3
_OFFSET_VALUE_WITH_EXPIRY = 1
_GROUP_KEY = 2
_GROUP_VALUE = 3


@dataclass(frozen=True, slots=True)
class OffsetChange:
    """A group's offset of one partition is set, or deleted (None)."""

    group: str
    topic: str
    partition: int
    row: OffsetRow | None


@dataclass(frozen=True, slots=True)
class GroupChange:
    """A group's metadata is set (value as it stands in the record), or the group is deleted (None)."""

    group: str
    value: bytes | None


Change: TypeAlias = OffsetChange | GroupChange


def encode_change(change: Change) -> tuple[bytes, bytes | None]:
    """Key and value of the record that says so."""
    if isinstance(change, GroupChange):
        return _versioned(GroupMetadataKey(group=change.group), _GROUP_KEY), change.value
    key = OffsetCommitKey(group=change.group, topic=change.topic, partition=change.partition)
    return _versioned(key, _OFFSET_KEY), None if change.row is None else _encode_row(change.row)


def decode_change(key: Buffer | None, value: Buffer | None) -> Change | None:
    """What a record says; None for kinds of record that this version does not know.

    Raises `infra.wire.codec.Malformed` when the bytes are not what their version says.
    """
    if key is None or len(key) < _VERSION.size:
        return None
    version = _VERSION.unpack_from(key)[0]
    if version == _GROUP_KEY:
        group = decode_whole(GroupMetadataKey, version, memoryview(key), _VERSION.size).group
        return GroupChange(group, None if value is None else bytes(value))
    if version not in _OFFSET_KEYS:
        return None
    name = decode_whole(OffsetCommitKey, version, memoryview(key), _VERSION.size)
    return OffsetChange(name.group, name.topic, name.partition, None if value is None else _decode_row(value))


def encode_group(snapshot: GroupSnapshot) -> bytes:
    """The value of a group's metadata record."""
    return _versioned(
        GroupMetadataValue(
            protocol_type=snapshot.protocol_type,
            generation=snapshot.generation,
            protocol=snapshot.protocol,
            leader=snapshot.leader,
            current_state_timestamp=snapshot.state_since_ms,
            members=[
                GroupMember(
                    member_id=member.member_id,
                    group_instance_id=member.instance_id,
                    client_id=member.client_id,
                    client_host=member.client_host,
                    rebalance_timeout=member.rebalance_timeout_ms,
                    session_timeout=member.session_timeout_ms,
                    subscription=member.subscription,
                    assignment=member.assignment,
                )
                for member in snapshot.members
            ],
        ),
        _GROUP_VALUE,
    )


def decode_group(value: Buffer) -> GroupSnapshot:
    """The group in a metadata record's value. Raises `Malformed`, or `Refused` for a version not known."""
    stored = decode_whole(GroupMetadataValue, _VERSION.unpack_from(value)[0], memoryview(value), _VERSION.size)
    return GroupSnapshot(
        stored.protocol_type,
        stored.generation,
        stored.protocol,
        stored.leader,
        stored.current_state_timestamp,
        tuple(
            MemberSnapshot(
                member.member_id,
                member.group_instance_id,
                member.client_id,
                member.client_host,
                member.rebalance_timeout if member.rebalance_timeout >= 0 else member.session_timeout,
                member.session_timeout,
                member.subscription,
                member.assignment,
            )
            for member in stored.members
        ),
    )


def _encode_row(row: OffsetRow) -> bytes:
    value = OffsetCommitValue(
        offset=row.offset,
        leader_epoch=row.leader_epoch,
        metadata=row.metadata,
        commit_timestamp=row.commit_timestamp,
        expire_timestamp=row.expire_timestamp,
    )
    return _versioned(value, _OFFSET_VALUE if row.expire_timestamp < 0 else _OFFSET_VALUE_WITH_EXPIRY)


def _decode_row(value: Buffer) -> OffsetRow:
    stored = decode_whole(OffsetCommitValue, _VERSION.unpack_from(value)[0], memoryview(value), _VERSION.size)
    return OffsetRow(
        stored.offset, stored.leader_epoch, stored.metadata, stored.commit_timestamp, stored.expire_timestamp
    )


def _versioned(message: Any, version: int) -> bytes:
    return _VERSION.pack(version) + encode(message, version)
