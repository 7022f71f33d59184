// index.html in a real browser: search, lineage, themes, narrow and wide, no network, nothing that axe finds serious.
//
// node page.mjs FILE [DIRECTORY FOR PICTURES [hostile]]; CHROMIUM is the browser.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { pathToFileURL } from "node:url";
import { chromium } from "playwright-core";

const [file, pictures] = process.argv.slice(2);
const require = createRequire(import.meta.url);
const axe = readFileSync(require.resolve("axe-core/axe.min.js"), "utf8");
const url = pathToFileURL(file).href;
const browser = await chromium.launch({
  executablePath: process.env.CHROMIUM,
  args: ["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"],
});

/** A page of a width and a theme, that must say nothing and ask nobody. */
async function opened(width, height, colorScheme = "light", options = {}) {
  const context = await browser.newContext({ viewport: { width, height }, colorScheme, reducedMotion: "reduce", ...options });
  const page = await context.newPage();
  const noise = [];
  page.on("console", (message) => noise.push(`${message.type()}: ${message.text()}`));
  page.on("pageerror", (error) => noise.push(`error: ${error.message}`));
  page.on("request", (request) => request.url().split("#")[0] === url || request.url().startsWith("data:") || noise.push(`request: ${request.url()}`));
  await page.goto(url);
  page.quiet = () => assert.deepEqual(noise, []);
  page.picture = async (name, fullPage = false) => pictures && (await page.screenshot({ path: `${pictures}/${name}.png`, fullPage }));
  return page;
}

/** What stands out to the right. */
const overflow = (page) =>
  page.evaluate(() => {
    const width = document.documentElement.clientWidth;
    if (document.documentElement.scrollWidth <= width) return [];
    return [...document.querySelectorAll("body *")]
      .filter((element) => element.getBoundingClientRect().right > width + 1 && !element.closest(".canvas,.scroll,pre,.hits"))
      .map((element) => `${element.tagName} ${element.className} ${element.textContent.slice(0, 40)}`)
      .slice(0, 5)
      .concat(`${document.documentElement.scrollWidth} > ${width}`);
  });

/** Every link leads somewhere, and no name stands twice. */
async function links(page) {
  assert.deepEqual(
    await page.$$eval("a[href^='#']", (all) => all.map((link) => decodeURIComponent(link.getAttribute("href").slice(1))).filter((id) => !document.getElementById(id))),
    [],
  );
  assert.deepEqual(
    await page.$$eval("[id]", (all) => all.map((element) => element.id).filter((id, at, ids) => ids.indexOf(id) !== at)),
    [],
  );
}

async function accessible(page, what) {
  // axe may not run under the page's policy as a script of its own; the debugger's evaluation is not bound by it.
  await page.evaluate(axe);
  const found = await page.evaluate(() => window.axe.run(document, { resultTypes: ["violations"] }));
  const serious = found.violations.filter((it) => ["serious", "critical"].includes(it.impact));
  assert.deepEqual(
    serious.map((it) => `${what}: ${it.id}: ${it.nodes.slice(0, 3).map((node) => `${node.html} ${node.failureSummary}`).join(" | ")}`),
    [],
  );
  for (const it of found.violations) console.log(`${what}: ${it.impact}: ${it.id}: ${it.help} (${it.nodes.length})`);
}

// A page of names and comments that try to break out: they are text, and nothing else.
if (process.argv[4] === "hostile") {
  for (const width of [1600, 360]) {
    const page = await opened(width, 900);
    assert.deepEqual(await overflow(page), []);
    assert.equal(await page.evaluate(() => window.pwned), undefined);
    assert.equal(await page.$$eval("img,iframe,object,embed,form,base", (all) => all.length), 0);
    assert.equal(await page.$$eval("script", (all) => all.length), 2);
    assert.deepEqual(
      await page.$$eval("*", (all) => all.flatMap((it) => [...it.attributes]).filter((it) => /^on/i.test(it.name) || /^\s*javascript:/i.test(it.value)).map((it) => it.name)),
      [],
    );
    await links(page);
    await page.fill("input", "<b>");
    await page.waitForSelector("[role=option]");
    assert.equal(await page.$$eval(".hits b", (all) => all.length), 0);
    await page.keyboard.press("Enter");
    for (const node of await page.$$(".map .node")) await node.evaluate((it) => it.dispatchEvent(new MouseEvent("click", { bubbles: true, cancelable: true })));
    await accessible(page, `hostile ${width}`);
    await page.picture(`hostile-${width}`);
    page.quiet();
  }
  await browser.close();
  console.log("all is well");
  process.exit(0);
}

// A link leads to where it says, however much of the page is laid out only on the way, and whether or not somebody likes motion.
for (const [width, reducedMotion] of [[1600, "no-preference"], [360, "no-preference"], [360, "reduce"]]) {
  const page = await opened(width, 740, "dark", { reducedMotion });
  for (const id of ["recipe:returning", "events", "recipe:daily"]) {
    await page.evaluate((id) => (location.hash = "#" + id), id);
    const top = () => page.evaluate((id) => document.getElementById(id).getBoundingClientRect().top, id);
    await page.waitForFunction((id) => Math.abs(document.getElementById(id).getBoundingClientRect().top - 80) < 20, id, { timeout: 3000 }).catch(async () => assert.fail(`${width}: ${id} is ${await top()} px from the top`));
  }
  await page.picture(`dark-${width}-${reducedMotion}`);
  page.quiet();
}

