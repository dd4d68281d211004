//! `cache`: the graphs that are kept between runs, as they are shown.

use super::Outcome;

pub use crate::comparison::cache::{Cleared, Listed, clear, list};

impl Outcome for Listed {
    const SCHEMA: &'static str = "overlayctl.cache-list/1";
}

impl Outcome for Cleared {
    const SCHEMA: &'static str = "overlayctl.cache-clear/1";
}
