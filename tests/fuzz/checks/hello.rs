//! First bytes, in pieces: no input may panic, leave its room, or name what is not in it; and how it
//! is cut makes no difference. The first byte says which protocol, the second how it is cut.

use steer_common::{
    egress::Check,
    parse::hello::{HELLO_MAX, Hello, Said, take},
};

fn read(hello: &mut Hello, check: Check, data: &[u8], size: usize) -> Option<Said> {
    hello.begin();
    let mut said = None;
    let mut at = 0;
    for piece in data.chunks(size) {
        said = take(hello, check, at, piece);
        assert!(said.is_some(), "what follows in order is taken");
        at += u32::try_from(piece.len()).unwrap_or(u32::MAX);
        if said != Some(Said::Pending) {
            break;
        }
    }
    said
}

pub(crate) fn check(input: &[u8]) {
    let [first, size, data @ ..] = input else {
        return;
    };
    let check = if first & 1 == 1 {
        Check::Host
    } else {
        Check::Sni
    };
    let mut hello = Box::new(Hello::new());
    let pieces = read(&mut hello, check, data, usize::from(*size) + 1);
    let name: Vec<u8> = hello.name.spelled().collect();
    if let Some(Said::Name(end)) = pieces {
        assert!(end as usize <= data.len().min(HELLO_MAX) && !name.is_empty());
        let folded = data.to_ascii_lowercase();
        assert!(is_in(&name, &folded, check));
        assert_eq!(take(&mut hello, check, 0, &data[..1]), pieces);
    }
    assert!(hello.name.key(1) + 260 <= hello.name.room().len());
    let whole = read(&mut hello, check, data, HELLO_MAX * 2);
    assert_eq!(pieces, whole);
}

/// Whether a name stands in what was said; in TLS the headers of records may cut it.
fn is_in(name: &[u8], said: &[u8], check: Check) -> bool {
    if matches!(check, Check::Host) {
        return said.windows(name.len()).any(|part| part == name);
    }
    let mut said = said.iter();
    name.iter().all(|byte| said.any(|other| other == byte))
}
