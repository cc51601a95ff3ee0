//! One connection that lives as long as the soak: a byte there and back, again and again.

use std::{
    env,
    io::{Read as _, Write as _, stdin, stdout},
    net::{SocketAddr, TcpStream},
    process::{Child, Stdio},
    sync::mpsc::{TryRecvError, channel},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, ensure};
use serde::{Deserialize, Serialize};
use steer_tests::pod::Pod;

/// How often it beats.
const EVERY: Duration = Duration::from_millis(5);
/// An answer that takes longer is a break.
const ANSWER_MAX: Duration = Duration::from_secs(3);

/// How the connection went.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Told {
    /// Beats that were answered.
    pub(crate) beats: u64,
    /// Why it broke, if it did.
    pub(crate) broke: Option<String>,
    /// The longest time that an answer took.
    pub(crate) longest_ms: u64,
}

/// What runs in the pod: beats until its input ends.
pub(crate) fn run(target: SocketAddr) -> Result<()> {
    let (sender, receiver) = channel::<()>();
    thread::spawn(move || {
        // Ends with the input: the receiver sees that nobody sends any more.
        let _sender = sender;
        let mut rest = Vec::new();
        let _ended = stdin().read_to_end(&mut rest);
    });
    let mut told = Told {
        beats: 0,
        broke: None,
        longest_ms: 0,
    };
    let mut stream = TcpStream::connect(target).context("connect")?;
    stream.set_read_timeout(Some(ANSWER_MAX))?;
    stream.set_nodelay(true)?;
    greeted(&mut stream)?;
    while receiver.try_recv() != Err(TryRecvError::Disconnected) {
        let began = Instant::now();
        if let Err(error) = beat(&mut stream) {
            told.broke = Some(format!("after {} beats: {error}", told.beats));
            break;
        }
        told.beats += 1;
        let took = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX);
        told.longest_ms = told.longest_ms.max(took);
        thread::sleep(EVERY);
    }
    serde_json::to_writer(stdout(), &told)?;
    Ok(())
}

/// The server says who it is first.
fn greeted(stream: &mut TcpStream) -> Result<()> {
    let mut byte = [0];
    while byte != [b'\n'] {
        stream.read_exact(&mut byte).context("the first line")?;
    }
    Ok(())
}

fn beat(stream: &mut TcpStream) -> std::io::Result<()> {
    let mut back = [0];
    stream.write_all(b".")?;
    stream.read_exact(&mut back)
}

/// The connection, seen from outside of the pod.
pub(crate) struct Pulse {
    child: Child,
}

impl Pulse {
    /// Connects from `pod`.
    pub(crate) fn start(pod: &Pod, target: SocketAddr) -> Result<Self> {
        let mut command = pod.command(env::current_exe()?)?;
        command.arg("--pulse").arg(target.to_string());
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let child = command.spawn().context("start a long connection")?;
        Ok(Self { child })
    }

    /// Ends it, and says how it went.
    pub(crate) fn finish(mut self) -> Result<Told> {
        drop(self.child.stdin.take());
        let output = self.child.wait_with_output()?;
        ensure!(
            output.status.success(),
            "a long connection: {}",
            output.status
        );
        serde_json::from_slice(&output.stdout).context("understand the long connection")
    }
}
