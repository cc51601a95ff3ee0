//! The UDP side. Answers leave from the address that was asked, also on a socket for all addresses.

use std::{
    io::{IoSlice, IoSliceMut},
    net::{IpAddr, Ipv6Addr, SocketAddr, SocketAddrV6},
    os::fd::{AsRawFd as _, OwnedFd},
};

use anyhow::Result;
use nix::{
    cmsg_space,
    sys::socket::{
        AddressFamily, ControlMessage, ControlMessageOwned, MsgFlags, SockFlag, SockType,
        SockaddrIn6, bind as bind_socket, getsockname, recvmsg, sendmsg, setsockopt, socket,
        sockopt,
    },
};

/// A socket bound to `address`.
pub(crate) fn bind(address: SocketAddrV6) -> nix::Result<OwnedFd> {
    let fd = socket(
        AddressFamily::Inet6,
        SockType::Datagram,
        SockFlag::SOCK_CLOEXEC,
        None,
    )?;
    setsockopt(&fd, sockopt::Ipv6V6Only, &false)?;
    setsockopt(&fd, sockopt::Ipv6RecvPacketInfo, &true)?;
    bind_socket(fd.as_raw_fd(), &SockaddrIn6::from(address))?;
    Ok(fd)
}

/// Answers for ever.
pub(crate) fn serve(fd: &OwnedFd, identity: &str) -> Result<()> {
    let port = getsockname::<SockaddrIn6>(fd.as_raw_fd())?.port();
    loop {
        let Some((client, asked)) = hear(fd)? else {
            continue;
        };
        let address = Ipv6Addr::from(asked.ipi6_addr.s6_addr);
        let local = SocketAddr::new(IpAddr::V6(address).to_canonical(), port);
        let line = format!("{identity} {local}\n");
        // The interface is the routing's to choose; only the address is ours to keep.
        let from = libc::in6_pktinfo {
            ipi6_ifindex: 0,
            ..asked
        };
        let control = [ControlMessage::Ipv6PacketInfo(&from)];
        let pieces = [IoSlice::new(line.as_bytes())];
        // A client that is gone already is its own affair.
        let _ = sendmsg(
            fd.as_raw_fd(),
            &pieces,
            &control,
            MsgFlags::empty(),
            Some(&client),
        );
    }
}

/// Who asked, and at which address.
fn hear(fd: &OwnedFd) -> nix::Result<Option<(SockaddrIn6, libc::in6_pktinfo)>> {
    let mut buffer = [0u8; 2048];
    let mut pieces = [IoSliceMut::new(&mut buffer)];
    let mut control = cmsg_space!(libc::in6_pktinfo);
    let message = recvmsg::<SockaddrIn6>(
        fd.as_raw_fd(),
        &mut pieces,
        Some(&mut control),
        MsgFlags::empty(),
    )?;
    let asked = message.cmsgs()?.find_map(|found| match found {
        ControlMessageOwned::Ipv6PacketInfo(info) => Some(info),
        _ => None,
    });
    Ok(message.address.zip(asked))
}
