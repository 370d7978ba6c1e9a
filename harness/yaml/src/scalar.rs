//! What a scalar without quotes means to Go's YAML libraries: octal numbers with a leading zero, `_` in numbers, and for yaml.v2
//! the booleans of YAML 1.1.

use crate::{Dialect, Value};

/// What an unquoted scalar means (resolve.go of the library).
pub(crate) fn plain(text: &str, dialect: Dialect) -> Value {
    let raw = || text.to_owned();
    match text {
        "" | "~" | "null" | "Null" | "NULL" => return Value::Null,
        "true" | "True" | "TRUE" => {
            return Value::Bool {
                is: true,
                raw: raw(),
            };
        }
        "false" | "False" | "FALSE" => {
            return Value::Bool {
                is: false,
                raw: raw(),
            };
        }
        "y" | "Y" | "yes" | "Yes" | "YES" | "on" | "On" | "ON" if dialect == Dialect::V2 => {
            return Value::Bool {
                is: true,
                raw: raw(),
            };
        }
        "n" | "N" | "no" | "No" | "NO" | "off" | "Off" | "OFF" if dialect == Dialect::V2 => {
            return Value::Bool {
                is: false,
                raw: raw(),
            };
        }
        _ => {}
    }
    if !text.starts_with(|first: char| first.is_ascii_digit() || "+-.".contains(first)) {
        return Value::Text(raw());
    }
    let digits: String = text.chars().filter(|&char| char != '_').collect();
    if let Some(is) = integer(&digits) {
        return Value::Int { is, raw: raw() };
    }
    let float = match dialect {
        Dialect::V2 => float_v2(&digits),
        Dialect::V3 => float_v3(&digits),
    };
    match float {
        Some(is) => Value::Float { is, raw: raw() },
        None => Value::Text(raw()),
    }
}

/// Go's `strconv.ParseInt` with base 0, for text without underscores.
fn integer(text: &str) -> Option<i64> {
    let (negative, body) = match text.strip_prefix('-') {
        Some(body) => (true, body),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    let lower = body.to_ascii_lowercase();
    let (radix, digits) = match lower.as_bytes() {
        [b'0', b'x', ..] => (16, &lower[2..]),
        [b'0', b'o', ..] => (8, &lower[2..]),
        [b'0', b'b', ..] => (2, &lower[2..]),
        [b'0', _, ..] => (8, &lower[1..]),
        _ => (10, lower.as_str()),
    };
    // from_str_radix would take a second sign
    if !digits.starts_with(|first: char| first.is_digit(radix)) {
        return None;
    }
    let is = i128::from_str_radix(digits, radix).ok()?;
    i64::try_from(if negative { -is } else { is }).ok()
}

/// `[-+]?[0-9]*\.?[0-9]+([eE][-+][0-9]+)?`, the floats of yaml.v2.
fn float_v2(text: &str) -> Option<f64> {
    let body = text.strip_prefix(['-', '+']).unwrap_or(text);
    let (mantissa, exponent) = match body.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, Some(exponent)),
        None => (body, None),
    };
    let all_digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    let (whole, fraction) = mantissa.split_once('.').unwrap_or(("", mantissa));
    let mantissa_fits = all_digits(whole) && all_digits(fraction) && !fraction.is_empty();
    let exponent_fits = exponent.is_none_or(|exponent| {
        exponent
            .strip_prefix(['-', '+'])
            .is_some_and(|digits| !digits.is_empty() && all_digits(digits))
    });
    if mantissa_fits && exponent_fits {
        text.parse().ok()
    } else {
        None
    }
}

/// `[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?`, the floats of yaml.v3.
fn float_v3(text: &str) -> Option<f64> {
    let body = text.strip_prefix(['-', '+']).unwrap_or(text);
    let (mantissa, exponent) = match body.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, Some(exponent)),
        None => (body, None),
    };
    let all_digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let mantissa_fits =
        all_digits(whole) && all_digits(fraction) && !(whole.is_empty() && fraction.is_empty());
    let exponent_fits = exponent.is_none_or(|exponent| {
        let digits = exponent.strip_prefix(['-', '+']).unwrap_or(exponent);
        !digits.is_empty() && all_digits(digits)
    });
    if mantissa_fits && exponent_fits {
        text.parse().ok()
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn plain_v2(text: &str) -> Value {
        plain(text, Dialect::V2)
    }

    #[test]
    fn plain_scalars_mean_what_yaml_1_1_says() {
        let int = |text: &str| match plain_v2(text) {
            Value::Int { is, .. } => Some(is),
            _ => None,
        };
        for (text, is) in [
            ("5", 5),
            ("-5", -5),
            ("+5", 5),
            ("0x10", 16),
            ("1_000", 1000),
            ("0644", 0o644),
            ("0o17", 0o17),
            ("0b101", 5),
            ("0", 0),
        ] {
            assert_eq!(int(text), Some(is), "{text}");
        }
        for text in ["08", "1.5", "1e+3", ".5", "-.5"] {
            assert!(matches!(plain_v2(text), Value::Float { .. }), "{text}");
        }
        for text in [
            "2024-01-02",
            "1.2.3",
            "0x",
            "--5",
            "-",
            "5.",
            "1e3",
            "-+5",
            "0x-5",
        ] {
            assert!(matches!(plain_v2(text), Value::Text(_)), "{text}");
        }
        for text in ["yes", "On", "TRUE", "y"] {
            assert!(
                matches!(plain_v2(text), Value::Bool { is: true, .. }),
                "{text}"
            );
        }
        for text in ["no", "off", "False", "n"] {
            assert!(
                matches!(plain_v2(text), Value::Bool { is: false, .. }),
                "{text}"
            );
        }
        assert_eq!(plain_v2("~"), Value::Null);
    }

    #[test]
    fn yaml_v3_keeps_the_words_of_yaml_1_1_as_text() {
        for text in ["yes", "no", "on", "Off", "y", "N"] {
            assert!(matches!(plain(text, Dialect::V3), Value::Text(_)), "{text}");
        }
        for text in ["true", "True", "FALSE"] {
            assert!(
                matches!(plain(text, Dialect::V3), Value::Bool { .. }),
                "{text}"
            );
        }
        for text in ["1e3", "5.", ".5", "08", "1.5e-2"] {
            assert!(
                matches!(plain(text, Dialect::V3), Value::Float { .. }),
                "{text}"
            );
        }
        for (text, expected) in [("0644", 0o644), ("0o644", 0o644), ("1_0", 10), ("0x1f", 31)] {
            assert!(
                matches!(plain(text, Dialect::V3), Value::Int { is, .. } if is == expected),
                "{text}"
            );
        }
    }

    proptest! {
        #[test]
        fn numbers_read_as_they_were_written(number: i64) {
            prop_assert_eq!(integer(&number.to_string()), Some(number));
        }
    }
}
