"""Access rules and quotas over the wire with our own client, for the command line."""

from collections.abc import Mapping, Sequence
from typing import Any

from cauce.admin import check
from infra.security.acl import Acl, AclFilter, Operation, Pattern, PatternType, Permission, ResourceType, Rule
from infra.security.quota import Entity, entity_of
from infra.wire.client import Client
from infra.wire.messages import (
    alter_client_quotas,
    create_acls,
    delete_acls,
    describe_acls,
    describe_client_quotas,
)


class SecurityAdmin:
    """Asks any node. Answers that carry a Kafka error become `Refused`."""

    def __init__(self, client: Client) -> None:
        self._client = client

    async def acls(self, wanted: AclFilter) -> list[Acl]:
        """The rules that a filter matches."""
        response = await self._client.call(None, describe_acls.DescribeAclsRequest(**_fields(wanted)))
        check(response.error_code, response.error_message)
        return [
            _acl(one.resource_type, one.resource_name, one.pattern_type, acl)
            for one in response.resources
            for acl in one.acls
        ]

    async def add_acls(self, acls: Sequence[Acl]) -> None:
        """Add rules; raises `Refused` for the first that cannot be."""
        creations = [
            create_acls.AclCreation(
                resource_type=acl.pattern.resource_type,
                resource_name=acl.pattern.name,
                resource_pattern_type=acl.pattern.pattern_type,
                principal=acl.rule.principal,
                host=acl.rule.host,
                operation=acl.rule.operation,
                permission_type=acl.rule.permission,
            )
            for acl in acls
        ]
        response = await self._client.to_controller(create_acls.CreateAclsRequest(creations=creations))
        for result in response.results:
            check(result.error_code, result.error_message)

    async def remove_acls(self, wanted: AclFilter) -> list[Acl]:
        """Remove the rules that a filter matches; which they were."""
        one = delete_acls.DeleteAclsFilter(**_fields(wanted))
        response = await self._client.to_controller(delete_acls.DeleteAclsRequest(filters=[one]))
        [result] = response.filter_results
        check(result.error_code, result.error_message)
        return [_acl(acl.resource_type, acl.resource_name, acl.pattern_type, acl) for acl in result.matching_acls]

    async def quotas(self) -> dict[Entity, dict[str, float]]:
        """All quotas: entity → quota key → rate."""
        response = await self._client.call(None, describe_client_quotas.DescribeClientQuotasRequest())
        check(response.error_code, response.error_message)
        return {
            entity_of({part.entity_type: part.entity_name for part in entry.entity}): {
                value.key: value.value for value in entry.values
            }
            for entry in response.entries or ()
        }

    async def alter_quotas(self, entity: Entity, steps: Mapping[str, float | None]) -> None:
        """Set quotas of an entity, or take them away (None). Raises `Refused`."""
        entry = alter_client_quotas.EntryData(
            entity=[alter_client_quotas.EntityData(entity_type=kind, entity_name=name) for kind, name in entity],
            ops=[
                alter_client_quotas.OpData(key=key, value=rate or 0.0, remove=rate is None)
                for key, rate in steps.items()
            ],
        )
        response = await self._client.to_controller(alter_client_quotas.AlterClientQuotasRequest(entries=[entry]))
        [result] = response.entries
        check(result.error_code, result.error_message)


def _fields(wanted: AclFilter) -> dict[str, Any]:
    """A filter as both calls name it."""
    return {
        "resource_type_filter": wanted.resource_type,
        "resource_name_filter": wanted.name,
        "pattern_type_filter": wanted.pattern_type,
        "principal_filter": wanted.principal,
        "host_filter": wanted.host,
        "operation": wanted.operation,
        "permission_type": wanted.permission,
    }


def _acl(
    resource_type: int,
    name: str,
    pattern_type: int,
    rule: describe_acls.AclDescription | delete_acls.DeleteAclsMatchingAcl,
) -> Acl:
    return Acl(
        Pattern(ResourceType(resource_type), name, PatternType(pattern_type)),
        Rule(rule.principal, rule.host, Operation(rule.operation), Permission(rule.permission_type)),
    )
