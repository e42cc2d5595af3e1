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
const context = await browser.newContext({ baseURL: base, viewport: { width: 1440, height: 900 } });
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
const says = (text) => page.getByText(text).first().waitFor();

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
await page.getByLabel("Secret Token").fill(token);
await page.getByLabel("Notification Email").fill("ops@contoso.example");
await page.getByLabel("Send an email notification when a failure occurs").check();
await press("Save");
await says("Saved.");
step("credentials");

for (const kind of ["Users", "Groups"]) {
  await follow(`Synchronize Azure Active Directory ${kind} to ${APP}`);
  await page.getByRole("heading", { name: "Attribute Mapping" }).waitFor();
  if (kind === "Users") {
    const source = page.getByLabel("Source of title");
    const before = await source.inputValue();
    await source.fill("Join(");
    await press("Save");
    await says("Nothing was saved");
    await source.fill(before);
  }
  await press("Save");
  await says("Saved.");
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
await page.getByLabel("Scope").selectOption({ label: "Sync only assigned users and groups" });
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
await press("Disable account");
await says("The account is disabled.");
const arrived = lookout.locator("#live li", { hasText: "disable" }).first();
await arrived.waitFor({ timeout: 30_000 });
assert.ok(await lookout.evaluate(() => window.wasHere), "the page was not loaded again");
step("disabled", { person, says: (await arrived.innerText()).replaceAll("\n", " ") });

// Every page: what axe finds, and how it looks.
Object.assign(places, {
  home: "/", applications: "/applications", gallery: "/applications/new?q=sym",
  template: "/applications/new/custom", application: details.replace("/details", ""),
  users: details.replace("/details", "/users"), provisioning: details.replace("/details", "/provisioning"),
  mappings: details.replace("/details", "/mappings/User"), details,
  logs: details.replace("/details", "/logs"), "all-logs": "/logs", event, remove: details.replace("/details", "/remove"),
  directory: "/directory/users", groups: "/directory/groups", user, integrations: "/service",
  "new-integration": "/service/new", integration: `${base}/service`, audit: "/audit", account: "/account",
  missing: "/applications/none",
});
await page.goto("/service");
await page.locator("table tbody tr a").first().click();
places.integration = page.url();
await page.goto("/directory/groups");
await page.locator("table tbody tr a").first().click();
places.group = page.url();
await lookout.close();
let found = 0;
for (const scheme of ["light", "dark"]) {
  const looks = await browser.newContext({
    baseURL: base, colorScheme: scheme, viewport: { width: 1440, height: 900 },
    storageState: await context.storageState(),
  });
  const at = await looks.newPage();
  for (const [name, place] of [...Object.entries(places), ["sign-in", "/sign-in"]]) {
    await at.goto(place, { waitUntil: "load" });
    assert.equal(await at.evaluate(() => document.documentElement.dataset.bsTheme), scheme);
    await at.evaluate(axe);
    const { violations } = await at.evaluate(() => globalThis.axe.run());
    for (const it of violations) {
      found += 1;
      problems.push(`${name}, ${scheme}: ${it.id}: ${it.nodes.slice(0, 3).map((node) => node.html.slice(0, 160)).join(" | ")}`);
    }
    if (pictures) {
      await at.screenshot({ path: join(pictures, `${name}-${scheme}-1440.png`), fullPage: true });
      await at.setViewportSize({ width: 390, height: 844 });
      await at.screenshot({ path: join(pictures, `${name}-${scheme}-390.png`), fullPage: true });
      const wide = await at.evaluate(() => document.documentElement.scrollWidth);
      if (wide > 390) problems.push(`${name} is ${wide} wide on a phone`);
      await at.setViewportSize({ width: 1440, height: 900 });
    }
  }
  await looks.close();
}
step("axe", { pages: Object.keys(places).length + 1, found });
await browser.close();
const expected = /status of 40[0-9]|status of 429/;
const left = problems.filter((it) => !expected.test(it));
if (left.length > 0) {
  console.error([...new Set(left)].join("\n"));
  process.exit(1);
}
step("end");
