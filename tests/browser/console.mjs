// Two officers and a privacy officer at a real browser: from an invitation to a release, by keyboard alone; every page at three widths, light
// and dark, judged by axe; and what goes wrong on purpose. Started by `tests/it/browser.rs`, with the story as its
// argument; it prints a line of JSON where somebody else has to act, and goes on when a line comes back.

import assert from "node:assert/strict";
import { Officer, ask, browser, seen, story } from "./officer.mjs";

const [hana, nikau] = [await Officer.new(story.officers[0].name), await Officer.new(story.officers[1].name)];
const [first, second, third] = story.cases.map((id) => `/cases/${id}`);

// Invitation and passkey, each of them by keyboard.
for (const [officer, { code, name }] of [[hana, story.officers[0]], [nikau, story.officers[1]]]) {
  await officer.open(`/register#${code}`);
  assert.equal(await officer.page.evaluate(() => location.hash), "", "the code stays in the address");
  if (officer === hana) await officer.look("code");
  await officer.go("main button", "/register");
  await officer.says(`You are invited as ${name}`);
  if (officer === hana) await officer.look("register");
  await officer.go("main button", "/register/passkey");
  const change = /changes\/[0-9a-f]{32}/.exec(await officer.page.locator("main").innerText());
  assert.ok(change, "the page names the change");
  if (officer === hana) {
    await officer.look("registered");
    await officer.open("/sign-in");
    await officer.tabTo("main button");
    await officer.page.keyboard.press("Enter");
    await officer.page.waitForSelector(".govuk-error-summary");
    await officer.says("waits for a privacy officer");
    await officer.look("sign-in-too-early");
  }
  await ask({ confirm: change[0] });
}

// Signing in leads back to the page that was asked for.
await hana.open("/cases");
assert.equal(hana.path, "/sign-in");
await hana.look("sign-in");
await hana.recognised(false);
await hana.tabTo("main button");
await hana.page.keyboard.press("Enter");
await hana.page.waitForSelector("[data-trouble]:visible");
await hana.look("sign-in-unrecognised");
await hana.recognised(true);
await hana.open("/sign-in?next=/cases");
await hana.signIn("/cases");
await hana.look("queue");
await hana.page.keyboard.press("Tab");
assert.ok(await hana.page.evaluate(() => document.activeElement.matches(".govuk-skip-link")), "the skip link comes first");
await hana.open("/");
await hana.look("start");
await hana.open("/cases?state=released");
await hana.says("There are no such cases");
await hana.look("queue-empty");
assert.equal((await hana.open("/cases?state=no-such-state")).status(), 400);
await hana.look("queue-strange");
assert.equal((await hana.open(`/cases/${"0".repeat(32)}`)).status(), 404);
await hana.look("missing");

// One case; a value is shown when somebody asks to see it, and not before.
await hana.open("/cases");
await hana.go(`a[href="${first}"]`, first);
for (const value of story.values) await hana.saysNot(value);
await hana.says("Confirms");
await hana.look("case");
await hana.go(`#field-${story.fields[0]} ~ form button`, `${first}/value`);
await hana.says(story.values[0]);
await hana.saysNot(story.values[1]);
await hana.look("case-value");

// What is missing is told, and each message leads to its place.
await hana.open(first);
await hana.go(`a[href="${first}/decide"]`, `${first}/decide`);
await hana.look("decide");
await hana.tabTo("main form button");
await hana.page.keyboard.press("Enter");
await hana.page.waitForSelector(".govuk-error-summary");
assert.match(await hana.page.title(), /^Error: /);
await hana.look("decide-errors");
const links = await hana.page.locator(".govuk-error-summary a").all();
assert.equal(links.length, story.fields.length + 1);
for (const link of links) {
  const target = await link.getAttribute("href");
  await link.press("Enter");
  assert.ok(await hana.page.evaluate((id) => document.activeElement === document.querySelector(id), target), `${target} is not reached`);
}

