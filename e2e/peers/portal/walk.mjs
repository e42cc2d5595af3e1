// Walks through the tutorial with a browser: from New Integration to the provisioning log, in its order and words, then
// disables somebody and sees that arrive. A line of JSON for each step. Then axe looks at every page, in both colours.
//
//   node walk.mjs WELCOME_LINK [FOLDER_FOR_SCREENSHOTS]

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";
import { chromium } from "playwright-core";

const [welcome, pictures] = process.argv.slice(2);
const base = new URL(welcome).origin;
const axe = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");
const APP = "Symantec Web Security Service";

const browser = await chromium.launch({
  executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium",
  args: ["--no-sandbox", "--disable-gpu"],
});
const context = await browser.newContext({
  baseURL: base, viewport: { width: 1440, height: 900 }, reducedMotion: "reduce",
});
const page = await context.newPage();
page.setDefaultTimeout(15_000);

// No request leaves the machine, nothing is refused by the page's own policy, nothing breaks.
const problems = [];
// The pages that are looked at in the end, by their names.
const places = {};
function watch(page) {
  page.on("request", (request) => {
    const url = new URL(request.url());
    if (url.protocol !== "data:" && url.origin !== base) problems.push(`a request to ${url.origin}`);
  });
  page.on("console", (message) => {
    if (message.type() === "error") problems.push(`${page.url()}: ${message.text()}`);
  });
  page.on("pageerror", (error) => problems.push(`${page.url()}: ${error}`));
}
watch(page);

const step = (name, more = {}) => console.log(JSON.stringify({ step: name, ...more }));
const press = (name) => page.getByRole("button", { name, exact: true }).first().click();
const follow = (name) => page.getByRole("link", { name, exact: true }).first().click();
const says = (text) =>
  page.getByText(text).first().waitFor().catch(async (error) => {
    const told = await page.locator(".alert, .invalid-feedback, .problem").allInnerTexts();
    throw new Error(`${page.url()} does not say ${text}, but: ${told.join(" | ")}`, { cause: error });
  });

await page.goto(welcome);
await page.getByLabel("Name").fill("Ada Quill");
await page.getByLabel("Password", { exact: true }).fill("correct horse battery");
await page.getByLabel("The password once more").fill("correct horse battery");
await press("Begin");
await page.getByRole("heading", { name: "Home" }).waitFor();
step("first administrator");

await follow("Service");
await says("Account Maintenance");
await page.getByRole("heading", { name: "Integrations" }).waitFor();
await follow("+ New Integration");
await page.getByLabel("Third-party Users & Groups Sync").check();
await press("Create");
const url = await page.getByLabel("SCIM URL").inputValue();
const token = await page.getByLabel("Token", { exact: true }).inputValue();
assert.match(token, /^mst_[0-9a-f]{64}$/);
const integration = page.url();
step("integration", { url });

await follow("Enterprise applications");
await page.getByRole("heading", { name: "All applications" }).waitFor();
await follow("New application");
await page.getByLabel("Search the gallery").pressSequentially("Symantec Web", { delay: 20 });
await page.waitForFunction(() => document.querySelectorAll("#found li").length < 5);
// Whoever looks at one and goes back finds the whole page again.
await page.waitForURL(/q=/);
await follow(APP);
await page.getByRole("button", { name: "Add" }).waitFor();
await page.goBack();
await page.getByLabel("Search the gallery").waitFor();
await page.getByLabel("Search the gallery").fill("Symantec Web");
await page.waitForFunction(() => document.querySelectorAll("#found li").length < 5);
await page.getByLabel("Search the gallery").fill("Symantec");
await page.waitForTimeout(500);
await page.goBack();
await page.getByRole("heading", { name: "New application" }).waitFor();
await page.getByLabel("Search the gallery").fill("Symantec Web");
await page.waitForFunction(() => document.querySelectorAll("#found li").length < 5);
await follow(APP);
await press("Add");
await says("The application was added.");
step("application");

