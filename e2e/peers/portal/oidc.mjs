// Signs in to the pages elsewhere, by OpenID Connect: somebody who is not known here, then somebody who is, and what
// others try.
//
//   node oidc.mjs WELCOME_LINK

import assert from "node:assert/strict";
import { chromium } from "playwright-core";

const [welcome] = process.argv.slice(2);
const base = new URL(welcome).origin;
const browser = await chromium.launch({
  executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium",
  args: ["--no-sandbox", "--disable-gpu"],
});
const step = (name) => console.log(JSON.stringify({ step: name }));
const press = (page, name) => page.getByRole("button", { name, exact: true }).first().click();

const owner = await browser.newContext({ baseURL: base });
const page = await owner.newPage();
page.setDefaultTimeout(15_000);
await page.goto(welcome);
await page.getByLabel("Name").fill("Ada Quill");
await page.getByLabel("Password", { exact: true }).fill("correct horse battery");
await page.getByLabel("The password once more").fill("correct horse battery");
await press(page, "Begin");
await page.getByRole("heading", { name: "Home" }).waitFor();
step("first administrator");

const other = await browser.newContext({ baseURL: base });
const there = await other.newPage();
there.setDefaultTimeout(15_000);
await there.goto("/directory/users?q=a");
await there.getByRole("link", { name: "Sign in with Contoso" }).click();
await there.getByText("ana@contoso.example may not use these pages").waitFor();
step("unknown");

await page.goto("/account");
await page.getByLabel("Name", { exact: true }).fill("Ana@Contoso.example");
await page.getByLabel("Role", { exact: true }).selectOption("operator");
await press(page, "Add");
await page.getByText("Created.").waitFor();

await there.goto("/directory/users?q=a");
await there.getByRole("link", { name: "Sign in with Contoso" }).click();
await there.getByRole("heading", { name: /^Users/ }).waitFor();
assert.equal(new URL(there.url()).search, "?q=a", "they come to where they wanted to go");
await there.getByText("operator").first().waitFor();
step("known");

// Somebody else's answer, one that is used twice, and one that says no.
const third = await browser.newContext({ baseURL: base });
const planted = await third.newPage();
const tries = [
  "/sign-in/oidc/callback?code=abc&state=def",
  "/sign-in/oidc/callback?code=&state=",
  "/sign-in/oidc/callback",
];
for (const path of tries) {
  const answer = await planted.goto(path);
  assert.equal(answer.status(), 403);
  await planted.getByText("This was begun in another browser").waitFor();
}
const asked = await planted.request.get("/sign-in/oidc", { maxRedirects: 0 });
const state = new URL(asked.headers().location).searchParams.get("state");
assert.ok(state.length > 15);
await planted.goto(`/sign-in/oidc/callback?error=access_denied&state=${state}`);
await planted.getByText("did not let you in: access_denied").waitFor();
await planted.goto(`/sign-in/oidc/callback?code=abc&state=${state}`);
await planted.getByText("This was begun in another browser").waitFor();
const again = await planted.request.get("/sign-in/oidc", { maxRedirects: 0 });
const fresh = new URL(again.headers().location).searchParams.get("state");
await planted.goto(`/sign-in/oidc/callback?code=made-up&state=${fresh}`);
await planted.getByText("Contoso did not let you in").waitFor();
step("refused");
await browser.close();