// A session that ends while somebody types: after signing in again the words are there.
await hana.open(`${first}/decide`);
await hana.choose(`#choice-${story.fields[0]}`);
await hana.choose(`#choice-${story.fields[1]}`);
await hana.type("#reason", "Māui asked twice; the case is well founded.");
const session = (await hana.context.cookies()).find(({ name }) => name === "__Host-onebit");
assert.ok(session.httpOnly && session.secure && session.sameSite === "Strict");
await hana.context.clearCookies({ name: "__Host-onebit" });
await hana.go("main form button", "/sign-in");
await hana.signIn(`${first}/decide`);
await hana.says("What you typed is here again");
assert.equal(await hana.page.inputValue("#reason"), "Māui asked twice; the case is well founded.");
await hana.look("decide-again");
await hana.go("main form button", `${first}/check`);
await hana.says("Māui asked twice; the case is well founded.");
await hana.look("check");

// A passkey that does not recognise its owner signs nothing.
await hana.recognised(false);
await hana.tabTo("main form button");
await hana.page.keyboard.press("Enter");
await hana.page.waitForSelector("[data-trouble]:visible");
await hana.look("check-unrecognised");
await hana.recognised(true);
await hana.open(`${first}/check`);
await hana.go("main form button", `${first}/done`);
await hana.says("Partially approved");
await hana.look("done");
await hana.open(`${first}/decide`);
await hana.says("You have decided this case already");
await hana.look("case-decided");

// The second officer: the release follows.
await nikau.open("/cases");
await nikau.signIn("/cases");
await nikau.go(`a[href="${first}"]`, first);
await nikau.says("Māui asked twice");
await nikau.fillIn(first, [story.fields[0]], "not needed for this", "The family name is enough.");
await nikau.look("check-some");
await nikau.go("main form button", `${first}/done`);
await nikau.says("Released");
await nikau.look("done-released");

// What a fresh sample says is a word, and no number but its quality's.
await hana.open(second);
await hana.says("Inconclusive");
await hana.look("case-inconclusive");
await hana.open(third);
await hana.says("Contradicts");
await hana.look("case-contradicts");

// Two officers at once: one denies what the other is about to sign.
await hana.fillIn(second, story.fields, "", "Well founded.");
await nikau.fillIn(second, [], "not this person", "The hit is of somebody else.");
await nikau.says("You are denying this request");
await nikau.look("check-denial");
await nikau.go("main form button", `${second}/done`);
await nikau.says("Denied");
await hana.tabTo("main form button");
await hana.page.keyboard.press("Enter");
await hana.page.waitForSelector(".govuk-notification-banner");
await hana.says("Your decision was not recorded");
await hana.look("case-changed");

// Signed in another place meanwhile: the page says so, and asks again.
await hana.fillIn(third, story.fields, "", "Well founded.");
const other = await hana.context.newPage();
await other.goto(`${story.origin}${third}/check`);
await other.close();
await hana.tabTo("main form button");
await hana.page.keyboard.press("Enter");
await hana.page.waitForSelector(".govuk-error-summary");
await hana.look("check-again");
await hana.go("main form button", `${third}/done`);

// A privacy officer: what happened is found, read with its proof, and passed on by an address that says nothing.
const wiremu = await Officer.new(story.watcher.name);
await wiremu.join(story.watcher.code);
await wiremu.look("log-start");
await wiremu.go('main a[href="/log"]', "/log");
await wiremu.look("log-search");
await wiremu.tabTo("main form button");
await wiremu.page.keyboard.press("Enter");
await wiremu.page.waitForSelector(".govuk-error-summary");
assert.match(await wiremu.page.title(), /^Error: /);
await wiremu.look("log-search-errors");
for (const link of await wiremu.page.locator(".govuk-error-summary a").all()) {
  const target = await link.getAttribute("href");
  await link.press("Enter");
  assert.ok(await wiremu.page.evaluate((id) => document.activeElement === document.querySelector(id), target), `${target} is not reached`);
}
await wiremu.open("/log");
await wiremu.type("#attribute", "Dis");
await wiremu.type("#value", story.cases[0]);
await wiremu.type("#reason", "Weekly review");
const arrived = wiremu.page.waitForNavigation({ url: (url) => url.pathname.startsWith("/log/searches/") });
await wiremu.tabTo("main form button");
await wiremu.page.keyboard.press("Enter");
await arrived;
const address = wiremu.path;
assert.match(address, /^\/log\/searches\/[0-9]+$/, "the address says more than a number");
await wiremu.says("A partner asked for fields after a hit");
await wiremu.look("log-results");
const entry = await wiremu.page.locator("tbody a").last().getAttribute("href");
await wiremu.go(`tbody a[href="${entry}"]`, entry);
await wiremu.says("It holds");
await wiremu.saysNot("Does not hold");
await wiremu.look("log-entry");
await wiremu.go(`a[href="/log/disclosures/${story.cases[0]}"]`, `/log/disclosures/${story.cases[0]}`);
await wiremu.says("All factors of a disclosure's approval are there");
await wiremu.look("log-timeline");
await wiremu.context.clearCookies({ name: "__Host-onebit" });
await wiremu.open(address);
await wiremu.signIn(address);
await wiremu.says("Why do you read the log?");
await wiremu.look("log-reason");
await wiremu.type("#reason", "Weekly review, again");
await wiremu.go("main form button", address);
await wiremu.says("Weekly review, again");
assert.equal((await wiremu.open("/log/searches/0")).status(), 404);
await wiremu.look("log-missing");

