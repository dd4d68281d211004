//! Quoting for a POSIX shell, in one place.

/// Returns a word that a POSIX shell reads as `text`, whatever is in it (a NUL cannot be in any argument).
pub(super) fn word(text: &str) -> String {
    format!("'{}'", text.replace('\'', "'\\''"))
}

/// Returns the words of a command, each quoted.
pub(super) fn command<S: AsRef<str>>(words: &[S]) -> String {
    words.iter().map(|text| word(text.as_ref())).collect::<Vec<_>>().join(" ")
}

/// Returns `bytes` as `printf %b` reads them: plain characters as they are, the rest in octal; no blank is left.
pub(super) fn escaped(bytes: &[u8]) -> String {
    let plain = |b: &u8| b.is_ascii_alphanumeric() || b"./_+@=-".contains(b);
    bytes.iter().map(|b| if plain(b) { char::from(*b).to_string() } else { format!("\\0{b:03o}") }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::process::{Exec, find_program};
    use proptest::prelude::*;

    /// The shells of this machine that boards have.
    fn shells() -> Vec<Exec> {
        let found = ["sh", "dash", "busybox", "bash"].into_iter().filter(|name| find_program(name).is_some());
        found.map(|name| if name == "busybox" { Exec::new(name).arg("sh") } else { Exec::new(name) }).collect()
    }

    fn same(texts: &[&str]) {
        for shell in shells() {
            let line = format!("printf '%s\\0' {}", command(texts));
            let printed = shell.arg("-c").arg(&line).run().unwrap().stdout;
            let wanted: Vec<u8> = texts.iter().flat_map(|text| text.bytes().chain([0])).collect();
            assert_eq!(printed, wanted, "{line}");
        }
    }

    #[test]
    fn words_come_back_as_they_were() {
        same(&[
            "",
            "-n",
            "--",
            "it's",
            "$(touch x)",
            "`x`",
            "a\nb\n",
            "\\",
            "'\\''",
            "*",
            "~",
            "!",
            "\u{e4} \t",
            "a;b&c|d",
        ]);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(48))]

        #[test]
        fn any_word_comes_back(texts in proptest::collection::vec("[^\u{0}]{0,12}", 1..4)) {
            same(&texts.iter().map(String::as_str).collect::<Vec<_>>());
        }

        #[test]
        fn any_bytes_come_back(bytes in proptest::collection::vec(1u8..=255, 0..24)) {
            let text = escaped(&bytes);
            prop_assert!(!text.contains([' ', '\n', '\t']));
            for shell in shells() {
                let done = shell.args(["-c", "printf '%b.' \"$1\"", "x", &text]).run().unwrap();
                prop_assert_eq!(&done.stdout[..done.stdout.len() - 1], &bytes[..]);
            }
        }
    }
}
