"""Walks through a SCIM provider with scim2-client, which checks every message against the schemas.

  python client_check.py BASE_URL TOKEN

Prints one line a step and ends with status 1 at the first step that fails. The user and the group
that it makes have a random name and are deleted again.
"""

import sys
import uuid

from httpx2 import Client
from scim2_client.engines.httpx2 import SyncSCIMClient
from scim2_models import NotFoundException, PatchOp, PatchOperation, SearchRequest

ENTERPRISE = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User"
TIMEOUT_SECONDS = 15


class StepFailed(Exception):
    """The provider answered, but not what the step expects."""


def expect(condition: bool, otherwise: str) -> None:
    if not condition:
        raise StepFailed(otherwise)


class Walk:
    """The steps in order. What a step makes, the next ones use."""

    def __init__(self, scim: SyncSCIMClient):
        self.scim = scim
        self.name = f"check.{uuid.uuid4().hex[:12]}@example.com"
        self.user = None
        self.group = None

    def steps(self):
        return [
            self.discover,
            self.create_user,
            self.query_by_user_name,
            self.modify_user,
            self.replace_user,
            self.create_group,
            self.modify_members,
            self.delete_group,
            self.delete_user,
        ]

    def discover(self):
        self.scim.discover()
        self.User = self.scim.get_resource_model("User")
        self.Group = self.scim.get_resource_model("Group")
        expect(self.User is not None, "the provider describes no User")
        expect(self.Group is not None, "the provider describes no Group")
        extensions = self.User.get_extension_models()
        self.Enterprise = extensions.get(ENTERPRISE)
        return f"{len(extensions)} extension(s) of User, patch {self.patches()}"

    def patches(self) -> bool:
        patch = self.scim.provider.config.patch
        return bool(patch and patch.supported)

    def create_user(self):
        user = self.User.model_validate(
            {
                "schemas": [self.User.__schema__],
                "userName": self.name,
                "externalId": self.name,
                "displayName": "Zoé Check",
                "active": True,
                "name": {"givenName": "Zoé", "familyName": "Check"},
                "emails": [{"value": self.name, "type": "work", "primary": True}],
            }
        )
        if self.Enterprise:
            user[self.Enterprise] = self.Enterprise(employee_number="7", department="Engineering")
        self.user = self.scim.create(user)
        expect(self.user.id is not None, "the user has no id")
        expect(self.user.user_name == self.name, "another userName came back")
        expect(self.user.emails[0].value == self.name, "another address came back")
        if self.Enterprise:
            department = self.user[self.Enterprise].department
            expect(department == "Engineering", f"department came back as {department!r}")
        return self.user.id

    def query_by_user_name(self):
        found = self.find(self.name)
        expect(found.total_results == 1, f"{found.total_results} results instead of 1")
        expect(found.resources[0].id == self.user.id, "another user was found")
        expect(self.find("nobody@example.com").total_results == 0, "nobody was found")
        return "1 result, and none for a name that does not exist"

    def find(self, name: str):
        search = SearchRequest(filter=f'userName eq "{name}"')
        return self.scim.query(self.User, query_parameters=search)

    def modify_user(self):
        if not self.patches():
            return "skipped: the provider does not announce PATCH"
        operations = [
            PatchOperation(op="replace", path="active", value=False),
            PatchOperation(op="replace", path='emails[type eq "work"].value', value="z@example.com"),
            PatchOperation(op="add", path="title", value="Tester"),
        ]
        if self.Enterprise:
            path = f"{ENTERPRISE}:department"
            operations.append(PatchOperation(op="replace", path=path, value="Sales"))
        self.scim.modify(self.User, self.user.id, PatchOp[self.User](operations=operations))
        self.user = self.scim.query(self.User, self.user.id)
        expect(self.user.active is False, "active is not false")
        expect(self.user.title == "Tester", "the title is missing")
        expect(self.user.emails[0].value == "z@example.com", "the address is unchanged")
        if self.Enterprise:
            expect(self.user[self.Enterprise].department == "Sales", "the department is unchanged")
        return f"{len(operations)} operations"

    def replace_user(self):
        self.user.display_name = "Zoé Replaced"
        self.user.title = None
        self.user.active = True
        self.scim.replace(self.user)
        self.user = self.scim.query(self.User, self.user.id)
        expect(self.user.display_name == "Zoé Replaced", "displayName is unchanged")
        expect(self.user.title is None, "the title is still there")
        expect(self.user.active is True, "active is not true")
        return "displayName changed, title gone"

    def create_group(self):
        group = self.Group.model_validate(
            {
                "schemas": [self.Group.__schema__],
                "displayName": self.name,
                "members": [{"value": self.user.id}],
            }
        )
        self.group = self.scim.create(group)
        expect(self.group.id is not None, "the group has no id")
        self.expect_members([self.user.id])
        return self.group.id

    def expect_members(self, want):
        group = self.scim.query(self.Group, self.group.id)
        members = [member.value for member in group.members or []]
        expect(members == want, f"the members are {members}, not {want}")

    def modify_members(self):
        if not self.patches():
            return "skipped: the provider does not announce PATCH"
        member = [{"value": self.user.id}]
        for op, path, value, want in (
            ("remove", f'members[value eq "{self.user.id}"]', None, []),
            ("add", "members", member, [self.user.id]),
        ):
            operation = PatchOperation(op=op, path=path, value=value)
            patch = PatchOp[self.Group](operations=[operation])
            self.scim.modify(self.Group, self.group.id, patch)
            self.expect_members(want)
        return "removed and added again"

    def delete_group(self):
        self.delete(self.Group, self.group)
        self.group = None
        return "gone"

    def delete_user(self):
        self.delete(self.User, self.user)
        self.user = None
        expect(self.find(self.name).total_results == 0, "the user is still found")
        return "gone"

    def delete(self, model, resource):
        self.scim.delete(model, resource.id)
        try:
            self.scim.query(model, resource.id)
        except NotFoundException:
            return
        raise StepFailed("the resource is still there")

    def tidy_up(self):
        """After a failure: leaves nothing behind if the provider lets us."""
        for resource in (self.group, self.user):
            if resource is not None and resource.id:
                self.scim.delete(type(resource), resource.id, raise_scim_errors=False)


def describe(error: Exception) -> str:
    notes = "; ".join(getattr(error, "__notes__", []))
    return f"{type(error).__name__}: {error} {notes}".strip().replace("\n", " | ")


def main() -> int:
    if len(sys.argv) != 3:
        print("usage: client_check.py BASE_URL TOKEN", file=sys.stderr)
        return 2
    base_url, token = sys.argv[1:]
    headers = {"Authorization": f"Bearer {token}"}
    with Client(base_url=base_url, headers=headers, timeout=TIMEOUT_SECONDS) as http:
        walk = Walk(SyncSCIMClient(http))
        for step in walk.steps():
            name = step.__name__.replace("_", " ")
            try:
                print(f"ok      {name}: {step()}", flush=True)
            except Exception as error:  # whatever goes wrong is the answer of this step
                print(f"FAILED  {name}: {describe(error)}", flush=True)
                try:
                    walk.tidy_up()
                except Exception as error:
                    print(f"        tidying up failed too: {describe(error)}", flush=True)
                return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
