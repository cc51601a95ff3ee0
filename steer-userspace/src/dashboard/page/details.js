// What is behind a box: its rules and where they stand, endpoints, rates, events.

import { DEPTHS, KINDS, bytes, el, flow, isBusy, key, lately, number, percent, title, version, workload } from "./text.js";

const section = (name, ...children) => el("section", {}, el("h3", {}, name), ...children);

function facts(rows) {
  const shown = rows.filter(([, value]) => value !== null && value !== undefined && value !== "");
  return el("dl", { class: "facts" }, shown.map(([name, value]) => el("div", {}, el("dt", {}, name), el("dd", {}, value))));
}

function rates(of) {
  return facts([
    ["traffic", flow(of)],
    ["errors", of.errors > 0 ? `${number(of.errors)}/s` : "none"],
    ["sent by servers", of.sent > 0 ? bytes(of.sent) : null],
    ["received by servers", of.received > 0 ? bytes(of.received) : null],
    ["a request takes", of.took_ms !== null && of.requests > 0 ? `${number(of.took_ms)} ms` : null],
  ]);
}

function led(to, mark) {
  const name = to.subset ?? to.host;
  const more = to.endpoints_in_all - to.endpoints.length;
  return el(
    "li",
    {},
    el("p", { class: "led" }, el("b", {}, `${percent(to.percent)}%`), ` ${mark}${name}`),
    to.endpoints_in_all === 0 ? el("p", { class: "none" }, "no endpoint: connections are refused") : null,
    el(
      "ul",
      { class: "endpoints" },
      to.endpoints.map((one) => el("li", {}, one)),
      more > 0 ? el("li", {}, `and ${more} more`) : null,
    ),
  );
}

function rule(found) {
  const head = found.object ? [found.object, found.field].filter(Boolean).join(", ") : "the service itself: every endpoint in its turn";
  return el(
    "li",
    { class: "rule" },
    el("p", { class: "object" }, head),
    found.place ? el("p", { class: "place" }, el("code", {}, found.place)) : null,
    found.matches.length > 0 ? el("p", {}, "takes ", el("code", {}, found.matches.join(" or "))) : null,
    found.answers.length > 0 ? el("p", {}, found.answers.join(", ")) : null,
    el(
      "ul",
      { class: "leads" },
      found.leads_to.map((to) => led(to, "")),
      found.mirrors.map((to) => led(to, "copied to ")),
    ),
  );
}

function routes(lane) {
  return lane.routes.map((route) => {
    const whose = route.client === "*" ? "" : ` for ${route.client}`;
    const depth = route.auto ? `auto, now ${route.depth}` : route.depth;
    return section(
      `Port ${route.port}, ${route.protocol || "TCP"}${whose}`,
      el("p", { class: "note" }, el("span", { class: "depth" }, depth), ` ${DEPTHS[route.auto ? "auto" : route.depth] ?? ""}`),
      el("ul", { class: "rules" }, route.rules.map(rule)),
    );
  });
}

function paths(lane) {
  if (lane.paths.length === 0) return null;
  const rows = lane.paths.map((path) => {
    const source = lane.sources[path.source].node;
    const to = lane.versions[path.version].node;
    return el(
      "tr",
      {},
      el("td", {}, workload(source)),
      el("td", {}, version(to, lane)),
      el("td", { class: "figure" }, path.share === null ? "–" : `${percent(path.share)}%`),
      el("td", { class: "figure" }, isBusy(path.flow) ? flow(path.flow) : "quiet"),
    );
  });
  const head = ["From", "To", "Share", "Traffic"].map((name) => el("th", { scope: "col" }, name));
  return section("Who gets whom", el("table", { class: "small" }, el("thead", {}, el("tr", {}, head)), el("tbody", {}, rows)));
}

function said(event) {
  const peer = event.name ?? event.address;
  const pod = event.pod ? `${event.pod.namespace}/${event.pod.name}` : "somebody";
  switch (event.event) {
    case "refused":
      return `${pod} was refused ${peer}:${event.port} (${event.reason.replaceAll("_", " ")})`;
    case "would_refuse":
      return `${pod} would have been refused ${peer}:${event.port}`;
    case "reconfigured":
      return `generation ${event.generation} in force: ${event.services_changed} services changed`;
    case "configuration_refused":
      return `not applied, generation ${event.generation} stays in force: ${event.reasons.join("; ")}`;
    case "learned":
      return `${event.answers} DNS answers taught names`;
    case "mirrored":
      return `${event.answered} copies answered, ${event.lost} lost`;
    case "split_changed":
      return `${event.host}:${event.port} for ${event.client} is split by ${event.by}`;
    default:
      return event.event.replaceAll("_", " ");
  }
}

