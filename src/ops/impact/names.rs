//! Names of derivations as people read them: chains of them, and what kind of package one is.

use crate::graph::without_platform;

/// Returns a chain of names as people read it: without the platforms, a long one folded in the middle.
pub(crate) fn chain_text<S: AsRef<str>>(names: &[S], verbose: bool) -> String {
    const WHOLE: usize = 12;
    const HEAD: usize = 6;
    const TAIL: usize = 4;
    let short: Vec<String> = names.iter().map(|name| without_platform(name.as_ref())).collect();
    if verbose || short.len() <= WHOLE {
        return short.join(" -> ");
    }
    let (head, tail) = (&short[..HEAD], &short[short.len() - TAIL..]);
    format!("{} -> ... {} more ... -> {}", head.join(" -> "), short.len() - HEAD - TAIL, tail.join(" -> "))
}

/// Says what kind of package a derivation is, by its name as nixpkgs gives names.
pub(crate) fn kind(name: &str) -> &'static str {
    const STARTS: [(&str, &str); 16] = [
        ("python2", "Python"),
        ("python3", "Python"),
        ("perl5", "Perl"),
        ("ruby", "Ruby"),
        ("lua5", "Lua"),
        ("ocaml", "OCaml"),
        ("node_", "Node.js"),
        ("emacs-", "Emacs"),
        ("vimplugin-", "Vim"),
        ("php-", "PHP"),
        ("texlive", "TeX Live"),
        ("linux-headers", "toolchain"),
        ("linux-", "kernel"),
        ("stdenv", "toolchain"),
        ("bootstrap", "toolchain"),
        ("hook", "helper"),
    ];
    const HAS: [(&str, &str); 14] = [
        ("-wrapper", "wrapper"),
        ("-wrapped", "wrapper"),
        ("-hook", "helper"),
        ("stage-final-gcc", "toolchain"),
        ("stage-static-gcc", "toolchain"),
        ("-gcc-", "toolchain"),
        ("gcc-", "toolchain"),
        ("binutils", "toolchain"),
        ("glibc", "toolchain"),
        ("musl-", "toolchain"),
        ("llvm-", "toolchain"),
        ("clang-", "toolchain"),
        ("haskell", "Haskell"),
        ("rustc-", "toolchain"),
    ];
    const ENDS: [(&str, &str); 7] = [
        (".sh", "helper"),
        (".patch", "helper"),
        ("-env", "environment"),
        (".json", "helper"),
        (".conf", "helper"),
        ("-vendor", "download"),
        (".tar.gz", "download"),
    ];
    let starts = STARTS.iter().find(|(text, _)| name.starts_with(text));
    let found = starts
        .or_else(|| HAS.iter().find(|(text, _)| name.contains(text)))
        .or_else(|| ENDS.iter().find(|(text, _)| name.ends_with(text)));
    found.map_or("program or library", |(_, kind)| kind)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_chain_is_folded() {
        let names: Vec<String> = (0..40).map(|i| format!("p{i}-aarch64-unknown-linux-musl")).collect();
        let text = chain_text(&names, false);
        assert_eq!(text, "p0 -> p1 -> p2 -> p3 -> p4 -> p5 -> ... 30 more ... -> p36 -> p37 -> p38 -> p39");
        assert!(chain_text(&names, true).ends_with("p38 -> p39") && !chain_text(&names, true).contains("..."));
    }

    #[test]
    fn kinds() {
        for (name, wanted) in [
            ("python3.7-requests-2.22.0", "Python"),
            ("linux-4.19.16", "kernel"),
            ("aarch64-unknown-linux-musl-stage-final-gcc-wrapper-7.4.0", "wrapper"),
            ("musl-1.1.22-aarch64-unknown-linux-musl", "toolchain"),
            ("curl-7.65.3", "program or library"),
        ] {
            assert_eq!(kind(name), wanted, "{name}");
        }
    }
}
