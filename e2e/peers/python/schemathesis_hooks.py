"""What schemathesis cannot guess: ids of what is there.

Loaded by it through SCHEMATHESIS_HOOKS. Fills a service with people, groups, applications and jobs, and puts their ids
into most of the requests, so that they come further than to 404. What is deleted is made for it. Addresses of targets
are replaced by one on this machine.
"""

import os
import time
import zlib

import requests
import schemathesis

BASE = os.environ["MUSTER_BASE"]
SCIM_URL = os.environ["MUSTER_SCIM_URL"]
SECRET = os.environ["MUSTER_SECRET"]
MANY = 30

session = requests.Session()
session.headers["Authorization"] = f"Bearer {os.environ['MUSTER_TOKEN']}"
session.trust_env = False


def ask(method, path, body=None):
    answer = session.request(method, BASE + path, json=body, timeout=30)
    assert answer.status_code < 300, (method, path, answer.status_code, answer.text)
    return answer.json() if answer.content else None


def user(name):
    return ask("POST", "/users", {
        "accountEnabled": True, "displayName": f"Ada {name}", "mailNickname": name,
        "userPrincipalName": f"{name}@contoso.example", "mail": f"{name}@contoso.example",
        "passwordProfile": {"password": "w8!Kest-rel-09"},
    })["id"]


def group(name):
    return ask("POST", "/groups", {
        "displayName": name, "mailEnabled": False, "mailNickname": "group", "securityEnabled": True,
    })["id"]


template = ask("GET", "/applicationTemplates?$filter=startswith(displayName,'Symantec')")["value"][0]["id"]


class Application:
    def __init__(self, name, with_job=True):
        made = ask("POST", f"/applicationTemplates/{template}/instantiate", {"displayName": name})
        self.application, principal = made["application"]["id"], made["servicePrincipal"]
        self.principal, self.role = principal["id"], principal["appRoles"][0]["id"]
        self.place = f"/servicePrincipals/{self.principal}/synchronization"
        self.template = ask("GET", f"{self.place}/templates")["value"][0]["id"]
        self.assignments = []
        if not with_job:
            return
        self.job = ask("POST", f"{self.place}/jobs", {"templateId": self.template})["id"]
        ask("PUT", f"{self.place}/secrets", {"value": secrets()})
        self.schema = ask("GET", f"{self.place}/jobs/{self.job}/schema")

    def assign(self, principal):
        body = {"principalId": principal, "resourceId": self.principal, "appRoleId": self.role}
        made = ask("POST", f"/servicePrincipals/{self.principal}/appRoleAssignedTo", body)
        self.assignments.append((principal, made["id"]))


def secrets():
    return [{"key": "BaseAddress", "value": SCIM_URL}, {"key": "SecretToken", "value": SECRET}]


# The first of them stay; of the others some are deleted.
users = [user(f"ada{n}") for n in range(MANY)]
groups = [group(f"Group {n}") for n in range(MANY)]
applications = [Application(f"Application {n}") for n in range(9)]
without_job = [Application(f"Without a job {n}", with_job=False) for n in range(3)]
for n, member in enumerate(users):
    ask("POST", f"/groups/{groups[n % 5]}/members/$ref", {"@odata.id": f"{BASE}/directoryObjects/{member}"})
for application in applications:
    for principal in users[:4] + groups[:2]:
        application.assign(principal)
for member in users[1:]:
    ask("PUT", f"/users/{member}/manager/$ref", {"@odata.id": f"{BASE}/users/{users[0]}"})
deleted = [user(f"gone{n}") for n in range(MANY)]
for member in deleted:
    ask("DELETE", f"/users/{member}")
main = applications[0]
ask("POST", f"{main.place}/jobs/{main.job}/start")
STAYING = MANY // 2
events = []
for _ in range(100):
    events = [it["id"] for it in ask("GET", "/auditLogs/provisioning?$top=50")["value"]]
    if events:
        break
    time.sleep(0.1)


integrations = [ask("POST", "/muster/integrations", {"name": f"Integration {n}"})["id"] for n in range(3)]
plans = [ask("POST", f"/muster/servicePrincipals/{it.principal}/plans")["id"] for it in applications[1:3]]


def chosen(pool, number):
    return pool[number % len(pool)]


def of_principal(pool, number):
    """Somebody, and an assignment of theirs."""
    known = [(principal, it) for principal, it in main.assignments if principal in pool]
    return chosen(known, number)


