//! Messages of gRPC in a body: each has five bytes before it, the last four of which say how long it is
//! (gRPC over HTTP2, Length-Prefixed-Message).

/// What comes before each message.
const PREFIX: usize = 5;

/// Where a body stands.
#[derive(Debug, Default)]
pub(super) struct Messages {
    /// How many bytes of the next prefix have come.
    prefix: usize,
    /// How long the message is, as far as the prefix has said.
    length: u32,
    /// How many bytes of a message are still to come.
    left: usize,
}

impl Messages {
    /// More of the body: how many messages begin in it.
    pub(super) fn take(&mut self, mut data: &[u8]) -> u64 {
        let mut begun = 0;
        loop {
            let passed = self.left.min(data.len());
            self.left -= passed;
            data = &data[passed..];
            let Some((&byte, rest)) = data.split_first() else {
                return begun;
            };
            data = rest;
            // The first byte says whether it is compressed.
            if self.prefix > 0 {
                self.length = self.length << 8 | u32::from(byte);
            }
            self.prefix += 1;
            if self.prefix == PREFIX {
                begun += 1;
                self.left = usize::try_from(self.length).unwrap_or(usize::MAX);
                (self.prefix, self.length) = (0, 0);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::{collection::vec, prelude::*};

    use super::*;

    proptest! {
        /// However a body is cut, its messages are those that were put in.
        #[test]
        fn cuts_do_not_matter(lengths in vec(0_usize..300, 0..8), cuts in vec(1_usize..40, 1..20)) {
            let mut body = Vec::new();
            for &length in &lengths {
                body.push(0);
                body.extend(u32::try_from(length).unwrap().to_be_bytes());
                body.extend(vec![7; length]);
            }
            let (mut messages, mut found) = (Messages::default(), 0);
            let mut rest = body.as_slice();
            for cut in cuts.into_iter().cycle() {
                if rest.is_empty() {
                    break;
                }
                let (piece, more) = rest.split_at(cut.min(rest.len()));
                found += messages.take(piece);
                rest = more;
            }
            prop_assert_eq!(found, lengths.len() as u64);
        }

        /// What is no gRPC does not matter either.
        #[test]
        fn any_bytes_are_taken(pieces in vec(vec(any::<u8>(), 0..64), 0..8)) {
            let mut messages = Messages::default();
            let bytes: usize = pieces.iter().map(Vec::len).sum();
            let begun: u64 = pieces.iter().map(|piece| messages.take(piece)).sum();
            prop_assert!(begun <= (bytes / PREFIX) as u64);
        }
    }
}
