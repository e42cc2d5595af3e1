"""Walks the whole tutorial with Microsoft's own client for Graph; only the base URL and the token are ours.

    graph_walk.py BASE_URL TOKEN SCIM_URL SCIM_TOKEN

Prints one JSON line for each step; ends with an exception where something is not as a user of Graph expects.
"""

import asyncio
import json
import sys
import time
from uuid import UUID

from azure.core.credentials import AccessToken
from kiota_abstractions.api_error import APIError
from msgraph import GraphServiceClient
from msgraph.generated.application_templates.application_templates_request_builder import (
    ApplicationTemplatesRequestBuilder as Templates,
)
from msgraph.generated.application_templates.item.instantiate.instantiate_post_request_body import (
    InstantiatePostRequestBody,
)
from msgraph.generated.audit_logs.provisioning.provisioning_request_builder import (
    ProvisioningRequestBuilder as Provisioning,
)
from msgraph.generated.models.app_role_assignment import AppRoleAssignment
from msgraph.generated.models.attribute_mapping_source import AttributeMappingSource
from msgraph.generated.models.group import Group
from msgraph.generated.models.password_profile import PasswordProfile
from msgraph.generated.models.reference_create import ReferenceCreate
from msgraph.generated.models.reference_update import ReferenceUpdate
from msgraph.generated.models.synchronization_job import SynchronizationJob
from msgraph.generated.models.synchronization_job_application_parameters import (
    SynchronizationJobApplicationParameters,
)
from msgraph.generated.models.synchronization_job_subject import SynchronizationJobSubject
from msgraph.generated.models.synchronization_secret import SynchronizationSecret
from msgraph.generated.models.synchronization_secret_key_string_value_pair import (
    SynchronizationSecretKeyStringValuePair as Pair,
)
from msgraph.generated.models.user import User
from msgraph.generated.service_principals.item.synchronization.jobs.item.provision_on_demand.provision_on_demand_post_request_body import (
    ProvisionOnDemandPostRequestBody,
)
from msgraph.generated.service_principals.item.synchronization.jobs.item.restart.restart_post_request_body import (
    RestartPostRequestBody,
)
from msgraph.generated.service_principals.item.synchronization.jobs.item.schema.parse_expression.parse_expression_post_request_body import (
    ParseExpressionPostRequestBody,
)
from msgraph.generated.service_principals.item.synchronization.jobs.item.validate_credentials.validate_credentials_post_request_body import (
    ValidateCredentialsPostRequestBody,
)
from msgraph.generated.service_principals.item.synchronization.secrets.secrets_put_request_body import (
    SecretsPutRequestBody,
)
from msgraph.generated.users.users_request_builder import UsersRequestBuilder as Users

PATIENCE = 60


class Fixed:
    """A credential that has one token."""

    def __init__(self, token):
        self.token = token

    def get_token(self, *_scopes, **_options):
        return AccessToken(self.token, int(time.time()) + 3600)

    async def close(self):
        pass


def told(step, **what):
    print(json.dumps({"step": step, **what}, default=str), flush=True)


async def until(what, check):
    begun = time.monotonic()
    while True:
        found = await check()
        if found is not None:
            return found
        assert time.monotonic() - begun < PATIENCE, what
        await asyncio.sleep(0.2)


async def refused(status, code, doing):
    try:
        await doing
    except APIError as error:
        assert error.response_status_code == status, error
        assert error.error.code == code, error.error.code
        assert error.error.message, error
        return error.error.message
    raise AssertionError(f"{status} {code} is expected")


def person(name, number):
    return User(
        account_enabled=True,
        display_name=f"Ada Quill {number}",
        given_name="Ada",
        surname=f"Quill {number}",
        mail_nickname=name,
        user_principal_name=f"{name}@contoso.example",
        department="Engineering",
        password_profile=PasswordProfile(password="w8!Kest-rel-09", force_change_password_next_sign_in=True),
    )


