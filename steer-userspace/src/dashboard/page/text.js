// Elements and numbers. Names of others are text, never markup.

/** An element with attributes and children; children that are text stay text. */
export function el(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value === undefined || value === null || value === false) continue;
    if (name.startsWith("on")) made.addEventListener(name.slice(2), value);
    else made.setAttribute(name, value === true ? "" : value);
  }
  made.append(...children.flat().filter((child) => child !== null && child !== undefined));
  return made;
}

/** Changes a text only if it differs: screen readers and layouts stay calm. */
export function say(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

/** 90, 89.7, 0.4. */
export function number(value) {
  if (value === 0) return "0";
  if (value >= 100) return String(Math.round(value));
  if (value >= 9.95) return value.toFixed(1).replace(/\.0$/, "");
  if (value < 0.01) return "<0.01";
  return value.toFixed(value < 0.1 ? 2 : 1).replace(/\.?0+$/, "");
}

/** Of a hundred: whole, unless that would hide something. */
export function percent(value) {
  if (value === null || value === undefined) return "–";
  const whole = Math.round(value);
  if (Math.abs(value - whole) < 0.05) return String(whole);
  return value.toFixed(1);
}

export function rate(value, what) {
  return `${number(value)} ${what}/s`;
}

export function bytes(value) {
  const units = ["B", "kB", "MB", "GB"];
  let at = 0;
  while (value >= 1000 && at < units.length - 1) {
    value /= 1000;
    at += 1;
  }
  return `${number(value)} ${units[at]}/s`;
}

/** What went: connections, requests, or both. */
export function flow(of) {
  const parts = [];
  if (of.requests > 0) parts.push(rate(of.requests, "req"));
  if (of.connections > 0) parts.push(rate(of.connections, "conn"));
  if (of.copies > 0) parts.push(rate(of.copies, "copies"));
  return parts.join(", ") || "quiet";
}

/** Of how long a while counts are. */
export const lately = (picture) => `in the last ${Math.max(1, Math.round(picture.seconds))} s`;

export const isBusy = (of) => of.requests + of.connections + of.copies > 0;

const known = (text) => text && text !== "unknown";

/** What a workload is called. */
export function workload(node) {
  if (known(node.service)) return node.service;
  return known(node.workload) ? node.workload : "unknown";
}

/** Which version serves; of hosts outside there are none. */
export function version(node, lane) {
  if (!known(node.workload)) {
    return lane.kind === "service" ? "unknown" : "outside";
  }
  if (node.service === lane.name) return node.version === "latest" ? node.workload : node.version;
  return node.version === "latest" ? workload(node) : `${workload(node)} ${node.version}`;
}

export const key = (node) => [node.namespace, node.workload, node.service, node.version].join("/");

/** What a lane is called. */
export function title(lane) {
  if (lane.kind === "passthrough") {
    return lane.host === "unknown" ? "of no known service" : "elsewhere, by no rule";
  }
  if (lane.kind === "refused") return lane.name || "others";
  return lane.name;
}

export const KINDS = {
  service: "Service",
  outside: "Host outside",
  passthrough: "Elsewhere",
  refused: "Refused",
};

export const DEPTHS = {
  auto: "Split by connection; by request where clients keep connections open (auto).",
  connect: "Decided when a connection is made.",
  hello: "Decided on the first bytes of a connection.",
  request: "Decided for each request.",
};