@schemathesis.hook
def before_call(context, case, kwargs):
    path, method = case.operation.path, case.method.upper()
    number = zlib.crc32(repr((case.path_parameters, case.query, case.body)).encode())
    # One in five stays as it was made up.
    if number % 5 == 0:
        return
    number //= 5
    given, is_deletion = case.path_parameters, method == "DELETE"
    takes_away = is_deletion and (path.count("/") == 2 or "manager" in path)
    place = slice(STAYING, None) if takes_away else slice(1, STAYING)
    application = chosen(applications[:3], number)
    if is_deletion and not path.endswith("/schema"):
        apart = {"/applications/{id}": slice(5, 7), "/servicePrincipals/{id}": slice(7, 9)}
        application = chosen(applications[apart.get(path, slice(3, 5))], number)
    elif path.endswith("/jobs") and method == "POST":
        application = chosen(without_job, number)
    if given:
        if path.startswith("/users/{id}/appRoleAssignments/"):
            given["id"], given["assignment"] = of_principal(users, number)
        elif path.startswith("/groups/{id}/appRoleAssignments/"):
            given["id"], given["assignment"] = of_principal(groups, number)
        elif path.startswith("/users/{id}"):
            given["id"] = chosen(users[place], number)
        elif path.startswith("/groups/{id}"):
            given["id"] = chosen(groups[place], number)
            if "member" in given:
                given["member"] = chosen(users, number)
        elif path.startswith("/directory/deletedItems"):
            given["id"] = chosen(deleted, number)
        elif path.startswith("/muster/integrations"):
            given["id"] = chosen(integrations, number)
        elif path.startswith("/muster/plans"):
            given["plan"] = chosen(plans, number)
        elif path.startswith("/muster/servicePrincipals"):
            given["id"] = main.principal if "links" in path else application.principal
            if "subject" in given:
                given["subject"] = chosen(users[:4], number)
        elif path.startswith("/auditLogs"):
            given["id"] = chosen(events, number)
        elif path.startswith("/directoryObjects"):
            given["id"] = chosen(users + groups, number)
        elif path.startswith("/applicationTemplates"):
            given["id"] = template
        elif path.startswith("/applications"):
            given["id"] = application.application
        elif path.startswith("/servicePrincipals"):
            given["id"] = application.principal
            if "job" in given:
                given["job"] = application.job
            if "template" in given:
                given["template"] = application.template
            if "directory" in given:
                given["directory"] = chosen(application.schema["directories"], number)["id"]
            if "assignment" in given:
                given["assignment"] = chosen(application.assignments, number)[1]
    if path == "/groups/{id}/members/$ref" and is_deletion:
        case.query["@id"] = f"{BASE}/directoryObjects/{chosen(users, number)}"
        given["id"] = chosen(groups[:5], number)
    if path.endswith("/explanation"):
        case.query["subject"] = chosen(users, number)
    body = case.body
    if not isinstance(body, dict):
        return
    known = {
        "principalId": lambda: chosen(users + groups, number), "resourceId": lambda: application.principal,
        "appRoleId": lambda: application.role, "templateId": lambda: application.template,
        "@odata.id": lambda: f"{BASE}/directoryObjects/{chosen(users + groups, number)}",
        "resetScope": lambda: chosen(["Full", "Watermark, Escrows", "QuarantineState", "ForceDeletes"], number),
        "interval": lambda: chosen(["PT40M", "PT5M", "P1D"], number),
        "expression": lambda: chosen(["Trim([mail])", 'Switch([city], "x", "Oslo", "y")', "Left([surname], 2)"], number),
    }
    fill(body, known)
    if path.endswith("}/appRoleAssignments") and "principalId" in body:
        body["principalId"] = given["id"]
    if path.endswith("/schema"):
        for name in ("directories", "synchronizationRules"):
            if number % 3:
                body[name] = application.schema[name]
    if path.endswith("provisionOnDemand"):
        for one in body.get("parameters") or []:
            if isinstance(one, dict):
                one["ruleId"] = application.schema["synchronizationRules"][0]["id"]
                for subject in one.get("subjects") or []:
                    if isinstance(subject, dict):
                        subject["objectId"] = chosen(users, number)


def fill(body, known):
    for name, value in body.items():
        if isinstance(value, dict):
            fill(value, known)
        elif isinstance(value, str) and name in known:
            body[name] = known[name]()
    for name in ("value", "credentials"):
        if isinstance(body.get(name), list):
            body[name] = secrets() + [it for it in body[name] if not isinstance(it, dict)]
