// The main path of the tutorial by keyboard alone, with script or without it: no mouse, no shortcut past a form.
//
//   node keyboard.mjs WELCOME_LINK script|plain

import assert from "node:assert/strict";
import { chromium } from "playwright-core";

const [welcome, mode] = process.argv.slice(2);
const base = new URL(welcome).origin;
const APP = "Symantec Web Security Service";
const browser = await chromium.launch({
  executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium",
  args: ["--no-sandbox", "--disable-gpu"],
});
const context = await browser.newContext({ baseURL: base, javaScriptEnabled: mode === "script" });
const page = await context.newPage();
page.setDefaultTimeout(15_000);
const step = (name) => console.log(JSON.stringify({ step: name, mode }));
const says = (text) => page.getByText(text).first().waitFor();

// Goes there with the tabulator, as whoever has no mouse, and must be able to see where it is.
async function to(target) {
  await target.waitFor();
  for (let tabs = 0; tabs < 250; tabs += 1) {
    if (await target.evaluate((it) => it === document.activeElement)) {
      const outline = await target.evaluate((it) => {
        const style = getComputedStyle(it.matches(".btn-check") ? it.nextElementSibling : it);
        return style.outlineStyle === "solid" && Number.parseFloat(style.outlineWidth) >= 2;
      });
      assert.ok(outline, `the focus can be seen at ${target}`);
      return;
    }
    await page.keyboard.press("Tab");
  }
  assert.fail(`no way by keyboard to ${target}`);
}
async function press(role, name) {
  await to(page.getByRole(role, { name, exact: true }).first());
  await page.keyboard.press("Enter");
}
async function write(label, text) {
  await to(page.getByLabel(label, { exact: true }).first());
  await page.keyboard.press("Control+A");
  await page.keyboard.type(text);
}
const read = (label) => page.getByLabel(label, { exact: true }).inputValue();

await page.goto(welcome);
await write("Name", "Ada Quill");
await write("Password", "correct horse battery");
await write("The password once more", "correct horse battery");
await press("button", "Begin");
await page.getByRole("heading", { name: "Home" }).waitFor();
// The first stop leads past the navigation.
await page.keyboard.press("Tab");
assert.equal(await page.evaluate(() => document.activeElement.textContent), "Skip to the content");
step("first administrator");

await press("link", "Service");
await press("link", "+ New Integration");
await press("button", "Create");
const [url, token] = [await read("SCIM URL"), await read("Token")];
step("integration");

await press("link", "Enterprise applications");
await press("link", "New application");
await write("Search the gallery", APP);
await page.keyboard.press("Enter");
await press("link", APP);
await press("button", "Add");
await says("The application was added.");
step("application");

await press("link", "Users and groups");
await write("Users and groups", "Dept - Engineering");
await to(page.getByLabel("Select a role"));
await page.keyboard.type("User");
await press("button", "Assign");
await says("Assigned.");
step("assigned");

await press("link", "Provisioning");
await write("Tenant URL", url);
await write("Secret Token", token);
await press("button", "Test Connection");
await says("The connection works");
await write("Notification Email", "ops@contoso.example");
await to(page.getByLabel("Send an email notification when a failure occurs"));
await page.keyboard.press("Space");
await to(page.locator("#off"));
await page.keyboard.press("ArrowLeft");
assert.ok(await page.locator("#on").isChecked());
await to(page.getByLabel("Scope"));
await page.keyboard.type("Sync only");
await press("button", "Save");
await says("Saved.");
step("on");

for (const kind of ["Users", "Groups"]) {
  await press("link", `Synchronize Azure Active Directory ${kind} to ${APP}`);
  await press("button", "Save");
  await says("Saved.");
}
step("mappings");

await press("link", "Synchronization Details");
for (let times = 0; (await page.getByText("succeeded").count()) === 0; times += 1) {
  assert.ok(times < 60, "the cycle does not end");
  await page.waitForTimeout(500);
  if (mode === "plain") await page.reload();
}
step("initial cycle");

await press("link", "Provisioning logs");
await to(page.locator("table tbody tr a").first());
await page.keyboard.press("Enter");
await page.getByRole("heading", { name: "Steps" }).waitFor();
step("log");

await press("button", "Sign out");
await page.getByRole("heading", { name: "Sign in" }).waitFor();
await write("Name", "ada quill");
await write("Password", "correct horse battery");
await press("button", "Sign in");
await page.getByRole("heading", { name: "Home" }).waitFor();
step("end");
await browser.close();
