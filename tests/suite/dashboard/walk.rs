//! Egress on the page, everything that it can look like, and that it says when nobody answers.

use std::{thread, time::Duration};

use anyhow::Result;
use steer_tests::topology::{ELSEWHERE_NAME, OUTSIDE_NAME};

use crate::{
    audit,
    browser::Browser,
    checks::Checks,
    lanes::{CATALOG, ESCAPE, ROWS, raise, script},
    stage::{Stage, eventually, step},
};

/// Long: nothing that is looked at leaves the window meanwhile.
const WINDOW: &str = "60s";

pub(crate) fn walk() -> Result<()> {
    let mut stage = raise("looks", WINDOW)?;
    let mut checks = Checks::default();
    {
        let browser = Browser::start(&stage.lab)?;
        browser.size(1280, 900)?;
        browser.prefer("light")?;
        browser.open(&stage.url)?;
        egress(&stage, &browser, &mut checks)?;
        looks(&stage, &browser, &mut checks)?;
        hidden(&browser, &mut checks)?;
        audit::logs(&browser, &mut checks, &stage.url)?;
    }
    gone(&mut stage, &mut checks)?;
    checks.conclude()
}

/// What is refused has a colour and a reason; what a ServiceEntry allows has another.
fn egress(stage: &Stage, browser: &Browser<'_>, checks: &mut Checks) -> Result<()> {
    stage
        .lab
        .configure("registry-only.yaml", &step("registry-only.yaml")?)?;
    stage
        .lab
        .configure("service-entry.yaml", &step("service-entry.yaml")?)?;
    let outside = script(&format!("lane('{OUTSIDE_NAME}') !== undefined"));
    eventually(browser, "the ServiceEntry's host", &outside)?;
    stage.ask("client", CATALOG, 50)?;
    let (good, bad) = (
        format!("http://{OUTSIDE_NAME}/"),
        format!("http://{ELSEWHERE_NAME}/"),
    );
    stage.ask("forum", &good, 5)?;
    for _ in 0..5 {
        let refused = stage.ask("webapp", &bad, 1).is_err();
        checks.check("it is refused", refused, "it was reached");
    }
    let shown = script(&format!(
        "lane('{ELSEWHERE_NAME}')?.classList.contains('refused') === true"
    ));
    eventually(browser, "the refusal", &shown)?;
    let lane = browser.text(&script(&format!("lane('{ELSEWHERE_NAME}').innerText")))?;
    for word in ["webapp", "refused", "port 80", "not in registry"] {
        checks.check(
            &format!("the refusal tells {word}"),
            lane.contains(word),
            &lane,
        );
    }
    let went = script(&format!(
        "/conn\\/s/.test(lane('{OUTSIDE_NAME}').innerText)"
    ));
    eventually(browser, "traffic outside", &went)?;
    let from = browser.text(&script(&format!("lane('{OUTSIDE_NAME}').innerText")))?;
    checks.check("who goes outside", from.contains("forum"), &from);
    let colours = browser.text(&script(&format!(
        "new Set(['catalog', '{OUTSIDE_NAME}', '{ELSEWHERE_NAME}'].map((title) => \
         getComputedStyle([...lane(title).querySelectorAll('.curves path')].at(-1)).stroke)).size"
    )))?;
    checks.check("each has a colour of its own", colours == "3", &colours);
    let figure = browser.text("return document.getElementById('refused').textContent")?;
    checks.check(
        "the figure of refusals",
        figure != "0" && figure != "–",
        &figure,
    );
    browser.run("window.scrollTo(0, document.body.scrollHeight)")?;
    browser.picture("4-refused")?;
    browser.run(&script(&format!(
        "lane('{ELSEWHERE_NAME}').querySelector('h3 button').click()"
    )))?;
    let text = browser.text("return document.getElementById('details').innerText")?;
    let event = format!("istioinaction/webapp was refused {ELSEWHERE_NAME}:80");
    checks.check("the last events", text.contains(&event), &text);
    browser.picture("4-refused-details")?;
    browser.press(ESCAPE)
}