const wide = await opened(1600, 1000);
assert.deepEqual(await overflow(wide), []);
await wide.picture("wide");
await accessible(wide, "wide");

// Search: by name, by what is written about it, by keyboard.
await wide.keyboard.press("/");
assert.equal(await wide.evaluate(() => document.activeElement.getAttribute("role")), "combobox");
await wide.keyboard.type("entry_sou");
await wide.waitForSelector('[role=option][aria-selected=true]');
assert.match(await wide.textContent('[role=option][aria-selected=true]'), /sessions\.entry_source/);
await wide.picture("search");
await accessible(wide, "search");
await wide.keyboard.press("Enter");
assert.equal(await wide.evaluate(() => location.hash), "#sessions.entry_source");
assert.ok(await wide.isHidden("#hits"));
assert.equal(await wide.evaluate(() => document.activeElement.id), "sessions.entry_source");
await wide.waitForFunction(() => {
  const { top, bottom } = document.getElementById("sessions.entry_source").getBoundingClientRect();
  return top > 40 && bottom < innerHeight;
});
// Its object is picked in the drawing, with all that leads to it and nothing else.
const lit = () => wide.$$eval(".map .node.on", (nodes) => nodes.map((node) => node.dataset.node).sort());
assert.deepEqual(await lit(), ["events", "sessions", "sessions_v1", "sessions_v1_mv"]);
await wide.keyboard.press("/");
await wide.keyboard.type("brought");
await wide.waitForFunction(() => document.querySelectorAll("[role=option]").length > 1);
await wide.keyboard.press("ArrowDown");
assert.equal(await wide.$$eval("[role=option]", (items) => items.findIndex((item) => item.ariaSelected === "true")), 1);
await wide.fill("input", "<img src=x onerror=alert(1)>");
assert.match(await wide.textContent(".hits"), /Nothing/);
await wide.keyboard.press("Escape");
assert.ok(await wide.isHidden("#hits"));

// The drawing: a click shows the ways, a second goes there, Escape lets go.
await wide.evaluate(() => scrollTo(0, 0));
await wide.click('[data-node="sources"]');
assert.deepEqual(await lit(), ["events", "session_days_v1", "session_days_v1_mv", "sessions_v1", "sessions_v1_mv", "sources"]);
assert.match(await wide.textContent(".said"), /^sources: What brought people in/);
await wide.picture("picked");
assert.notEqual(await wide.evaluate(() => location.hash), "#sources");
await wide.click('[data-node="sources"]');
assert.equal(await wide.evaluate(() => location.hash), "#sources");
// The page hears of it a little later.
await wide.evaluate(() => new Promise((done) => requestAnimationFrame(() => setTimeout(done, 50))));
await wide.keyboard.press("Escape");
assert.deepEqual(await lit(), []);
await wide.focus('[data-node="events"]');
await wide.keyboard.press("Enter");
assert.equal((await lit()).length, 7);
await accessible(wide, "picked");

// From a column to where it comes from.
await wide.click('tr[id="sessions.entry_source"] summary');
await wide.click('tr[id="sessions.entry_source"] details a[href="#events.source"]');
assert.equal(await wide.evaluate(() => document.querySelector(":target").id), "events.source");
await wide.picture("column");

await links(wide);

// Dark: by the button, and kept.
const background = (page) => page.evaluate(() => getComputedStyle(document.body).backgroundColor);
const light = await background(wide);
await wide.click(".theme");
assert.notEqual(await background(wide), light);
await wide.reload();
assert.notEqual(await background(wide), light);
await wide.goto(url);
await wide.picture("dark");
await accessible(wide, "dark");
wide.quiet();

const dark = await opened(1600, 1000, "dark");
assert.notEqual(await background(dark), light);
await dark.click(".theme");
assert.equal(await background(dark), light);
dark.quiet();

// A telephone.
const narrow = await opened(360, 740, "light", { hasTouch: true, isMobile: true, deviceScaleFactor: 2 });
assert.deepEqual(await overflow(narrow), []);
await narrow.picture("narrow");
await narrow.evaluate(() => (location.hash = "#sessions"));
await narrow.picture("narrow-object");
await narrow.fill("input", "day");
await narrow.waitForSelector("[role=option]");
assert.deepEqual(await overflow(narrow), []);
await narrow.picture("narrow-search");
await accessible(narrow, "narrow");
await narrow.evaluate(() => document.querySelectorAll("details").forEach((it) => (it.open = true)));
assert.deepEqual(await overflow(narrow), []);
narrow.quiet();

// Without a script everything is there to read; on paper everything is open.
const plain = await opened(1200, 900, "light", { javaScriptEnabled: false });
assert.ok(await plain.isVisible('tr[id="sessions.entry_source"]'));
const print = await opened(900, 1200);
await print.emulateMedia({ media: "print" });
await print.evaluate(() => dispatchEvent(new Event("beforeprint")));
assert.equal(await print.$$eval("main details:not([open])", (all) => all.length), 0);
assert.ok(await print.isHidden(".top"));
await print.picture("print", true);
print.quiet();
for (const [name, id] of [["recipe", "recipe:channels"], ["table", "events"], ["history", "part:history"]]) {
  await dark.evaluate((id) => (location.hash = "#" + id), id);
  await dark.evaluate(() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done))));
  await dark.picture(name);
}

await browser.close();
console.log("all is well");
