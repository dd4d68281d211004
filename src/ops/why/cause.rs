//! One root cause: a derivation whose change is its own, and the fields that changed, quoted as a diff.

use serde::Serialize;

use crate::graph::Source;
use crate::graph::{Changes, Delta, NodeId};

/// A derivation whose change is its own.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Cause {
    /// Its path on the patched side.
    pub drv_path: String,
    pub name: String,
    /// The derivation that it takes the place of; absent for a new one.
    pub before: Option<String>,
    /// The fields that changed; absent for a new one, and when the derivations cannot be read.
    #[serde(flatten)]
    pub changes: Option<Changes>,
    /// The changes since a revision without any one of which it would not be rebuilt, where the workspace is compared with one.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub caused_by: Vec<String>,
    /// Why the derivations could not be compared.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unreadable: Option<String>,
}

impl Cause {
    pub(super) fn of(delta: &Delta<'_>, id: NodeId, store: &dyn Source) -> Cause {
        let node = delta.after().node(id);
        let (changes, unreadable) = match delta.what_changed(id, store, store) {
            Ok(changes) => (changes, None),
            Err(error) => (None, Some(with_causes(&error))),
        };
        Cause {
            drv_path: node.drv_path().to_owned(),
            name: node.name().to_owned(),
            before: delta.counterpart(id).map(|old| delta.before().node(old).drv_path().to_owned()),
            changes,
            unreadable,
            caused_by: Vec::new(),
        }
    }
}

fn with_causes(error: &dyn std::error::Error) -> String {
    let all = std::iter::successors(Some(error), |e| e.source());
    all.map(ToString::to_string).collect::<Vec<_>>().join(": ")
}