/// Large and small, dark and light, as a graph and as a table; and the filter.
fn looks(stage: &Stage, browser: &Browser<'_>, checks: &mut Checks) -> Result<()> {
    for (scheme, ground) in [("light", "rgb(247, 247, 245)"), ("dark", "rgb(18, 20, 23)")] {
        browser.prefer(scheme)?;
        for (device, width, height) in [("laptop", 1280, 900), ("phone", 390, 844)] {
            browser.size(width, height)?;
            for view in ["graph", "table"] {
                browser.run(&format!("document.getElementById('as-{view}').click()"))?;
                // Lines are drawn after the boxes.
                thread::sleep(Duration::from_millis(600));
                let what = format!("{device}, {scheme}, {view}");
                audit::look(browser, checks, &what)?;
                browser.picture(&format!("5-{device}-{scheme}-{view}"))?;
            }
            browser.run("document.getElementById('as-graph').click()")?;
        }
        browser.run(&script(
            "lane('catalog').querySelector('h3 button').click()",
        ))?;
        audit::look(browser, checks, &format!("phone, {scheme}, details"))?;
        browser.picture(&format!("5-phone-{scheme}-details"))?;
        browser.press(ESCAPE)?;
        let seen = browser.text("return getComputedStyle(document.body).backgroundColor")?;
        checks.check(&format!("the ground is {scheme}"), seen == ground, &seen);
    }
    browser.size(1280, 900)?;
    browser.run("document.getElementById('as-table').click()")?;
    stage.ask("client", CATALOG, 100)?;
    let told = format!(
        "const rows = {ROWS}; return /client\\tcatalog\\tv1\\t90%/.test(rows) && /client\\tcatalog\\tv2\\t10%/.test(rows)"
    );
    eventually(browser, "the table to have both versions' shares", &told)?;
    let rows = browser.text(&format!("return {ROWS}"))?;
    for word in [
        "webapp\thttpbin.org\trefused: not in registry",
        "forum\tjsonplaceholder.typicode.com\toutside",
    ] {
        checks.check(&format!("the table has {word}"), rows.contains(word), &rows);
    }
    browser.run("document.getElementById('as-graph').click()")?;
    browser.run("document.activeElement.blur()")?;
    browser.press("/cata")?;
    let shown = script(
        "[...document.querySelectorAll('.lane h3 .label')].map((one) => one.textContent).join() === 'catalog'",
    );
    eventually(browser, "one service", &shown)?;
    let value = browser.text("return document.getElementById('find').value")?;
    checks.check("/ leads to the search", value == "cata", &value);
    browser.run("const find = document.getElementById('find'); find.value = ''; find.dispatchEvent(new Event('input'))")?;
    Ok(())
}

/// A page that nobody sees asks nothing.
fn hidden(browser: &Browser<'_>, checks: &mut Checks) -> Result<()> {
    let asked = "performance.getEntriesByType('resource').filter((one) => one.name.endsWith('/live.json')).length";
    let count = || -> Result<u64> {
        let found = browser.run(&format!("return {asked}"))?;
        Ok(found.as_u64().unwrap_or_default())
    };
    browser.run(
        "performance.clearResourceTimings(); \
         Object.defineProperty(document, 'hidden', {get: () => true, configurable: true}); \
         document.dispatchEvent(new Event('visibilitychange'))",
    )?;
    // What was asked before may still be answered.
    thread::sleep(Duration::from_millis(500));
    let before = count()?;
    thread::sleep(Duration::from_secs(3));
    let after = count()?;
    checks.check(
        "hidden, it asks nothing",
        before == after,
        &format!("{before} {after}"),
    );
    browser.run("delete document.hidden; document.dispatchEvent(new Event('visibilitychange'))")?;
    eventually(
        browser,
        "it to ask again",
        &format!("return {asked} > {after}"),
    )
}

/// An agent that has ended is said.
fn gone(stage: &mut Stage, checks: &mut Checks) -> Result<()> {
    stage.stop_agent()?;
    let browser = Browser::start(&stage.lab)?;
    browser.open(&stage.url)?;
    let said = "return document.getElementById('notices').innerText.includes('cannot be reached')";
    eventually(&browser, "the page to say that the agent is gone", said)?;
    let text = browser.text("return document.body.innerText")?;
    checks.check("no agent answers", text.contains("no agent answers"), &text);
    audit::look(&browser, checks, "without an agent")?;
    browser.picture("6-no-agent")
}
