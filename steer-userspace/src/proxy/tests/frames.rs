//! A client of HTTP/2 that sends frames as it is told to, right or wrong, and notes what comes back.

use std::time::Duration;

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    time::timeout,
};

/// Longer than an answer takes.
const SOON: Duration = Duration::from_secs(5);

/// How a connection of HTTP/2 begins.
pub(super) const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
/// Kinds of frames.
pub(super) const DATA: u8 = 0;
pub(super) const HEADERS: u8 = 1;
pub(super) const PRIORITY: u8 = 2;
pub(super) const RST_STREAM: u8 = 3;
pub(super) const SETTINGS: u8 = 4;
pub(super) const PUSH_PROMISE: u8 = 5;
pub(super) const PING: u8 = 6;
pub(super) const GOAWAY: u8 = 7;
pub(super) const WINDOW_UPDATE: u8 = 8;
pub(super) const CONTINUATION: u8 = 9;
/// Their flags.
pub(super) const ACK: u8 = 1;
pub(super) const END_STREAM: u8 = 1;
pub(super) const END_HEADERS: u8 = 4;
pub(super) const PADDED: u8 = 8;
pub(super) const WITH_PRIORITY: u8 = 0x20;
/// All of a request that has no body.
pub(super) const WHOLE: u8 = END_STREAM | END_HEADERS;

/// What an ordinary request says.
pub(super) const GET: [(&str, &str); 4] = [
    (":method", "GET"),
    (":scheme", "http"),
    (":path", "/"),
    (":authority", "c"),
];
pub(super) const POST: [(&str, &str); 4] = [(":method", "POST"), GET[1], GET[2], GET[3]];

const ERRORS: [&str; 14] = [
    "NO_ERROR",
    "PROTOCOL_ERROR",
    "INTERNAL_ERROR",
    "FLOW_CONTROL_ERROR",
    "SETTINGS_TIMEOUT",
    "STREAM_CLOSED",
    "FRAME_SIZE_ERROR",
    "REFUSED_STREAM",
    "CANCEL",
    "COMPRESSION_ERROR",
    "CONNECT_ERROR",
    "ENHANCE_YOUR_CALM",
    "INADEQUATE_SECURITY",
    "HTTP_1_1_REQUIRED",
];

/// A frame.
pub(super) fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    let mut bytes = length[1..].to_vec();
    bytes.extend([kind, flags]);
    bytes.extend(stream.to_be_bytes());
    bytes.extend(payload);
    bytes
}

/// A block of header fields, each written out.
pub(super) fn block(fields: &[(&str, &str)]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for (name, value) in fields {
        bytes.push(0);
        text(name.as_bytes(), &mut bytes);
        text(value.as_bytes(), &mut bytes);
    }
    bytes
}

/// A string of HPACK, without Huffman's code.
fn text(text: &[u8], out: &mut Vec<u8>) {
    match text.len() {
        length @ 0..127 => out.push(u8::try_from(length).unwrap()),
        length => {
            out.push(127);
            let mut rest = length - 127;
            while rest >= 128 {
                out.push(u8::try_from(rest % 128).unwrap() | 128);
                rest /= 128;
            }
            out.push(u8::try_from(rest).unwrap());
        }
    }
    out.extend(text);
}

/// A request's fields, all in one frame.
pub(super) fn headers(stream: u32, flags: u8, fields: &[(&str, &str)]) -> Vec<u8> {
    frame(HEADERS, flags, stream, &block(fields))
}

/// One setting.
pub(super) fn setting(id: u16, value: u32) -> Vec<u8> {
    let payload = [&id.to_be_bytes()[..], &value.to_be_bytes()].concat();
    frame(SETTINGS, 0, 0, &payload)
}

/// A connection that has said hello.
pub(super) struct Frames(pub(super) TcpStream);

impl Frames {
    /// Says hello.
    pub(super) async fn hello(stream: TcpStream) -> Self {
        let mut this = Self(stream);
        this.send(&[PREFACE, &frame(SETTINGS, 0, 0, &[])].concat())
            .await;
        this
    }

    /// Sends bytes; the other side may have gone already.
    pub(super) async fn send(&mut self, bytes: &[u8]) {
        let _gone = self.0.write_all(bytes).await;
    }

    /// The next thing that the other side says, of those that say something: answers, errors, the end.
    pub(super) async fn next(&mut self) -> String {
        loop {
            let Ok(next) = timeout(SOON, self.frame()).await else {
                return "nothing".to_owned();
            };
            let Some((kind, flags, stream, payload)) = next else {
                return "closed".to_owned();
            };
            match kind {
                HEADERS => return format!("{} {stream}", status(&payload)),
                RST_STREAM => return format!("RST {stream} {}", error(&payload)),
                GOAWAY => return format!("GOAWAY {}", error(&payload[4..])),
                PING if flags & ACK != 0 => return "PONG".to_owned(),
                DATA if flags & END_STREAM != 0 => return format!("END {stream}"),
                _ => {}
            }
        }
    }

    async fn frame(&mut self) -> Option<(u8, u8, u32, Vec<u8>)> {
        let mut head = [0; 9];
        self.0.read_exact(&mut head).await.ok()?;
        let [_, a, b, kind, flags, s1, s2, s3, s4] = head;
        let mut payload = vec![0; usize::from(u16::from_be_bytes([a, b]))];
        self.0.read_exact(&mut payload).await.ok()?;
        Some((kind, flags, u32::from_be_bytes([s1, s2, s3, s4]), payload))
    }
}

/// The status comes first in a block: one that the static table has, or one that is written out.
fn status(block: &[u8]) -> &'static str {
    match block.first() {
        Some(0x88) => "200",
        Some(0x8c) => "400",
        Some(0x8d) => "404",
        Some(0x48) => written(block),
        _ => "trailers",
    }
}

/// A status in Huffman's code.
fn written(block: &[u8]) -> &'static str {
    match block.get(1..) {
        Some([0x83, 0x69, 0x90, 0xff, ..]) => "431",
        Some([0x82, 0x6c, 0x02, ..]) => "502",
        Some([0x83, 0x6c, 0x0c, 0xff, ..]) => "503",
        Some([0x83, 0x6c, 0x0d, 0x7f, ..]) => "504",
        _ => "other",
    }
}

fn error(payload: &[u8]) -> &'static str {
    let code = payload.first_chunk().map(|code| u32::from_be_bytes(*code));
    let code = code.and_then(|code| usize::try_from(code).ok());
    code.and_then(|code| ERRORS.get(code).copied())
        .unwrap_or("?")
}
