use proptest::prelude::*;

use super::*;

/// What passes, and whether it was refused, of bytes that come in pieces of this length.
fn through(input: &[u8], piece: usize) -> (Vec<u8>, bool) {
    let (mut framing, mut out) = (Framing::default(), Vec::new());
    for piece in input.chunks(piece.max(1)) {
        framing.take(piece, &mut out);
    }
    (out, framing.is_refused())
}

const FINE: [&str; 7] = [
    "GET / HTTP/1.1\r\nHost: a\r\n\r\n",
    "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello",
    "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n5;x=y\r\nhello\r\n0\r\nX-T: 1\r\n\r\n",
    "PUT /a HTTP/1.0\r\ncontent-length: 0\r\n\r\n",
    "GET / HTTP/1.1\r\nHost: a\r\nConnection: keep-alive, Upgrade\r\nUpgrade: websocket\r\n\r\n\n\x01 any\n",
    "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\n\n",
    "GET /\u{e9} HTTP/1.1\r\nX: \u{e9}\r\n\r\n",
];

const REFUSED: [&str; 13] = [
    "GET / HTTP/1.1\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n",
    "GET / HTTP/1.1\r\nTransfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n",
    "GET / HTTP/1.1\r\nContent-Length: 5\r\nContent-Length: 5\r\n\r\n",
    "GET / HTTP/1.1\r\nContent-Length: +5\r\n\r\n",
    "GET / HTTP/1.1\r\nContent-Length: 5, 5\r\n\r\n",
    "GET / HTTP/1.1\nHost: a\n\n",
    "GET / HTTP/1.1\r\nHost: a\nX: b\r\n\r\n",
    "GET / HTTP/1.1\r\nHost: a\r\n folded\r\n\r\n",
    "GET / HTTP/1.1\r\nHost : a\r\n\r\n",
    "GET / HTTP/1.1\r\nTransfer-Encoding: xchunked\r\n\r\n",
    "GET / HTTP/1.1\r\nTransfer-Encoding: gzip, chunked\r\n\r\n",
    "POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n",
    "GET / HTTP/1.1\r\nX: a\rb\r\n\r\n",
];

#[test]
fn what_is_clear_passes_unchanged() {
    for text in FINE {
        for piece in [1, 3, 1000] {
            assert_eq!(
                through(text.as_bytes(), piece),
                (text.into(), false),
                "{text:?}"
            );
        }
    }
    // One after another, but for those after which anything goes.
    let several = [FINE[0], FINE[1], FINE[2], FINE[3], FINE[0]].concat();
    assert_eq!(through(several.as_bytes(), 7), (several.into(), false));
}

#[test]
fn what_is_not_clear_never_passes() {
    for text in REFUSED {
        for piece in [1, 3, 1000] {
            let (out, refused) = through(text.as_bytes(), piece);
            assert!(refused, "{text:?}");
            assert_eq!(out, NONSENSE, "{text:?}");
        }
    }
}

#[test]
fn what_follows_a_refusal_is_never_a_request() {
    let text = format!("{}{}{}", FINE[1], REFUSED[0], FINE[0]);
    let (out, refused) = through(text.as_bytes(), 5);
    assert!(refused);
    assert_eq!(out, [FINE[1].as_bytes(), NONSENSE].concat());
}

#[test]
fn chunks_end_where_they_say() {
    let head = "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n";
    for body in [
        "5\r\nhello!\r\n",
        "5\nhello\r\n",
        "x\r\n",
        "\r\n",
        "-1\r\n",
        "5\r\nhello\n0\r\n",
    ] {
        assert!(
            through(format!("{head}{body}").as_bytes(), 1000).1,
            "{body:?}"
        );
    }
}

proptest! {
    #[test]
    fn pieces_do_not_matter(
        order in prop::collection::vec(0..FINE.len() + REFUSED.len(), 1..6),
        piece in 1_usize..40,
    ) {
        let text: String = order
            .iter()
            .map(|&index| *FINE.iter().chain(&REFUSED).nth(index).unwrap())
            .collect();
        prop_assert_eq!(through(text.as_bytes(), piece), through(text.as_bytes(), usize::MAX));
    }
}
