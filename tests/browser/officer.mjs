// Somebody of the holder at a real browser: with a passkey, by keyboard alone, who looks at every page at three widths, light and
// dark, and has axe judge it. The story is the script's argument; where somebody else has to act, a line of JSON is printed, and
// the story goes on when a line comes back.

import assert from "node:assert/strict";
import { X509Certificate, createHash } from "node:crypto";
import { mkdirSync, readFileSync } from "node:fs";
import { createInterface } from "node:readline";
import { AxeBuilder } from "@axe-core/playwright";
import { chromium } from "playwright-core";

export const story = JSON.parse(process.argv[2]);
const WIDTHS = [320, 768, 1280];
const COLOURS = ["light", "dark"];
/** More than any page has places to stop at. */
const TABS_MAX = 80;

const lines = createInterface({ input: process.stdin })[Symbol.asyncIterator]();

/** Says what somebody else has to do, and waits until it is done. */
export async function ask(what) {
  console.log(JSON.stringify(what));
  const { value } = await lines.next();
  assert.ok(value, "whoever had to act is gone");
  return JSON.parse(value);
}

/** The server's own key is trusted, and no other: passkeys refuse pages whose certificate is not. */
function trusted() {
  const certificate = new X509Certificate(readFileSync(story.certificate));
  const key = certificate.publicKey.export({ type: "spki", format: "der" });
  return createHash("sha256").update(key).digest("base64");
}

export const browser = await chromium.launch({
  executablePath: story.chromium,
  args: ["--no-sandbox", "--disable-dev-shm-usage", `--ignore-certificate-errors-spki-list=${trusted()}`],
});
mkdirSync(story.pictures, { recursive: true });
/** The names of the pages that were looked at. */
export const seen = new Set();

/** Somebody with a browser and a passkey in it. */
export class Officer {
  static async new(name) {
    const officer = new Officer();
    officer.name = name;
    officer.context = await browser.newContext({ viewport: { width: 1280, height: 900 } });
    officer.page = await officer.context.newPage();
    officer.complaints = [];
    officer.page.on("console", (line) => {
      // A refusal is a page of its own; that the browser notes its status is no fault of the page.
      const isStatus = line.text().startsWith("Failed to load resource: the server responded with a status of");
      if (line.type() === "error" && !isStatus) officer.complaints.push(line.text());
    });
    officer.page.on("pageerror", (error) => officer.complaints.push(String(error)));
    // From the start: a dialog that opens before anybody listens is the browser's own, and waits for a person.
    officer.page.on("filechooser", async (dialog) => {
      await dialog.setFiles(officer.file);
      officer.attached();
    });
    officer.devtools = await officer.context.newCDPSession(officer.page);
    await officer.devtools.send("WebAuthn.enable");
    const { authenticatorId } = await officer.devtools.send("WebAuthn.addVirtualAuthenticator", {
      options: {
        protocol: "ctap2",
        transport: "internal",
        hasResidentKey: true,
        hasUserVerification: true,
        isUserVerified: true,
        automaticPresenceSimulation: true,
      },
    });
    officer.authenticatorId = authenticatorId;
    return officer;
  }

  /** Whether the passkey recognises its owner. */
  async recognised(isUserVerified) {
    const { authenticatorId } = this;
    await this.devtools.send("WebAuthn.setUserVerified", { authenticatorId, isUserVerified });
  }

  async open(path) {
    return this.page.goto(`${story.origin}${path}`);
  }

  get path() {
    return new URL(this.page.url()).pathname;
  }

  /** Moves with the Tab key until this is focused. */
  async tabTo(selector) {
    for (let tabs = 0; tabs < TABS_MAX; tabs += 1) {
      await this.page.keyboard.press("Tab");
      if (await this.page.evaluate((wanted) => document.activeElement?.matches(wanted) ?? false, selector)) return;
    }
    assert.fail(`\`${selector}\` can't be reached by the Tab key on ${this.path}`);
  }

  /** Reaches this with the Tab key, presses Enter, and waits for the page behind it. */
  async go(selector, path) {
    await this.tabTo(selector);
    await this.visible(selector);
    const arrived = this.page.waitForNavigation({ url: (url) => url.pathname === path });
    await this.page.keyboard.press("Enter");
    await arrived;
  }

  /** Whoever moves by keyboard sees where they are. */
  async visible(selector) {
    const outlined = await this.page.evaluate(() => {
      const style = getComputedStyle(document.activeElement);
      return style.outlineStyle !== "none" || style.boxShadow !== "none";
    });
    assert.ok(outlined, `the focus can't be seen on \`${selector}\``);
  }

