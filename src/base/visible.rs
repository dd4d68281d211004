//! Text that came from outside, made safe to show: nothing in it reaches a terminal as a command.
//!
//! Control characters (C0, DEL, C1) and those that change the direction of text are shown as what they are: `␛`, `\u{9b}`,
//! `\u{202e}`. Everything that is printed goes through here, in `report` and `cli`; what is written to files does not. Must not know
//! where the text comes from or how it is laid out.

use std::borrow::Cow;
use std::io::{self, Write};

/// Returns a text as one line, without a character that a terminal would act on; tabs become spaces.
pub fn line(text: &str) -> Cow<'_, str> {
    escaped(text, |_| false)
}

/// As [`line`], with line ends as they are: a message, a piece of a log.
pub fn lines(text: &str) -> Cow<'_, str> {
    escaped(text, |c| c == '\n')
}

/// As [`line`], with tabs as they are: a line of a source, of a diff.
pub fn source_line(text: &str) -> Cow<'_, str> {
    escaped(text, |c| c == '\t')
}

/// Returns JSON with the characters escaped that the format lets stand and a terminal acts on. They stand only in strings, so
/// the value is the same.
pub fn json(text: &str) -> Cow<'_, str> {
    let acts = |c: char| c != '\n' && acts(c);
    if !text.contains(acts) {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len() + 16);
    for c in text.chars() {
        match acts(c) {
            true => c.encode_utf16(&mut [0; 2]).iter().for_each(|unit| out.push_str(&format!("\\u{unit:04x}"))),
            false => out.push(c),
        }
    }
    Cow::Owned(out)
}

/// Writes JSON on, through [`json`], as it comes: an answer is never held as a whole.
pub struct JsonWriter<W> {
    to: W,
    /// The beginning of a character whose end is not there yet.
    cut: Vec<u8>,
}

impl<W: Write> JsonWriter<W> {
    pub fn new(to: W) -> JsonWriter<W> {
        JsonWriter { to, cut: Vec::new() }
    }
}

impl<W: Write> Write for JsonWriter<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut joined = std::mem::take(&mut self.cut);
        let text = match joined.is_empty() {
            true => bytes,
            false => {
                joined.extend_from_slice(bytes);
                joined.as_slice()
            }
        };
        let whole = match std::str::from_utf8(text) {
            Ok(text) => text,
            Err(error) => {
                let (whole, cut) = text.split_at(error.valid_up_to());
                if error.error_len().is_some() {
                    return Err(io::Error::from(io::ErrorKind::InvalidData));
                }
                self.cut = cut.to_vec();
                std::str::from_utf8(whole).map_err(io::Error::other)?
            }
        };
        self.to.write_all(json(whole).as_bytes())?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.to.flush()
    }
}

fn escaped(text: &str, keep: impl Fn(char) -> bool) -> Cow<'_, str> {
    if !text.contains(|c| acts(c) && !keep(c)) {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len() + 16);
    for c in text.chars() {
        match c {
            c if !acts(c) || keep(c) => out.push(c),
            '\t' => out.push_str("    "),
            '\u{7f}' => out.push('␡'),
            // The pictures of the first 32 stand in their order.
            '\0'..='\u{1f}' => out.extend(char::from_u32(0x2400 + u32::from(c))),
            c => out.push_str(&format!("\\u{{{:x}}}", u32::from(c))),
        }
    }
    Cow::Owned(out)
}

/// Says whether a terminal may act on a character or shows nothing of it: control characters, line and paragraph separators, marks of
/// direction, and what has no width, by which two names that look the same can differ.
fn acts(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{61c}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}')
        || matches!(c, '\u{ad}' | '\u{115f}' | '\u{1160}' | '\u{180e}' | '\u{3164}' | '\u{feff}' | '\u{ffa0}')
        || matches!(c, '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
}

#[cfg(test)]
pub(crate) mod tests {
    use proptest::prelude::*;

    use super::*;

