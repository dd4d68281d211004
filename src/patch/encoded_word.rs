//! RFC 2047 encoded words, as mail writes names and subjects that are not ASCII.
//!
//! Must not fail: what is none stays as it is.

/// Decodes RFC 2047 encoded words in UTF-8, ISO 8859-1 and ASCII; others stay as they are.
pub(super) fn decode_words(text: &[u8]) -> String {
    let text = String::from_utf8_lossy(text);
    if text.len() > 16_384 {
        return text.into_owned();
    }
    let mut out = String::new();
    let mut rest: &str = &text;
    let mut after_word = false;
    while let Some(start) = rest.find("=?") {
        let (before, word) = rest.split_at(start);
        let Some((decoded, used)) = decode_word(word) else {
            out.push_str(before);
            out.push_str("=?");
            rest = &word[2..];
            after_word = false;
            continue;
        };
        // Blanks between two encoded words are not part of the text.
        if !(after_word && before.trim().is_empty()) {
            out.push_str(before);
        }
        out.push_str(&decoded);
        after_word = true;
        rest = &word[used..];
    }
    out.push_str(rest);
    out
}

fn decode_word(word: &str) -> Option<(String, usize)> {
    let mut parts = word.strip_prefix("=?")?.splitn(4, '?');
    let (charset, encoding, data, tail) = (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
    tail.strip_prefix('=')?;
    let used = 2 + charset.len() + 1 + encoding.len() + 1 + data.len() + 2;
    let bytes = match encoding {
        "q" | "Q" => {
            let mut bytes = Vec::new();
            let mut input = data.bytes();
            while let Some(b) = input.next() {
                bytes.push(match b {
                    b'_' => b' ',
                    b'=' => {
                        let digit = |b: u8| (b as char).to_digit(16).map(|d| d as u8);
                        digit(input.next()?)? * 16 + digit(input.next()?)?
                    }
                    b => b,
                });
            }
            bytes
        }
        "b" | "B" => base64(data)?,
        _ => return None,
    };
    let text = match charset.to_ascii_lowercase().as_str() {
        "utf-8" | "utf8" | "us-ascii" => String::from_utf8(bytes).ok()?,
        "iso-8859-1" | "latin1" => bytes.iter().map(|b| *b as char).collect(),
        _ => return None,
    };
    Some((text, used))
}

fn base64(data: &str) -> Option<Vec<u8>> {
    let mut out = Vec::new();
    let (mut bits, mut held) = (0u32, 0u32);
    for b in data.bytes().filter(|b| *b != b'=') {
        let digit = match b {
            b'A'..=b'Z' => b - b'A',
            b'a'..=b'z' => b - b'a' + 26,
            b'0'..=b'9' => b - b'0' + 52,
            b'+' => 62,
            b'/' => 63,
            _ => return None,
        };
        bits = (bits << 6 | u32::from(digit)) & 0xff_ffff;
        held += 6;
        if held >= 8 {
            held -= 8;
            out.push((bits >> held) as u8);
        }
    }
    Some(out)
}
