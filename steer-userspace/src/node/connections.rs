//! The TCP connections of a network namespace, as /proc shows them by way of a process inside.

use std::{fs::File, io, net::SocketAddr};

use procfs::{
    ProcError,
    net::{TcpNetEntry, TcpState},
    process::Process,
};

use super::process::{self, Witness};

/// A process inside of a network namespace, by which one may look at it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Insider {
    witness: Witness,
    namespace: u64,
}

/// A TCP connection, as the sockets of the namespace know it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Connection {
    /// Its side inside.
    pub local: SocketAddr,
    /// The other side.
    pub remote: SocketAddr,
}

impl Insider {
    pub(super) fn new(witness: Witness, namespace: u64) -> Self {
        Self { witness, namespace }
    }

    /// The calling thread, in whose namespace it is.
    pub fn here() -> io::Result<Self> {
        let namespace = process::own_namespace().map_err(io::Error::other)?;
        let witness = Witness::of(nix::unistd::gettid().as_raw().cast_unsigned())?;
        Ok(Self { witness, namespace })
    }

    /// Its network namespace, to open sockets there. None if the process has left, or is another by now.
    pub fn open(&self) -> io::Result<Option<File>> {
        self.witness.open_namespace(self.namespace)
    }

    /// The connections that are open. None if the process has left, or is another by now.
    pub fn connections(&self) -> io::Result<Vec<Connection>> {
        let process = Process::new(self.witness.pid.cast_signed()).map_err(io::Error::other)?;
        let mut entries = process.tcp().map_err(io::Error::other)?;
        match process.tcp6() {
            Ok(more) => entries.extend(more),
            // A kernel without IPv6.
            Err(ProcError::NotFound(_)) => {}
            Err(error) => return Err(io::Error::other(error)),
        }
        // Where it was when it was read: asked for afterwards.
        if self.witness.open_namespace(self.namespace)?.is_none() {
            return Ok(Vec::new());
        }
        Ok(entries
            .iter()
            .filter(|entry| is_open(entry))
            .map(connection)
            .collect())
    }
}

/// Whether both sides have agreed, and one may still send. A connection that was only asked for is
/// no connection yet.
fn is_open(entry: &TcpNetEntry) -> bool {
    match entry.state {
        TcpState::Established
        | TcpState::SynRecv
        | TcpState::NewSynRecv
        | TcpState::FinWait1
        | TcpState::FinWait2
        | TcpState::CloseWait
        | TcpState::LastAck
        | TcpState::Closing => true,
        TcpState::SynSent | TcpState::TimeWait | TcpState::Close | TcpState::Listen => false,
    }
}

fn connection(entry: &TcpNetEntry) -> Connection {
    Connection {
        local: entry.local_address,
        remote: entry.remote_address,
    }
}

#[cfg(test)]
mod tests {
    use std::net::{TcpListener, TcpStream};

    use super::*;

    #[test]
    fn connections_are_seen_from_both_sides_and_listeners_are_none() {
        let listener = TcpListener::bind("[::1]:0").unwrap();
        let client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (server, _) = listener.accept().unwrap();
        let seen = Insider::here().unwrap().connections().unwrap();
        for socket in [&client, &server] {
            let wanted = Connection {
                local: socket.local_addr().unwrap(),
                remote: socket.peer_addr().unwrap(),
            };
            assert!(seen.contains(&wanted), "{wanted:?}");
        }
        let own = listener.local_addr().unwrap();
        let listens = |one: &&Connection| one.local == own && one.remote.port() == 0;
        assert_eq!(seen.iter().find(listens), None);
    }

    #[test]
    fn a_process_that_is_elsewhere_shows_nothing() {
        let mut insider = Insider::here().unwrap();
        insider.namespace += 1;
        assert_eq!(insider.connections().unwrap(), []);
    }
}
