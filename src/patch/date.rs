//! Dates as mail, git, diff and people write them.
//!
//! The calendar is jiff's. Must not read a clock.

use jiff::Timestamp;
use jiff::fmt::strtime::BrokenDownTime;
use jiff::tz::Offset;

/// What may stand before the time zone. White space stands for any amount of it, none included.
const DAYS: [&str; 8] = [
    "%Y-%m-%d %H:%M:%S%.f",
    "%Y-%m-%dT%H:%M:%S%.f",
    "%Y/%m/%d %H:%M:%S%.f",
    "%a, %d %b %Y %H:%M:%S",
    "%d %b %Y %H:%M:%S",
    "%a, %d %b %Y %H:%M",
    "%d %b %Y %H:%M",
    "%Y-%m-%d %H:%M",
];
/// The year comes last, behind a zone or before it.
const ASCTIME: [&str; 3] = ["%a %b %d %H:%M:%S %z %Y", "%a %b %d %H:%M:%S %Y", "%b %d %H:%M:%S %Y"];
/// No time of day.
const DATES: [&str; 5] = ["%Y-%m-%d", "%Y/%m/%d", "%a, %d %b %Y", "%d %b %Y", "%b %d, %Y"];

/// Reads a date at the beginning of a text: seconds since 1970, minutes east of Greenwich (none given: 0), and what follows.
pub(super) fn read_prefix(text: &str) -> Option<(i64, i32, &str)> {
    let text = text.trim_start();
    DAYS.iter().chain(&ASCTIME).chain(&DATES).find_map(|format| {
        // What jiff knows of a day of the week it checks, and people write wrong ones.
        let (weekday, format) = match format.strip_prefix("%a, ").or_else(|| format.strip_prefix("%a ")) {
            Some(rest) => (true, rest),
            None => (false, *format),
        };
        let from = match weekday {
            true => text.trim_start_matches(|c: char| c.is_ascii_alphabetic()).trim_start_matches([',', '.', ' ']),
            false => text,
        };
        let (mut time, used) = BrokenDownTime::parse_prefix(format, from).ok()?;
        let mut rest = from.get(used..)?;
        if time.offset().is_none() && time.hour().is_some() {
            let zone = rest.trim_start();
            let found = ["%z", "%:z"].iter().find_map(|z| BrokenDownTime::parse_prefix(z, zone).ok());
            if let Some((found, used)) = found {
                time.set_offset(found.offset());
                rest = zone.get(used..)?;
            } else if let Some(after) = zone.strip_prefix('Z').or_else(|| zone.strip_prefix("GMT")) {
                rest = after;
            }
        }
        let day = time.to_date().ok()?.to_datetime(jiff::civil::Time::midnight());
        let clock = match (time.hour(), time.minute(), time.second()) {
            (Some(hour), minute, second) => {
                i64::from(hour) * 3600 + i64::from(minute.unwrap_or(0)) * 60 + i64::from(second.unwrap_or(0))
            }
            _ => 0,
        };
        // A time that is none makes the whole no date.
        if time.hour().is_none() && rest.contains(':') {
            return None;
        }
        let offset = time.offset().unwrap_or(Offset::UTC);
        Some((offset.to_timestamp(day).ok()?.as_second() + clock, offset.seconds() / 60, rest))
    })
}

/// Reads a date: seconds since 1970 and minutes east of Greenwich. `None` when it is no date.
pub fn read(text: &str) -> Option<(i64, i32)> {
    read_prefix(text).filter(|(seconds, ..)| *seconds >= YEAR_1900).map(|(seconds, offset, _)| (seconds, offset))
}

/// 1900-01-01.
const YEAR_1900: i64 = -2_208_988_800;

/// Writes the day, in Greenwich: `2024-01-01`.
pub fn day(seconds: i64) -> String {
    at(seconds).strftime("%Y-%m-%d").to_string()
}

/// Writes a date as mail has it: `Mon, 1 Jan 2024 00:00:00 +0000`.
pub fn write(seconds: i64, offset: i32) -> String {
    let zone = Offset::from_seconds(offset.saturating_mul(60)).unwrap_or(Offset::UTC);
    let local = zone.to_datetime(at(seconds));
    let sign = if offset < 0 { '-' } else { '+' };
    let (hours, minutes) = (zone.seconds().abs() / 3600, zone.seconds().abs() / 60 % 60);
    format!("{} {sign}{hours:02}{minutes:02}", local.strftime("%a, %-d %b %Y %H:%M:%S"))
}

/// What is past all calendars is taken for the last day that jiff has.
fn at(seconds: i64) -> Timestamp {
    Timestamp::from_second(seconds).unwrap_or(if seconds < 0 { Timestamp::MIN } else { Timestamp::MAX })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn every_common_form() {
        for text in [
            "Thu, 29 Feb 2024 12:34:56 +0530",
            "Fri, 29 Feb 2024 12:34:56 +0530",
            "Thu Feb 29 12:34:56 2024 +0530",
            "Thu Feb 29 12:34:56 +0530 2024",
            "2024-02-29 12:34:56 +0530",
            "2024-02-29 12:34:56.123456789 +0530",
            "2024-02-29T12:34:56+05:30",
            "29 Feb 2024 07:04:56 +0000 (UTC)",
            "29 Feb 2024 07:04:56",
            "2024-02-29T07:04:56Z",
        ] {
            assert_eq!(read(text).map(|(seconds, _)| seconds), Some(1_709_190_296), "{text}");
        }
        assert_eq!(read("2024-02-29"), Some((1_709_164_800, 0)));
        assert_eq!(read("Tue, 1 Oct 2024 00:00:00 -0330").map(|(_, offset)| offset), Some(-210));
        for bad in ["", "yesterday", "99:99", "2024", "Mon, 1 Jan 2024 25:00:00 +0000", "2023-02-29"] {
            assert_eq!(read(bad), None, "{bad}");
        }
        assert_eq!(write(1_709_190_296, 330), "Thu, 29 Feb 2024 12:34:56 +0530");
        assert_eq!(write(0, 0), "Thu, 1 Jan 1970 00:00:00 +0000");
        assert_eq!(day(1_709_164_799), "2024-02-28");
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(seconds in -2_000_000_000i64..200_000_000_000, hours in -12i32..14, half in any::<bool>()) {
            let offset = hours * 60 + if half { 30 } else { 0 };
            prop_assert_eq!(read(&write(seconds, offset)), Some((seconds, offset)));
        }

        #[test]
        fn nothing_panics(text in "\\PC{0,40}", seconds in any::<i64>(), offset in any::<i32>()) {
            let _ = (read(&text), write(seconds, offset), day(seconds));
        }
    }
}
