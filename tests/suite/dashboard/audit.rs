//! What holds for every state of the page: it fits, it can be read, it asks nobody else, it logs nothing.

use anyhow::Result;
use serde_json::Value;

use crate::{browser::Browser, checks::Checks};

/// Texts whose contrast with what is behind them is too low (WCAG AA: 4.5, and 3 for large ones).
const CONTRAST: &str = r"
const channel = (c) => { c /= 255; return c <= 0.03928 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4; };
const luminance = ([r, g, b]) => 0.2126 * channel(r) + 0.7152 * channel(g) + 0.0722 * channel(b);
const colour = (text) => (text.match(/[\d.]+/g) ?? []).map(Number);
const behind = (element) => {
  for (let at = element; at; at = at.parentElement) {
    const found = colour(getComputedStyle(at).backgroundColor);
    if (found.length === 3 || found[3] > 0) return found;
  }
  return [255, 255, 255];
};
const low = new Set();
const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
while (walker.nextNode()) {
  const element = walker.currentNode.parentElement;
  if (!walker.currentNode.textContent.trim() || !element.checkVisibility() || element.closest('.unseen')) continue;
  const style = getComputedStyle(element);
  const [a, b] = [luminance(colour(style.color)), luminance(behind(element))].sort((x, y) => y - x);
  const size = parseFloat(style.fontSize);
  const ratio = (a + 0.05) / (b + 0.05);
  if (ratio < (size >= 24 ? 3 : 4.5)) low.add(`${element.className || element.tagName} ${ratio.toFixed(2)}`);
}
return [...low].join('; ');
";

/// Controls without a name, and lists and tables without one.
const NAMES: &str = r"
const name = (one) => one.getAttribute('aria-label') || one.textContent.trim() || one.labels?.[0]?.textContent.trim()
  || document.getElementById(one.getAttribute('aria-labelledby'))?.textContent.trim() || one.caption?.textContent;
const all = document.querySelectorAll('button, input, select, article, section.group, table, [role], main ul');
return [...all].filter((one) => !name(one) && one.id !== 'notices').map((one) => one.outerHTML.slice(0, 80)).join('; ');
";

/// Looks at the state that is shown, in a window of this size.
pub(crate) fn look(browser: &Browser<'_>, checks: &mut Checks, what: &str) -> Result<()> {
    let wide = browser.text(
        "const root = document.documentElement; return root.scrollWidth > root.clientWidth ? \
         `${root.scrollWidth} of ${root.clientWidth}` : ''",
    )?;
    checks.check(
        &format!("{what}: no horizontal scroll"),
        wide.is_empty(),
        &wide,
    );
    let low = browser.text(CONTRAST)?;
    checks.check(&format!("{what}: contrast"), low.is_empty(), &low);
    let nameless = browser.text(NAMES)?;
    checks.check(&format!("{what}: names"), nameless.is_empty(), &nameless);
    Ok(())
}

/// What the browser logged and asked since the last time.
pub(crate) fn logs(browser: &Browser<'_>, checks: &mut Checks, url: &str) -> Result<()> {
    let console = browser.log("browser")?;
    let texts: Vec<String> = console.iter().map(Value::to_string).collect();
    checks.check("the console is empty", texts.is_empty(), &texts.join("\n"));
    let mut asked = 0;
    let mut elsewhere = Vec::new();
    for line in browser.log("performance")? {
        let text = line["message"].as_str().unwrap_or_default();
        let message: Value = serde_json::from_str(text).unwrap_or_default();
        let message = &message["message"];
        if message["method"] != "Network.requestWillBeSent" {
            continue;
        }
        let to = message["params"]["request"]["url"].as_str();
        let to = to.unwrap_or_default();
        // A new window shows a page of the browser's own.
        if to.starts_with("chrome:") || to.starts_with("data:") {
            continue;
        }
        asked += 1;
        if !to.starts_with(url) {
            elsewhere.push(to.to_owned());
        }
    }
    checks.check(
        "its own files were asked for",
        asked >= 8,
        &asked.to_string(),
    );
    checks.check(
        "nobody else was asked",
        elsewhere.is_empty(),
        &elsewhere.join(", "),
    );
    Ok(())
}
