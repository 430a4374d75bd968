// An officer at a real browser signs in by a real OpenID provider (the package `oidc-provider`), by keyboard: unknown first,
// then known; registers a passkey, and decides. Started by `tests/it/provider_browser.rs`, with the story as its argument; it
// prints a line of JSON where somebody else has to act, and goes on when a line comes back.

import assert from "node:assert/strict";
import { X509Certificate, createHash, generateKeyPairSync } from "node:crypto";
import { mkdirSync, readFileSync } from "node:fs";
import { createServer } from "node:https";
import { createInterface } from "node:readline";
import { AxeBuilder } from "@axe-core/playwright";
import Provider from "oidc-provider";
import { chromium } from "playwright-core";

const story = JSON.parse(process.argv[2]);
/** More than any page has places to stop at. */
const TABS_MAX = 80;
/** How the provider recognises whoever gives a password and a code. */
const STRONG = { acr: "two-factor", amr: ["pwd", "otp"] };
const WEAK = { acr: "password", amr: ["pwd"] };

const lines = createInterface({ input: process.stdin })[Symbol.asyncIterator]();

/** Says what somebody else has to do, and waits until it is done. */
async function ask(what) {
  console.log(JSON.stringify(what));
  const { value } = await lines.next();
  assert.ok(value, "whoever had to act is gone");
  return JSON.parse(value);
}

// Lines on standard output are for whoever started this.
console.info = console.error;

// The provider: its own pages are a form for a name and a code.
const { privateKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });
const provider = new Provider(story.issuer, {
  clients: [
    {
      client_id: "onebit",
      client_secret: story.secret,
      redirect_uris: [`${story.origin}/sign-in/provider/back`],
      post_logout_redirect_uris: [`${story.origin}/sign-in`],
      response_types: ["code"],
      grant_types: ["authorization_code"],
      id_token_signed_response_alg: "ES256",
      token_endpoint_auth_method: "client_secret_basic",
    },
  ],
  jwks: { keys: [{ ...privateKey.export({ format: "jwk" }), kid: "signs", use: "sig", alg: "ES256" }] },
  cookies: { keys: ["a key for the cookies of a test"] },
  acrValues: [STRONG.acr, WEAK.acr],
  claims: { openid: ["sub", "acr", "amr", "auth_time"] },
  pkce: { required: () => true, methods: ["S256"] },
  features: { devInteractions: { enabled: false }, rpInitiatedLogout: { enabled: true } },
  interactions: { url: (_ctx, { uid }) => `/recognise/${uid}` },
  findAccount: (_ctx, id) => ({ accountId: id, claims: () => ({ sub: id }) }),
  loadExistingGrant: async (ctx) => {
    const grant = new ctx.oidc.provider.Grant({ clientId: ctx.oidc.client.clientId, accountId: ctx.oidc.session.accountId });
    grant.addOIDCScope("openid");
    await grant.save();
    return grant;
  },
});
provider.on("server_error", (_ctx, error) => console.error(error));
const answers = provider.callback();
const html = (body) => `<!doctype html><html lang="en"><title>Agency</title><main>${body}</main></html>`;

async function recognise(request, response) {
  if (request.method === "GET") {
    response.setHeader("content-type", "text/html; charset=utf-8");
    response.end(html('<form method="post"><label>Name <input name="name"></label><label>Code <input name="code"></label><button>Go on</button></form>'));
    return;
  }
  let body = "";
  for await (const part of request) body += part;
  const fields = new URLSearchParams(body);
  const login = { accountId: `sub-of-${fields.get("name")}`, ...(fields.get("code") === "123456" ? STRONG : WEAK) };
  await provider.interactionFinished(request, response, { login }, { mergeWithLastSubmission: false });
}

const server = createServer(
  { cert: readFileSync(story.certificate), key: readFileSync(story.key) },
  (request, response) => {
    if (request.url.startsWith("/recognise/")) {
      recognise(request, response).catch((error) => {
        console.error(error);
        response.destroy();
      });
    } else {
      answers(request, response);
    }
  },
);
await new Promise((resolve) => server.listen(Number(new URL(story.issuer).port), "127.0.0.1", resolve));
await ask({ listening: true });

/** The server's own key is trusted, and no other. */
function trusted() {
  const certificate = new X509Certificate(readFileSync(story.certificate));
  return createHash("sha256").update(certificate.publicKey.export({ type: "spki", format: "der" })).digest("base64");
}

const browser = await chromium.launch({
  executablePath: story.chromium,
  args: ["--no-sandbox", "--disable-dev-shm-usage", `--ignore-certificate-errors-spki-list=${trusted()}`],
});
mkdirSync(story.pictures, { recursive: true });
const context = await browser.newContext({ viewport: { width: 1280, height: 900 } });
const page = await context.newPage();
const complaints = [];
page.on("console", (line) => {
  const isStatus = line.text().startsWith("Failed to load resource: the server responded with a status of");
  if (line.type() === "error" && !isStatus && page.url().startsWith(story.origin)) complaints.push(line.text());
});
const devtools = await context.newCDPSession(page);
await devtools.send("WebAuthn.enable");
await devtools.send("WebAuthn.addVirtualAuthenticator", {
  options: {
    protocol: "ctap2",
    transport: "internal",
    hasResidentKey: true,
    hasUserVerification: true,
    isUserVerified: true,
    automaticPresenceSimulation: true,
  },
});