// What people asked for: by keyboard from the list to one that is closed and one that is late.
await wiremu.open("/");
await wiremu.go('.console-navigation a[href="/requests"]', "/requests");
await wiremu.says("time is over");
await wiremu.look("requests");
await wiremu.go('main a[href^="/requests/"]', `/requests/${story.requests[1]}`);
await wiremu.says("R-LATE");
await wiremu.says("Late");
await wiremu.look("request-late");

// What is held of the person who asks, after what is missing was told; nobody of that id; and the reason stands in the log.
const held = `/requests/${story.requests[1]}/held`;
await wiremu.go(`main a[href="${held}"]`, held);
await wiremu.look("held-form");
await wiremu.go("main form button", held);
for (const words of ["Write the person’s id", "Say why you look"]) await wiremu.says(words);
await wiremu.look("held-form-errors");
await wiremu.type("#person", story.person);
await wiremu.type("#why", "R-LATE, passport seen");
await wiremu.go("main form button", held);
for (const words of ["Questions that matched", "Requests and disclosures", "au-border", story.values[0]]) await wiremu.says(words);
await wiremu.look("held");
await wiremu.open(held);
await wiremu.type("#person", "nobody-of-this-id");
await wiremu.type("#why", "R-LATE, passport seen");
await wiremu.go("main form button", held);
await wiremu.says("Nothing is held of a person with this id");
await wiremu.look("held-nobody");

// The same by a fresh sample, after a file that is none was told; and nobody for a stranger's.
await wiremu.open(held);
await wiremu.tabTo("main summary");
await wiremu.page.keyboard.press("Enter");
await wiremu.look("held-form-sample");
await wiremu.attach("#sample", story.samples.none);
await wiremu.type("#quality", "fair");
await wiremu.type("#why", "R-LATE, passport seen");
await wiremu.go("main form button", held);
for (const words of ["Choose the collection", "The file is not a NumPy array", "a whole number from 0 to 100"]) await wiremu.says(words);
await wiremu.look("held-form-sample-errors");
for (const [sample, said] of [["mate", story.values[0]], ["stranger", "The sample matches nobody there"]]) {
  await wiremu.open(held);
  await wiremu.tabTo("main summary");
  await wiremu.page.keyboard.press("Enter");
  await wiremu.type("#collection", "watch");
  await wiremu.attach("#sample", story.samples[sample]);
  await wiremu.type("#quality", "80");
  if (sample === "mate") {
    // What else is missing is told, and that the file has to be chosen again.
    await wiremu.go("main form button", held);
    for (const words of ["Say why you look", "Choose the file again"]) await wiremu.says(words);
    await wiremu.attach("#sample", story.samples.mate);
  }
  await wiremu.type("#why", "R-LATE, passport seen");
  await wiremu.go("main form button", held);
  for (const words of ["A fresh sample, in watch-face", said]) await wiremu.says(words);
  await wiremu.look(`held-by-sample-${sample}`);
}
await wiremu.open(held);
await wiremu.type("#person", story.person);
await wiremu.tabTo("main summary");
await wiremu.page.keyboard.press("Enter");
await wiremu.attach("#sample", story.samples.mate);
await wiremu.type("#why", "R-LATE, passport seen");
await wiremu.go("main form button", held);
await wiremu.says("Give the person’s id or a sample, not both");
assert.equal((await nikau.open(held)).status(), 403);
await wiremu.open("/requests?closed=1");
await wiremu.go('main a[href^="/requests/"]', `/requests/${story.requests[0]}`);
await wiremu.says("An investigation is under way.");
await wiremu.says("Section 53(c)");
await wiremu.look("request-closed");