await follow("Users and groups");
await page.getByLabel("Users and groups", { exact: true }).fill("Dept - Engineering\nno.such@person.example");
await page.getByLabel("Select a role").selectOption("User");
await press("Assign");
await says("there is nobody of this name");
await page.getByLabel("Users and groups", { exact: true }).fill("Dept - Sales");
await press("Assign");
await says("Assigned.");
step("assigned");

await follow("Provisioning");
assert.equal(await page.getByLabel("Provisioning Mode").inputValue(), "automatic");
await page.getByLabel("Tenant URL").fill(url);
await page.getByLabel("Secret Token").fill("not the token");
await press("Test Connection");
await says("The connection failed");
await page.getByLabel("Secret Token").fill(token);
await press("Test Connection");
await says("The connection works");
await page.getByLabel("Notification Email").fill("ops@contoso.example");
await page.getByLabel("Send an email notification when a failure occurs").check();
await press("Save");
await says("Saved.");
step("credentials");

for (const kind of ["Users", "Groups"]) {
  await follow(`Synchronize Azure Active Directory ${kind} to ${APP}`);
  await page.getByRole("heading", { name: "Attribute Mapping" }).waitFor();
  if (kind === "Users") {
    const source = page.getByLabel("Source of title", { exact: true });
    const before = await source.inputValue();
    // What was wrong stands where it was, with what was taken out and what was added.
    await page.getByLabel("Remove phoneNumbers[type eq \"mobile\"].value", { exact: true }).check();
    await page.getByLabel("Another target attribute").fill("nickName");
    await page.getByLabel("Source of the other attribute").fill("[companyName]");
    await source.fill("Join(");
    await press("Save");
    await says("Nothing was saved");
    await source.fill(before);
  }
  await press("Save");
  if (kind === "Users") {
    await says("1 attribute is no longer written");
    await press("Save");
  }
  await says("Saved.");
  if (kind === "Users") {
    await follow(`Synchronize Azure Active Directory ${kind} to ${APP}`);
    assert.equal(await page.getByLabel("Source of nickName", { exact: true }).inputValue(), "[companyName]");
    assert.equal(await page.getByLabel("Source of title", { exact: true }).inputValue(), "[jobTitle]");
    assert.equal(await page.getByLabel("Remove phoneNumbers[type eq \"mobile\"].value", { exact: true }).count(), 0);
    await page.goBack();
    await page.goto(page.url().replace(/\?.*/, ""));
  }
}
step("mappings");

await follow("Plan");
await press("Plan the next cycle");
await says("What the next initial cycle would do");
await page.locator("summary", { hasText: "create" }).first().click();
step("plan", { counts: (await page.locator(".counts").innerText()).replaceAll("\n", " ") });
places.plan = page.url();

await follow("Provision on demand");
await page.getByLabel("Who").fill("nobody at all");
await press("Explain");
await page.locator("#problem").waitFor();
const candidate = (await (await context.request.get("/directory/groups?q=Dept - Sales")).text()).match(/\/directory\/groups\/([0-9a-f-]{36})/)[1];
await page.getByLabel("Who").fill(candidate);
await press("Explain");
await says("1. Import");
places.demand = page.url();
await press("Provision now");
await page.getByRole("heading", { name: "Steps" }).waitFor();
step("on demand");

await follow("Provisioning");
await page.getByText("On", { exact: true }).click();
await page.getByLabel("Keep requests to the target").selectOption("of every event");
await page.getByLabel("Scope", { exact: true }).selectOption({ label: "Sync only assigned users and groups" });
await press("Save");
await says("Saved.");
step("on");

await follow("Synchronization Details");
const details = page.url();
await page.getByText("succeeded").first().waitFor({ timeout: 60_000 });
step("initial cycle", { cycle: (await page.locator("table tbody tr").first().innerText()).replaceAll("\t", " ") });

