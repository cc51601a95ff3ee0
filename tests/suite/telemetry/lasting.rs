//! Connections that stay open: they count when they open, and their bytes while they last.

use std::{
    io::{BufRead as _, BufReader, Write as _},
    process::{Child, ChildStdin, ChildStdout, Stdio},
};

use anyhow::{Context as _, Result, ensure};
use libtest_mimic::Trial;
use steer_tests::harness::test;

use crate::stage::Stage;

pub(crate) fn tests() -> Vec<Trial> {
    vec![test("lasting::bytes_move_before_the_end", moves)]
}

const SIDES: [&str; 2] = ["source", "destination"];

fn moves() -> Result<()> {
    let stage = Stage::raise("lasting", &["destination-rule.yaml", "route-v1.yaml"], &[])?;
    let mut client = Client::start(&stage)?;
    ensure!(client.next()? == "open", "it connects");
    let sum = |metric: &str, reporter: &str| -> Result<f64> {
        let labels = [
            ("reporter", reporter),
            ("source_workload", "client"),
            ("destination_canonical_revision", "v1"),
        ];
        Ok(stage.scrape()?.sum(metric, &labels))
    };
    for side in SIDES {
        stage.eventually("the connection to count as opened", || {
            Ok(sum("istio_tcp_connections_opened_total", side)? == 1.0)
        })?;
    }
    let lengths = client.next()?;
    let (sent, received) = lengths.split_once(' ').context("two lengths")?;
    let (sent, received): (f64, f64) = (sent.parse()?, received.parse()?);
    for side in SIDES {
        stage.eventually("its bytes to count while it is open", || {
            // The acknowledgement of the last byte, or of the SYN, may count as well.
            Ok(sum("istio_tcp_sent_bytes_total", side)? >= sent - 1.0)
        })?;
        ensure!(
            sum("istio_tcp_connections_closed_total", side)? == 0.0,
            "it is open"
        );
    }
    ensure!(client.next()? == "closed", "it closes");
    for side in SIDES {
        stage.eventually("its end to count", || {
            Ok(sum("istio_tcp_connections_closed_total", side)? == 1.0)
        })?;
        let counted = (
            sum("istio_tcp_sent_bytes_total", side)?,
            sum("istio_tcp_received_bytes_total", side)?,
        );
        ensure!(
            (counted.0 - sent).abs() <= 1.0 && (counted.1 - received).abs() <= 1.0,
            "{side}: {counted:?}, expected {sent} and {received}"
        );
        ensure!(
            sum("istio_tcp_connections_opened_total", side)? == 1.0,
            "it counts once"
        );
    }
    Ok(())
}

/// A client that goes on when it is told to.
pub(crate) struct Client {
    child: Child,
    to: ChildStdin,
    from: BufReader<ChildStdout>,
}

/// It connects; asks, and says how many bytes came and went; closes.
const SCRIPT: &str = r#"
import socket, sys
sys.stdin.readline()
s = socket.create_connection(("10.200.1.92", 80), 10)
print("open", flush=True)
sys.stdin.readline()
request = b"GET /items HTTP/1.1\r\nHost: catalog\r\n\r\n"
s.sendall(request)
answer = s.recv(65536)
print(len(answer), len(request), flush=True)
sys.stdin.readline()
s.close()
print("closed", flush=True)
"#;

impl Client {
    pub(crate) fn start(stage: &Stage) -> Result<Self> {
        let mut command = stage.lab.pod("client")?.command("python3")?;
        command.args(["-c", SCRIPT]);
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        Ok(Self {
            to: child.stdin.take().context("an input")?,
            from: BufReader::new(child.stdout.take().context("an output")?),
            child,
        })
    }

    /// Takes the next step, and says what came of it.
    pub(crate) fn next(&mut self) -> Result<String> {
        self.to.write_all(b"\n")?;
        let mut line = String::new();
        self.from.read_line(&mut line)?;
        Ok(line.trim_end().to_owned())
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ended = self.child.kill();
        let _known = self.child.wait();
    }
}