// Breaches: one that is under way, and one that is opened here, after what is missing was told.
await wiremu.open("/");
await wiremu.go('.console-navigation a[href="/breaches"]', "/breaches");
await wiremu.says("A list went to the wrong address.");
await wiremu.look("breaches");
await wiremu.go(`a[href="/breaches/${story.breach}"]`, `/breaches/${story.breach}`);
await wiremu.says("It was called back.");
await wiremu.says("Assessed: notifiable");
await wiremu.says("41 hours left");
await wiremu.says(`onebit breach notification breaches/${story.breach}`);
await wiremu.look("breach");
await wiremu.open("/breaches");
await wiremu.go('main a[href="/breaches/new"]', "/breaches/new");
await wiremu.look("breach-new");
await wiremu.type("#aware", "yesterday");
await wiremu.go("main form button", "/breaches/new");
for (const words of ["Choose what kind of breach it is", "Say what happened", "Write day and time"]) await wiremu.says(words);
await wiremu.look("breach-new-errors");
await wiremu.choose("#kind");
await wiremu.type("#what", "Somebody looked over a shoulder.");
await wiremu.tabTo("#aware");
await wiremu.page.keyboard.press("Control+A");
await wiremu.page.keyboard.type("2026-01-12 08:00");
await wiremu.tabTo("main form button");
const opened = wiremu.page.waitForNavigation({ url: (url) => /^\/breaches\/[0-9a-f]{32}$/.test(url.pathname) });
await wiremu.page.keyboard.press("Enter");
await opened;
await wiremu.says("Late");
await wiremu.says("onebit breach contain");
await wiremu.look("breach-late");

// What a person is given: one file, opened from a disk.
await wiremu.page.goto(story.report);
await wiremu.says("What is held of you");
await wiremu.says("Section 53(c)");
await wiremu.look("subject-report");
const asked = await wiremu.page.evaluate(() => performance.getEntriesByType("resource").length);
assert.equal(asked, 0, "the report fetches something");

// Beside deciding: a claim, at once; a note, with nothing in it at first, and then in a session that ends.
await nikau.open(third);
await nikau.go("#deed-claim", third);
await nikau.says("You have claimed this case");
await nikau.look("case-claimed");
await nikau.go(`a[href="${third}/deeds/note"]`, `${third}/deeds/note`);
await nikau.look("note");
await nikau.tabTo("main form button");
await nikau.page.keyboard.press("Enter");
await nikau.page.waitForSelector(".govuk-error-summary");
await nikau.says("Enter the note");
await nikau.look("note-error");
await nikau.page.locator(".govuk-error-summary a").press("Enter");
assert.ok(await nikau.page.evaluate(() => document.activeElement.id === "words"), "the message leads to its place");
await nikau.open(`${third}/deeds/note`);
await nikau.type("#words", "The agency was called on Monday.");
await nikau.context.clearCookies({ name: "__Host-onebit" });
await nikau.go("main form button", "/sign-in");
await nikau.signIn(`${third}/deeds/note`);
await nikau.says("What you typed is here again");
assert.equal(await nikau.page.inputValue("#words"), "The agency was called on Monday.");
await nikau.look("note-again");
await nikau.go("main form button", third);
await nikau.says("Your note was kept");
await nikau.says("The agency was called on Monday.");

