//! The first line of scripts.

use serde::Serialize;

/// What a `#!` line says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Shebang {
    /// The program that the kernel starts.
    pub interpreter: String,
    /// What follows, as one argument: so Linux hands it on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub argument: Option<String>,
}

/// The kernel reads no further (`BINPRM_BUF_SIZE`; 128 before Linux 5.1).
const MAX_LINE: usize = 256;

/// Parses the `#!` line of a script as Linux' `fs/binfmt_script.c` does; `None` when there is none.
pub fn shebang(bytes: &[u8]) -> Option<Shebang> {
    let line = bytes.get(..bytes.len().min(MAX_LINE))?.strip_prefix(b"#!")?;
    let line = line.split(|b| *b == b'\n').next()?;
    let line = String::from_utf8_lossy(line.split(|b| *b == 0).next()?);
    let line = line.trim_matches([' ', '\t']);
    let (interpreter, rest) = line.split_once([' ', '\t']).unwrap_or((line, ""));
    let argument = Some(rest.trim_matches([' ', '\t']).to_string()).filter(|rest| !rest.is_empty());
    (!interpreter.is_empty()).then(|| Shebang { interpreter: interpreter.to_string(), argument })
}

impl Shebang {
    /// Returns the program that `env` would look for, when the interpreter is `env` with a plain name.
    pub fn through_env(&self) -> Option<&str> {
        let name = self.interpreter.rsplit('/').next()?;
        let rest = self.argument.as_deref().filter(|_| name == "env")?;
        let rest = rest.strip_prefix("-S").unwrap_or(rest).trim_start();
        rest.split_whitespace().find(|word| !word.starts_with('-') && !word.contains('='))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn lines_are_parsed_as_the_kernel_does() {
        let parsed = |text: &str| shebang(text.as_bytes()).map(|s| (s.interpreter, s.argument));
        let some = |i: &str, a: Option<&str>| Some((i.to_string(), a.map(str::to_string)));
        assert_eq!(parsed("#!/bin/sh\nx"), some("/bin/sh", None));
        assert_eq!(parsed("#! /bin/sh -e -x \nx"), some("/bin/sh", Some("-e -x")));
        assert_eq!(parsed("#!\t/usr/bin/env python3"), some("/usr/bin/env", Some("python3")));
        assert_eq!(parsed("#!"), None);
        assert_eq!(parsed("#!  \n/bin/sh"), None);
        assert_eq!(parsed("# /bin/sh"), None);
        assert_eq!(parsed(""), None);
        assert_eq!(shebang(&[b"#!/a".to_vec(), vec![b'b'; 999]].concat()).unwrap().interpreter.len(), 254);
    }

    #[test]
    fn what_env_starts_is_told() {
        let through = |text: &str| shebang(text.as_bytes()).unwrap().through_env().map(str::to_string);
        assert_eq!(through("#!/usr/bin/env python3"), Some("python3".to_string()));
        assert_eq!(through("#!/usr/bin/env -S A=1 perl -w"), Some("perl".to_string()));
        assert_eq!(through("#!/bin/sh -e"), None);
        assert_eq!(through("#!/usr/bin/env"), None);
    }

    proptest! {
        #[test]
        fn any_line_is_read_or_refused(rest in prop::collection::vec(any::<u8>(), 0..300)) {
            if let Some(found) = shebang(&[b"#!".to_vec(), rest].concat()) {
                prop_assert!(!found.interpreter.is_empty());
                let _ = found.through_env();
            }
        }
    }
}
