//! Dates of patches: read as mail, git and people write them, written as mail.
//!
//! RFC 5322 section 3.3 (`Mon, 1 Jan 2024 00:00:00 +0000`), git's own form (`Mon Jan 1 00:00:00 2024 +0000`) and ISO 8601.
//! Days are counted as in H. Hinnant's `days_from_civil`. Must not read a clock.

const MONTHS: [&str; 12] = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
const DAYS: [&str; 7] = ["Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"];

/// Reads a date: seconds since 1970 and minutes east of Greenwich. `None` when it is no date.
pub fn read(text: &str) -> Option<(i64, i32)> {
    let (mut year, mut month, mut day) = (None, None, None);
    let (mut clock, mut offset) = (0, 0);
    let text = text.split('(').next()?.replace([',', 'T'], " ").replace('Z', " +0000");
    // `Tue` and `Thu` lost their first letter above; week days say nothing anyway.
    for word in text.split_ascii_whitespace() {
        let number = word.parse::<i64>().ok().filter(|_| word.bytes().all(|b| b.is_ascii_digit()));
        if let Some((hours, rest)) = word.split_once(':') {
            let (rest, zone) = match rest.find(['+', '-']) {
                Some(at) => (&rest[..at], Some(&rest[at..])),
                None => (rest, None),
            };
            let mut parts = rest.split([':', '.']);
            let minutes = parts.next()?.parse::<i64>().ok()?;
            let seconds = parts.next().map_or(Ok(0), str::parse::<i64>).ok()?;
            let hours = hours.parse::<i64>().ok()?;
            if !(0..24).contains(&hours) || !(0..60).contains(&minutes) || !(0..=60).contains(&seconds) {
                return None;
            }
            clock = hours * 3600 + minutes * 60 + seconds;
            if let Some(zone) = zone {
                offset = read_zone(zone)?;
            }
        } else if word.starts_with(['+', '-']) {
            offset = read_zone(word)?;
        } else if let Some(at) = MONTHS.iter().position(|m| word.get(..3).is_some_and(|w| w.eq_ignore_ascii_case(m))) {
            month = Some(at as i64 + 1);
        } else if let [Some(y), Some(m), Some(d)] = iso(word) {
            (year, month, day) = (Some(y), Some(m), Some(d));
        } else if let Some(number) = number {
            if word.len() >= 3 { year = Some(number) } else { day = day.or(Some(number)) }
        }
    }
    let (year, month, day) = (year?, month?, day?);
    if !(1900..10_000).contains(&year) || !(1..=12).contains(&month) || !(1..=31).contains(&day) {
        return None;
    }
    Some((days(year, month, day) * 86_400 + clock - i64::from(offset) * 60, offset))
}

fn iso(word: &str) -> [Option<i64>; 3] {
    let parts: Vec<Option<i64>> = word.split(['-', '/']).map(|p| p.parse().ok()).collect();
    match parts.as_slice() {
        [year @ Some(1900..=9999), month, day] => [*year, *month, *day],
        _ => [None; 3],
    }
}

fn read_zone(word: &str) -> Option<i32> {
    let sign = if word.starts_with('-') { -1 } else { 1 };
    let digits: String = word.chars().filter(char::is_ascii_digit).collect();
    let number: i32 = digits.parse().ok().filter(|n| *n < 2400)?;
    Some(sign * (number / 100 * 60 + number % 100))
}

/// Returns the days from 1970-01-01.
fn days(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let of_era = year.rem_euclid(400);
    let of_year = (153 * (month + if month > 2 { -3 } else { 9 }) + 2) / 5 + day - 1;
    era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468
}

/// Returns year, month and day of a count of days since 1970.
fn civil(day: i64) -> (i64, i64, i64) {
    let shifted = day + 719_468;
    let era = shifted.div_euclid(146_097);
    let of_era = shifted.rem_euclid(146_097);
    let year_of_era = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * of_year + 2) / 153;
    let of_month = of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 { shifted_month + 3 } else { shifted_month - 9 };
    (year_of_era + era * 400 + i64::from(month <= 2), month, of_month)
}

/// Writes the day, in Greenwich: `2024-01-01`.
pub fn day(seconds: i64) -> String {
    let (year, month, day) = civil(seconds.div_euclid(86_400));
    format!("{year:04}-{month:02}-{day:02}")
}

/// Writes a date as mail has it: `Mon, 1 Jan 2024 00:00:00 +0000`.
pub fn write(seconds: i64, offset: i32) -> String {
    let local = seconds.saturating_add(i64::from(offset) * 60);
    let (day, clock) = (local.div_euclid(86_400), local.rem_euclid(86_400));
    let (year, month, of_month) = civil(day);
    let name = |names: &[&'static str], at: i64| usize::try_from(at).ok().and_then(|at| names.get(at).copied());
    let (sign, zone) = if offset < 0 { ('-', -offset) } else { ('+', offset) };
    format!(
        "{}, {of_month} {} {year} {:02}:{:02}:{:02} {sign}{:02}{:02}",
        name(&DAYS, (day + 4).rem_euclid(7)).unwrap_or_default(),
        name(&MONTHS, month - 1).unwrap_or_default(),
        clock / 3600,
        clock / 60 % 60,
        clock % 60,
        zone / 60,
        zone % 60,
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn every_common_form() {
        for text in [
            "Thu, 29 Feb 2024 12:34:56 +0530",
            "Thu Feb 29 12:34:56 2024 +0530",
            "2024-02-29 12:34:56 +0530",
            "2024-02-29T12:34:56+05:30",
            "29 Feb 2024 07:04:56 +0000 (UTC)",
        ] {
            assert_eq!(read(text).map(|(seconds, _)| seconds), Some(1_709_190_296), "{text}");
        }
        assert_eq!(read("2024-02-29"), Some((1_709_164_800, 0)));
        assert_eq!(read("Tue, 1 Oct 2024 00:00:00 -0330").map(|(_, offset)| offset), Some(-210));
        for bad in ["", "yesterday", "99:99", "2024", "Mon, 1 Jan 2024 25:00:00 +0000"] {
            assert_eq!(read(bad), None, "{bad}");
        }
        assert_eq!(write(1_709_190_296, 330), "Thu, 29 Feb 2024 12:34:56 +0530");
        assert_eq!(write(0, 0), "Thu, 1 Jan 1970 00:00:00 +0000");
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(seconds in -2_000_000_000i64..200_000_000_000, hours in -12i32..14, half in any::<bool>()) {
            let offset = hours * 60 + if half { 30 } else { 0 };
            prop_assert_eq!(read(&write(seconds, offset)), Some((seconds, offset)));
        }

        #[test]
        fn nothing_panics(text in "\\PC{0,40}") {
            let _ = read(&text);
        }
    }
}
