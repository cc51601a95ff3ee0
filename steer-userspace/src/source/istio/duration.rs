//! Lengths of time, as Istio writes them.

use std::fmt;

use serde::{
    Deserialize,
    de::{Deserializer, Error, Visitor},
};

/// `1.5s`, `1m30s`, `10ms`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Default)]
pub struct Duration {
    /// In nanoseconds.
    pub nanos: i64,
}

/// One millisecond: Istio's finest, and shortest.
const MILLISECOND: i64 = 1_000_000;

const UNITS: [(&str, i64); 8] = [
    ("ns", 1),
    ("us", 1_000),
    ("µs", 1_000),
    ("μs", 1_000),
    ("ms", MILLISECOND),
    ("s", 1_000 * MILLISECOND),
    ("m", 60_000 * MILLISECOND),
    ("h", 3_600_000 * MILLISECOND),
];

impl Duration {
    /// Reads a number and a unit, or several of them.
    pub fn parse(text: &str) -> Option<Self> {
        let (sign, mut rest) = match text.strip_prefix('-') {
            Some(rest) => (-1, rest),
            None => (1, text.strip_prefix('+').unwrap_or(text)),
        };
        if rest == "0" {
            return Some(Self { nanos: 0 });
        }
        if rest.is_empty() {
            return None;
        }
        let mut nanos: i64 = 0;
        while !rest.is_empty() {
            let number_end = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
            let (number, tail) = rest.split_at(number_end);
            let unit_end = tail
                .find(|c: char| c.is_ascii_digit() || c == '.')
                .unwrap_or(tail.len());
            let (unit, tail) = tail.split_at(unit_end);
            let &(_, unit) = UNITS.iter().find(|(name, _)| *name == unit)?;
            nanos = nanos.checked_add(scaled(number, unit)?)?;
            rest = tail;
        }
        Some(Self {
            nanos: nanos.checked_mul(sign)?,
        })
    }

    /// At least a millisecond.
    pub fn is_long_enough(self) -> bool {
        self.nanos >= MILLISECOND
    }

    /// A whole number of milliseconds.
    pub fn is_precise_enough(self) -> bool {
        self.nanos % MILLISECOND == 0
    }

    /// A whole number of seconds.
    pub fn is_whole_seconds(self) -> bool {
        self.nanos % (1_000 * MILLISECOND) == 0
    }
}

/// `number` units: a decimal fraction.
fn scaled(number: &str, unit: i64) -> Option<i64> {
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    if whole.is_empty() && fraction.is_empty() {
        return None;
    }
    let mut total = if whole.is_empty() {
        0
    } else {
        whole.parse::<i64>().ok()?.checked_mul(unit)?
    };
    let mut place = unit;
    for digit in fraction.chars() {
        place /= 10;
        total = total.checked_add(i64::from(digit.to_digit(10)?) * place)?;
    }
    Some(total)
}

impl<'de> Deserialize<'de> for Duration {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Text;
        impl Visitor<'_> for Text {
            type Value = Duration;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a duration such as 1.5s or 1m30s")
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<Duration, E> {
                Duration::parse(text)
                    .ok_or_else(|| E::invalid_value(serde::de::Unexpected::Str(text), &self))
            }
        }
        deserializer.deserialize_str(Text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_numbers_with_units() {
        for (text, nanos) in [
            ("1s", 1_000_000_000),
            ("1.5s", 1_500_000_000),
            ("0.000000999s", 999),
            ("2.000000042s", 2_000_000_042),
            ("1h2m3.5s", 3_723_500_000_000),
            ("10ms", 10_000_000),
            ("0", 0),
            (".5s", 500_000_000),
            ("-1s", -1_000_000_000),
        ] {
            assert_eq!(Duration::parse(text), Some(Duration { nanos }), "{text}");
        }
        for text in [
            "",
            "1",
            "s",
            ".s",
            "1x",
            "1s2",
            "1.2.3s",
            "9999999999h",
            "-",
        ] {
            assert_eq!(Duration::parse(text), None, "{text}");
        }
    }
}
