use proptest::prelude::*;

use super::*;

fn extension(kind: u16, body: &[u8]) -> Vec<u8> {
    let mut out = kind.to_be_bytes().to_vec();
    out.extend(u16::try_from(body.len()).unwrap().to_be_bytes());
    out.extend(body);
    out
}

fn server_name(name: &str) -> Vec<u8> {
    let length = u16::try_from(name.len()).unwrap();
    let mut body = (length + 3).to_be_bytes().to_vec();
    body.push(0);
    body.extend(length.to_be_bytes());
    body.extend(name.bytes());
    extension(0, &body)
}

/// A hello as clients send it, with these extensions.
fn tls(extensions: &[Vec<u8>]) -> Vec<u8> {
    let mut hello = vec![3, 3];
    hello.extend([7; 32]);
    hello.push(32);
    hello.extend([9; 32]);
    hello.extend([0, 4, 0x13, 1, 0x13, 2, 1, 0]);
    let all = extensions.concat();
    hello.extend(u16::try_from(all.len()).unwrap().to_be_bytes());
    hello.extend(all);
    let mut out = vec![22, 3, 1];
    let length = u16::try_from(hello.len()).unwrap();
    out.extend((length + 4).to_be_bytes());
    out.extend([1, 0]);
    out.extend(length.to_be_bytes());
    out.extend(hello);
    out
}

/// What comes of bytes that are sent in pieces of some size.
fn read(check: Check, bytes: &[u8], size: usize) -> (Option<Said>, String) {
    let mut hello = Box::new(Hello::new());
    hello.begin();
    let mut said = None;
    for (index, piece) in bytes.chunks(size).enumerate() {
        said = take(
            &mut hello,
            check,
            u32::try_from(index * size).unwrap(),
            piece,
        );
        if said != Some(Said::Pending) {
            break;
        }
    }
    (
        said,
        String::from_utf8(hello.name.spelled().collect()).unwrap(),
    )
}

fn refused(check: Check, bytes: &[u8]) -> Option<Reason> {
    let whole = read(check, bytes, bytes.len().max(1)).0;
    assert_eq!(read(check, bytes, 7).0, whole, "in pieces");
    match whole {
        Some(Said::Refused(number)) => Reason::ALL
            .into_iter()
            .find(|reason| reason.index() == number),
        _ => None,
    }
}

fn length(bytes: &[u8]) -> u32 {
    u32::try_from(bytes.len()).unwrap()
}

#[test]
fn the_server_name_of_a_hello_whatever_its_size_and_pieces() {
    let keys = extension(51, &[5; 1_300]);
    for extensions in [
        vec![server_name("API.example.com")],
        vec![keys.clone(), server_name("api.example.com"), keys.clone()],
        vec![
            keys.clone(),
            keys.clone(),
            keys.clone(),
            keys.clone(),
            keys,
            server_name("api.example.com"),
        ],
    ] {
        let bytes = tls(&extensions);
        for size in [1, 15, 16, 17, 700, 1_448, 10_000] {
            let (said, name) = read(Check::Sni, &bytes, size);
            assert_eq!(said, Some(Said::Name(length(&bytes))), "{size}");
            assert_eq!(name, "api.example.com");
        }
        assert_eq!(
            read(Check::Sni, &bytes[..bytes.len() - 1], 999).0,
            Some(Said::Pending)
        );
    }
}

/// The same hello, in records of so many bytes.
fn in_records(whole: &[u8], size: usize) -> Vec<u8> {
    whole[5..].chunks(size).flat_map(record).collect()
}

fn record(part: &[u8]) -> Vec<u8> {
    let mut out = vec![22, 3, 1];
    out.extend(u16::try_from(part.len()).unwrap().to_be_bytes());
    out.extend(part);
    out
}

#[test]
fn a_hello_in_several_records() {
    let keys = extension(51, &[5; 300]);
    let whole = tls(&[keys.clone(), server_name("api.example.com"), keys]);
    for records in [1, 2, 3, 7, 64, 400, 1_000] {
        let bytes = in_records(&whole, records);
        for size in [1, 5, 16, 700, 10_000] {
            let (said, name) = read(Check::Sni, &bytes, size);
            assert_eq!(
                said,
                Some(Said::Name(length(&bytes))),
                "{records} in {size}"
            );
            assert_eq!(name, "api.example.com");
        }
    }
    let refused = |bytes: &[u8]| refused(Check::Sni, bytes);
    let (first, last) = whole[5..].split_at(200);
    let joined = |parts: &[Vec<u8>]| parts.concat();
    // An empty record, one of another kind, and one that goes on behind the hello.
    for (middle, end) in [
        (record(&[]), record(last)),
        (vec![20, 3, 3, 0, 1, 1], record(last)),
        (vec![], record(&[last, &[1, 0, 0, 0]].concat())),
    ] {
        let bytes = joined(&[record(first), middle, end]);
        assert_eq!(refused(&bytes), Some(Reason::HelloOther));
    }
    // More headers than a hello has room for.
    let long = in_records(&tls(&[extension(21, &[0; 2_000]), server_name("a.b")]), 1);
    assert_eq!(refused(&long), Some(Reason::HelloTooLong));
}