await follow("Provisioning logs");
await page.getByLabel("Action").selectOption("create");
await press("Filter");
const first = page.locator("table tbody tr a").first();
const name = await first.innerText();
await first.click();
await page.getByRole("heading", { name: "Steps" }).waitFor();
await page.getByRole("heading", { name: "Modified properties" }).waitFor();
const event = page.url();
step("log", { name });

// Somebody leaves, and whoever looks at the details sees it without reloading.
const lookout = await context.newPage();
watch(lookout);
await lookout.goto(details);
await lookout.evaluate(() => { window.wasHere = true; });
await page.goto("/directory/users?q=a");
await page.locator("table tbody tr", { hasText: "enabled" }).locator("a").first().click();
const person = await page.getByRole("heading", { level: 1 }).innerText();
const user = page.url();
const signIn = await page.getByLabel("Sign-in name").inputValue();
await press("Disable account");
await says("They lose access to 1 application");
await press("Disable account");
await says("The account is disabled.");
const arrived = lookout.locator("#live .lately li", { hasText: "disable" }).first();
await arrived.waitFor({ timeout: 30_000 });
assert.ok(await lookout.evaluate(() => window.wasHere), "the page was not loaded again");
assert.ok((await arrived.innerText()).includes(person), `${await arrived.innerText()} is about ${person}`);
step("disabled", { person, says: (await arrived.innerText()).replaceAll("\n", " ") });

// What a form answers is looked at where it stands.
let found = 0;
async function look(name) {
  for (const scheme of ["light", "dark"]) {
    await page.emulateMedia({ colorScheme: scheme });
    await page.waitForFunction((it) => document.documentElement.dataset.bsTheme === it, scheme);
    await examine(page, name, scheme);
  }
  await page.emulateMedia({ colorScheme: "light" });
}

// What axe finds on a page, and how it looks.
async function examine(at, name, scheme) {
  await at.evaluate(axe);
  const { violations } = await at.evaluate(() => globalThis.axe.run());
  for (const it of violations) {
    found += 1;
    problems.push(`${name}, ${scheme}: ${it.id}: ${it.nodes.slice(0, 3).map((node) => node.html.slice(0, 160)).join(" | ")}`);
  }
  if (!pictures) return;
  await at.screenshot({ path: join(pictures, `${name}-${scheme}-1440.png`), fullPage: true });
  await at.setViewportSize({ width: 390, height: 844 });
  await at.screenshot({ path: join(pictures, `${name}-${scheme}-390.png`), fullPage: true });
  const wide = await at.evaluate(() => document.documentElement.scrollWidth);
  if (wide > 390) problems.push(`${name} is ${wide} wide on a phone`);
  await at.setViewportSize({ width: 1440, height: 900 });
}

const application = details.replace("/details", "");
const text = (locator) => locator.innerText().then((it) => it.replaceAll("\n", " "));

// An expression, with its result for somebody as it is typed.
await page.goto(`${application}/mappings/User`);
await follow("displayName");
await page.getByLabel("For whom").fill(signIn);
await page.getByLabel("Expression", { exact: true }).fill('Jion("-", [displayName])');
await page.locator(".marked mark", { hasText: "Jion" }).waitFor();
await look("expression-wrong");
await page.getByLabel("Expression", { exact: true }).fill('Join("/", [surname], [department])');
await page.locator("#told .trace li").first().waitFor();
assert.match(await text(page.locator("#told .lead")), /“.+\/.+”/);
step("expression", { result: await text(page.locator("#told .lead")) });
await look("expression-result");
await press("Try");
await says("For ");
await follow("Back");

