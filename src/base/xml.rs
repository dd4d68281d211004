//! Text in XML: the one place that escapes it.

/// Escapes text for XML 1.0, in an element and in an attribute in double quotes; characters that it cannot hold are left out.
pub fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\n' | '\t' => out.push(c),
            '\u{fffe}' | '\u{ffff}' => {}
            c if c.is_control() => {}
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_that_xml_cannot_hold_is_left_out() {
        assert_eq!(escaped("a<b> \"&\u{1b}[1m\u{0}\u{ffff}\n"), "a&lt;b&gt; &quot;&amp;[1m\n");
    }
}