    /// For the tests of what renders: no character is left that a terminal acts on, but line ends, tabs of sources and our own styles.
    pub fn assert_safe(rendered: &str) {
        let mut rest = rendered;
        while let Some((before, after)) = rest.split_once('\u{1b}') {
            assert!(!before.contains(|c| acts(c) && !matches!(c, '\n' | '\t')), "{rendered:?}");
            let style = after.strip_prefix('[').and_then(|style| style.split_once('m'));
            let Some((numbers, after)) = style else { panic!("no style of ours: {rendered:?}") };
            assert!(numbers.bytes().all(|b| b.is_ascii_digit() || b == b';'), "{rendered:?}");
            rest = after;
        }
        assert!(!rest.contains(|c| acts(c) && !matches!(c, '\n' | '\t')), "{rendered:?}");
    }

    /// For the tests of what renders: text with all that a terminal acts on.
    pub fn hostile() -> impl Strategy<Value = String> {
        let bits = prop::sample::select(vec![
            "\u{1b}]0;title\u{7}",
            "\u{1b}[2J\u{1b}[31m",
            "\u{9b}31m",
            "\u{9d}8;;http://x\u{9c}",
            "\r",
            "\n",
            "\u{7}",
            "\u{8}",
            "\t",
            "\u{7f}",
            "\u{202e}",
            "\u{2066}",
            "\u{200f}",
            "\u{61c}",
            "\u{2028}",
            "\u{200b}",
            "\u{e0041}",
            "\0",
            "日本",
            "musl-1.2",
            " ",
            "é",
            "\"",
            "\\",
            "---",
            "+++",
        ]);
        let piece = prop_oneof![bits.prop_map(str::to_string), any::<String>()];
        prop::collection::vec(piece, 0..6).prop_map(|pieces| pieces.concat())
    }

    #[test]
    fn json_is_written_as_it_comes() {
        struct Largest(usize);
        impl Write for Largest {
            fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
                self.0 = self.0.max(bytes.len());
                Ok(bytes.len())
            }
            fn flush(&mut self) -> io::Result<()> {
                Ok(())
            }
        }
        let mut largest = Largest(0);
        let answer: Vec<String> = (0..10_000).map(|i| format!("package-{i}\u{9b}")).collect();
        serde_json::to_writer(JsonWriter::new(&mut largest), &answer).unwrap();
        assert!(largest.0 < 100, "{} bytes at a time", largest.0);
        assert!(JsonWriter::new(Vec::new()).write_all(b"\"\xff\"").is_err());
    }

    #[test]
    fn what_has_no_width_is_shown() {
        assert_eq!(line("a\u{200b}b\u{feff}c\u{ad}\u{e0041}"), "a\\u{200b}b\\u{feff}c\\u{ad}\\u{e0041}");
        assert_eq!(json("\"\u{e0041}\u{200d}\""), "\"\\udb40\\udc41\\u200d\"");
    }

    #[test]
    fn what_a_terminal_acts_on_is_shown() {
        assert_eq!(line("a\u{1b}]0;t\u{7}b\r\n\tc\u{7f}"), "a␛]0;t␇b␍␊    c␡");
        assert_eq!(line("\u{9b}31m \u{202e}cod.exe\u{2066}"), "\\u{9b}31m \\u{202e}cod.exe\\u{2066}");
        assert_eq!(lines("one\n\ttwo\r\n"), "one\n    two␍\n");
        assert_eq!(source_line("\t\u{1b}"), "\t␛");
        assert!(matches!(line("musl → gcc, größer, 日本語"), Cow::Borrowed(_)));
    }

    proptest! {
        #[test]
        fn json_means_the_same(text in any::<String>()) {
            let plain = serde_json::to_string(&text).unwrap();
            let safe = json(&plain);
            prop_assert!(!safe.contains(acts));
            prop_assert_eq!(serde_json::from_str::<String>(&safe).unwrap(), &*text);
            // Byte by byte it is written as at once.
            let mut written = Vec::new();
            let mut writer = JsonWriter::new(&mut written);
            plain.as_bytes().iter().for_each(|byte| writer.write_all(&[*byte]).unwrap());
            prop_assert_eq!(String::from_utf8(written).unwrap(), &*safe);
        }
    }
}
