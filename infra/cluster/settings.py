"""The ledgers of settings: named values of one kind, changed by compare and append; the newest record counts."""

from collections.abc import Callable, Mapping
from typing import Protocol

from infra.cluster.records import NO_CONFIGS, SettingRecord
from infra.cluster.state import BROKER_CONFIGS
from infra.error_code import ErrorCode
from infra.errors import Refused
from infra.object_key import SETTINGS, SettingKey, parse_key, setting_ledger
from infra.store.ledger import Ledger, LedgerEntry
from infra.store.port import ObjectStore
from infra.view.port import View

Change = Callable[[Mapping[str, str]], Mapping[str, str]]


class SettingsView(Protocol):
    """As much of the view as the ledgers tell."""

    async def put_setting(self, kind: str, name: str, version: int, record: bytes) -> None: ...


async def all_settings(store: ObjectStore) -> dict[tuple[str, str], LedgerEntry]:
    """(kind, name) → newest record of every setting in the bucket: for rebuilding a view."""
    newest = await _newest_versions(store)
    return {
        (kind, name): await Ledger(store, setting_ledger(kind, name)).get(version)
        for (kind, name), version in newest.items()
    }


async def repair_settings(store: ObjectStore, view: View) -> int:
    """Tell the view what it has forgotten of settings; how many. One listing when it has forgotten nothing."""
    newest, told = await _newest_versions(store), await view.settings()
    behind = [key for key, version in newest.items() if told.get(key, (-1, b""))[0] < version]
    for kind, name in behind:
        entry = await Ledger(store, setting_ledger(kind, name)).get(newest[kind, name])
        await view.put_setting(kind, name, entry.number, entry.body)
    return len(behind)


async def _newest_versions(store: ObjectStore) -> dict[tuple[str, str], int]:
    """(kind, name) → newest version of every setting in the bucket."""
    newest: dict[tuple[str, str], int] = {}
    async for info in store.list(SETTINGS):
        key = parse_key(info.key)
        if isinstance(key, SettingKey):
            newest[key.kind, key.name] = key.version  # sorted: the newest comes last
    return newest


class SettingsLedger:
    """The settings of one kind: by name, values that are altered at run time."""

    def __init__(self, kind: str, store: ObjectStore, view: SettingsView) -> None:
        self._kind = kind
        self._store = store
        self._view = view

    async def read(self, name: str) -> Mapping[str, str]:
        """The newest values of one name; none when it was never set."""
        return self._values(name, await self._ledger(name).last())

    async def alter(self, name: str, change: Change) -> Mapping[str, str]:
        """Replace the values by what `change` makes of the newest ones; what it raises comes out.

        Raises `Refused` for a name that is too long."""

        def altered(last: LedgerEntry | None) -> bytes:
            return SettingRecord(dict(change(self._values(name, last)))).encode()

        entry = await self._ledger(name).append_next(altered)
        await self._view.put_setting(self._kind, name, entry.number, entry.body)
        return self._values(name, entry)

    def _ledger(self, name: str) -> Ledger:
        try:
            return Ledger(self._store, setting_ledger(self._kind, name))
        except ValueError as error:
            raise Refused(ErrorCode.INVALID_REQUEST, str(error)) from None

    def _values(self, name: str, entry: LedgerEntry | None) -> Mapping[str, str]:
        if entry is None:
            return NO_CONFIGS
        return SettingRecord.decode(entry.body, f"setting {self._kind} {name!r}").values


class BrokerConfigLedger(SettingsLedger):
    """Broker configs that are altered at run time: by node id as text, or "" for the whole cluster."""

    def __init__(self, store: ObjectStore, view: SettingsView) -> None:
        super().__init__(BROKER_CONFIGS, store, view)
