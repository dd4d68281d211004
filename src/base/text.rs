//! Words for people that more than one room needs.

/// Returns `1 build`, `8 builds`.
pub fn plural(count: usize, one: &str) -> String {
    if count == 1 { format!("1 {one}") } else { format!("{count} {one}s") }
}