  async type(selector, words) {
    await this.tabTo(selector);
    await this.page.keyboard.type(words);
  }

  /** Reaches a field for files with the Tab key, opens it by Enter, and chooses a file. */
  async attach(selector, path) {
    await this.tabTo(selector);
    this.file = path;
    const attached = new Promise((resolve) => (this.attached = resolve));
    await this.page.keyboard.press("Enter");
    await attached;
  }

  async choose(selector) {
    await this.tabTo(selector);
    await this.page.keyboard.press("Space");
  }

  /** Looks at the page at every width, light and dark. */
  async look(name) {
    const { page } = this;
    assert.ok(!seen.has(name), `there are two pages named \`${name}\``);
    seen.add(name);
    for (const colorScheme of COLOURS) {
      await page.emulateMedia({ colorScheme, media: "screen" });
      for (const width of WIDTHS) {
        await page.setViewportSize({ width, height: 900 });
        const where = `${name} at ${width} px, ${colorScheme}`;
        const wide = await page.evaluate(() => document.documentElement.scrollWidth);
        assert.ok(wide <= width, `${where}: the page is ${wide} px wide and moves sideways`);
        await page.screenshot({ path: `${story.pictures}/${name}-${width}-${colorScheme}.png`, fullPage: true, caret: "initial" });
        const { violations } = await new AxeBuilder({ page }).setLegacyMode(true).analyze();
        const told = violations.map(({ id, help, nodes }) => `${id}: ${help}: ${nodes.map((node) => node.html).join(" | ")}`);
        assert.deepEqual(told, [], where);
      }
    }
    // 400 % of 1280 px, as browsers zoom: 320 px of layout, four device pixels each.
    await this.devtools.send("Emulation.setDeviceMetricsOverride", { width: 320, height: 225, deviceScaleFactor: 4, mobile: false });
    const zoomed = await page.evaluate(() => document.documentElement.scrollWidth);
    assert.ok(zoomed <= 320, `${name} at 400 %: ${zoomed} px wide`);
    await this.devtools.send("Emulation.clearDeviceMetricsOverride");
    await page.emulateMedia({ media: "print", colorScheme: "light" });
    await page.setViewportSize({ width: 794, height: 1123 });
    for (const hidden of [".console-navigation", ".govuk-button", ".govuk-skip-link"]) {
      for (const element of await page.locator(hidden).all()) assert.ok(!(await element.isVisible()), `${hidden} is printed`);
    }
    await page.screenshot({ path: `${story.pictures}/${name}-print.png`, fullPage: true, caret: "initial" });
    await page.emulateMedia({ media: "screen", colorScheme: "light" });
    await page.setViewportSize({ width: 1280, height: 900 });
    for (const trouble of await page.locator("[data-trouble]").all()) {
      assert.equal(await trouble.isVisible(), name.endsWith("unrecognised"), `${name}: the trouble with the passkey`);
    }
    assert.deepEqual(this.complaints, [], `${name}: the browser complains`);
  }

  async says(words) {
    const text = await this.page.locator("main").innerText();
    assert.ok(text.includes(words), `\`${words}\` should be on ${this.path}:\n${text}`);
  }

  async saysNot(words) {
    const text = await this.page.content();
    assert.ok(!text.includes(words), `\`${words}\` should not be on ${this.path}`);
  }

  /** Registers the passkey to which a code invites, and signs in once somebody has confirmed it. */
  async join(code) {
    await this.open(`/register#${code}`);
    await this.go("main button", "/register");
    await this.go("main button", "/register/passkey");
    await ask({ confirm: /changes\/[0-9a-f]{32}/.exec(await this.page.locator("main").innerText())[0] });
    await this.open("/");
    await this.signIn("/");
  }

  async signIn(path) {
    await this.go("main button", path);
  }

  /** From the form to the page that is signed: these fields are released, the others withheld. */
  async fillIn(address, released, withheld, reason) {
    await this.open(`${address}/decide`);
    for (const field of story.fields) {
      if (released.includes(field)) {
        await this.choose(`#choice-${field}`);
      } else {
        await this.tabTo(`#choice-${field}`);
        await this.page.keyboard.press("ArrowRight");
        await this.type(`#why-${field}`, withheld);
      }
    }
    await this.type("#reason", reason);
    await this.go("main button", `${address}/check`);
  }
}
