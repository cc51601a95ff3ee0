// Asks once a second while somebody looks, and shows what is told.

import { details } from "./details.js";
import { Lane } from "./lane.js";
import { fill } from "./table.js";
import { el, isBusy, number, percent, say, title, version, workload } from "./text.js";

const EVERY_MS = 1000;
const NEWS_EVERY_MS = 5000;

const at = (id) => document.getElementById(id);
const lanes = new Map();
const groups = new Map();
let shown = null;
let chosen = null;
let timer = null;
let paused = false;
let told = { text: "", at: 0 };

async function ask() {
  timer = null;
  try {
    const answer = await fetch("/live.json", { cache: "no-store" });
    if (!answer.ok) throw new Error(`the dashboard answers ${answer.status}`);
    shown = await answer.json();
    show(null);
  } catch (error) {
    show(`The dashboard cannot be asked: ${error.message}. It is tried again.`);
  }
  next();
}

function next() {
  if (timer === null && !paused && !document.hidden) timer = setTimeout(ask, EVERY_MS);
}

document.addEventListener("visibilitychange", () => {
  clearTimeout(timer);
  timer = null;
  if (!document.hidden && !paused) ask();
});

function show(problem) {
  notices(problem);
  if (!shown) return;
  const { picture } = shown;
  const measured = picture.seconds > 0;
  const figure = (id, value) => say(at(id), measured ? number(value) : "–");
  figure("connections", picture.whole.connections);
  figure("requests", picture.whole.requests);
  figure("errors", picture.whole.errors);
  figure("refused", picture.refused);
  at("errors-figure").classList.toggle("bad", picture.whole.errors > 0);
  at("refused-figure").classList.toggle("refused", picture.refused > 0);
  say(at("standing"), standing());
  say(at("window"), measured ? `Rates and shares of the last ${Math.round(picture.seconds)} s. steer ${shown.version}` : "Measuring.");
  namespaces(picture.lanes);
  draw();
  news();
}

function standing() {
  const up = shown.agents.filter((agent) => !agent.error);
  const held = up.every((agent) => agent.applied) ? "in force" : "last good configuration in force";
  if (up.length === 0) return "no agent answers";
  if (shown.agents.length === 1) return `${up[0].name}, generation ${up[0].generation}, ${held}`;
  return `${up.length} of ${shown.agents.length} agents, ${held}`;
}

function notices(problem) {
  const lines = problem ? [problem] : [];
  if (shown) {
    for (const agent of shown.agents) {
      if (agent.error) lines.push(`${agent.name}: ${agent.error}`);
      else if (!agent.applied) lines.push(`${agent.name}: what is written is not in force; steer status says why`);
    }
    if (shown.left_out > 0) lines.push(`${shown.left_out} services are not shown: there are too many`);
  }
  const now = lines.join("\n");
  if (at("notices").dataset.shown === now) return;
  at("notices").dataset.shown = now;
  at("notices").replaceChildren(...lines.map((line) => el("p", {}, line)));
}

function namespaces(all) {
  const names = [...new Set(all.map((lane) => lane.namespace).filter(Boolean))].sort();
  const select = at("namespace");
  const now = names.join("\n");
  if (select.dataset.shown === now) return;
  select.dataset.shown = now;
  const before = select.value;
  select.replaceChildren(el("option", { value: "" }, "All namespaces"), ...names.map((name) => el("option", { value: name }, name)));
  select.value = names.includes(before) ? before : "";
}

/** Lanes that the filter lets through. */
function wanted() {
  const words = at("find").value.toLowerCase().split(/\s+/).filter(Boolean);
  const namespace = at("namespace").value;
  const busy = at("busy").checked;
  return shown.picture.lanes.filter((lane) => {
    if (namespace && lane.namespace !== namespace && !lane.sources.some((one) => one.node.namespace === namespace)) return false;
    if (busy && !isBusy(lane.flow) && !lane.sources.some((one) => isBusy(one.flow))) return false;
    if (words.length === 0) return true;
    const texts = [lane.host, lane.namespace, lane.kind, title(lane)];
    texts.push(...lane.sources.map((one) => workload(one.node)), ...lane.versions.map((one) => version(one.node, lane)));
    const text = texts.join(" ").toLowerCase();
    return words.every((word) => text.includes(word));
  });
}

function groupOf(lane) {
  if (lane.kind === "refused") return "Refused";
  if (lane.kind === "service") return lane.namespace || "unknown";
  return "Outside";
}

const LAST = ["Outside", "Refused"];
const order = (name) => `${LAST.indexOf(name) + 1} ${name}`;

