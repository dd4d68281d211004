//! What `run` shows.

use crate::ops::Outcome;
use crate::ops::run::Ran;
use crate::view::{Document, Shown};

impl Shown for Ran {
    fn document(&self, verbose: bool) -> Document {
        match &self.build {
            Some(built) if built.verdict().is_some() => built.document(verbose),
            // The program has printed what there is to see.
            _ => Document::new(),
        }
    }
}
