"""Checks of what concerns the whole cluster: configs, nodes, access rules, quotas, users."""

from collections.abc import Sequence
from typing import Any

from cauce.access.asking import Answer, Asking, Guard
from cauce.access.check import Check
from cauce.access.shapes import cluster, each_of, open_to_all
from cauce.access.topics import cluster_operations
from infra.error_code import ErrorCode
from infra.security.acl import CLUSTER_NAME, Operation, ResourceType
from infra.wire.messages import (
    alter_client_quotas,
    alter_configs,
    alter_partition_reassignments,
    alter_user_scram_credentials,
    api_versions,
    create_acls,
    delete_acls,
    describe_acls,
    describe_client_quotas,
    describe_cluster,
    describe_configs,
    describe_log_dirs,
    describe_user_scram_credentials,
    elect_leaders,
    incremental_alter_configs,
    list_config_resources,
    list_partition_reassignments,
    sasl_authenticate,
    sasl_handshake,
)

_WHY = "not allowed"
_CONFIGURED = {2: ResourceType.TOPIC, 32: ResourceType.GROUP}  # config resource types; all others are the cluster's


def _configured(resource: Any) -> tuple[ResourceType, str]:
    """What decides about the configs of a resource."""
    kind = _CONFIGURED.get(resource.resource_type, ResourceType.CLUSTER)
    return kind, CLUSTER_NAME if kind is ResourceType.CLUSTER else resource.resource_name


def _configs(operation: Operation, told: str, response: Any, result: Any) -> Guard:
    """The check of a call about configs; `response` and `result`: the classes of its answer and of what is in it."""

    def refuse(resource: Any, code: ErrorCode) -> Any:
        return result(
            error_code=code,
            error_message=_WHY,
            resource_type=resource.resource_type,
            resource_name=resource.resource_name,
        )

    return each_of(operation, _configured, "resources", told, response, refuse)


async def _describe_cluster(asking: Asking, request: describe_cluster.DescribeClusterRequest, answer: Answer) -> Any:
    """The nodes are told to all, as in Metadata."""
    response = await answer(request)
    if request.include_cluster_authorized_operations and response.error_code == ErrorCode.NONE:
        response.cluster_authorized_operations = cluster_operations(asking)
    return response


def _plain(response: Any) -> Any:
    """A refusal of an answer with one error and no message."""
    return lambda _, code: response(error_code=code)


def _explained(response: Any) -> Any:
    """A refusal of an answer with one error and a message."""
    return lambda _, code: response(error_code=code, error_message=_WHY)


def _no_acls_created(request: create_acls.CreateAclsRequest, code: ErrorCode) -> create_acls.CreateAclsResponse:
    return create_acls.CreateAclsResponse(
        results=[create_acls.AclCreationResult(error_code=code, error_message=_WHY) for _ in request.creations]
    )


def _no_acls_deleted(request: delete_acls.DeleteAclsRequest, code: ErrorCode) -> delete_acls.DeleteAclsResponse:
    return delete_acls.DeleteAclsResponse(
        filter_results=[
            delete_acls.DeleteAclsFilterResult(error_code=code, error_message=_WHY) for _ in request.filters
        ]
    )


def _no_quotas_altered(
    request: alter_client_quotas.AlterClientQuotasRequest, code: ErrorCode
) -> alter_client_quotas.AlterClientQuotasResponse:
    return alter_client_quotas.AlterClientQuotasResponse(
        entries=[
            alter_client_quotas.EntryResult(error_code=code, error_message=_WHY, entity=entry.entity)
            for entry in request.entries
        ]
    )


def _no_users_altered(
    request: alter_user_scram_credentials.AlterUserScramCredentialsRequest, code: ErrorCode
) -> alter_user_scram_credentials.AlterUserScramCredentialsResponse:
    names = [one.name for one in request.deletions] + [one.name for one in request.upsertions]
    return alter_user_scram_credentials.AlterUserScramCredentialsResponse(
        results=[
            alter_user_scram_credentials.AlterUserScramCredentialsResult(user=name, error_code=code, error_message=_WHY)
            for name in dict.fromkeys(names)
        ]
    )


CHECKS: Sequence[Check] = (
    Check(api_versions, "nothing", open_to_all),
    Check(sasl_handshake, "nothing", open_to_all),
    Check(sasl_authenticate, "nothing", open_to_all),
    Check(describe_cluster, "nothing; DESCRIBE on the cluster to be told what may be done to it", _describe_cluster),
    Check(
        describe_configs,
        "DESCRIBE_CONFIGS on each topic or group; on the cluster for brokers",
        _configs(
            Operation.DESCRIBE_CONFIGS,
            "results",
            describe_configs.DescribeConfigsResponse,
            describe_configs.DescribeConfigsResult,
        ),
    ),
    Check(
        alter_configs,
        "ALTER_CONFIGS on each topic or group; on the cluster for brokers",
        _configs(
            Operation.ALTER_CONFIGS,
            "responses",
            alter_configs.AlterConfigsResponse,
            alter_configs.AlterConfigsResourceResponse,
        ),
    ),
    Check(
        incremental_alter_configs,
        "ALTER_CONFIGS on each topic or group; on the cluster for brokers",
        _configs(
            Operation.ALTER_CONFIGS,
            "responses",
            incremental_alter_configs.IncrementalAlterConfigsResponse,
            incremental_alter_configs.AlterConfigsResourceResponse,
        ),
    ),
    Check(
        list_config_resources,
        "DESCRIBE_CONFIGS on the cluster",
        cluster(Operation.DESCRIBE_CONFIGS, _plain(list_config_resources.ListConfigResourcesResponse)),
    ),
    Check(
        describe_log_dirs,
        "DESCRIBE on the cluster",
        cluster(Operation.DESCRIBE, _plain(describe_log_dirs.DescribeLogDirsResponse)),
    ),
    Check(elect_leaders, "ALTER on the cluster", cluster(Operation.ALTER, _plain(elect_leaders.ElectLeadersResponse))),
    Check(
        alter_partition_reassignments,
        "ALTER on the cluster",
        cluster(Operation.ALTER, _explained(alter_partition_reassignments.AlterPartitionReassignmentsResponse)),
    ),
    Check(
        list_partition_reassignments,
        "DESCRIBE on the cluster",
        cluster(Operation.DESCRIBE, _explained(list_partition_reassignments.ListPartitionReassignmentsResponse)),
    ),
    Check(
        describe_acls,
        "DESCRIBE on the cluster",
        cluster(Operation.DESCRIBE, _explained(describe_acls.DescribeAclsResponse)),
    ),
    Check(create_acls, "ALTER on the cluster", cluster(Operation.ALTER, _no_acls_created)),
    Check(delete_acls, "ALTER on the cluster", cluster(Operation.ALTER, _no_acls_deleted)),
    Check(
        describe_client_quotas,
        "DESCRIBE_CONFIGS on the cluster",
        cluster(
            Operation.DESCRIBE_CONFIGS,
            lambda _, code: describe_client_quotas.DescribeClientQuotasResponse(
                error_code=code, error_message=_WHY, entries=None
            ),
        ),
    ),
    Check(alter_client_quotas, "ALTER_CONFIGS on the cluster", cluster(Operation.ALTER_CONFIGS, _no_quotas_altered)),
    Check(
        describe_user_scram_credentials,
        "DESCRIBE on the cluster",
        cluster(
            Operation.DESCRIBE,
            _explained(describe_user_scram_credentials.DescribeUserScramCredentialsResponse),
        ),
    ),
    Check(alter_user_scram_credentials, "ALTER on the cluster", cluster(Operation.ALTER, _no_users_altered)),
)
