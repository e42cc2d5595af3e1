// Walks the tutorial with Microsoft's JavaScript client for Graph; only the base URL and the token are ours.
//
//   node walk.mjs BASE_URL TOKEN SCIM_URL SCIM_TOKEN
//
// Prints one JSON line for each step; ends with an error where something is not as a user of Graph expects. The client
// shows its token to https alone: NODE_EXTRA_CA_CERTS names the authority that has signed the server's certificate.

import assert from "node:assert/strict";
import { setTimeout as pause } from "node:timers/promises";
import { BatchRequestContent, BatchResponseContent, Client, PageIterator } from "@microsoft/microsoft-graph-client";

const [base, token, scim, scimToken] = process.argv.slice(2);
const client = Client.initWithMiddleware({
  baseUrl: `${new URL(base).origin}/`,
  defaultVersion: "v1.0",
  customHosts: new Set([new URL(base).hostname]),
  authProvider: { getAccessToken: async () => token },
});
const told = (step, what) => console.log(JSON.stringify({ step, ...what }));

async function refused(status, code, doing) {
  try {
    await doing();
  } catch (error) {
    assert.equal(error.statusCode, status, error.message);
    assert.equal(error.code, code);
    assert.ok(error.message && error.requestId);
    return error.message;
  }
  assert.fail(`${status} ${code} is expected`);
}

async function until(what, check) {
  for (let tries = 0; tries < 300; tries += 1) {
    const found = await check();
    if (found) return found;
    await pause(200);
  }
  return assert.fail(what);
}

const person = (number) => ({
  accountEnabled: true,
  displayName: `Dee Moss ${number}`,
  givenName: "Dee",
  surname: `Moss ${number}`,
  mailNickname: `dee${number}`,
  userPrincipalName: `dee${number}@contoso.example`,
  passwordProfile: { password: "w8!Kest-rel-09" },
});

const found = await client.api("/applicationTemplates").filter("contains(displayName,'Symantec')").get();
const template = found.value.find((it) => it.displayName === "Symantec Web Security Service");
const made = await client.api(`/applicationTemplates/${template.id}/instantiate`).post({ displayName: "Web proxy" });
const principal = made.servicePrincipal;
told("application", { id: principal.id });

const people = [];
for (let number = 0; number < 7; number += 1) people.push(await client.api("/users").post(person(number)));
const listed = [];
const first = await client.api("/users").select("id,displayName").top(3).get();
await new PageIterator(client, first, (user) => listed.push(user.id) > 0).iterate();
assert.deepEqual(listed.sort(), people.map((it) => it.id).sort());
const counted = await client.api("/users").header("ConsistencyLevel", "eventual").count(true).search('"displayName:moss 3"').get();
assert.equal(counted["@odata.count"], 1);
assert.equal(counted.value[0].id, people[3].id);
const group = await client.api("/groups").post({
  displayName: "Proxy users", mailEnabled: false, securityEnabled: true, mailNickname: "proxy",
  "members@odata.bind": [`https://graph.microsoft.com/v1.0/users/${people[1].id}`],
});
await client.api(`/groups/${group.id}/members/$ref`).post({ "@odata.id": `https://graph.microsoft.com/v1.0/directoryObjects/${people[2].id}` });
await client.api(`/users/${people[0].id}/manager/$ref`).put({ "@odata.id": `https://graph.microsoft.com/v1.0/users/${people[1].id}` });
assert.equal((await client.api(`/users/${people[0].id}/manager`).get()).id, people[1].id);
told("people", { users: listed.length });

const batch = new BatchRequestContent([
  { id: "1", request: new Request(`https://graph.microsoft.com/v1.0/users/${people[4].id}?$select=id`, { method: "GET" }) },
  {
    id: "2",
    request: new Request(`https://graph.microsoft.com/v1.0/users/${people[4].id}`, {
      method: "PATCH", headers: { "Content-Type": "application/json" }, body: JSON.stringify({ jobTitle: "Analyst" }),
    }),
    dependsOn: ["1"],
  },
]);
const answered = new BatchResponseContent(await client.api("/$batch").post(await batch.getContent()));
assert.equal((await answered.getResponseById("1").json()).id, people[4].id);
assert.equal(answered.getResponseById("2").status, 204);
told("batch", {});

