//! The cookie of a network namespace: what `bpf_get_netns_cookie` returns in the hooks.
#![expect(unsafe_code, reason = "no crate has SO_NETNS_COOKIE (Linux 5.14)")]

use std::{
    io,
    os::fd::{AsFd, AsRawFd as _},
};

/// The cookie of the namespace in which `socket` was opened.
pub fn cookie(socket: impl AsFd) -> io::Result<u64> {
    let mut cookie = 0_u64;
    let mut length = libc::socklen_t::try_from(size_of::<u64>()).map_err(io::Error::other)?;
    // SAFETY: the kernel writes at most `length` bytes, which is the size of `cookie`.
    let result = unsafe {
        libc::getsockopt(
            socket.as_fd().as_raw_fd(),
            libc::SOL_SOCKET,
            libc::SO_NETNS_COOKIE,
            (&raw mut cookie).cast(),
            &raw mut length,
        )
    };
    if result == 0 {
        Ok(cookie)
    } else {
        Err(io::Error::last_os_error())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sockets_of_one_namespace_have_one_cookie() {
        let first = std::net::UdpSocket::bind("127.0.0.1:0").expect("loopback is there");
        let second = std::net::TcpListener::bind("[::]:0").expect("loopback is there");
        let of_first = cookie(&first).expect("the kernel has cookies");
        assert_ne!(of_first, 0);
        assert_eq!(of_first, cookie(&second).expect("the kernel has cookies"));
    }
}
