//! Dials on command: reads `ADDRESS:PORT COUNT` lines, answers each with the median of the
//! connects and of connect plus first byte, in nanoseconds.

use std::{
    io::{self, BufRead as _, Read as _, Write as _},
    net::{SocketAddr, TcpStream},
    time::Instant,
};

use anyhow::{Context as _, Result};
use nix::sys::socket::{setsockopt, sockopt};

use crate::figures::median;

pub(crate) fn run() -> Result<()> {
    let mut out = io::stdout().lock();
    for line in io::stdin().lock().lines() {
        let line = line?;
        let (target, count) = line.split_once(' ').context("ADDRESS:PORT COUNT")?;
        let (target, count): (SocketAddr, usize) = (target.parse()?, count.parse()?);
        let (mut connects, mut firsts) = (Vec::with_capacity(count), Vec::with_capacity(count));
        for _ in 0..count {
            let started = Instant::now();
            let mut stream =
                TcpStream::connect(target).with_context(|| format!("dial {target}"))?;
            connects.push(started.elapsed().as_nanos() as f64);
            let mut byte = [0];
            stream
                .read_exact(&mut byte)
                .with_context(|| format!("hear from {target}"))?;
            firsts.push(started.elapsed().as_nanos() as f64);
            // Reset instead of TIME_WAIT: ports do not run out.
            let linger = libc::linger {
                l_onoff: 1,
                l_linger: 0,
            };
            setsockopt(&stream, sockopt::Linger, &linger)?;
        }
        writeln!(out, "{} {}", median(&mut connects), median(&mut firsts))?;
        out.flush()?;
    }
    Ok(())
}