const path = () => new URL(page.url()).pathname;

async function tabTo(selector) {
  for (let tabs = 0; tabs < TABS_MAX; tabs += 1) {
    await page.keyboard.press("Tab");
    if (await page.evaluate((wanted) => document.activeElement?.matches(wanted) ?? false, selector)) return;
  }
  assert.fail(`\`${selector}\` can't be reached by the Tab key on ${page.url()}`);
}

async function go(selector, to) {
  await tabTo(selector);
  const arrived = page.waitForURL((url) => url.pathname.startsWith(to));
  await page.keyboard.press("Enter");
  await arrived;
}

async function says(words) {
  const text = await page.locator("main").innerText();
  assert.ok(text.includes(words), `\`${words}\` should be on ${page.url()}:\n${text}`);
}

let looked = 0;
async function look(name) {
  looked += 1;
  for (const colorScheme of ["light", "dark"]) {
    await page.emulateMedia({ colorScheme });
    for (const width of [320, 1280]) {
      await page.setViewportSize({ width, height: 900 });
      const wide = await page.evaluate(() => document.documentElement.scrollWidth);
      assert.ok(wide <= width, `${name} at ${width} px is ${wide} px wide`);
      await page.screenshot({ path: `${story.pictures}/provider-${name}-${width}-${colorScheme}.png`, fullPage: true });
      const { violations } = await new AxeBuilder({ page }).setLegacyMode(true).analyze();
      assert.deepEqual(violations.map(({ id, help }) => `${id}: ${help}`), [], `${name} at ${width} px, ${colorScheme}`);
    }
  }
  await page.emulateMedia({ colorScheme: "light" });
  assert.deepEqual(complaints, [], `${name}: the browser complains`);
}

/** From the page for signing in over the provider's form and back. */
async function recognised(name, code) {
  await go('main a[href^="/sign-in/provider"]', "/recognise/");
  await tabTo('input[name="name"]');
  await page.keyboard.type(name);
  await tabTo('input[name="code"]');
  await page.keyboard.type(code);
  await go("button", "/sign-in/provider/back");
}

const open = (where) => page.goto(`${story.origin}${where}`);
const address = `/cases/${story.case}`;

// Unknown first; the page says what an administrator needs.
await open(address);
assert.equal(path(), "/sign-in");
await look("sign-in");
await recognised("hana", "123456");
await says("Your account is not known here");
await says("sub-of-hana");
await look("stranger");
await ask({ bind: "sub-of-hana" });

// The provider knows the browser by now, and leads straight back.
await open(address);
await go('main a[href^="/sign-in/provider"]', "/sign-in/provider/back");
await says("You are signed in");
await look("led-on");
await go("main a", address);
assert.equal(path(), address, "strict cookies are sent from our own page");
const cookies = await context.cookies(story.origin);
const mine = cookies.find(({ name }) => name === "__Host-onebit");
assert.ok(mine.secure && mine.httpOnly && mine.sameSite === "Strict");
assert.ok(!cookies.some(({ name }) => name === "__Host-onebit-provider"), "the cookie of the way is gone");

// The address that was come back by does nothing a second time.
await page.goBack();
await page.reload();
await says("is over or was not begun");

// Decisions are signed by a passkey, which the provider's word does not give.
await open("/");
await says("Decisions are signed by a passkey");
await look("home");
await open(`/register#${story.code}`);
await go("main button", "/register");
await says("You are invited as hana");
await tabTo("main button");
await page.keyboard.press("Enter");
await page.waitForURL((url) => url.pathname === "/register/passkey");
const change = /changes\/[0-9a-f]{32}/.exec(await page.locator("main").innerText());
assert.ok(change, "the page names the change");

const decide = async () => {
  await open(`${address}/decide`);
  for (const field of story.fields) {
    await tabTo(`#choice-${field}`);
    await page.keyboard.press("Space");
  }
  await tabTo("#reason");
  await page.keyboard.type("The case is well founded and the fields are needed.");
  await tabTo("main form button");
  await page.keyboard.press("Enter");
  await page.waitForURL((url) => url.pathname === `${address}/check` || url.pathname.startsWith("/sign-in"));
};
await decide();
await says("you have no passkey that was confirmed");
await ask({ confirm: change[0] });
await decide();
await go("main button", `${address}/done`);
await ask({ decided: true });

// Here and there: signing out ends our session, and leads to the provider's own page for it.
await open("/");
await tabTo('form[action="/sign-out"] button');
await page.keyboard.press("Enter");
await page.waitForURL((url) => url.pathname === "/sign-out");
await says("Your session here is over");
await look("signed-out");
await go(`main a[href^="${story.issuer}"]`, "/session/end");
await page.locator('button[name="logout"], button[value="yes"]').first().click();
await page.waitForURL((url) => url.href.startsWith(`${story.origin}/sign-in`));
await open("/");
assert.equal(path(), "/sign-in", "nobody is signed in");

// A password alone is not enough, whoever it is.
await recognised("hana", "");
await says("did not recognise you as strongly");
await open("/");
assert.equal(path(), "/sign-in", "nobody is signed in");

console.log(JSON.stringify({ looked }));
await browser.close();
server.closeAllConnections();
server.close();
lines.return?.();
process.exit(0);
