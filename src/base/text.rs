//! Words for people that more than one room needs.

use std::time::Duration;

/// Returns `1 build`, `8 builds`.
pub fn plural(count: usize, one: &str) -> String {
    if count == 1 { format!("1 {one}") } else { format!("{count} {one}s") }
}

/// Returns a duration as people say it: `17.5 s`, `2 min 05 s`, `1 h 02 min`.
pub fn duration(time: Duration) -> String {
    let seconds = time.as_secs();
    match seconds {
        0..60 => format!("{:.1} s", time.as_secs_f64()),
        60..3600 => format!("{} min {:02} s", seconds / 60, seconds % 60),
        _ => format!("{} h {:02} min", seconds / 3600, seconds / 60 % 60),
    }
}

/// Shortens a name in its middle: what a derivation is stands at the front, version and platform at the end.
pub fn shorten(name: &str, most: usize) -> String {
    let count = name.chars().count();
    if count <= most || most < 3 {
        return name.to_string();
    }
    let tail = (most - 1) / 3;
    let head: String = name.chars().take(most - 1 - tail).collect();
    let end: String = name.chars().skip(count - tail).collect();
    format!("{head}…{end}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_as_people_say_them() {
        let said = |ms| duration(Duration::from_millis(ms));
        assert_eq!(
            (said(500), said(65_000), said(3_720_000)),
            ("0.5 s".into(), "1 min 05 s".into(), "1 h 02 min".into())
        );
    }
}