function events(all, concerns) {
  const found = [];
  for (const event of all.filter(concerns).reverse()) {
    const text = said(event);
    const last = found.at(-1);
    if (last?.text === text) last.times += 1;
    else found.push({ event, text, times: 1 });
  }
  if (found.length === 0) return null;
  const rows = found.slice(0, 12).map(({ event, text, times }) =>
    el("li", { class: event.event }, el("time", { datetime: event.time }, new Date(event.time).toLocaleTimeString()), ` ${text}`, times > 1 ? el("span", { class: "times" }, ` ${times} times`) : null),
  );
  return section("Last events", el("ul", { class: "events" }, rows));
}

const REFUSED = () =>
  el("p", { class: "note" }, "No rule allows it. ", el("code", {}, "steer learn"), " writes the ServiceEntry that would; ", el("code", {}, "steer explain"), " says why it was refused.");

const isGeneral = (event) => !event.pod;

function ofService(lane, shown) {
  const refused = lane.kind === "refused";
  const concerns = (event) => (refused ? (event.name ?? event.address) === lane.host : isGeneral(event));
  return [
    facts([
      ["host", lane.host],
      ["namespace", lane.namespace],
    ]),
    refused ? REFUSED() : rates(lane.flow),
    refused
      ? section("Why", el("ul", { class: "plain" }, lane.refusals.map((one) => el("li", {}, `${workload(one.source)}: port ${one.port}, ${one.reason.replaceAll("_", " ")}, ${one.count} ${lately(shown.picture)}`))))
      : null,
    ...routes(lane),
    paths(lane),
    events(shown.events, concerns),
  ];
}

function ofSource(node, shown) {
  const lanes = shown.picture.lanes.filter((lane) => lane.sources.some((one) => key(one.node) === key(node)));
  const asks = lanes.map((lane) => {
    const of = lane.sources.find((one) => key(one.node) === key(node)).flow;
    return el("li", { class: lane.kind }, `${title(lane)}: ${lane.kind === "refused" ? `${number(of.connections)} refused/s` : flow(of)}`);
  });
  const concerns = (event) => event.pod?.namespace === node.namespace && event.pod.name.startsWith(node.workload);
  return [
    facts([
      ["workload", node.workload],
      ["namespace", node.namespace],
      ["version", node.version],
    ]),
    section("Asks for", el("ul", { class: "plain" }, asks)),
    events(shown.events, concerns),
  ];
}

function ofVersion(lane, found) {
  const led = lane.routes.flatMap((route) => route.rules.flatMap((one) => one.leads_to.concat(one.mirrors)));
  const own = led.filter((to) => to.workloads.some((node) => key(node) === key(found.node)));
  const endpoints = [...new Set(own.flatMap((to) => to.endpoints))];
  return [
    facts([
      ["workload", found.node.workload],
      ["namespace", found.node.namespace],
      ["share", found.share === null ? "nothing went" : `${percent(found.share)}%`],
      ["the rule says", found.wanted === null ? null : `${percent(found.wanted)}%`],
      ["gets copies", found.is_mirror ? "yes" : null],
    ]),
    rates(found.flow),
    endpoints.length > 0 ? section("Endpoints", el("ul", { class: "endpoints" }, endpoints.map((one) => el("li", {}, one)))) : null,
    ...routes(lane),
  ];
}

/** Kind, title and contents of what was chosen; none if it is gone. */
export function details(chosen, shown) {
  const lane = shown.picture.lanes.find((one) => one.kind === chosen.lane.kind && one.host === chosen.lane.host);
  if (!lane) return null;
  if (chosen.source) {
    const source = lane.sources.find((one) => key(one.node) === chosen.source);
    return source && { kind: "Client", title: workload(source.node), body: ofSource(source.node, shown) };
  }
  if (chosen.version) {
    const found = lane.versions.find((one) => key(one.node) === chosen.version);
    return found && { kind: `Version of ${title(lane)}`, title: version(found.node, lane), body: ofVersion(lane, found) };
  }
  return { kind: KINDS[lane.kind], title: title(lane), body: ofService(lane, shown) };
}