#[test]
fn hellos_that_are_refused() {
    let name = server_name("api.example.com");
    let other = |bytes: &[u8], reason| assert_eq!(refused(Check::Sni, bytes), Some(reason));
    other(&tls(&[extension(51, &[5; 20])]), Reason::HelloNoName);
    other(
        &tls(&[name.clone(), extension(0xfe0d, &[5; 20])]),
        Reason::HelloEncrypted,
    );
    other(&tls(&[name.clone(), name.clone()]), Reason::HelloOther);
    other(&tls(&[server_name("")]), Reason::HelloOther);
    other(&tls(&[server_name("a b")]), Reason::HelloNotListed);
    other(
        &tls(&[server_name("a\0.example.com")]),
        Reason::HelloNotListed,
    );
    other(b"GET / HTTP/1.1\r\n\r\n", Reason::HelloOther);
    other(b"SSH-2.0-OpenSSH\r\n", Reason::HelloOther);
    // A record that holds a part of the hello, or more than it.
    let mut split = tls(std::slice::from_ref(&name));
    split[4] -= 10;
    other(&split, Reason::HelloOther);
    let mut long = tls(&[
        name.clone(),
        extension(21, &[0; 5_000]),
        extension(21, &[0; 5_000]),
    ]);
    other(&long, Reason::HelloTooLong);
    long.truncate(9);
    other(&long, Reason::HelloTooLong);
    // Lengths that lie.
    let whole = tls(&[name]);
    for at in [43, 82, 85, 89, 91, 92, 94] {
        let mut lie = whole.clone();
        lie[at] = lie[at].wrapping_add(1);
        assert!(refused(Check::Sni, &lie).is_some(), "{at}");
    }
}

#[test]
fn the_host_of_a_request() {
    for (request, name) in [
        (
            "GET / HTTP/1.1\r\nHost: api.example.com\r\n\r\n",
            "api.example.com",
        ),
        (
            "POST /a?b=:// HTTP/1.0\r\nX: y\r\nhOsT:API.example.com:8080 \t\r\nY:\r\n\r\n",
            "api.example.com",
        ),
        ("OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n", "a"),
        ("GET http://a.b HTTP/1.1\r\nHost: a.b\r\n\r\n", "a.b"),
        (
            "GET http://a.b:80/c?d HTTP/1.1\r\nHost: A.b:80\r\n\r\n",
            "a.b",
        ),
        (
            "GET HTTP://a.b?http://c.d/ HTTP/1.1\r\nHost: a.b\r\n\r\n",
            "a.b",
        ),
        ("CONNECT a.b:443 HTTP/1.1\r\nHost: a.b:443\r\n\r\n", "a.b"),
    ] {
        let whole = request.len();
        let more = format!("{request}body");
        for size in [1, 16, 33, 1_000] {
            let (said, read) = read(Check::Host, more.as_bytes(), size);
            assert_eq!(
                said,
                Some(Said::Name(u32::try_from(whole).unwrap())),
                "{request}"
            );
            assert_eq!(read, name, "{request}");
        }
        let short = &request.as_bytes()[..whole - 1];
        assert_eq!(
            read(Check::Host, short, 9).0,
            Some(Said::Pending),
            "{request}"
        );
    }
}

