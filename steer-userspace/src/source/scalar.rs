//! What a YAML scalar without quotes stands for: the core schema of YAML 1.2.

use serde_json::Number;

/// A scalar.
#[derive(Clone, PartialEq, Debug)]
pub(super) enum Scalar {
    Null,
    Bool(bool),
    Number(Number),
    Text,
}

/// `yes` is a text and `0644` no octal number; numbers that JSON does not have are texts, too.
pub(super) fn resolve(text: &str) -> Scalar {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => return Scalar::Null,
        "true" | "True" | "TRUE" => return Scalar::Bool(true),
        "false" | "False" | "FALSE" => return Scalar::Bool(false),
        _ => {}
    }
    // Most texts begin with a letter: they are told first.
    if text.starts_with(|c: char| c.is_ascii_digit() || "+-.".contains(c)) {
        number(text).map_or(Scalar::Text, Scalar::Number)
    } else {
        Scalar::Text
    }
}

fn number(text: &str) -> Option<Number> {
    if let Some(digits) = text.strip_prefix("0x") {
        return radix(digits, 16);
    }
    if let Some(digits) = text.strip_prefix("0o") {
        return radix(digits, 8);
    }
    let digits = text.strip_prefix(['+', '-']).unwrap_or(text);
    if digits.bytes().all(|byte| byte.is_ascii_digit()) {
        if digits.is_empty() || digits.len() > 1 && digits.starts_with('0') {
            return None;
        }
        let text = text.strip_prefix('+').unwrap_or(text);
        let unsigned = text.parse::<u64>().map(Number::from);
        let whole = unsigned.or_else(|_| text.parse::<i64>().map(Number::from));
        return whole.ok().or_else(|| Number::from_f64(text.parse().ok()?));
    }
    is_decimal(digits).then(|| Number::from_f64(text.parse().ok()?))?
}

fn radix(digits: &str, radix: u32) -> Option<Number> {
    let is_digit = |byte: u8| char::from(byte).is_digit(radix);
    if !digits.bytes().all(is_digit) {
        return None;
    }
    u64::from_str_radix(digits, radix).ok().map(Number::from)
}

/// `1.5`, `.5`, `1.`, `1e3`.
fn is_decimal(text: &str) -> bool {
    let (mantissa, exponent) = text
        .split_once(['e', 'E'])
        .map_or((text, None), |(mantissa, exponent)| {
            (mantissa, Some(exponent))
        });
    let all_digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let is_mantissa =
        all_digits(whole) && all_digits(fraction) && !(whole.is_empty() && fraction.is_empty());
    is_mantissa
        && exponent.is_none_or(|exponent| {
            let digits = exponent.strip_prefix(['+', '-']).unwrap_or(exponent);
            !digits.is_empty() && all_digits(digits)
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn json(text: &str) -> String {
        match resolve(text) {
            Scalar::Null => "null".to_owned(),
            Scalar::Bool(value) => value.to_string(),
            Scalar::Number(value) => value.to_string(),
            Scalar::Text => format!("{text:?}"),
        }
    }

    #[test]
    fn numbers_are_those_of_the_core_schema() {
        for (text, value) in [
            ("0", "0"),
            ("80", "80"),
            ("-1", "-1"),
            ("+5", "5"),
            ("0x1F", "31"),
            ("0o17", "15"),
            ("1.5", "1.5"),
            (".5", "0.5"),
            ("1.", "1.0"),
            ("1e3", "1000.0"),
            ("-1.5E-1", "-0.15"),
            ("18446744073709551615", "18446744073709551615"),
            ("18446744073709551616", "1.8446744073709552e+19"),
        ] {
            assert_eq!(json(text), value, "{text}");
        }
    }

    #[test]
    fn everything_else_is_a_text() {
        for text in [
            "yes",
            "no",
            "on",
            "y",
            "tRue",
            "0644",
            "00",
            "1_000",
            "0x",
            "0xg",
            "0o8",
            "1.2.3",
            "10.0.0.1",
            "1e",
            "1e+",
            ".",
            "-",
            "+",
            "--1",
            ".inf",
            "-.inf",
            ".nan",
            "1e999",
            "v1",
            "2024-01-01",
            "1m30s",
            "0b1",
            "-0x1",
        ] {
            assert_eq!(resolve(text), Scalar::Text, "{text}");
        }
        for text in ["", "~", "null"] {
            assert_eq!(resolve(text), Scalar::Null, "{text}");
        }
    }
}
