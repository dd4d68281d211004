//! Transfer encodings, charsets and encoded words, as `git mailinfo` undoes them.
//!
//! The codecs are libraries'; how lines and words are told apart is git's. Must never put U+FFFD where a byte was.

use std::borrow::Cow;

use quoted_printable::ParseMode;

/// Returns text in UTF-8. `None` when the charset is not known or the bytes are not of it.
pub(super) fn to_utf8<'a>(bytes: &'a [u8], charset: &str) -> Option<Cow<'a, [u8]>> {
    let label = charset.trim().to_ascii_lowercase();
    match label.as_str() {
        "" | "utf-8" | "utf8" => return Some(Cow::Borrowed(bytes)),
        _ if bytes.is_ascii() && (keeps_ascii(charset) || (label == "utf-7" && !bytes.contains(&b'+'))) => {
            return Some(Cow::Borrowed(bytes));
        }
        // The Encoding Standard, made for browsers, takes these for windows-1252.
        "iso-8859-1" | "iso8859-1" | "latin1" | "latin-1" | "iso_8859-1" | "l1" => {
            return Some(Cow::Owned(encoding_rs::mem::decode_latin1(bytes).into_owned().into_bytes()));
        }
        "us-ascii" | "ascii" => return std::str::from_utf8(bytes).ok().map(|_| Cow::Borrowed(bytes)),
        _ => {}
    }
    // What begins with a mark says in which order its bytes are.
    let (label, bytes) = match bytes {
        [0xfe, 0xff, rest @ ..] if label == "utf-16" => ("utf-16be", rest),
        [0xff, 0xfe, rest @ ..] if label == "utf-16" => ("utf-16le", rest),
        _ => (label.as_str(), bytes),
    };
    let encoding = encoding_rs::Encoding::for_label_no_replacement(label.as_bytes())?;
    let text = encoding.decode_without_bom_handling_and_without_replacement(bytes)?;
    Some(Cow::Owned(text.into_owned().into_bytes()))
}

/// Says whether bytes of ASCII are in this charset what they are in ASCII.
pub(super) fn keeps_ascii(charset: &str) -> bool {
    let label = charset.trim().to_ascii_lowercase();
    !["utf-16", "utf16", "utf-32", "ucs-2", "utf-7", "iso-2022", "hz-gb"].iter().any(|other| label.starts_with(other))
}

/// Returns bytes as text: a byte that is no UTF-8 is taken for Latin-1, as `git commit` does.
pub(super) fn repaired(bytes: &[u8]) -> String {
    let mut out = String::with_capacity(bytes.len());
    for chunk in bytes.utf8_chunks() {
        out.push_str(chunk.valid());
        out.push_str(&encoding_rs::mem::decode_latin1(chunk.invalid()));
    }
    out
}

/// Undoes quoted-printable in a line. A soft line end takes the line feed with it.
pub(super) fn quoted_printable(line: &[u8]) -> Vec<u8> {
    let (text, end): (&[u8], &[u8]) = line.strip_suffix(b"\n").map_or((line, b""), |text| (text, b"\n"));
    let (text, cr): (&[u8], &[u8]) = text.strip_suffix(b"\r").map_or((text, b""), |text| (text, b"\r"));
    let (text, end) = text.strip_suffix(b"=").map_or((text, [cr, end].concat()), |text| (text, Vec::new()));
    // The library leaves out what the encoding does not allow, and blanks at the end; here no byte is lost.
    let mut out = Vec::with_capacity(line.len());
    for (i, piece) in text.split(|b| *b == b'=').enumerate() {
        let code = piece.split_at_checked(2).filter(|(hex, _)| i > 0 && hex.iter().all(u8::is_ascii_hexdigit));
        match code.and_then(|(hex, rest)| {
            Some((quoted_printable::decode([b"=", hex].concat(), ParseMode::Robust).ok()?, rest))
        }) {
            Some((byte, rest)) => out.extend([byte.as_slice(), rest].concat()),
            None => out.extend([if i > 0 { b"=" } else { &b""[..] }, piece].concat()),
        }
    }
    out.extend(end);
    out
}

/// Undoes base64 in a line; what is not of its alphabet is passed over.
pub(super) fn base64(line: &[u8]) -> Vec<u8> {
    let mut code: Vec<u8> =
        line.iter().copied().filter(|b| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'/')).collect();
    if code.len() % 4 == 1 {
        code.pop();
    }
    code.resize(code.len().next_multiple_of(4), b'=');
    // Only the alphabet and whole groups are left.
    data_encoding::BASE64_MIME_PERMISSIVE.decode(&code).unwrap_or(code)
}

