//! Shares and copies, seen by somebody who looks at the page.

use anyhow::Result;

use crate::{
    audit,
    browser::Browser,
    checks::Checks,
    lanes::{CATALOG, ENTER, ESCAPE, ROWS, raise, script},
    stage::{Stage, eventually, step},
};

/// What was is waited for until it has left the window; what is looked at must not leave it before, on a slow
/// machine either.
const WINDOW: &str = "30s";

pub(crate) fn walk() -> Result<()> {
    let stage = raise("page", WINDOW)?;
    let mut checks = Checks::default();
    let browser = Browser::start(&stage.lab)?;
    browser.size(1280, 900)?;
    browser.prefer("light")?;
    browser.open(&stage.url)?;
    shares(&stage, &browser, &mut checks)?;
    details(&browser, &mut checks)?;
    mirror(&stage, &browser, &mut checks)?;
    audit::logs(&browser, &mut checks, &stage.url)?;
    checks.conclude()
}

/// 90 and 10, before and after somebody asks.
fn shares(stage: &Stage, browser: &Browser<'_>, checks: &mut Checks) -> Result<()> {
    let wanted = script("shares('catalog') === 'v1 90%, v2 10%'");
    eventually(browser, "what the rule wants", &wanted)?;
    let muted = browser.text(&script(
        "lane('catalog').querySelectorAll('.wanted').length",
    ))?;
    checks.check(
        "nothing went: the rule's weights are muted",
        muted == "2",
        &muted,
    );
    let measured = script("document.getElementById('window').textContent.startsWith('Rates')");
    eventually(browser, "a second sample", &measured)?;
    stage.ask("client", CATALOG, 100)?;
    let exact = script(
        "lane('catalog').querySelectorAll('.wanted').length === 0 && shares('catalog') === 'v1 90%, v2 10%'",
    );
    eventually(browser, "90 and 10 of connections", &exact)?;
    let seen = browser.text(&script("shares('catalog')"))?;
    checks.check("the split is 90 and 10", seen.contains("v2 10"), &seen);
    // Not part of what is exact: the webapp dials either address of the service, and each has its own turns.
    stage.ask("client", "http://webapp/api/catalog", 20)?;
    let both = script("lane('catalog').querySelectorAll('.source').length === 2");
    eventually(browser, "two that ask", &both)?;
    let depth = browser.text(&script(
        "lane('catalog').querySelector('.depth').textContent",
    ))?;
    checks.check("the depth is told", depth == "auto", &depth);
    let sources = browser.text(&script(
        "[...lane('catalog').querySelectorAll('.source .label')].map((one) => one.textContent).join()",
    ))?;
    checks.check("who asks", sources == "client,webapp", &sources);
    let size = browser.text(&script(
        "parseFloat(getComputedStyle(lane('catalog').querySelector('.share')).fontSize) >= 30",
    ))?;
    checks.check("shares are large", size == "true", &size);
    let lines = browser.text(&script(
        "lane('catalog').querySelectorAll('.curves path').length",
    ))?;
    checks.check("a line for each client and version", lines == "4", &lines);
    let title = browser.text("return document.title")?;
    checks.check("a title", title == "steer", &title);
    audit::look(browser, checks, "light")?;
    browser.picture("1-split")
}

/// The rule behind a service, by keyboard.
fn details(browser: &Browser<'_>, checks: &mut Checks) -> Result<()> {
    browser.run(&script(
        "lane('catalog').querySelector('h3 button').focus()",
    ))?;
    browser.press(ENTER)?;
    eventually(
        browser,
        "details",
        "return document.getElementById('details').open",
    )?;
    let text = browser.text("return document.getElementById('details').innerText")?;
    for word in [
        "catalog.istioinaction.svc.cluster.local",
        "VirtualService istioinaction/catalog, spec.http[0]",
        "virtual-service.yaml:",
        "90% version-v1",
        "10% version-v2",
        "10.10.0.12:3000 istioinaction/catalog-v1",
        "generation 1 in force",
    ] {
        checks.check(&format!("details tell {word}"), text.contains(word), &text);
    }
    audit::look(browser, checks, "details")?;
    browser.picture("2-details")?;
    browser.press(ESCAPE)?;
    let closed = browser.text("return document.getElementById('details').open")?;
    checks.check("Escape closes", closed == "false", &closed);
    let back = browser.text("return document.activeElement.className")?;
    checks.check("the focus returns", back == "service", &back);
    Ok(())
}

/// Copies have no share, and are drawn dashed.
fn mirror(stage: &Stage, browser: &Browser<'_>, checks: &mut Checks) -> Result<()> {
    stage
        .lab
        .configure("virtual-service.yaml", &step("mirror.yaml")?)?;
    let told = script(
        "shares('catalog').includes('v2 copies') || lane('catalog').querySelector('.mirror') !== null",
    );
    eventually(browser, "the mirror's rule", &told)?;
    stage.ask("client", CATALOG, 20)?;
    let copied =
        script("/copies\\/s/.test(lane('catalog').querySelector('.mirror .rate').textContent)");
    eventually(browser, "copies", &copied)?;
    let only = script("shares('catalog') === 'v1 100%, v2 copies'");
    eventually(browser, "the split of before to be over", &only)?;
    stage.ask("client", CATALOG, 10)?;
    let dashed = script("lane('catalog').querySelectorAll('.curves .copies').length === 1");
    eventually(browser, "a dashed line", &dashed)?;
    checks.check("copies are dashed", true, "");
    browser.picture("3-mirror")
}

/// Copies that were made leave the window with their rule.
pub(crate) fn over() -> Result<()> {
    let stage = raise("copies", WINDOW)?;
    let rule = |step: &str| stage.lab.configure("virtual-service.yaml", step);
    rule(&step("mirror.yaml")?)?;
    let browser = Browser::start(&stage.lab)?;
    browser.size(1280, 900)?;
    browser.open(&stage.url)?;
    let told = script("lane('catalog')?.querySelector('.mirror') != null");
    eventually(&browser, "the mirror's rule", &told)?;
    let measured = script("document.getElementById('window').textContent.startsWith('Rates')");
    eventually(&browser, "a second sample", &measured)?;
    browser.run("document.getElementById('as-table').click()")?;
    stage.ask("client", CATALOG, 20)?;
    let copied = format!("return {ROWS}.includes('copies')");
    eventually(&browser, "copies in the table", &copied)?;
    rule(&step("split-90-10.yaml")?)?;
    let clear = format!("return !{ROWS}.includes('copies')");
    eventually(&browser, "the mirror of before to be over", &clear)
}
