//! A browser without a screen, on the node of a lab.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Child, Stdio},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail, ensure};
use base64::{Engine as _, prelude::BASE64_STANDARD};
use http::Method;
use serde_json::{Value, json};
use steer_tests::{lab::Lab, need};
use tempfile::TempDir;

use crate::webdriver;

/// Where the driver listens.
const PORT: u16 = 9_515;
/// How long it may take until it does.
const STARTS_MAX: Duration = Duration::from_secs(30);

/// It starts nothing that talks with anybody, and keeps nothing.
const FLAGS: [&str; 9] = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-dev-shm-usage",
];

/// A session of a browser.
pub(crate) struct Browser<'a> {
    lab: &'a Lab,
    driver: Child,
    session: String,
    // What it keeps goes when it has ended.
    _profile: TempDir,
}

impl<'a> Browser<'a> {
    /// Starts one.
    pub(crate) fn start(lab: &'a Lab) -> Result<Self> {
        let profile = tempfile::tempdir()?;
        let directory = profile.path().display().to_string();
        let node = lab.node()?;
        let mut command = node.command(need::find("chromedriver")?)?;
        command
            .arg(format!("--port={PORT}"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        let mut this = Self {
            lab,
            driver: command.spawn().context("start chromedriver")?,
            session: String::new(),
            _profile: profile,
        };
        let started = Instant::now();
        while this.ask(Method::GET, "/status", &Value::Null).is_err() {
            ensure!(
                started.elapsed() < STARTS_MAX,
                "chromedriver does not answer"
            );
            thread::sleep(Duration::from_millis(50));
        }
        let mut flags: Vec<String> = FLAGS.map(str::to_owned).to_vec();
        flags.push(format!("--user-data-dir={directory}"));
        let wanted = json!({"capabilities": {"alwaysMatch": {
            "browserName": "chrome",
            "goog:chromeOptions": {"args": flags, "binary": need::find("chromium")?},
            "goog:loggingPrefs": {"browser": "ALL", "performance": "ALL"},
        }}});
        let begun = this.ask(Method::POST, "/session", &wanted)?;
        let session = begun["sessionId"].as_str().context("a session")?;
        this.session = format!("/session/{session}");
        Ok(this)
    }

    fn ask(&self, method: Method, path: &str, body: &Value) -> Result<Value> {
        let node = self.lab.node()?;
        node.in_network(|| webdriver::ask(PORT, method, path, body))
    }

    fn tell(&self, what: &str, body: &Value) -> Result<Value> {
        self.ask(Method::POST, &format!("{}{what}", self.session), body)
    }

    /// Goes there.
    pub(crate) fn open(&self, url: &str) -> Result<()> {
        self.tell("/url", &json!({"url": url})).map(drop)
    }

    /// What a script returns.
    pub(crate) fn run(&self, script: &str) -> Result<Value> {
        self.tell("/execute/sync", &json!({"script": script, "args": []}))
    }

    /// What a script returns, as text.
    pub(crate) fn text(&self, script: &str) -> Result<String> {
        match self.run(script)? {
            Value::String(text) => Ok(text),
            other => Ok(other.to_string()),
        }
    }

    /// Presses keys where the focus is, as a person does.
    pub(crate) fn press(&self, keys: &str) -> Result<()> {
        let strokes: Vec<Value> = keys
            .chars()
            .flat_map(|key| ["keyDown", "keyUp"].map(|kind| json!({"type": kind, "value": key})))
            .collect();
        let keyboard = json!({"type": "key", "id": "keyboard", "actions": strokes});
        self.tell("/actions", &json!({"actions": [keyboard]}))
            .map(drop)
    }

    /// A word of the browser's own protocol.
    fn device(&self, command: &str, parameters: &Value) -> Result<()> {
        let body = json!({"cmd": command, "params": parameters});
        self.tell("/goog/cdp/execute", &body).map(drop)
    }

    /// A window of this size; a phone's may be smaller than a browser lets windows be.
    pub(crate) fn size(&self, width: u32, height: u32) -> Result<()> {
        let phone = width < 600;
        let size =
            json!({"width": width, "height": height, "deviceScaleFactor": 2, "mobile": phone});
        self.device("Emulation.setDeviceMetricsOverride", &size)
    }

    /// As somebody who likes it `dark`, or `light`.
    pub(crate) fn prefer(&self, scheme: &str) -> Result<()> {
        let features = json!([{"name": "prefers-color-scheme", "value": scheme}]);
        self.device("Emulation.setEmulatedMedia", &json!({"features": features}))
    }

    /// Keeps a picture of what is seen.
    pub(crate) fn picture(&self, name: &str) -> Result<()> {
        let path = format!("{}/screenshot", self.session);
        let taken = self.ask(Method::GET, &path, &Value::Null)?;
        let bytes = BASE64_STANDARD.decode(taken.as_str().context("a picture")?)?;
        let directory = pictures();
        fs::create_dir_all(&directory)?;
        fs::write(directory.join(format!("{name}.png")), bytes)?;
        Ok(())
    }

    /// What was logged since the last time: `browser` is the console, `performance` the network.
    pub(crate) fn log(&self, kind: &str) -> Result<Vec<Value>> {
        let found = self.tell("/se/log", &json!({"type": kind}))?;
        match found {
            Value::Array(lines) => Ok(lines),
            other => bail!("a list expected: {other}"),
        }
    }
}

/// Where pictures are kept.
fn pictures() -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).join("dashboard")
}

impl Drop for Browser<'_> {
    fn drop(&mut self) {
        // The driver ends the browser with its session.
        let _ended = self.ask(Method::DELETE, &self.session, &Value::Null);
        let _killed = self.driver.kill();
        let _reaped = self.driver.wait();
    }
}
