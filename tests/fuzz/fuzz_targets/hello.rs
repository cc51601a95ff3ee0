//! First bytes, in pieces: no input may panic, leave its room, or name what is not in it; and how it
//! is cut makes no difference.
#![no_main]

use libfuzzer_sys::fuzz_target;
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
        at += piece.len() as u32;
        if said != Some(Said::Pending) {
            break;
        }
    }
    said
}

fuzz_target!(|input: (bool, u8, &[u8])| {
    let (http, size, data) = input;
    let check = if http { Check::Host } else { Check::Sni };
    let mut hello = Box::new(Hello::new());
    let pieces = read(&mut hello, check, data, usize::from(size) + 1);
    let name: Vec<u8> = hello.name.spelled().collect();
    if let Some(Said::Name(end)) = pieces {
        assert!(end as usize <= data.len().min(HELLO_MAX) && !name.is_empty());
        let folded = data.to_ascii_lowercase();
        assert!(folded.windows(name.len()).any(|part| part == name));
        assert_eq!(take(&mut hello, check, 0, &data[..1]), pieces);
    }
    assert!(hello.name.key(1) + 260 <= hello.name.room().len());
    let whole = read(&mut hello, check, data, HELLO_MAX * 2);
    assert_eq!(pieces, whole);
});
