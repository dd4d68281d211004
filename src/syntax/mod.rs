//! The one guarded gate to rnix, attribute paths and quoting, constructors of new Nix text, trivia.
//!
//! Must not decide policy.
