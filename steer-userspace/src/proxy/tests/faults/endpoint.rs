//! An endpoint that goes as far as it is told to, and no further.

use std::{future::pending, net::SocketAddr, sync::Arc};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    sync::Notify,
};

use super::super::frames::{
    DATA, END_HEADERS, END_STREAM, GOAWAY, HEADERS, PING, PREFACE, RST_STREAM, SETTINGS, frame,
};

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(in super::super) enum Version {
    H1,
    H2,
}

/// How far it goes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(in super::super) enum Phase {
    /// Nobody listens.
    Connect,
    /// The connection is made.
    Accept,
    /// The request's head is read.
    RequestHead,
    /// Half of its body is read.
    RequestBody,
    /// All of it is read.
    Answer,
    /// Half of the answer's head is sent.
    ResponseHead,
    /// Half of the answer's body is sent.
    ResponseBody,
    /// One request is answered, and the next one is read.
    Idle,
    /// The stream is refused.
    Refused,
    /// The endpoint says that it goes, having begun nothing.
    Goes,
    /// The stream is given up.
    Reset,
}

impl Phase {
    pub(in super::super) const ALL: [Self; 8] = [
        Self::Connect,
        Self::Accept,
        Self::RequestHead,
        Self::RequestBody,
        Self::Answer,
        Self::ResponseHead,
        Self::ResponseBody,
        Self::Idle,
    ];
}

/// What it does then.
#[derive(Clone, Debug)]
pub(in super::super) enum How {
    Dies,
    Hangs,
    /// Until it is told to die.
    Waits(Arc<Notify>),
}

/// Such an endpoint.
pub(in super::super) async fn endpoint(version: Version, phase: Phase, how: How) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let at = listener.local_addr().unwrap();
    tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            let how = how.clone();
            tokio::spawn(async move {
                let went = match version {
                    Version::H1 => h1(&mut stream, phase).await,
                    Version::H2 => h2(&mut stream, phase).await,
                };
                match how {
                    // The proxy went first.
                    _ if went.is_err() => {}
                    How::Dies => {}
                    How::Hangs => pending().await,
                    How::Waits(goes_on) => goes_on.notified().await,
                }
            });
        }
    });
    at
}

async fn h1(stream: &mut TcpStream, phase: Phase) -> std::io::Result<()> {
    if phase == Phase::Accept {
        // Something was sent, and is never read.
        return stream.peek(&mut [0]).await.map(|_| ());
    }
    let length = head(stream).await?;
    if phase == Phase::RequestHead {
        return Ok(());
    }
    let read = if phase == Phase::RequestBody {
        length / 2
    } else {
        length
    };
    stream.read_exact(&mut vec![0; read]).await?;
    let answer: &[u8] = match phase {
        Phase::ResponseHead => b"HTTP/1.1 200 OK\r\nconte",
        Phase::ResponseBody => b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhello",
        Phase::Idle => b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok",
        _ => return Ok(()),
    };
    stream.write_all(answer).await?;
    if phase == Phase::Idle {
        head(stream).await?;
    }
    Ok(())
}

/// Reads a head; the length of the body after it.
async fn head(stream: &mut TcpStream) -> std::io::Result<usize> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await?);
    }
    let head = String::from_utf8_lossy(&head).to_ascii_lowercase();
    let length = head.split("content-length: ").nth(1);
    let length = length.and_then(|rest| rest.split("\r\n").next()?.parse().ok());
    Ok(length.unwrap_or_default())
}

async fn h2(stream: &mut TcpStream, phase: Phase) -> std::io::Result<()> {
    if phase == Phase::Accept {
        return stream.peek(&mut [0]).await.map(|_| ());
    }
    stream.read_exact(&mut [0; PREFACE.len()]).await?;
    stream.write_all(&frame(SETTINGS, 0, 0, &[])).await?;
    let (id, mut ended) = request(stream).await?;
    if phase == Phase::RequestHead {
        return Ok(());
    }
    if phase == Phase::RequestBody {
        while next(stream).await?.0 != DATA {}
        return Ok(());
    }
    while !ended {
        let (kind, flags, _) = next(stream).await?;
        ended = kind == DATA && flags & END_STREAM != 0;
    }
    let head = frame(HEADERS, END_HEADERS, id, &[0x88]);
    let answer = match phase {
        Phase::ResponseHead => head[..5].to_vec(),
        Phase::ResponseBody => {
            let body = frame(DATA, 0, id, b"hello");
            [head, body, frame(PING, 0, 0, &[0; 8])].concat()
        }
        Phase::Idle => [head, frame(DATA, END_STREAM, id, b"ok")].concat(),
        Phase::Refused => frame(RST_STREAM, 0, id, &[0, 0, 0, 7]),
        Phase::Reset => frame(RST_STREAM, 0, id, &[0, 0, 0, 2]),
        Phase::Goes => frame(GOAWAY, 0, 0, &[0; 8]),
        _ => return Ok(()),
    };
    stream.write_all(&answer).await?;
    match phase {
        Phase::Idle => {
            request(stream).await?;
        }
        // A socket that is closed with something unread takes back what was not read on the other side.
        Phase::ResponseBody => while next(stream).await?.0 != PING {},
        // What was said must be heard.
        Phase::Refused | Phase::Reset | Phase::Goes => while next(stream).await.is_ok() {},
        _ => {}
    }
    Ok(())
}

/// The next request's stream, and whether it has no body.
async fn request(stream: &mut TcpStream) -> std::io::Result<(u32, bool)> {
    loop {
        let (kind, flags, id) = next(stream).await?;
        if kind == HEADERS {
            return Ok((id, flags & END_STREAM != 0));
        }
    }
}

/// The next frame, without what it carries.
async fn next(stream: &mut TcpStream) -> std::io::Result<(u8, u8, u32)> {
    let mut head = [0; 9];
    stream.read_exact(&mut head).await?;
    let [_, a, b, kind, flags, s1, s2, s3, s4] = head;
    let length = usize::from(u16::from_be_bytes([a, b]));
    stream.read_exact(&mut vec![0; length]).await?;
    if kind == SETTINGS && flags == 0 {
        stream.write_all(&frame(SETTINGS, 1, 0, &[])).await?;
    }
    Ok((kind, flags, u32::from_be_bytes([s1, s2, s3, s4])))
}