// A scoping filter: who enters and who leaves, then saved, then the version before it.
await follow("Edit the scope");
await page.getByLabel("Attribute").first().fill("department");
await page.getByLabel("Operator").first().selectOption("REGEX MATCH");
await page.getByLabel("Value").first().fill("[");
await press("Who enters, who leaves?");
await page.locator(".problem").first().waitFor();
await look("scope-wrong");
await page.getByLabel("Operator").first().selectOption("EQUALS");
await page.getByLabel("Value").first().fill("Sales");
await press("Who enters, who leaves?");
const crowd = page.locator("#crowd");
step("scope", { says: await text(crowd.locator(".card-body")) });
await look("scope-review");
assert.match(await crowd.locator("strong").nth(2).innerText(), /^[1-9][0-9,]* users$/);
await press("Save");
await says("Saved.");
await says("1 filter with 1 clause");
await page.goto(`${application}/schema`);
await page.getByRole("link", { name: /^What version/ }).first().click();
await page.locator(".diff ins").first().waitFor();
places["schema-changes"] = page.url();
await page.getByRole("link", { name: /^Go back to version/ }).first().click();
await page.getByRole("button", { name: /^Go back to version/ }).click();
await says("Saved.");
const exported = page.waitForEvent("download");
await follow("Export");
const document_ = readFileSync(await (await exported).path(), "utf8");
assert.ok(JSON.parse(document_).synchronizationRules.length > 0);
await page.getByLabel("A schema document").setInputFiles({
  name: "schema.json", mimeType: "application/json",
  buffer: Buffer.from(document_.replace('"flowType": "Always"', '"flowType": "ObjectAddOnly"').replace('"flowType":"Always"', '"flowType":"ObjectAddOnly"')),
});
await press("What would it change?");
await says("What this document changes");
assert.ok((await page.locator(".diff li").count()) > 0, "a difference is told");
await look("schema-import");
step("versions", { rows: await page.locator("table tbody tr").count() });

// Who comes into scope by an assignment, from a file; who leaves without one.
await page.goto(`${application}/users`);
await page.getByLabel("or a file (CSV)").setInputFiles({
  name: "people.csv", mimeType: "text/csv",
  buffer: Buffer.from("name,role\nDept - Marketing,User\nnobody@nowhere.example,User\n"),
});
await press("Who comes into scope?");
await says("Not like this");
step("preview", { says: await text(page.locator("#crowd .card-body")) });
await look("users-preview");
await page.getByRole("button", { name: "Remove Dept - Sales" }).click();
await says("leave Symantec Web Security Service");
await look("ask");
await follow("No, leave it");
await page.goto(`${application}/provisioning`);
await page.getByLabel("Scope", { exact: true }).selectOption("all");
await press("Who enters, who leaves?");
step("scope of all", { says: await text(page.locator("#crowd .card-body")) });
await look("provisioning-scope");

// The directory: a file with a broken line, a group, somebody deleted and restored.
await page.goto("/directory/import");
await page.getByLabel("CSV or JSON Lines").setInputFiles({
  name: "users.csv", mimeType: "text/csv",
  buffer: Buffer.from("userPrincipalName,displayName,accountEnabled\nnew.hire@contoso.example,New Hire,true\nbroken@contoso.example,Broken,perhaps\n"),
});
await press("What would it do?");
await says("What importing users.csv would do");
await look("import-preview");
await page.getByRole("button", { name: /^Import: 1 created/ }).click();
await says("Imported: users.csv");
step("import", { says: await text(page.locator(".counts")) });
await page.goto("/directory/groups");
await page.getByLabel("Name").fill("Project Falcon");
await press("Create");
await says("Created.");
await page.getByLabel("Add a member").fill("new.hire@contoso.example");
await press("Add");
await says("New Hire");
places["group-new"] = page.url();
await follow("New Hire");
await press("Delete");
await says("They can be restored for 30 days");
await page.locator("form button", { hasText: "Delete" }).click();
await says("Deleted. It can be restored");
await page.goto("/directory/deleted");
await look("deleted-one");
await page.getByRole("button", { name: "Restore New Hire" }).click();
await says("Restored,");

// The log: the request and its answer, and everything as a file.
await page.goto(event);
await page.locator("summary", { hasText: "POST" }).first().click();
assert.match(await page.getByLabel(/^As curl/).first().inputValue(), /^curl .*\$TOKEN/);
await look("event-requests");
await page.goto(`${application}/logs`);
await page.locator("summary", { hasText: "Export" }).click();
await look("logs-export");
const csv = page.waitForEvent("download");
await follow("Events (CSV)");
const lines = readFileSync(await (await csv).path(), "utf8").trim().split("\n");
assert.ok(lines[0].startsWith("changeId,") && lines.length > 300, `${lines.length} lines`);
step("export", { lines: lines.length });

