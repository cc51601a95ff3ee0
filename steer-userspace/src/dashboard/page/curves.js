// The lines of a lane: from who asks to the service, and on to who serves. They are drawn where the
// boxes are, as thick as what goes along them.

const SVG = "http://www.w3.org/2000/svg";
const THICK = 14;
const THIN = 1.5;

const thickness = (percent) => THIN + (THICK - THIN) * Math.min(1, Math.max(0, percent / 100));

function middle(box, side, around) {
  const at = box.getBoundingClientRect();
  const x = (side === "right" ? at.right : at.left) - around.left;
  return [x, (at.top + at.bottom) / 2 - around.top];
}

function curve(from, to) {
  const [x1, y1] = from;
  const [x2, y2] = to;
  const bend = (x2 - x1) * 0.5;
  return `M${x1} ${y1}C${x1 + bend} ${y1} ${x2 - bend} ${y2} ${x2} ${y2}`;
}

/** Draws `lines`: {from, to, percent, className, dim}; boxes may have moved. */
export function draw(svg, lines) {
  const around = svg.getBoundingClientRect();
  if (around.width === 0) return;
  while (svg.childElementCount > lines.length) svg.lastElementChild.remove();
  while (svg.childElementCount < lines.length) {
    svg.append(document.createElementNS(SVG, "path"));
  }
  lines.forEach((line, at) => {
    const path = svg.children[at];
    const d = curve(middle(line.from, "right", around), middle(line.to, "left", around));
    if (path.getAttribute("d") !== d) path.setAttribute("d", d);
    const name = `${line.className}${line.dim ? " dim" : ""}`;
    if (path.getAttribute("class") !== name) path.setAttribute("class", name);
    path.style.strokeWidth = `${thickness(line.percent)}px`;
  });
}
