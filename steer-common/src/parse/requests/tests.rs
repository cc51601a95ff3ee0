use proptest::prelude::*;

use super::*;

/// How many requests begin in a segment.
fn counted(segment: &[u8]) -> u32 {
    let bytes = [&[0xee; 40][..], segment, b"padding of the frame"].concat();
    let end = 40 + u32::try_from(segment.len()).unwrap();
    let mut walk = Walk::new(&&bytes[..], 40, end);
    for _ in 0..FRAMES_MAX {
        if walk.step(&&bytes[..]) {
            break;
        }
    }
    walk.requests
}

fn frame(kind: u8, flags: u8, stream: u32, length: usize) -> Vec<u8> {
    let size = u32::try_from(length).unwrap().to_be_bytes();
    let mut frame = vec![size[1], size[2], size[3], kind, flags];
    frame.extend(stream.to_be_bytes());
    frame.extend(vec![0x82; length]);
    frame
}

const PREFACE_TEXT: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

#[test]
fn each_head_of_http_1_is_a_request() {
    for method in [
        "GET", "POST", "PUT", "HEAD", "DELETE", "PATCH", "OPTIONS", "TRACE", "CONNECT",
    ] {
        let head = format!("{method} /items HTTP/1.1\r\nHost: catalog\r\n\r\n");
        assert_eq!(counted(head.as_bytes()), 1, "{method}");
    }
    let others: [&[u8]; 7] = [
        b"",
        b"GET",
        b"get / HTTP/1.1\r\n\r\n",
        b"GETS / HTTP/1.1\r\n\r\n",
        b"{\"name\": \"GET \"}",
        b"HTTP/1.1 200 OK\r\n\r\n",
        &[0x16, 3, 1, 2, 0, 1, 0, 1, 0xfc, 3, 3, 0],
    ];
    for other in others {
        assert_eq!(counted(other), 0, "{other:?}");
    }
}

#[test]
fn each_headers_frame_of_http_2_is_a_request() {
    let settings = frame(4, 0, 0, 18);
    let window = frame(8, 0, 0, 4);
    let first = frame(1, 0x05, 1, 30);
    let opening = [PREFACE_TEXT, &settings, &window, &first].concat();
    assert_eq!(counted(&opening), 1);
    // Without the preface, several at once, a body beside one.
    let third = [
        frame(1, 0x04, 3, 40),
        frame(0, 0x01, 3, 100),
        frame(1, 0x05, 5, 20),
    ]
    .concat();
    assert_eq!(counted(&third), 2);
    assert_eq!(
        counted(&[frame(4, 1, 0, 0), frame(1, 0x25, 7, 25)].concat()),
        1
    );
}

#[test]
fn other_frames_are_none() {
    let others = [
        frame(6, 0, 0, 8),
        frame(4, 1, 0, 0),
        frame(0, 0, 1, 4_096),
        frame(3, 0, 5, 4),
        // Of a server, of no stream, with flags that nobody knows, too long, of another kind.
        frame(1, 0x05, 2, 30),
        frame(1, 0x05, 0, 30),
        frame(1, 0x85, 1, 30),
        frame(1, 0x05, 1, 20_000),
        frame(10, 0x05, 1, 30),
    ];
    for other in others {
        assert_eq!(counted(&other), 0, "{:?}", &other[..9]);
    }
}

#[test]
fn only_so_many_frames_are_looked_at() {
    let many: Vec<u8> = (0..200).flat_map(|n| frame(1, 5, 2 * n + 1, 12)).collect();
    assert_eq!(counted(&many), FRAMES_MAX);
}

proptest! {
    #[test]
    fn no_bytes_are_too_odd(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        prop_assert!(counted(&bytes) <= FRAMES_MAX);
    }

    /// However they are mixed, HEADERS of clients are what is counted.
    #[test]
    fn frames_are_counted(kinds in prop::collection::vec(0..3_u8, 1..=8)) {
        let (mut sent, mut headers) = (Vec::new(), 0);
        for (&kind, stream) in kinds.iter().zip((1..).step_by(2)) {
            sent.extend(match kind {
                0 => frame(1, 0x05, stream, 24),
                1 => frame(8, 0, stream, 4),
                _ => frame(0, 1, stream, 333),
            });
            headers += u32::from(kind == 0);
        }
        prop_assert_eq!(counted(&sent), headers);
    }
}
