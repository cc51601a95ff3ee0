//! The TCP side.

use std::{
    io::{self, Write as _},
    net::{SocketAddr, SocketAddrV6, TcpListener, TcpStream},
    os::fd::AsRawFd as _,
    thread,
};

use anyhow::Result;
use nix::sys::socket::{
    AddressFamily, Backlog, SockFlag, SockType, SockaddrIn6, bind as bind_socket,
    listen as listen_on, setsockopt, socket, sockopt,
};

/// Connections that may wait to be accepted; the kernel cuts it to `somaxconn`.
const BACKLOG: i32 = 4096;

/// A socket bound to `address` that does not listen yet.
pub(crate) fn bind(address: SocketAddrV6) -> nix::Result<TcpListener> {
    let fd = socket(
        AddressFamily::Inet6,
        SockType::Stream,
        SockFlag::SOCK_CLOEXEC,
        None,
    )?;
    setsockopt(&fd, sockopt::Ipv6V6Only, &false)?;
    setsockopt(&fd, sockopt::ReuseAddr, &true)?;
    bind_socket(fd.as_raw_fd(), &SockaddrIn6::from(address))?;
    Ok(TcpListener::from(fd))
}

/// Lets connections come.
pub(crate) fn listen(listener: &TcpListener) -> Result<()> {
    listen_on(listener, Backlog::new(BACKLOG)?)?;
    Ok(())
}

/// Accepts for ever.
pub(crate) fn serve(listener: &TcpListener, identity: &str, echo: bool) -> Result<()> {
    loop {
        let (mut stream, _) = match listener.accept() {
            Ok(accepted) => accepted,
            // The client gave up before it was accepted.
            Err(error) if error.kind() == io::ErrorKind::ConnectionAborted => continue,
            Err(error) => return Err(error.into()),
        };
        // A client that is gone already is its own affair.
        if greet(&mut stream, identity).is_ok() && echo {
            thread::spawn(move || answer(stream));
        }
    }
}

fn greet(stream: &mut TcpStream, identity: &str) -> io::Result<()> {
    let local = stream.local_addr()?;
    let local = SocketAddr::new(local.ip().to_canonical(), local.port());
    stream.write_all(format!("{identity} {local}\n").as_bytes())
}

fn answer(stream: TcpStream) -> io::Result<u64> {
    let mut from = stream.try_clone()?;
    let mut to = stream;
    io::copy(&mut from, &mut to)
}
