//! A decimal number with a unit after it, read and written exactly: `1.5us`, `10Gbit/s`, `0.1%`.
//!
//! Contract: a value is a whole number of the smallest unit of its kind (picoseconds, bytes, ...).
//! What cannot be expressed so is an error and never rounded; nothing here is a float.

/// A unit: its spelling and how many smallest units it holds.
pub(super) type UnitTable = &'static [(&'static str, u64)];

/// Reads `text` as a decimal followed by one of `units`, in smallest units.
///
/// `kind` names the quantity in the error ("a duration"), `example` shows a right one.
pub(super) fn parse(
    text: &str,
    kind: &str,
    example: &str,
    units: UnitTable,
) -> Result<u64, String> {
    let text = text.trim();
    let digits_end =
        text.find(|c: char| !(c.is_ascii_digit() || c == '.' || c == '_')).unwrap_or(text.len());
    let (digits, unit) = (&text[..digits_end], text[digits_end..].trim_start());
    let (numerator, decimals) = split(digits)
        .ok_or_else(|| format!("`{text}` is not {kind}: write it like \"{example}\""))?;
    let Some(&(_, scale)) = units.iter().find(|(name, _)| *name == unit) else {
        let known = units.iter().map(|(name, _)| *name).collect::<Vec<_>>().join(", ");
        let what = if unit.is_empty() {
            format!("`{text}` has no unit")
        } else {
            format!("`{unit}` is not a unit of {}", kind.trim_start_matches("a "))
        };
        return Err(format!("{what}: use one of {known}, as in \"{example}\""));
    };
    let divisor = 10u128.pow(decimals);
    let scaled = numerator
        .checked_mul(u128::from(scale))
        .ok_or_else(|| format!("`{text}` is too large for {kind}"))?;
    if !scaled.is_multiple_of(divisor) {
        let smallest = units.iter().min_by_key(|(_, scale)| *scale).map_or("", |(name, _)| *name);
        let precision = units.iter().find(|(_, scale)| *scale == 1).map_or_else(
            || format!("a thousandth of a {smallest}"),
            |(name, _)| format!("1{name}"),
        );
        return Err(format!("`{text}` is finer than {precision}, the smallest step of {kind}"));
    }
    u64::try_from(scaled / divisor).map_err(|_| format!("`{text}` is too large for {kind}"))
}

/// Splits `12.50` into (1250, 2); `None` if it is no decimal number.
pub(super) fn split(digits: &str) -> Option<(u128, u32)> {
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, "0"));
    let mut value = 0u128;
    let mut seen = [false; 2];
    for (part, text) in [whole, fraction].into_iter().enumerate() {
        for c in text.chars().filter(|&c| c != '_') {
            value = value.checked_mul(10)?.checked_add(u128::from(c.to_digit(10)?))?;
            seen[part] = true;
        }
    }
    let decimals = fraction.chars().filter(|&c| c != '_').count();
    // 38 digits are all that a u128 can hold, so a longer fraction has overflowed above.
    (seen == [true; 2] && decimals <= 36).then(|| Some((value, u32::try_from(decimals).ok()?)))?
}

/// Writes `value` in the unit that makes the shortest text with at most three decimals; of two as
/// short, the larger unit.
pub(super) fn print(value: u64, units: UnitTable) -> String {
    let texts = units.iter().filter_map(|&(name, scale)| in_unit(value, name, scale));
    texts.min_by_key(String::len).unwrap_or_default()
}

/// `value` in one unit; `None` if that needs more than three decimals.
fn in_unit(value: u64, name: &str, scale: u64) -> Option<String> {
    let thousandths = u128::from(value) * 1000;
    if !thousandths.is_multiple_of(u128::from(scale)) {
        return None;
    }
    let thousandths = thousandths / u128::from(scale);
    let (whole, fraction) = (thousandths / 1000, thousandths % 1000);
    if fraction == 0 {
        return Some(format!("{whole}{name}"));
    }
    let fraction = format!("{fraction:03}");
    Some(format!("{whole}.{}{name}", fraction.trim_end_matches('0')))
}

#[cfg(test)]
mod tests {
    use super::*;

    const UNITS: UnitTable = &[("ps", 1), ("ns", 1000), ("us", 1_000_000)];

    fn read(text: &str) -> Result<u64, String> {
        parse(text, "a duration", "10us", UNITS)
    }

    #[test]
    fn decimals_are_exact() {
        assert_eq!(read("1.5us"), Ok(1_500_000));
        assert_eq!(read("0.001ns"), Ok(1));
        assert_eq!(read("1_000.25 ns"), Ok(1_000_250));
        assert_eq!(read("18446744073709551615ps"), Ok(u64::MAX));
    }

    #[test]
    fn what_does_not_fit_is_refused() {
        assert!(read("0.0001ns").unwrap_err().contains("finer than 1ps"));
        assert!(read("18446744073709551616ps").unwrap_err().contains("too large"));
        assert!(read("99999999999999999999999999999999999999999us").is_err());
        assert!(read("5").unwrap_err().contains("has no unit: use one of ps, ns, us"));
        assert!(read("5 parsec").unwrap_err().contains("`parsec` is not a unit of duration"));
        for bad in ["", "us", ".5us", "5.us", "-1us", "1e3us", "1.2.3us", "_us", "0x10us"] {
            assert!(read(bad).is_err(), "{bad:?} was read");
        }
    }

    #[test]
    fn printing_takes_the_unit_a_person_would() {
        for (value, text) in [
            (0, "0ps"),
            (999, "999ps"),
            (1500, "1.5ns"),
            (1_000_001, "1000001ps"),
            (2_000_000, "2us"),
        ] {
            assert_eq!(print(value, UNITS), text);
        }
    }
}
