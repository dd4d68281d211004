//! What Nix says of the packages whose sources are wanted, before anything is fetched.

use std::collections::BTreeMap;
use std::path::Path;

use rayon::prelude::*;

use super::missing::{fetch, missing};
use super::{Limits, Source, unpack};
use crate::base::diagnostic::Warning;
use crate::base::fs;
use crate::base::progress::Progress;
use crate::config::Workspace;
use crate::nix::{Building, Input, Nix, PackageSet, PackageSource, Root};
use crate::overlay::AttrPath;
use crate::patch::Flags;
use crate::queue::Error;
use crate::queue::series::Series;
use crate::targets;
use crate::targets::Selection;
use crate::targets::engine;

/// What Nix says of a package.
pub(super) struct Question<'a> {
    pub(super) attr: AttrPath,
    /// Its queue, where it is about one.
    pub(super) queue: Option<&'a Series>,
    pub(super) facts: Result<PackageSource, Error>,
    pub(super) warnings: Vec<Warning>,
}

/// What Nix says of packages; nothing is fetched yet.
pub(crate) struct Asked<'a> {
    nix: Nix,
    questions: Vec<Question<'a>>,
}

impl<'a> Asked<'a> {
    /// Asks Nix about packages without the workspace's overlays.
    pub(super) fn plain(workspace: &Workspace, nixpkgs: Option<&str>, attrs: &[AttrPath]) -> Result<Asked<'a>, Error> {
        let nix = engine::nix(workspace)?;
        let set = targets::plain_set(workspace, nixpkgs)?;
        let facts = facts(&nix, set, attrs)?;
        let question =
            |(facts, attr): (_, &AttrPath)| Question { attr: attr.clone(), queue: None, facts, warnings: Vec::new() };
        let questions = facts.into_iter().zip(attrs).map(question).collect();
        Ok(Asked { nix, questions })
    }

    /// Asks Nix about the packages of queues, with the workspace's overlays; without them where they do not evaluate.
    pub(crate) fn of_queues(
        workspace: &Workspace,
        nixpkgs: Option<&str>,
        queues: &[&'a Series],
    ) -> Result<Asked<'a>, Error> {
        let attrs: Vec<AttrPath> = queues.iter().map(|queue| queue.attr.clone()).collect();
        let nix = engine::nix(workspace)?;
        let selection = Selection { nixpkgs: nixpkgs.map(str::to_string), ..Selection::default() };
        let targets::Group { plain, mut patched, .. } = targets::whole(workspace, &selection)?;
        patched.cross_overlays.clear();
        let own = patched.overlays.is_empty();
        let mut found = match facts(&nix, patched, &attrs) {
            // The set as a whole may not evaluate for an overlay.
            Err(Error::Nix(error)) if !own => {
                let why = error.to_string();
                attrs
                    .iter()
                    .map(|_| Err(crate::targets::Error::Usage { message: why.clone(), hint: String::new() }.into()))
                    .collect()
            }
            found => found?,
        };
        let failed: Vec<usize> = (0..found.len()).filter(|i| matches!(found.get(*i), Some(Err(_)))).collect();
        let mut warnings: BTreeMap<usize, Warning> = BTreeMap::new();
        if !own && !failed.is_empty() {
            let again: Vec<AttrPath> = failed.iter().filter_map(|i| attrs.get(*i).cloned()).collect();
            for (index, plain) in failed.into_iter().zip(facts(&nix, plain, &again)?) {
                let (Some(slot), Some(attr)) = (found.get_mut(index), attrs.get(index)) else { continue };
                if let (Err(error), true) = (&*slot, plain.is_ok()) {
                    let message = format!("`{attr}` does not evaluate with the overlays: {error}");
                    let hint =
                        "it was looked at without them: a source of their own or a patch that they fetch plays no part"
                            .to_string();
                    warnings.insert(index, Warning { code: "OV1064", message, place: None, hint: Some(hint) });
                }
                *slot = plain;
            }
        }
        let question = |(index, (facts, queue)): (usize, (_, &&'a Series))| Question {
            attr: queue.attr.clone(),
            queue: Some(*queue),
            facts,
            warnings: warnings.remove(&index).into_iter().collect(),
        };
        let questions = found.into_iter().zip(queues).enumerate().map(question).collect();
        Ok(Asked { nix, questions })
    }

    /// Returns a text that is the same for two packages whose queue begins from the same files; `None` where only unpacking tells:
    /// a source or patch of nixpkgs' own is no store path, so that its path does not say what it holds.
    pub(crate) fn identity(&self, index: usize) -> Option<String> {
        let facts = self.questions.get(index)?.facts.as_ref().ok()?;
        let mut text = format!("{:?} {:?} {:?}", facts.source_root, facts.sources, facts.patch_flags);
        let in_store = |input: &Input| input.path.starts_with(crate::base::store_path::STORE_DIR);
        if !facts.sources.iter().all(in_store) {
            return None;
        }
        for patch in &facts.patches {
            match in_store(patch) {
                true => text.push_str(&patch.path),
                false => text.push_str(&crate::queue::session::digest(&fs::read(Path::new(&patch.path)).ok()?)),
            }
        }
        Some(text)
    }

    /// Returns the `-pN` with which the build of the package applies patches.
    ///
    /// # Errors
    /// What is wrong with the package.
    pub(crate) fn strip(&self, index: usize) -> Result<usize, &Error> {
        self.questions.get(index).map_or(Ok(1), |question| question.facts.as_ref().map(|facts| flags(facts).strip))
    }

    /// Returns the source of the first package where nothing has to be fetched for it.
    pub(crate) fn at_hand(mut self) -> Option<Source> {
        let question = self.questions.swap_remove(0);
        let nothing = missing(&self.nix, question.facts.as_ref().ok().into_iter()).ok()?.is_empty();
        nothing.then(|| unpack(&self.nix, question, &BTreeMap::new(), &Limits::default()).ok())?
    }

    /// Fetches and unpacks those of the packages that are named by index, in their order.
    pub(crate) fn sources(
        self,
        wanted: Vec<usize>,
        building: Building<'_>,
        progress: &mut dyn Progress,
    ) -> Result<Vec<Result<Source, Error>>, Error> {
        let mut questions: Vec<Option<Question<'a>>> = self.questions.into_iter().map(Some).collect();
        let wanted: Vec<Question<'a>> = wanted.into_iter().filter_map(|i| questions.get_mut(i)?.take()).collect();
        let facts = wanted.iter().filter_map(|question| question.facts.as_ref().ok());
        let failed = fetch(&self.nix, facts, building, progress)?;
        progress.stage("unpacking");
        let nix = &self.nix;
        Ok(wanted.into_par_iter().map(|question| unpack(nix, question, &failed, &Limits::default())).collect())
    }
}

