//! Renderers of `view` models: terminal text, JSON, Graphviz, Mermaid.
//!
//! Must not know Nix, and must not print: each returns text (the terminal one with ANSI styles, which the writer in
//! `cli` strips where there is no terminal or NO_COLOR is set).

pub mod digraph;
pub mod terminal;
