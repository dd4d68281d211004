//! What people are shown: the document of each outcome, and renderers of documents as terminal text, Graphviz, Mermaid; and what CI
//! servers are told: checks, as each of them reads them.
//!
//! Computes nothing that JSON would not have, and prints nothing: each returns text (the terminal one with ANSI styles, which the writer in
//! `cli` strips where there is no terminal or NO_COLOR is set).

pub mod checks;
pub mod comment;
pub mod digraph;
mod document;
pub mod github;
pub mod gitlab;
pub mod junit;
pub mod markdown;
pub mod sarif;
pub mod terminal;