function draw() {
  const found = wanted();
  const isTable = at("as-table").getAttribute("aria-pressed") === "true";
  at("graph").hidden = isTable;
  at("table").hidden = !isTable;
  at("nothing").hidden = found.length > 0;
  say(at("nothing"), nothing());
  if (isTable) fill(at("table"), found.toSorted((a, b) => (order(groupOf(a)) < order(groupOf(b)) ? -1 : 1)), shown.picture);
  else graph(found);
  if (chosen) fillDetails();
}

function nothing() {
  if (shown.picture.lanes.length > 0) return "Nothing is like that. Clear the filter to see everything.";
  if (shown.agents.every((agent) => agent.error)) return "No agent can be asked: see above.";
  return "No service, and no traffic yet.";
}

function graph(found) {
  const named = new Map();
  for (const lane of found) {
    const name = groupOf(lane);
    if (!named.has(name)) named.set(name, []);
    named.get(name).push(lane);
  }
  const sorted = [...named.keys()].sort((a, b) => (order(a) < order(b) ? -1 : 1));
  const fresh = new Set();
  place(at("graph"), sorted.map((name) => group(name, named.get(name), fresh)));
  for (const one of lanes.keys()) if (!fresh.has(one)) lanes.delete(one);
  for (const [id, lane] of fresh.size ? found.map((lane) => [`${lane.kind} ${lane.host}`, lane]) : []) {
    lanes.get(id).update(lane);
  }
}

function group(name, all, fresh) {
  if (!groups.has(name)) {
    const list = el("div", { class: "lanes" });
    groups.set(name, { list, element: el("section", { class: "group", "aria-label": name }, el("h2", {}, name), list) });
  }
  const { list, element } = groups.get(name);
  const elements = all.map((lane) => {
    const id = `${lane.kind} ${lane.host}`;
    fresh.add(id);
    if (!lanes.has(id)) lanes.set(id, new Lane(open));
    return lanes.get(id).element;
  });
  place(list, elements);
  return element;
}

/** Children, in order; those that stand right are not touched, so that focus stays. */
function place(parent, children) {
  children.forEach((child, index) => {
    if (parent.children[index] !== child) parent.insertBefore(child, parent.children[index] ?? null);
  });
  while (parent.children.length > children.length) parent.lastElementChild.remove();
}

function open(what) {
  chosen = what;
  fillDetails();
  at("details").showModal();
}

function fillDetails() {
  const found = details(chosen, shown);
  if (!found) return;
  say(at("details-kind"), found.kind);
  say(at("details-title"), found.title);
  const fresh = el("div", {}, found.body);
  const body = at("details-body");
  if (!fresh.isEqualNode(body.firstElementChild)) body.replaceChildren(fresh);
}

at("details").addEventListener("close", () => {
  chosen = null;
  at("details-body").replaceChildren();
});
at("details").addEventListener("click", (event) => {
  // Beside the box.
  if (event.target === at("details")) at("details").close();
});
at("close").addEventListener("click", () => at("details").close());

/** Tells screen readers which shares changed, and not each second. */
function news() {
  const now = performance.now();
  if (now - told.at < NEWS_EVERY_MS) return;
  const parts = shown.picture.lanes
    .filter((lane) => lane.kind !== "refused" && lane.versions.length > 1 && isBusy(lane.flow))
    .map((lane) => {
      const shares = lane.versions.filter((one) => one.share !== null).map((one) => `${version(one.node, lane)} ${percent(Math.round(one.share / 5) * 5)} percent`);
      return `${title(lane)}: ${shares.join(", ")}`;
    });
  if (shown.picture.refused > 0) parts.push("connections are refused");
  const text = parts.slice(0, 5).join(". ");
  if (text === told.text) return;
  told = { text, at: now };
  say(at("news"), text);
}

for (const id of ["find", "namespace", "busy"]) {
  at(id).addEventListener("input", () => shown && draw());
}
document.querySelector("form").addEventListener("submit", (event) => event.preventDefault());

function view(isTable) {
  at("as-table").setAttribute("aria-pressed", String(isTable));
  at("as-graph").setAttribute("aria-pressed", String(!isTable));
  if (shown) draw();
}
at("as-graph").addEventListener("click", () => view(false));
at("as-table").addEventListener("click", () => view(true));
at("pause").addEventListener("click", () => {
  paused = !paused;
  at("pause").setAttribute("aria-pressed", String(paused));
  say(at("pause"), paused ? "Go on" : "Pause");
  clearTimeout(timer);
  timer = null;
  if (!paused) ask();
});
document.addEventListener("keydown", (event) => {
  if (event.key === "/" && document.activeElement === document.body) {
    event.preventDefault();
    at("find").focus();
  }
});

ask();