/// Returns how the build of a package calls `patch`.
pub(super) fn flags(facts: &PackageSource) -> Flags {
    Flags::read(facts.patch_flags.iter().map(String::as_str))
}

/// Asks Nix about packages of a package set.
fn facts(nix: &Nix, set: PackageSet, attrs: &[AttrPath]) -> Result<Vec<Result<PackageSource, Error>>, Error> {
    let root = Root::Packages(Box::new(set));
    let paths: Vec<Vec<String>> = attrs.iter().map(|a| a.names().to_vec()).collect();
    let found = nix.package_sources(&root, &paths)?;
    let each =
        |(facts, attr): (Result<PackageSource, _>, &AttrPath)| facts.map_err(|f| not_evaluated(nix, &root, attr, f));
    Ok(found.into_iter().zip(attrs).map(each).collect())
}

fn not_evaluated(nix: &Nix, root: &Root, attr: &AttrPath, failure: crate::nix::EvalFailure) -> Error {
    match &failure.kind {
        crate::nix::FailureKind::MissingAttribute { attribute } if attr.names().contains(attribute) => {
            // Near names are worth another evaluation: the attribute may have been renamed.
            let near = nix.package_facts(root, attr.names()).map(|facts| facts.near).unwrap_or_default();
            Error::NoSuchAttribute { attr: attr.to_string(), near }
        }
        _ => crate::targets::Error::Eval { target: attr.to_string(), failure: Box::new(failure) }.into(),
    }
}
