//! A hundred services in ten namespaces, and two agents of which one is not there.

use anyhow::Result;

use crate::{
    audit,
    browser::Browser,
    checks::Checks,
    stage::{Stage, eventually},
};

/// Services with two versions each: pods of other nodes.
fn services() -> String {
    let service = |n: usize| {
        let namespace = format!("team-{}", n / 10);
        format!(
            "apiVersion: v1\nkind: Service\nmetadata: {{name: service-{n}, namespace: {namespace}}}\n\
             spec: {{selector: {{app: service-{n}}}, clusterIP: 10.201.0.{}, ports: [{{port: 80, name: http}}]}}\n\
             ---\n{}{}",
            n + 1,
            pod(n, &namespace, 1),
            pod(n, &namespace, 2)
        )
    };
    (0..100).map(service).collect()
}

fn pod(n: usize, namespace: &str, version: usize) -> String {
    format!(
        "apiVersion: v1\nkind: Pod\nmetadata: {{name: service-{n}-v{version}, namespace: {namespace}, \
         labels: {{app: service-{n}, version: v{version}}}}}\nspec: {{containers: []}}\n\
         status: {{podIP: 10.77.{version}.{}, conditions: [{{type: Ready, status: 'True'}}]}}\n---\n",
        n + 1
    )
}

pub(crate) fn crowd() -> Result<()> {
    let text = services();
    let agents = [
        "--agent",
        "http://127.0.0.1:15020",
        "--agent",
        "http://127.0.0.1:15021",
    ];
    let stage = Stage::raise("crowd", &[("crowd.yaml", &text)], &agents)?;
    let mut checks = Checks::default();
    let browser = Browser::start(&stage.lab)?;
    browser.size(1280, 900)?;
    browser.open(&stage.url)?;
    let all = "return document.querySelectorAll('.lane.service').length >= 103";
    eventually(&browser, "a hundred services", all)?;
    let groups = browser.text(
        "return [...document.querySelectorAll('.group h2')].filter((one) => one.textContent.startsWith('team-')).length",
    )?;
    checks.check("a group for each namespace", groups == "10", &groups);
    let notices = browser.text("return document.getElementById('notices').innerText")?;
    checks.check(
        "the agent that is not there is said",
        notices.contains("127.0.0.1:15021") && notices.contains("cannot be reached"),
        &notices,
    );
    let standing = browser.text("return document.getElementById('standing').textContent")?;
    checks.check(
        "how many answer",
        standing.starts_with("1 of 2 agents"),
        &standing,
    );
    audit::look(&browser, &mut checks, "a hundred services")?;
    browser.picture("7-crowd")?;
    stage.ask("client", "http://catalog/items", 20)?;
    let count = "return document.querySelectorAll('.lane').length";
    browser.run("document.getElementById('busy').click()")?;
    eventually(
        &browser,
        "those with traffic alone",
        &format!("{count} === 1"),
    )?;
    browser.run("document.getElementById('busy').click()")?;
    browser.run("const find = document.getElementById('find'); find.value = 'team-4 service-42'; find.dispatchEvent(new Event('input'))")?;
    let found = browser.text(count)?;
    checks.check("the search finds one", found == "1", &found);
    browser.size(390, 844)?;
    audit::look(&browser, &mut checks, "the search on a phone")?;
    browser.picture("8-search-phone")?;
    audit::logs(&browser, &mut checks, &stage.url)?;
    checks.conclude()
}
