"""`cauce acl add|list|remove`."""

from collections.abc import Sequence
from typing import Annotated

import typer

from cauce.cli.options import BOOTSTRAP, AsJson, Bootstrap, CommandConfig
from cauce.cli.output import fail, print_rows, sentences
from cauce.cli.session import with_admin
from cauce.security_admin import SecurityAdmin
from infra.security.acl import (
    ANY_HOST,
    CLUSTER_NAME,
    Acl,
    AclFilter,
    Operation,
    Pattern,
    PatternType,
    Permission,
    ResourceType,
    Rule,
)

app = typer.Typer(help="Add, list and remove access rules.", no_args_is_help=True)

_COLUMNS = ["resource", "name", "pattern", "principal", "host", "operation", "permission"]
_Topic = Annotated[str | None, typer.Option("--topic", "-t", help="A topic; * for all.")]
_Group = Annotated[str | None, typer.Option("--group", "-g", help="A consumer group; * for all.")]
_TransactionalId = Annotated[str | None, typer.Option("--transactional-id", help="A transactional id; * for all.")]
_Cluster = Annotated[bool, typer.Option("--cluster", help="The cluster.")]
_Prefix = Annotated[bool, typer.Option("--prefix", help="All whose names begin like this.")]


@app.command()
@sentences
def add(
    allow: Annotated[list[str] | None, typer.Option("--allow", help="Principal: User:NAME, or User:* for all.")] = None,
    deny: Annotated[list[str] | None, typer.Option("--deny", help="The same, for what must not be.")] = None,
    operation: Annotated[list[str] | None, typer.Option("--operation", "-o", help="READ, WRITE …, or ALL.")] = None,
    host: Annotated[list[str] | None, typer.Option("--host", help="Only from this address.")] = None,
    topic: _Topic = None,
    group: _Group = None,
    transactional_id: _TransactionalId = None,
    cluster: _Cluster = False,
    prefix: _Prefix = False,
    bootstrap: Bootstrap = BOOTSTRAP,
    command_config: CommandConfig = None,
) -> None:
    """Add rules: every combination of what is given."""
    patterns = _patterns(_resources(topic, group, transactional_id, cluster), prefix)
    if not (allow or deny) or not operation:
        fail("say who may do what, for example --allow User:alice --operation READ")
    principals = [(one, Permission.ALLOW) for one in allow or ()] + [(one, Permission.DENY) for one in deny or ()]
    acls = [
        Acl(pattern, Rule(principal, where, _operation(word), permission))
        for pattern in patterns
        for principal, permission in principals
        for word in operation
        for where in host or [ANY_HOST]
    ]
    with_admin(bootstrap, command_config, lambda admin: SecurityAdmin(admin.client).add_acls(acls))
    _print(acls, as_json=False)


@app.command("list")
@sentences
def list_(
    principal: Annotated[str | None, typer.Option("--principal", help="Only rules for this one.")] = None,
    topic: _Topic = None,
    group: _Group = None,
    transactional_id: _TransactionalId = None,
    cluster: _Cluster = False,
    bootstrap: Bootstrap = BOOTSTRAP,
    command_config: CommandConfig = None,
    as_json: AsJson = False,
) -> None:
    """List the rules, or those that count for a resource: its own, those of prefixes, and those of all (*)."""
    resources = _resources(topic, group, transactional_id, cluster)
    filters = [AclFilter(kind, name, PatternType.MATCH, principal) for kind, name in resources]

    async def find(asked: SecurityAdmin) -> list[Acl]:
        return [acl for one in filters or [AclFilter(principal=principal)] for acl in await asked.acls(one)]

    _print(with_admin(bootstrap, command_config, lambda admin: find(SecurityAdmin(admin.client))), as_json)


@app.command()
@sentences
def remove(
    principal: Annotated[str | None, typer.Option("--principal", help="Only rules for this one.")] = None,
    operation: Annotated[str | None, typer.Option("--operation", "-o", help="Only rules for this.")] = None,
    topic: _Topic = None,
    group: _Group = None,
    transactional_id: _TransactionalId = None,
    cluster: _Cluster = False,
    prefix: _Prefix = False,
    bootstrap: Bootstrap = BOOTSTRAP,
    command_config: CommandConfig = None,
) -> None:
    """Remove the rules of resources, named as when the rules were added."""
    patterns = _patterns(_resources(topic, group, transactional_id, cluster), prefix)
    wanted = Operation.ANY if operation is None else _operation(operation)
    filters = [
        AclFilter(one.resource_type, one.name, one.pattern_type, principal, operation=wanted) for one in patterns
    ]

    async def drop(asked: SecurityAdmin) -> list[Acl]:
        return [acl for one in filters for acl in await asked.remove_acls(one)]

    _print(with_admin(bootstrap, command_config, lambda admin: drop(SecurityAdmin(admin.client))), as_json=False)


def _resources(
    topic: str | None, group: str | None, transactional_id: str | None, cluster: bool
) -> list[tuple[ResourceType, str]]:
    named = [
        (ResourceType.TOPIC, topic),
        (ResourceType.GROUP, group),
        (ResourceType.TRANSACTIONAL_ID, transactional_id),
        (ResourceType.CLUSTER, CLUSTER_NAME if cluster else None),
    ]
    return [(kind, name) for kind, name in named if name is not None]


def _patterns(resources: Sequence[tuple[ResourceType, str]], prefix: bool) -> list[Pattern]:
    if not resources:
        fail("name what the rules are about: --topic, --group, --transactional-id or --cluster")
    kind = PatternType.PREFIXED if prefix else PatternType.LITERAL
    return [
        Pattern(resource, name, PatternType.LITERAL if resource is ResourceType.CLUSTER else kind)
        for resource, name in resources
    ]


def _operation(word: str) -> Operation:
    try:
        return Operation[word.upper().replace("-", "_")]
    except KeyError:
        fail(f"there is no operation {word!r}; there are {', '.join(one.name for one in Operation if one > 1)}")


def _print(acls: Sequence[Acl], as_json: bool) -> None:
    rows = [
        {
            "resource": acl.pattern.resource_type.name,
            "name": acl.pattern.name,
            "pattern": acl.pattern.pattern_type.name,
            "principal": acl.rule.principal,
            "host": acl.rule.host,
            "operation": acl.rule.operation.name,
            "permission": acl.rule.permission.name,
        }
        for acl in acls
    ]
    print_rows(rows, _COLUMNS, as_json, empty="there are no such rules")
