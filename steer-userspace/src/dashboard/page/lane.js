// A service: who asks for it on the left, its versions with their shares on the right.

import { draw } from "./curves.js";
import { DEPTHS, el, flow, isBusy, key, number, percent, say, title, version, workload } from "./text.js";

const SOURCES_MAX = 6;

/** What makes the boxes of a lane; while it is the same, only texts change. */
const shape = (lane, all) =>
  JSON.stringify([
    all,
    lane.depth,
    lane.sources.map((source) => key(source.node)),
    lane.versions.map((found) => [key(found.node), found.is_mirror]),
    lane.refusals.map((found) => [found.port, found.reason]),
  ]);

export class Lane {
  constructor(open) {
    this.open = open;
    this.all = false;
    this.svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
    this.svg.setAttribute("class", "curves");
    this.svg.setAttribute("aria-hidden", "true");
    this.element = el("article", { class: "lane" });
    new ResizeObserver(() => this.lines()).observe(this.element);
  }

  update(lane) {
    this.lane = lane;
    const now = shape(lane, this.all);
    if (now !== this.shape) {
      this.shape = now;
      this.build();
    }
    this.tell();
    this.lines();
  }

  build() {
    const { lane } = this;
    const id = `lane-${lane.kind}-${lane.host}`.replace(/[^\w-]/g, "_");
    const shown = this.all ? lane.sources : lane.sources.slice(0, SOURCES_MAX);
    this.sources = shown.map((source) => this.source(source));
    this.versions = lane.versions.map((found, at) => this.version(found, at));
    const more = lane.sources.length - shown.length;
    this.rate = el("span", { class: "rate" });
    this.service = el(
      "button",
      { type: "button", class: "service", onclick: () => this.open({ lane: this.lane }) },
      el("span", { class: "label" }, title(lane)),
      lane.depth ? el("span", { class: "depth", title: DEPTHS[lane.depth] }, lane.depth) : null,
      this.rate,
    );
    const right =
      lane.kind === "refused" ? this.reasons() : el("ul", { class: "versions", "aria-label": "Versions" }, this.versions.map((one) => one.item));
    this.element.className = `lane ${lane.kind}`;
    this.element.setAttribute("aria-labelledby", id);
    this.element.replaceChildren(
      this.svg,
      el(
        "ul",
        { class: "sources", "aria-label": "Who asks" },
        this.sources.map((one) => one.item),
        more > 0 ? el("li", {}, el("button", { type: "button", class: "more", onclick: () => this.showAll() }, `and ${more} more`)) : null,
      ),
      el("h3", { id }, this.service),
      right,
    );
  }

  showAll() {
    this.all = true;
    this.update(this.lane);
  }

  source(source) {
    const what = el("span", { class: "rate" });
    const button = el(
      "button",
      { type: "button", class: "source", onclick: () => this.open({ lane: this.lane, source: key(source.node) }) },
      el("span", { class: "label" }, workload(source.node)),
      what,
    );
    return { item: el("li", {}, button), button, what };
  }

  version(found, at) {
    const share = el("span", { class: "number" });
    const unit = el("span", { class: "unit" }, "%");
    const what = el("span", { class: "rate" });
    const bar = el("span", { class: "bar", "aria-hidden": "true" }, el("i"));
    const sign = el("span", { class: "share" }, share, unit);
    const button = el(
      "button",
      {
        type: "button",
        class: `version tone${at % 5}${found.is_mirror ? " mirror" : ""}`,
        onclick: () => this.open({ lane: this.lane, version: key(found.node) }),
      },
      sign,
      el("span", { class: "label" }, version(found.node, this.lane)),
      what,
      bar,
    );
    return { item: el("li", {}, button), button, sign, share, unit, what, bar: bar.firstChild };
  }

  reasons() {
    const rows = this.lane.refusals.map((found) => {
      const port = found.port ? `port ${found.port}` : "";
      return el("li", {}, el("span", { class: "reason" }, el("b", {}, "refused"), ` ${port} `, el("span", { class: "why" }, found.reason.replaceAll("_", " "))));
    });
    return el("ul", { class: "versions", "aria-label": "Why" }, rows.slice(0, 4));
  }

  tell() {
    const { lane } = this;
    const refused = lane.kind === "refused";
    const total = refused ? lane.sources.reduce((sum, one) => sum + one.flow.connections, 0) : 0;
    say(this.rate, refused ? (total > 0 ? `${number(total)} refused/s` : "not of late") : flow(lane.flow));
    this.element.classList.toggle("quiet", refused ? total === 0 : !isBusy(lane.flow));
    this.sources.forEach((one, at) => {
      const { flow: of } = lane.sources[at];
      say(one.what, refused ? `${number(of.connections)}/s` : flow(of));
    });
    this.versions.forEach((one, at) => this.tellVersion(one, lane.versions[at]));
  }

  tellVersion(one, found) {
    const measured = found.share !== null;
    const shown = measured ? found.share : found.wanted;
    if (found.is_mirror && !(found.share > 0)) {
      say(one.share, "copies");
      say(one.unit, "");
    } else {
      say(one.share, percent(shown));
      say(one.unit, shown === null ? "" : "%");
    }
    one.sign.classList.toggle("word", found.is_mirror && !(found.share > 0));
    one.sign.classList.toggle("wanted", !measured && shown !== null);
    one.bar.style.width = `${measured ? found.share : 0}%`;
    const parts = [];
    if (isBusy(found.flow)) parts.push(flow(found.flow));
    else if (!measured && found.wanted !== null) parts.push("as the rule says");
    else parts.push("quiet");
    if (measured && found.wanted !== null && Math.abs(found.wanted - found.share) >= 1) {
      parts.push(`rule: ${percent(found.wanted)}%`);
    }
    if (found.flow.errors > 0) parts.push(`${number(found.flow.errors)} errors/s`);
    say(one.what, parts.join(" · "));
    one.button.classList.toggle("failing", found.flow.errors > 0);
  }

  lines() {
    if (!this.lane || !this.service || this.svg.clientWidth === 0) return;
    const { lane } = this;
    const whole = lane.sources.reduce((sum, one) => sum + one.flow.connections + one.flow.requests, 0);
    const part = (of) => (whole > 0 ? (100 * (of.connections + of.requests)) / whole : 0);
    const incoming = this.sources.map((one, at) => {
      const of = lane.sources[at].flow;
      return { from: one.button, to: this.service, percent: part(of), className: "in", dim: !isBusy(of) };
    });
    const outgoing = this.versions.map((one, at) => {
      const found = lane.versions[at];
      const copies = found.is_mirror && !(found.share > 0);
      return {
        from: this.service,
        to: one.button,
        // What the rule says, while nothing goes, is told quietly.
        percent: copies ? 12 : (found.share ?? (found.wanted ?? 0) * 0.3),
        className: `tone${at % 5}${copies ? " copies" : ""}`,
        dim: !isBusy(found.flow),
      };
    });
    draw(this.svg, incoming.concat(outgoing));
  }
}