// Two officers at once: one steps back while the other checks a question; it is checked again.
await nikau.go(`a[href="${third}/deeds/question"]`, `${third}/deeds/question`);
await nikau.type("#words", "Which of the two passports was shown?");
await nikau.go("main form button", `${third}/deeds/question/check`);
await nikau.look("question-check");
await hana.open(`${third}/deeds/recuse`);
await hana.look("recuse");
await hana.type("#words", "The person is a neighbour of mine.");
await hana.go("main form button", `${third}/deeds/recuse/check`);
await hana.go("main form button", third);
await hana.says("You have stepped back from this case");
await hana.look("case-stepped-back");
await nikau.tabTo("main form button");
await nikau.page.keyboard.press("Enter");
await nikau.page.waitForSelector(".govuk-error-summary");
await nikau.says("Check it again");
await nikau.look("question-check-again");
await nikau.go("main form button", third);
await nikau.says("The partner was asked");
await nikau.says("The person is a neighbour of mine.");
await nikau.look("case-asked");
await nikau.open(`${third}/deeds/claim`);
assert.equal(nikau.path, third);

// What else was asked leads there; the filters of the queue stand in its address.
await nikau.open("/cases?state=released");
await nikau.go(`td a[href*="legal-basis="]`, "/cases");
assert.ok(new URL(nikau.page.url()).searchParams.get("legal-basis"), "the address holds the legal basis");
await nikau.look("queue-filtered");

// An examiner names the comparison outside that they rest on.
const examined = await ask({ examiner: true });
const fourth = `/cases/${examined.case}`;
const moana = await Officer.new(examined.name);
await moana.open(`/register#${examined.code}`);
await moana.go("main button", "/register");
await moana.go("main button", "/register/passkey");
const passkey = /changes\/[0-9a-f]{32}/.exec(await moana.page.locator("main").innerText());
await ask({ confirm: passkey[0] });
await moana.open(fourth);
await moana.signIn(fourth);
await moana.saysNot("Show value");
await moana.open(`${fourth}/decide`);
for (const field of story.fields) await moana.choose(`#choice-${field}`);
await moana.type("#reason", "Compared side by side.");
await moana.tabTo("main form button");
await moana.page.keyboard.press("Enter");
await moana.page.waitForSelector(".govuk-error-summary");
await moana.says("Enter the reference of the comparison");
await moana.look("decide-comparison");
await moana.type("#comparison", "FR-2026/113");
await moana.go("main form button", `${fourth}/check`);
await moana.says("FR-2026/113");
await moana.look("check-comparison");
await moana.go("main form button", `${fourth}/done`);
await nikau.open(fourth);
await nikau.says("FR-2026/113");
await nikau.look("case-compared");

// Somebody of another unit is away, whose seat is delegated: the page asks in whose seat one decides.
await nikau.open(`${fourth}/decide`);
await nikau.tabTo("#seat");
await nikau.page.keyboard.press("ArrowDown");
await nikau.says("In that of hemi, of Wellington");
assert.ok(await nikau.page.isChecked("#seat-hemi"), "the seat is chosen by keyboard");
await nikau.look("decide-seat");
for (const field of story.fields) await nikau.choose(`#choice-${field}`);
await nikau.type("#reason", "Hemi is away; compared side by side.");
await nikau.go("main form button", `${fourth}/check`);
await nikau.says("In the seat of");
await nikau.look("check-seat");

// The passkeys of one's own: the end of the one that signed in is the end of the session.
await moana.open("/");
await moana.go('nav a[href="/passkeys"]', "/passkeys");
await moana.says("In use");
await moana.look("passkeys");
const ending = await moana.page.locator('main a[href^="/passkeys/"]').getAttribute("href");
await moana.go(`main a[href="${ending}"]`, ending);
await moana.look("passkey-end");
await moana.tabTo("main form button");
await moana.page.keyboard.press("Enter");
await moana.page.waitForSelector(".govuk-error-summary");
await moana.look("passkey-end-error");
await moana.type("#reason", "The laptop was stolen.");
await moana.go("main form button", "/sign-in");
await moana.tabTo("main button");
await moana.page.keyboard.press("Enter");
await moana.page.waitForSelector(".govuk-error-summary");
await moana.says("This passkey was ended");

// Out again.
await hana.go(".console-link-button", "/sign-in");
assert.ok(!(await hana.context.cookies()).some(({ name }) => name === "__Host-onebit"));
await browser.close();
console.log(JSON.stringify({ pages: seen.size }));
process.exit(0);