// The receiving side: who arrived, what happened, and where it is sent.
await page.goto("/service");
await page.locator("table tbody tr a").first().click();
places.integration = page.url();
await press("Make a link");
await says("The link is shown this once");
assert.match(await page.getByLabel("Setup link", { exact: true }).inputValue(), /\/setup\/\w+/);
await look("setup-link");
await page.goto(places.integration);
await press("New client");
await says("The secret is shown this once");
await look("oauth-client");
await follow("Received users");
places.received = page.url();
await page.locator("table tbody tr a").first().click();
await says("As it was received");
places.resource = page.url();
await page.goto(`${places.integration}/groups`);
await page.locator("table tbody tr a").first().click();
places["received-group"] = page.url();
await follow("Webhooks");
await page.getByLabel("Address").fill("https://hooks.contoso.example/muster");
await press("Add");
await says("The secret is shown this once");
await look("webhook-secret");
places.webhooks = page.url();
await follow("Settings");
await page.getByLabel("Requests a second at most").fill("many");
await press("Save");
await says("is no number");
await page.getByLabel("Requests a second at most").fill("500");
await press("Save");
await says("Saved.");
places["integration-settings"] = page.url();
await follow("Event feed");
assert.match(await page.locator("table tbody tr").first().innerText(), /user\.disabled/);
places.events = page.url();
await follow("Earlier");
await page.locator("table tbody tr", { hasText: "user.updated" }).first().waitFor();
step("received");

// Every page: what axe finds, and how it looks.
Object.assign(places, {
  scope: `${application}/mappings/User/scope`, schema: `${application}/schema`,
  expression: `${application}/mappings/User/expression?target=displayName`,
  deleted: "/directory/deleted", import: "/directory/import",
  home: "/", applications: "/applications", gallery: "/applications/new?q=sym",
  template: "/applications/new/custom", application: details.replace("/details", ""),
  users: details.replace("/details", "/users"), provisioning: details.replace("/details", "/provisioning"),
  mappings: details.replace("/details", "/mappings/User"), details,
  logs: details.replace("/details", "/logs"), "all-logs": "/logs", event, remove: details.replace("/details", "/remove"),
  directory: "/directory/users", groups: "/directory/groups", user, integrations: "/service",
  "new-integration": "/service/new", audit: "/audit", account: "/account",
  missing: "/applications/none",
});
await page.goto("/directory/groups");
await page.locator("table tbody tr a").first().click();
places.group = page.url();
await lookout.close();
for (const scheme of ["light", "dark"]) {
  const looks = await browser.newContext({
    baseURL: base, colorScheme: scheme, viewport: { width: 1440, height: 900 },
    storageState: await context.storageState(),
  });
  const at = await looks.newPage();
  for (const [name, place] of [...Object.entries(places), ["sign-in", "/sign-in"]]) {
    await at.goto(place, { waitUntil: "load" });
    assert.equal(await at.evaluate(() => document.documentElement.dataset.bsTheme), scheme);
    await examine(at, name, scheme);
  }
  await looks.close();
}
step("axe", { pages: Object.keys(places).length + 1, found });
await browser.close();
// What was to be refused: wrong input, and the page that is not there.
const expected = [
  /\/applications\/[0-9a-f-]+\/(users|mappings\/User(\/scope)?|provisioning|demand\?.*|schema): .*status of 400/,
  /\/service\/[0-9a-f-]+\/settings: .*status of 400/,
  /\/applications\/none: .*status of 404/,
];
const left = problems.filter((it) => !expected.some((one) => one.test(it)));
if (left.length > 0) {
  console.error([...new Set(left)].join("\n"));
  process.exit(1);
}
step("end");