async def walk(base, token, scim, scim_token):
    client = GraphServiceClient(Fixed(token))
    client.request_adapter.base_url = base

    query = Templates.ApplicationTemplatesRequestBuilderGetQueryParameters(
        filter="contains(displayName,'Symantec')"
    )
    found = await client.application_templates.get(Templates.ApplicationTemplatesRequestBuilderGetRequestConfiguration(query_parameters=query))
    template = next(it for it in found.value if it.display_name == "Symantec Web Security Service")
    made = await client.application_templates.by_application_template_id(template.id).instantiate.post(
        InstantiatePostRequestBody(display_name="Web proxy")
    )
    principal = made.service_principal
    assert made.application.app_id == principal.app_id and made.application.id != principal.id
    told("application", id=principal.id)

    people = [await client.users.post(person(f"ada{number}", number)) for number in range(5)]
    assert all(UUID(it.id) for it in people)
    eventual = Users.UsersRequestBuilderGetRequestConfiguration(
        query_parameters=Users.UsersRequestBuilderGetQueryParameters(
            filter="surname ne 'Quill 0'", count=True, top=2, select=["id", "displayName"]
        )
    )
    eventual.headers.add("ConsistencyLevel", "eventual")
    page = await client.users.get(eventual)
    assert (page.odata_count, len(page.value)) == (4, 2), page
    rest = await client.users.with_url(page.odata_next_link).get()
    assert len(rest.value) == 2 and rest.odata_next_link is None
    await client.users.by_user_id(people[0].id).manager.ref.put(
        ReferenceUpdate(odata_id=f"https://graph.microsoft.com/v1.0/users/{people[1].id}")
    )
    manager = await client.users.by_user_id(people[0].id).manager.get()
    assert isinstance(manager, User) and manager.id == people[1].id, manager
    group = await client.groups.post(
        Group(display_name="Proxy users", mail_enabled=False, security_enabled=True, mail_nickname="proxy", group_types=[])
    )
    for one in people[1:3]:
        await client.groups.by_group_id(group.id).members.ref.post(
            ReferenceCreate(odata_id=f"https://graph.microsoft.com/v1.0/directoryObjects/{one.id}")
        )
    members = await client.groups.by_group_id(group.id).members.get()
    assert {it.id for it in members.value} == {it.id for it in people[1:3]}
    assert all(isinstance(it, User) for it in members.value)
    told("people", users=len(people), members=len(members.value))

    at = client.service_principals.by_service_principal_id(principal.id)
    role = next(it for it in principal.app_roles if it.display_name == "User")
    assigned = []
    for who in [people[0].id, group.id]:
        assigned.append(
            await at.app_role_assigned_to.post(
                AppRoleAssignment(principal_id=UUID(who), resource_id=UUID(principal.id), app_role_id=role.id)
            )
        )
    assert {it.principal_type for it in assigned} == {"User", "Group"}
    wrong = AppRoleAssignment(principal_id=UUID(people[4].id), resource_id=UUID(principal.id), app_role_id=UUID(people[4].id))
    await refused(400, "Request_BadRequest", at.app_role_assigned_to.post(wrong))
    told("assigned", count=len((await at.app_role_assigned_to.get()).value))

    synchronization = at.synchronization
    templates = await synchronization.templates.get()
    assert templates.value[0].default and templates.value[0].schema.synchronization_rules
    job = await synchronization.jobs.post(SynchronizationJob(template_id=templates.value[0].id))
    assert job.status.code.value == "NotConfigured", job.status.code
    of_job = synchronization.jobs.by_synchronization_job_id(job.id)
    key = SynchronizationSecret
    notice = {"Enabled": True, "Recipients": "proxy-admins@contoso.example", "DeleteThresholdEnabled": False}
    pairs = [
        Pair(key=key.BaseAddress, value=scim),
        Pair(key=key.SecretToken, value=scim_token),
        Pair(key=key.SyncNotificationSettings, value=json.dumps(notice)),
        Pair(key=key.SyncAll, value="false"),
    ]
    bad = [pairs[0], Pair(key=key.SecretToken, value="wrong")]
    message = await refused(
        400,
        "SystemForCrossDomainIdentityManagementCredentialValidationFailure",
        of_job.validate_credentials.post(ValidateCredentialsPostRequestBody(credentials=bad)),
    )
    await of_job.validate_credentials.post(ValidateCredentialsPostRequestBody(credentials=pairs[:2]))
    await synchronization.secrets.put(SecretsPutRequestBody(value=pairs))
    await of_job.validate_credentials.post(ValidateCredentialsPostRequestBody(use_saved_credentials=True))
    told("credentials", refused=message)

    functions = await of_job.schema.functions.get()
    assert any(it.id == "Append" for it in functions.value)
    operators = await of_job.schema.filter_operators.get()
    assert any(it.id == "EQUALS" and it.arity.value == "Binary" for it in operators.value)
    parsed = await of_job.schema.parse_expression.post(
        ParseExpressionPostRequestBody(expression='Append([displayName], " (proxy)")')
    )
    assert parsed.parsing_succeeded and parsed.parsed_expression.name == "Append"
    schema = await of_job.schema.get()
    version = schema.version
    rule = schema.synchronization_rules[0]
    mapping = next(
        it for it in rule.object_mappings[0].attribute_mappings if it.target_attribute_name == "displayName"
    )
    mapping.source = AttributeMappingSource(expression='Append([displayName], " (proxy)")')
    await of_job.schema.patch(schema)
    schema = await of_job.schema.get()
    assert schema.version != version
    again = next(
        it
        for it in schema.synchronization_rules[0].object_mappings[0].attribute_mappings
        if it.target_attribute_name == "displayName"
    )
    assert again.source.name == "Append", again.source
    again.source = AttributeMappingSource(expression="Append([displayName]")
    await refused(400, "InvalidSchema", of_job.schema.patch(schema))
    told("schema", version=schema.version)

    await of_job.start.post()

    async def finished():
        now = await of_job.get()
        return now if now.status.code.value == "Active" and now.status.last_execution else None

    now = await until("the initial cycle", finished)
    last = now.status.last_execution
    assert last.state.value == "Succeeded", last
    assert last.count_exported == 4, last.count_exported
    counts = {it.key: it.value for it in now.status.synchronized_entry_count_by_type}
    assert counts == {"User to User": 3, "Group to Group": 1}, counts
    told("initial cycle", exported=last.count_exported, cycle=last.activity_identifier)

    log_query = Provisioning.ProvisioningRequestBuilderGetQueryParameters(
        filter=f"jobId eq '{job.id}' and provisioningAction eq 'create'", orderby=["activityDateTime desc"], top=3
    )
    configured = Provisioning.ProvisioningRequestBuilderGetRequestConfiguration(query_parameters=log_query)
    log = await client.audit_logs.provisioning.get(configured)
    more = await client.audit_logs.provisioning.with_url(log.odata_next_link).get()
    events = log.value + more.value
    assert len(events) == 4 and {it.cycle_id for it in events} == {last.activity_identifier}
    assert all(it.provisioning_status_info.status.value == "success" for it in events)
    assert all(it.service_principal.id == principal.id for it in events)
    assert any(step.name == "EntryExportAdd" for step in events[0].provisioning_steps)
    told("log", events=len(events))

    async def person_of(number):
        found = await client.audit_logs.provisioning.get(
            Provisioning.ProvisioningRequestBuilderGetRequestConfiguration(
                query_parameters=Provisioning.ProvisioningRequestBuilderGetQueryParameters(
                    filter=f"sourceIdentity/id eq '{people[number].id}' and provisioningAction eq 'disable'"
                )
            )
        )
        return found.value[0] if found.value else None

    # A change, and an incremental cycle that brings it over.
    await client.users.by_user_id(people[1].id).patch(User(account_enabled=False))
    event = await until("the incremental cycle", lambda: person_of(1))
    changed = {it.display_name: it.new_value for it in event.modified_properties}
    assert changed["active"] == "False", changed
    told("incremental cycle", changed=changed)

    async def on_demand(who):
        subject = SynchronizationJobSubject(object_id=who, object_type_name="User")
        answer = await of_job.provision_on_demand.post(
            ProvisionOnDemandPostRequestBody(
                parameters=[SynchronizationJobApplicationParameters(rule_id=rule.id, subjects=[subject])]
            )
        )
        return json.loads(answer.key), json.loads(answer.value)

    key, _ = await on_demand(people[3].id)
    assert key["result"] == "Skipped" and key["details"]["errorCode"] == "NotEffectivelyEntitled", key
    await client.users.by_user_id(people[3].id).app_role_assignments.post(
        AppRoleAssignment(principal_id=UUID(people[3].id), resource_id=UUID(principal.id), app_role_id=role.id)
    )
    key, value = await on_demand(people[3].id)
    assert key["result"] in ("Success", "Skipped"), key
    told("on demand", result=key["result"], action=value["action"])

    await of_job.pause.post()
    now = await of_job.get()
    assert (now.status.code.value, now.schedule.state.value) == ("Paused", "Paused"), now.status.code
    await of_job.restart.post(RestartPostRequestBody())
    now = await until("the cycle after a restart", finished)
    await of_job.pause.post()
    told("restarted", state=now.status.last_execution.state.value)

    await client.users.by_user_id(people[4].id).delete()
    deleted = await client.directory.deleted_items.graph_user.get()
    assert [it.id for it in deleted.value] == [people[4].id]
    restored = await client.directory.deleted_items.by_directory_object_id(people[4].id).restore.post()
    assert isinstance(restored, User), restored

    await of_job.delete()
    await refused(404, "ResourceNotFound", of_job.get())
    await at.delete()
    await refused(404, "Request_ResourceNotFound", at.get())
    told("deleted")


if __name__ == "__main__":
    asyncio.run(walk(*sys.argv[1:5]))