/// Undoes the encoded words (RFC 2047) of a header value: wherever they stand, blanks between two of them left out. A word that cannot be
/// decoded stays as it is.
pub(super) fn words(value: &[u8]) -> String {
    let mut out = Vec::with_capacity(value.len());
    let mut rest = value;
    let mut behind_word = false;
    while let Some(at) = rest.windows(2).position(|w| w == b"=?") {
        let (before, from) = rest.split_at(at);
        if !(behind_word && before.iter().all(u8::is_ascii_whitespace)) {
            out.extend_from_slice(before);
        }
        match word(from) {
            Some((text, used)) => {
                out.extend_from_slice(&text);
                (rest, behind_word) = (&from[used..], true);
            }
            None => {
                out.extend_from_slice(b"=?");
                (rest, behind_word) = (&from[2..], false);
            }
        }
    }
    out.extend_from_slice(rest);
    repaired(&out)
}

/// Decodes `=?charset?Q?text?=` at the beginning; returns its length too.
fn word(from: &[u8]) -> Option<(Vec<u8>, usize)> {
    // No word is longer than 75 bytes by the RFC; mailers write longer ones.
    let from = &from[..from.len().min(4096)];
    let mut parts = from.get(2..)?.splitn(3, |b| *b == b'?');
    let (charset, coding, rest) = (parts.next()?, parts.next()?, parts.next()?);
    let end = rest.windows(2).position(|w| w == b"?=")?;
    let text = rest.get(..end)?;
    let used = from.len() - rest.len() + end + 2;
    let bytes = match coding {
        b"b" | b"B" => base64(text),
        b"q" | b"Q" => {
            let blanks: Vec<u8> = text.iter().map(|b| if *b == b'_' { b' ' } else { *b }).collect();
            quoted_printable(&blanks)
        }
        _ => return None,
    };
    // RFC 2231: a language may follow the charset.
    let charset = std::str::from_utf8(charset).ok()?.split('*').next()?;
    Some((to_utf8(&bytes, charset)?.into_owned(), used))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn words_as_git_reads_them() {
        for (raw, text) in [
            ("=?UTF-8?q?J=C3=B6rg=20M?= <j@x>", "Jörg M <j@x>"),
            ("=?utf-8?B?SsO2cmc=?= =?utf-8?b?IE0=?= x", "Jörg M x"),
            ("=?ISO-8859-1?Q?J=F6rg_M?=", "Jörg M"),
            ("a =?x-unknown?q?b=FC?= c", "a =?x-unknown?q?b=FC?= c"),
            ("=?utf-8?q?=C3?= =?utf-8?q?=B6?=", "ö"),
            ("1 =? 2", "1 =? 2"),
            ("=?gb2312?B?1tDOxA==?=", "中文"),
            ("=?koi8-r?B?8NLJ18XU?=", "Привет"),
            ("=?iso-2022-jp?B?GyRCRnxLXBsoQg==?=", "日本"),
        ] {
            assert_eq!(words(raw.as_bytes()), text, "{raw}");
        }
        assert_eq!(words(b"J\xf6rg \xc3\xb6"), "Jörg ö");
        assert_eq!(quoted_printable(b"a =3D b=20 \x0c\xff=\n"), b"a = b  \x0c\xff");
        assert_eq!(quoted_printable(b"=zz =\r\n"), b"=zz ");
        assert_eq!(base64(b"YQ==\n"), b"a");
    }

    proptest! {
        #[test]
        fn no_byte_becomes_a_replacement(bytes in prop::collection::vec(any::<u8>(), 0..60)) {
            prop_assume!(!bytes.windows(3).any(|w| w == "\u{fffd}".as_bytes()));
            let whole = !repaired(&bytes).contains(char::REPLACEMENT_CHARACTER);
            prop_assert!(whole);
            let _ = (words(&bytes), base64(&bytes));
            prop_assert_eq!(quoted_printable(::quoted_printable::encode(&bytes).as_slice()).is_empty(), bytes.is_empty());
        }

        #[test]
        fn charsets_are_undone(text in "[ -~]{0,20}[\\u{a0}-\\u{ff}]{1,9}") {
            let latin: Vec<u8> = text.chars().map(|c| c as u8).collect();
            prop_assert_eq!(to_utf8(&latin, "ISO-8859-1").unwrap().into_owned(), text.as_bytes());
            prop_assert_eq!(repaired(text.as_bytes()), text);
        }
    }
}