const at = `/servicePrincipals/${principal.id}`;
const role = principal.appRoles.find((it) => it.displayName === "User");
const assign = (id, appRoleId = role.id) => client.api(`${at}/appRoleAssignedTo`).post({ principalId: id, resourceId: principal.id, appRoleId });
const assigned = await assign(people[0].id);
await assign(group.id);
await refused(400, "Request_BadRequest", () => assign(people[3].id, people[3].id));
told("assigned", { count: (await client.api(`${at}/appRoleAssignedTo`).get()).value.length });

const s = `${at}/synchronization`;
const templates = await client.api(`${s}/templates`).get();
const { id } = await client.api(`${s}/jobs`).post({ templateId: templates.value[0].id });
const job = `${s}/jobs/${id}`;
const credentials = [{ key: "BaseAddress", value: scim }, { key: "SecretToken", value: scimToken }];
await refused(400, "SystemForCrossDomainIdentityManagementCredentialValidationFailure", () =>
  client.api(`${job}/validateCredentials`).post({ credentials: [credentials[0], { key: "SecretToken", value: "wrong" }] }));
await client.api(`${job}/validateCredentials`).post({ credentials });
await client.api(`${s}/secrets`).put({ value: [...credentials, { key: "SyncAll", value: "false" }] });
const schema = await client.api(`${job}/schema`).get();
const mapping = schema.synchronizationRules[0].objectMappings[0].attributeMappings.find((it) => it.targetAttributeName === "displayName");
mapping.source = { expression: 'Append([displayName], " (proxy)")' };
await client.api(`${job}/schema`).put(schema);
told("schema", { version: (await client.api(`${job}/schema`).get()).version });

await client.api(`${job}/start`).post();
const active = await until("the initial cycle", async () => {
  const now = await client.api(job).get();
  return now.status.code === "Active" && now.status.lastExecution && now;
});
assert.equal(active.status.lastExecution.state, "Succeeded");
assert.equal(active.status.lastExecution.countExported, 4);
told("initial cycle", { cycle: active.status.lastExecution.activityIdentifier });

const log = await client.api("/auditLogs/provisioning").filter(`jobId eq '${id}' and provisioningAction eq 'create'`).get();
assert.equal(log.value.length, 4);
await client.api(`${at}/appRoleAssignedTo/${assigned.id}`).delete();
const disabled = await until("the incremental cycle", async () => {
  const now = await client.api("/auditLogs/provisioning").filter(`sourceIdentity/id eq '${people[0].id}' and provisioningAction eq 'disable'`).get();
  return now.value[0];
});
told("incremental cycle", { changed: disabled.modifiedProperties });

const rule = schema.synchronizationRules[0].id;
const demanded = await client.api(`${job}/provisionOnDemand`).post({
  parameters: [{ ruleId: rule, subjects: [{ objectId: people[3].id, objectTypeName: "User" }] }],
});
assert.equal(JSON.parse(demanded.key).details.errorCode, "NotEffectivelyEntitled");
await client.api(`${job}/pause`).post();
assert.equal((await client.api(job).get()).status.code, "Paused");
await client.api(`${job}/restart`).post({ criteria: { resetScope: "Watermark, Escrows" } });
await until("the cycle after a restart", async () => (await client.api(job).get()).status.code === "Active");
await client.api(`${job}/pause`).post();
const delta = await client.api("/users/delta").select("displayName").get();
assert.ok(delta["@odata.deltaLink"]);
const none = await client.api(delta["@odata.deltaLink"]).get();
assert.deepEqual(none.value, []);
await client.api(job).delete();
await refused(404, "ResourceNotFound", () => client.api(job).get());
await client.api(at).delete();
told("deleted", {});
