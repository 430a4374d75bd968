// A privacy officer in front of a year of simulated traffic: judges an alert and stops whom it is about, looks for an official, leafs on, reads an entry with its proof, and
// what became of a disclosure. Started by `tests/year/browser.rs`.

import assert from "node:assert/strict";
import { Officer, browser, seen, story } from "./officer.mjs";

const wiremu = await Officer.new(story.watcher.name);
await wiremu.join(story.watcher.code);

/** Searches by an attribute, and gives the address of the first page of what was found. */
async function search(attribute, value) {
  await wiremu.open("/log");
  await wiremu.type("#attribute", attribute);
  await wiremu.type("#value", value);
  await wiremu.type("#reason", "An alert");
  const arrived = wiremu.page.waitForNavigation({ url: (url) => url.pathname.startsWith("/log/searches/") });
  await wiremu.tabTo("main form button");
  await wiremu.page.keyboard.press("Enter");
  await arrived;
  return wiremu.path;
}

/** The addresses of the entries on the page. */
async function entries() {
  return wiremu.page.locator('tbody a[href^="/log/"]').evaluateAll((links) => links.map((link) => link.getAttribute("href")));
}

// All that the official asked at night, page after page.
const address = await search("Official", story.official.name);
await wiremu.says(story.official.partner);
await wiremu.look("year-results");
const found = new Set(await entries());
while (await wiremu.page.locator('a[rel="next"]').count()) {
  const arrived = wiremu.page.waitForNavigation();
  await wiremu.page.locator('a[rel="next"]').press("Enter");
  await arrived;
  for (const entry of await entries()) found.add(entry);
}
assert.equal(found.size, story.official.questions, "every question is found, once");
await wiremu.look("year-results-last");

await wiremu.open(address);
const entry = (await entries())[0];
await wiremu.go(`tbody a[href="${entry}"]`, entry);
await wiremu.says("It holds");
await wiremu.says(story.official.name);
await wiremu.look("year-entry");

// What the detectors found: one official with more cases in a night than others have in a day.
await wiremu.open("/log/alerts");
await wiremu.says("One official has more cases in a day than officials of that partner have");
await wiremu.look("year-alerts");
const alert = await wiremu.page.locator("tbody tr", { hasText: story.official.name }).first().locator("a").getAttribute("href");
await wiremu.go(`a[href="${alert}"]`, alert);
await wiremu.says(`Alert about ${story.official.name} of ${story.official.partner}`);
await wiremu.look("year-alert");
await wiremu.go("main form button", alert);
await wiremu.says("Say what came of looking");
await wiremu.says("Say what you found");
await wiremu.look("year-alert-error");
await wiremu.tabTo("#finding");
await wiremu.page.keyboard.press("ArrowUp");
await wiremu.type("#why", "No case stands behind these questions");
await wiremu.tabTo("#stop");
await wiremu.page.keyboard.press("ArrowDown");
await wiremu.go("main form button", alert);
await wiremu.says("Whom you chose is stopped");
await wiremu.says("Misuse");
await wiremu.look("year-alert-judged");

// A breach is opened from it, which names the alert and its entries.
const id = alert.split("/").at(-1);
await wiremu.go(`a[href="/breaches/new?alert=${id}"]`, "/breaches/new");
await wiremu.choose("#kind");
await wiremu.type("#what", "An official looked people up at night without a case.");
await wiremu.tabTo("main form button");
const opened = wiremu.page.waitForNavigation({ url: (url) => /^\/breaches\/[0-9a-f]{32}$/.test(url.pathname) });
await wiremu.page.keyboard.press("Enter");
await opened;
await wiremu.says(`alert ${id}`);
await wiremu.says(`${story.official.partner}/`);
await wiremu.look("year-breach");

// From a disclosure's request to what became of it.
await search("Disclosure", story.disclosure);
const asked = (await entries()).at(-1);
await wiremu.go(`tbody a[href="${asked}"]`, asked);
await wiremu.go(`a[href="/log/disclosures/${story.disclosure}"]`, `/log/disclosures/${story.disclosure}`);
await wiremu.says("All factors of a disclosure's approval are there");
await wiremu.look("year-timeline");

await browser.close();
console.log(JSON.stringify({ pages: seen.size }));
process.exit(0);
