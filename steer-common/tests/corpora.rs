//! What fuzzing came upon, replayed: the same checks on the inputs that each led somewhere new.
//! `tests/fuzz/corpora` has them, a line of hexadecimal digits each.

#[path = "../../tests/fuzz/checks/dns_message.rs"]
mod dns_message;
#[path = "../../tests/fuzz/checks/hello.rs"]
mod hello;
#[path = "../../tests/fuzz/checks/packet.rs"]
mod packet;

fn replay(corpus: &str, check: fn(&[u8])) {
    let mut count = 0;
    for line in corpus.lines() {
        check(&bytes(line));
        count += 1;
    }
    assert!(count > 30, "{count} inputs");
}

fn bytes(line: &str) -> Vec<u8> {
    let (pairs, rest) = line.as_bytes().as_chunks::<2>();
    assert!(rest.is_empty(), "half a byte");
    let digit = |digit: u8| char::from(digit).to_digit(16).unwrap_or_default();
    let byte = |[high, low]: &[u8; 2]| digit(*high) * 16 + digit(*low);
    let all = pairs.iter().map(byte);
    all.map(|byte| u8::try_from(byte).unwrap_or_default())
        .collect()
}

#[test]
fn dns_messages() {
    replay(
        include_str!("../../tests/fuzz/corpora/dns_message.hex"),
        dns_message::check,
    );
}

#[test]
fn first_bytes() {
    replay(
        include_str!("../../tests/fuzz/corpora/hello.hex"),
        hello::check,
    );
}

#[test]
fn packets() {
    replay(
        include_str!("../../tests/fuzz/corpora/packet.hex"),
        packet::check,
    );
}
