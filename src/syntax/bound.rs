//! A quick upper bound of the nesting of a text, from its bytes.
//!
//! The gate's own count goes by rnix's tokens, which costs a quarter of a parse. This one reads the bytes and counts at
//! least as much: a word or any other byte where there is at most one token. Where bytes do not tell what the token is
//! (URLs without quotes, doubled quotes within names, brackets that do not match), it gives up and the tokens are
//! counted. Must never count less than the gate.

/// What is open: a bracket, a string, an interpolation.
struct Open {
    /// The byte that closes it.
    close: u8,
    chain: usize,
    list: bool,
    names: bool,
}

fn in_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'\'' | b'-')
}

fn in_path(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'+' | b'-' | b'/' | b'~')
}

/// Returns an upper bound of the depth of `text`; `None` when the tokens have to be counted.
pub(super) fn bound(text: &str) -> Option<usize> {
    let bytes = text.as_bytes();
    let byte = |at: usize| bytes.get(at).copied().unwrap_or(b' ');
    let mut open = vec![Open { close: 0, chain: 0, list: false, names: false }];
    let mut chains = 0usize;
    let mut deepest = 1usize;
    let mut at = 0usize;
    while at < bytes.len() {
        let top = open.last_mut()?;
        if matches!(top.close, b'"' | b'\'') {
            at = string(bytes, at, top.close, &mut open)?;
            deepest = deepest.max(open.len() + chains);
            continue;
        }
        let this = byte(at);
        let mut count = 0usize;
        let from = at;
        at += 1;
        match this {
            b' ' | b'\n' | b'\t' | b'\r' => continue,
            b'#' => {
                at = memchr::memchr(b'\n', &bytes[at..]).map_or(bytes.len(), |n| at + n);
                continue;
            }
            b'/' if byte(at) == b'*' => {
                // `a/*` may be the end of a path that is none.
                if from > 0 && in_path(byte(from - 1)) {
                    return None;
                }
                at = memchr::memmem::find(bytes.get(at + 1..)?, b"*/").map(|n| at + 1 + n + 2)?;
                continue;
            }
            b'{' | b'[' | b'(' | b'"' | b'\'' | b'$' => {
                let close = match this {
                    b'{' => b'}',
                    b'[' => b']',
                    b'(' => b')',
                    b'"' => b'"',
                    b'\'' if byte(at) == b'\'' => b'\'',
                    b'$' if byte(at) == b'{' => b'}',
                    _ => return None,
                };
                at += usize::from(matches!(this, b'\'' | b'$'));
                if !top.list && !top.names {
                    top.chain += 1;
                    chains += 1;
                }
                open.push(Open { close, chain: 0, list: this == b'[', names: matches!(this, b'"' | b'\'') });
            }
            b'}' | b']' | b')' => {
                if top.close != this {
                    return None;
                }
                chains -= open.pop()?.chain;
            }
            b';' | b',' => separator(top, &mut chains),
            b'=' if byte(at) != b'=' => separator(top, &mut chains),
            b'=' => {
                at += 1;
                count = 1;
            }
            b'!' | b'<' | b'>' if byte(at) == b'=' => {
                at += 1;
                count = 1;
            }
            b'a'..=b'z' | b'A'..=b'Z' | b'_' => {
                while at < bytes.len() && in_word(byte(at)) {
                    at += 1;
                }
                let word = &bytes[from..at];
                let url = byte(at) == b':' && !byte(at + 1).is_ascii_whitespace();
                if url || memchr::memmem::find(word, b"''").is_some() {
                    return None;
                }
                match word {
                    b"inherit" => {
                        let beside = |b: u8| matches!(b, b'/' | b'.' | b'+' | b'~' | b'<' | b'>' | b'-');
                        if beside(byte(at)) || from > 0 && (beside(byte(from - 1)) || in_word(byte(from - 1))) {
                            return None;
                        }
                        top.names = true;
                    }
                    b"assert" | b"else" | b"if" | b"in" | b"let" | b"then" | b"with" => count = 1,
                    _ => count = usize::from(!top.list),
                }
            }
            b'0'..=b'9' => {
                while byte(at).is_ascii_digit() {
                    at += 1;
                }
                count = usize::from(!top.list);
            }
            b'.' => count = usize::from(!top.list),
            // Part of a path.
            b'/' if byte(at) != b'/' && (in_path(byte(at)) || byte(at) == b'$') => count = usize::from(!top.list),
            // One token with whatever follows, which may be a part of a word.
            b'~' if byte(at) != b'/' => return None,
            b':' if !byte(at).is_ascii_whitespace() => return None,
            _ => count = 1,
        }
        if count > 0
            && let Some(top) = open.last_mut().filter(|t| !t.names)
        {
            top.chain += count;
            chains += count;
        }
        deepest = deepest.max(open.len() + chains);
    }
    Some(deepest)
}

fn separator(top: &mut Open, chains: &mut usize) {
    *chains -= top.chain;
    top.chain = 0;
    top.names = false;
}

/// Goes on in a string to what ends it or interrupts it, and opens or closes that.
fn string(bytes: &[u8], mut at: usize, close: u8, open: &mut Vec<Open>) -> Option<usize> {
    let byte = |at: usize| bytes.get(at).copied();
    loop {
        let special = &bytes[at..];
        at += match close {
            b'"' => memchr::memchr3(b'"', b'\\', b'$', special)?,
            _ => memchr::memchr2(b'\'', b'$', special)?,
        };
        match byte(at)? {
            b'\\' => at += 2,
            b'$' => match byte(at + 1) {
                Some(b'$') => at += 2,
                Some(b'{') => {
                    open.push(Open { close: b'}', chain: 0, list: false, names: false });
                    return Some(at + 2);
                }
                _ => at += 1,
            },
            b'"' => {
                open.pop()?;
                return Some(at + 1);
            }
            _ => match (byte(at + 1), byte(at + 2)) {
                (Some(b'\''), Some(b'\'' | b'$')) => at += 3,
                (Some(b'\''), Some(b'\\')) => at += 4,
                (Some(b'\''), _) => {
                    open.pop()?;
                    return Some(at + 2);
                }
                _ => at += 1,
            },
        }
        if at > bytes.len() {
            return None;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::gate;
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn ordinary_overlays_are_bounded_well() {
        let text = "final: prev: {\n  a = prev.a.overrideAttrs (old: { x = \"${y} \\\" ''\"; patches = (old.patches or [ ]) ++ [ ./a/b-1.patch ]; });\n  b = ''\n    $${x} ''${y} ${z} ''' [[[\n  ''; # [[[ \"\n  /* ((( */\n  inherit (final) c d e f;\n}\n";
        let (bound, exact) = (bound(text).unwrap(), gate::depth(text));
        assert!(bound >= exact && bound <= exact + 6, "{bound} {exact}");
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 4_000, ..ProptestConfig::default() })]
        #[test]
        fn it_never_counts_less_than_the_tokens(
            text in "([\\[\\](){}\"';=,.:!/+*$#@?<>~\\\\\n -]|a|b1|inherit|let|in|if|rec|\\$\\{|''|/\\*|\\*/|//|\\+\\+|\\./a/b|http://x|<n>|1|ä){0,40}"
        ) {
            if let Some(bound) = bound(&text) {
                prop_assert!(bound >= gate::depth(&text), "{} {}: {:?}", bound, gate::depth(&text), text);
            }
        }
    }
}
