//! Connections that stay open: they count when they open, and their bytes while they last.

use std::{
    io::{Read as _, Write as _},
    net::TcpStream,
    time::Duration,
};

use anyhow::{Result, ensure};
use libtest_mimic::Trial;
use steer_tests::{harness::test, topology};

use crate::stage::Stage;

pub(crate) fn tests() -> Vec<Trial> {
    vec![test("lasting::bytes_move_before_the_end", moves)]
}

const SIDES: [&str; 2] = ["source", "destination"];

fn moves() -> Result<()> {
    let stage = Stage::raise("lasting", &["destination-rule.yaml", "route-v1.yaml"], &[])?;
    let mut stream = stage.lab.pod("client")?.in_network(|| {
        let stream = TcpStream::connect(topology::catalog())?;
        stream.set_read_timeout(Some(Duration::from_secs(10)))?;
        Ok(stream)
    })?;
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
    let request = "GET /items HTTP/1.1\r\nHost: catalog\r\n\r\n";
    stream.write_all(request.as_bytes())?;
    let mut answer = [0; 4096];
    let length = stream.read(&mut answer)?;
    #[expect(clippy::cast_precision_loss, reason = "a short answer")]
    let (sent, received) = (length as f64, request.len() as f64);
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
    drop(stream);
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
