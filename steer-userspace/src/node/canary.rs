//! A connection that is made to see whether the kernel steers: to the canary, whose endpoint is here
//! for as long as that takes.

use std::{
    fs, io,
    net::{SocketAddr, TcpListener, TcpStream},
    path::{Path, PathBuf},
    thread,
    time::{Duration, Instant},
};

use super::{process, visit};
use crate::{
    image::canary::{ADDRESS, ENDPOINT},
    kernel::cgroup,
};

/// How long a dial may take: both ends are on the loopback.
const DIAL_MAX: Duration = Duration::from_secs(1);
/// How long to wait for another one that is being made.
const TURN_MAX: Duration = Duration::from_secs(2);

/// What came of it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Canary {
    /// It came where it should, and was told that it is where it dialled.
    Steered,
    /// It did not, and why.
    Astray(String),
    /// It could not be made, and why.
    Untried(String),
}

/// Makes one from within the cgroup `watched`.
pub fn try_canary(watched: &Path) -> Canary {
    let untried = |what: &str, error: io::Error| Canary::Untried(format!("{what}: {error}"));
    let listener = match listen() {
        Ok(listener) => listener,
        Err(error) => return untried("its endpoint cannot be opened", error),
    };
    let _inside = match Inside::enter(watched) {
        Ok(inside) => inside,
        Err(error) => return untried("the cgroup cannot be entered", error),
    };
    dial(&listener)
}

fn dial(listener: &TcpListener) -> Canary {
    let astray = |what: String| Canary::Astray(what);
    let stream = match TcpStream::connect_timeout(&ADDRESS, DIAL_MAX) {
        Ok(stream) => stream,
        Err(error) => {
            return astray(format!(
                "a connection to {ADDRESS} was not steered: {error}"
            ));
        }
    };
    let own = stream.local_addr();
    match (own, accept(listener)) {
        (Ok(own), Ok(from)) if own == from => {}
        _ => {
            return astray(format!(
                "a connection to {ADDRESS} did not come to {ENDPOINT}"
            ));
        }
    }
    match stream.peer_addr() {
        Ok(peer) if peer == ADDRESS => Canary::Steered,
        Ok(peer) => astray(format!(
            "a connection to {ADDRESS} was steered, but is told that it is to {peer}"
        )),
        Err(error) => astray(format!("a connection to {ADDRESS} broke: {error}")),
    }
}

/// Who came, if anybody does.
fn accept(listener: &TcpListener) -> io::Result<SocketAddr> {
    let until = Instant::now() + DIAL_MAX;
    loop {
        match listener.accept() {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock && Instant::now() < until => {
                thread::sleep(Duration::from_millis(1));
            }
            came => return came.map(|(_, from)| from),
        }
    }
}

/// The canary's endpoint. Only one can be there.
fn listen() -> io::Result<TcpListener> {
    let until = Instant::now() + TURN_MAX;
    loop {
        match TcpListener::bind::<SocketAddr>(ENDPOINT) {
            Err(error) if error.kind() == io::ErrorKind::AddrInUse && Instant::now() < until => {
                thread::sleep(Duration::from_millis(20));
            }
            listener => {
                let listener = listener?;
                listener.set_nonblocking(true)?;
                return Ok(listener);
            }
        }
    }
}

/// This process below the watched cgroup, until this is dropped.
struct Inside {
    /// Where it was, and the cgroup that was made for it; `None` if it is below anyway.
    moved: Option<(PathBuf, PathBuf)>,
}

impl Inside {
    fn enter(watched: &Path) -> io::Result<Self> {
        let own = std::process::id();
        let place = visit::place(watched).map_err(io::Error::other)?;
        if process::is_below(&place, own) {
            return Ok(Self { moved: None });
        }
        let home = home(own)?;
        let made = watched.join(format!("steer-canary.{own}"));
        fs::create_dir(&made)?;
        let inside = Self {
            moved: Some((home, made.clone())),
        };
        fs::write(made.join("cgroup.procs"), own.to_string())?;
        Ok(inside)
    }
}

impl Drop for Inside {
    fn drop(&mut self) {
        let Some((home, made)) = &self.moved else {
            return;
        };
        let back = fs::write(home.join("cgroup.procs"), std::process::id().to_string());
        if let Err(error) = back.and_then(|()| fs::remove_dir(made)) {
            tracing::warn!(%error, cgroup = %made.display(), "a cgroup stays that was made to try");
        }
    }
}

/// The directory of this process's cgroup.
fn home(own: u32) -> io::Result<PathBuf> {
    let text = fs::read_to_string(format!("/proc/{own}/cgroup"))?;
    let path = text.lines().find_map(|line| line.strip_prefix("0::/"));
    let path = path.ok_or_else(|| io::Error::other("this process is in no cgroup v2"))?;
    Ok(cgroup::root().map_err(io::Error::other)?.join(path))
}
