// The same as a table: a row for each client and version.

import { el, flow, lately, number, percent, title, version, workload } from "./text.js";

const HEADS = ["Namespace", "Client", "Service", "Version", "Share", "Rule", "Traffic", "Errors"];

function cells(lane, past) {
  if (lane.kind === "refused") {
    return lane.refusals.map((one) => [
      "",
      workload(one.source),
      title(lane),
      `refused: ${one.reason.replaceAll("_", " ")}`,
      "–",
      "–",
      `port ${one.port}`,
      `${one.count} ${past}`,
    ]);
  }
  const served = new Set(lane.paths.map((path) => path.version));
  const row = (client, found, share, of) => [
    lane.namespace,
    client,
    title(lane),
    version(found.node, lane) + (found.is_mirror ? " (copies)" : ""),
    share === null ? "–" : `${percent(share)}%`,
    found.wanted === null ? "–" : `${percent(found.wanted)}%`,
    flow(of),
    of.errors > 0 ? `${number(of.errors)}/s` : "none",
  ];
  const asked = lane.paths.map((path) => row(workload(lane.sources[path.source].node), lane.versions[path.version], path.share, path.flow));
  const idle = lane.versions.filter((_, at) => !served.has(at)).map((found) => row("–", found, null, found.flow));
  return asked.concat(idle);
}

/** Fills `place`; what has not changed stays. */
export function fill(place, lanes, picture) {
  const rows = lanes.flatMap((lane) => cells(lane, lately(picture)).map((one) => [lane.kind, one]));
  const now = JSON.stringify(rows);
  if (place.dataset.shown === now) return;
  place.dataset.shown = now;
  const head = el("tr", {}, HEADS.map((name) => el("th", { scope: "col" }, name)));
  const body = rows.map(([kind, one]) =>
    el("tr", { class: kind }, one.map((text, at) => (at === 2 ? el("th", { scope: "row", "data-head": HEADS[at] }, text) : el("td", { "data-head": HEADS[at] }, text)))),
  );
  place.replaceChildren(el("table", {}, el("caption", {}, "Who asks for which service, and who serves it"), el("thead", {}, head), el("tbody", {}, body)));
}