#[test]
fn requests_that_are_refused() {
    for (request, reason) in [
        ("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", Reason::HelloHttp2),
        ("GET / HTTP/1.1\r\n\r\n", Reason::HelloNoName),
        ("GET / HTTP/1.1\r\nHost:\r\n\r\n", Reason::HelloNoName),
        (
            "GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n",
            Reason::HelloOther,
        ),
        (
            "GET / HTTP/1.1\r\nHost: a\r\nHost : b\r\n\r\n",
            Reason::HelloOther,
        ),
        (
            "GET / HTTP/1.1\r\nX: y\r\n Host: a\r\nHost: b\r\n\r\n",
            Reason::HelloOther,
        ),
        ("GET / HTTP/1.1\nHost: a\n\n", Reason::HelloOther),
        (
            "GET / HTTP/1.1\r\nX: \nHost: b\r\nHost: a\r\n\r\n",
            Reason::HelloOther,
        ),
        ("GET  / HTTP/1.1\r\nHost: a\r\n\r\n", Reason::HelloOther),
        ("\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n", Reason::HelloOther),
        ("GET /\r\n", Reason::HelloOther),
        ("GET / HTTP/1.1 \r\nHost: a\r\n\r\n", Reason::HelloOther),
        (
            "GET http://b/ HTTP/1.1\r\nHost: a\r\n\r\n",
            Reason::HelloOther,
        ),
        (
            "GET http://a@b/ HTTP/1.1\r\nHost: b\r\n\r\n",
            Reason::HelloOther,
        ),
        (
            "GET http:///a HTTP/1.1\r\nHost: a\r\n\r\n",
            Reason::HelloOther,
        ),
        (
            "CONNECT b:443 HTTP/1.1\r\nHost: a\r\n\r\n",
            Reason::HelloOther,
        ),
        ("GET / HTTP/1.1\r\nHost: a b\r\n\r\n", Reason::HelloOther),
        (
            "GET / HTTP/1.1\r\nHost: [::1]\r\n\r\n",
            Reason::HelloNotListed,
        ),
        (
            "GET / HTTP/1.1\r\nHost: a\0b\r\n\r\n",
            Reason::HelloNotListed,
        ),
        ("SSH-2.0-x", Reason::HelloOther),
        ("\x16\x03\x01", Reason::HelloOther),
    ] {
        assert_eq!(
            refused(Check::Host, request.as_bytes()),
            Some(reason),
            "{request:?}"
        );
    }
    let long = format!(
        "GET / HTTP/1.1\r\nX: {}\r\nHost: a\r\n\r\n",
        "y".repeat(HELLO_MAX)
    );
    assert_eq!(
        refused(Check::Host, long.as_bytes()),
        Some(Reason::HelloTooLong)
    );
}

#[test]
fn what_was_sent_may_be_sent_again_and_not_otherwise() {
    let bytes = tls(&[server_name("api.example.com")]);
    let mut hello = Box::new(Hello::new());
    hello.begin();
    let mut take = |offset: usize, piece: &[u8]| {
        super::take(
            &mut hello,
            Check::Sni,
            u32::try_from(offset).unwrap(),
            piece,
        )
    };
    assert_eq!(take(0, &bytes[..50]), Some(Said::Pending));
    assert_eq!(take(60, &bytes[60..]), None, "out of order");
    assert_eq!(take(0, &bytes[..40]), Some(Said::Pending), "again");
    let mut lie = bytes.clone();
    lie[30] ^= 1;
    assert_eq!(take(0, &lie[..40]), None, "otherwise");
    assert_eq!(take(20, &lie), None, "beginning within");
    let named = Some(Said::Name(length(&bytes)));
    assert_eq!(take(40, &bytes[40..]), named);
    assert_eq!(take(0, &bytes), named);
    lie = bytes.clone();
    *lie.last_mut().unwrap() ^= 1;
    assert_eq!(take(0, &lie), None);
    assert_eq!(take(u32::MAX as usize, &bytes), None, "before the first");
}

proptest! {
    /// However it is cut, the same comes of it.
    #[test]
    fn pieces_make_no_difference(
        bytes in prop::collection::vec(any::<u8>(), 1..300),
        request in "(GET|PRI) (/|http://a/) HTTP/[12].1\r\n(Host|X): ?[a-c.]{0,9}\r\n(Host: a\r\n)?\r\n",
        size in 1_usize..40,
    ) {
        for check in [Check::Sni, Check::Host] {
            for bytes in [&bytes[..], request.as_bytes()] {
                prop_assert_eq!(read(check, bytes, size), read(check, bytes, 10_000));
            }
        }
    }

    /// What a name is taken from holds it, and a key of full length fits the room.
    #[test]
    fn a_mutated_hello_teaches_no_name_it_does_not_hold(
        at in 0_usize..140,
        with in any::<u8>(),
    ) {
        let mut bytes = tls(&[server_name("api.example.com"), extension(16, &[1, 2, 3])]);
        let at = at % bytes.len();
        bytes[at] = with;
        let mut hello = Box::new(Hello::new());
        hello.begin();
        if let Some(Said::Name(end)) = take(&mut hello, Check::Sni, 0, &bytes) {
            prop_assert!(end as usize <= bytes.len());
            let name: Vec<u8> = hello.name.spelled().collect();
            let folded = bytes.to_ascii_lowercase();
            prop_assert!(folded.windows(name.len()).any(|part| part == name));
        }
        prop_assert!(hello.name.key(1) + 260 <= hello.name.room().len());
    }
}
