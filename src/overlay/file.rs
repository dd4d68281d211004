//! A parsed overlay file and the way in: functions, patches, plans.
//!
//! Must not touch the disk.

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use rnix::SyntaxNode;
use rowan::ast::AstNode;

use super::ast::path_names;
use super::body;
use super::error::{Error, Spot};
use super::functions::{self, FnKind, Function};
use super::plan;
use super::query;
use super::remove;
use super::request::{
    Change, Element, Facts, FileChange, Files, OverlayFn, PatchElement, PatchRequest, PatchedPackage, Planned, Select,
};
use super::value::element_key;
use crate::base::span::{LineCol, Lines, Place, Span};
use crate::syntax::{self, AttrPath, Tree, trivia};

/// A file that may hold overlays: its path as the user named it, its text and its tree.
pub struct OverlayFile {
    path: PathBuf,
    text: String,
    tree: Tree,
    /// Made when the first place is asked for.
    lines: OnceLock<Lines>,
}

impl std::fmt::Debug for OverlayFile {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("OverlayFile").field("path", &self.path).field("bytes", &self.text.len()).finish()
    }
}

impl OverlayFile {
    /// Parses `text`; `path` is for messages and for what the file's name says about it.
    ///
    /// # Errors
    /// [`Error::Syntax`] when the text is no Nix expression or too large or too deep to be read.
    pub fn parse(path: &Path, text: String) -> Result<OverlayFile, Error> {
        let tree = syntax::parse(path, &text)?;
        Ok(OverlayFile { path: path.to_path_buf(), text, tree, lines: OnceLock::new() })
    }

    /// Returns the path as it was given.
    pub fn path(&self) -> &Path {
        &self.path
    }

    pub fn text(&self) -> &str {
        &self.text
    }

    pub(super) fn root(&self) -> SyntaxNode {
        self.tree.syntax()
    }

    fn place(&self, span: Span) -> Place {
        let line_col = self.line_col(span.start);
        Place { path: self.path.clone(), span: Some(span), line_col: Some(line_col) }
    }

    fn line_col(&self, offset: usize) -> LineCol {
        self.lines.get_or_init(|| Lines::of(&self.text)).line_col(&self.text, offset)
    }

    fn all(&self) -> Vec<Function> {
        functions::functions(&self.root(), &self.path, &self.text)
    }

    /// Finds the overlay function whose first argument begins at `offset`.
    pub(super) fn function_at(&self, offset: usize) -> Option<Function> {
        functions::function_at(&self.root(), &self.path, &self.text, offset)
    }

    /// Returns every overlay-like function of the file, in the order of the text.
    pub fn functions(&self) -> Vec<OverlayFn> {
        let generated = functions::generated(&self.text, &self.path);
        self.all()
            .into_iter()
            .map(|f| {
                let body = f.body().map(body::read);
                OverlayFn {
                    place: self.place(f.place()),
                    head: self.place(trivia::span(f.head.syntax())),
                    kind: f.kind,
                    first: f.first(),
                    second: f.second(),
                    keys: body.as_ref().map(body::Body::keys).unwrap_or_default(),
                    opaque: body.is_none_or(|b| b.any_opaque()),
                    generated,
                }
            })
            .collect()
    }

    /// Returns what its package overlays bind, each name once, with its place.
    pub fn bindings(&self) -> Vec<(String, Place)> {
        let mut found: Vec<(String, Place)> = Vec::new();
        for function in self.all().iter().filter(|f| matches!(f.kind, FnKind::Packages | FnKind::PackageOverrides)) {
            let Some(body) = function.body() else { continue };
            for key in body::read(body.clone()).keys() {
                let binds = |entry: &rnix::ast::AttrpathValue| {
                    entry.attrpath().is_some_and(|path| path_names(&path).first() == Some(&Some(key.clone())))
                };
                let entry = body.syntax().descendants().filter_map(rnix::ast::AttrpathValue::cast).find(binds);
                let span = entry.map_or_else(|| function.place(), |entry| trivia::span(entry.syntax()));
                if !found.iter().any(|(known, _)| *known == key) {
                    found.push((key, self.place(span)));
                }
            }
        }
        found
    }

    /// Finds the function that is meant.
    fn chosen(&self, select: Select, attr: &AttrPath) -> Result<Function, Error> {
        let all = self.all();
        let places = |functions: &[Function]| functions.iter().map(|f| self.place(f.place())).collect::<Vec<_>>();
        match select {
            Select::Offset(offset) => {
                let at = |f: &&Function| f.place().start == offset || trivia::span(f.head.syntax()).start == offset;
                all.iter().find(at).cloned().ok_or_else(|| Error::NotOnLine {
                    path: self.path.clone(),
                    line: self.line_col(offset).line,
                    candidates: places(&all),
                })
            }
            Select::Line(line) => {
                let line_of = |offset: usize| self.line_col(offset).line;
                let on: Vec<&Function> = all.iter().filter(|f| line_of(f.place().start) == line).collect();
                let on = if on.is_empty() {
                    // The line of the first parameter of all, or of the second argument, says as much.
                    all.iter()
                        .filter(|f| {
                            line_of(trivia::span(f.head.syntax()).start) == line
                                || line_of(trivia::span(f.inner.syntax()).start) == line
                        })
                        .collect()
                } else {
                    on
                };
                match on.as_slice() {
                    [] => Err(Error::NotOnLine { path: self.path.clone(), line, candidates: places(&all) }),
                    [only] => Ok((*only).clone()),
                    many => {
                        let named: Vec<Function> = many.iter().map(|f| (*f).clone()).collect();
                        self.one_of(named, attr)
                    }
                }
            }
            Select::Only => {
                if all.is_empty() {
                    return Err(Error::NoOverlay { path: self.path.clone() });
                }
                self.one_of(all, attr)
            }
        }
    }

    /// Chooses among several: package overlays before others, those that bind the package before others.
    fn one_of(&self, all: Vec<Function>, attr: &AttrPath) -> Result<Function, Error> {
        let packages: Vec<Function> =
            all.iter().filter(|f| matches!(f.kind, FnKind::Packages | FnKind::PackageOverrides)).cloned().collect();
        // An overlay within another's body is part of that one.
        let span_of = |f: &Function| trivia::span(f.head.syntax());
        let packages: Vec<Function> = packages
            .iter()
            .filter(|f| !packages.iter().any(|o| span_of(o) != span_of(f) && span_of(o).contains(span_of(f))))
            .cloned()
            .collect();
        match packages.as_slice() {
            [] => match all.into_iter().next() {
                Some(first) => Ok(first),
                None => Err(Error::NoOverlay { path: self.path.clone() }),
            },
            [only] => Ok(only.clone()),
            many => {
                let binding: Vec<&Function> = many
                    .iter()
                    .filter(|f| f.body().is_some_and(|b| !body::read(b).find(attr.first()).is_empty()))
                    .collect();
                match binding.as_slice() {
                    [only] => Ok((*only).clone()),
                    _ => Err(Error::SeveralOverlays {
                        path: self.path.clone(),
                        candidates: many.iter().map(|f| self.place(f.place())).collect(),
                    }),
                }
            }
        }
    }

    fn not_generated(&self, function: &Function) -> Result<(), Error> {
        if functions::generated(&self.text, &self.path) {
            return Err(Error::Generated { at: Spot::new(&self.path, &self.text, function.place()) });
        }
        Ok(())
    }

    /// Refuses what is no package overlay.
    fn editable(&self, function: &Function, select: Select) -> Result<(), Error> {
        let at = Spot::new(&self.path, &self.text, function.place());
        self.not_generated(function)?;
        match function.kind {
            FnKind::Packages | FnKind::PackageOverrides => Ok(()),
            // What stands there was named by the user.
            FnKind::Unknown if select != Select::Only => Ok(()),
            kind => Err(Error::WrongKind { kind, at }),
        }
    }

    /// Returns every package that the file's overlays patch, in the order of the text.
    pub fn patched_packages(&self) -> Vec<PatchedPackage> {
        let mut out = Vec::new();
        let mut seen: HashSet<(Span, String)> = HashSet::new();
        for function in self.all() {
            if !matches!(function.kind, FnKind::Packages | FnKind::PackageOverrides | FnKind::Unknown | FnKind::Scope) {
                continue;
            }
            // A scope's overlay within a package overlay is reported with the path through it.
            let scope = functions::scope_path(&function);
            for patched in query::patched(&function, &self.text) {
                let elements: Vec<Element> = patched
                    .lists
                    .iter()
                    .flat_map(|l| l.list.items().map(|i| (i, l.conditional || patched.conditional)).collect::<Vec<_>>())
                    .map(|(item, conditional)| self.element(&item, conditional))
                    .collect();
                let place = self.place(patched.binding);
                if !seen.insert((patched.binding, patched.attr.last().to_string())) {
                    continue;
                }
                let names = scope.iter().chain(patched.attr.names()).cloned();
                out.push(PatchedPackage {
                    attr: AttrPath::from_names(names).unwrap_or(patched.attr),
                    elements,
                    place,
                    function: self.place(function.place()),
                });
            }
        }
        out
    }

    pub(super) fn element(&self, item: &rnix::ast::Expr, conditional: bool) -> Element {
        let (path, url) = element_key(item);
        let place = super::ast::span(item);
        let from_root = super::query::self_path(item);
        Element {
            text: self.text[place.range()].to_string(),
            path,
            from_root,
            url,
            conditional,
            place: self.place(place),
        }
    }

    /// The path as it is within the function: a scope's own overlay binds `requests`, not `python3Packages.requests`.
    fn within(&self, function: &Function, attr: &AttrPath) -> AttrPath {
        let scope = functions::scope_path(function);
        let below = attr.names().strip_prefix(scope.as_slice()).filter(|_| !scope.is_empty());
        match below.and_then(|names| AttrPath::from_names(names.iter().cloned())).or_else(|| attr.tail()) {
            Some(inner) if function.kind == FnKind::Scope => inner,
            _ => attr.clone(),
        }
    }

    /// Plans to put patches into one of the file's overlays; imports that pass both arguments on are followed.
    ///
    /// # Errors
    /// A refusal with its place: see [`Error`].
    pub fn add_patches(&self, files: &dyn Files, select: Select, request: &PatchRequest) -> Result<Planned, Error> {
        let function = self.chosen(select, &request.attr)?;
        let within = self.within(&function, &request.attr);
        if within != request.attr {
            self.not_generated(&function)?;
            let mut inner = request.clone();
            inner.attr = within;
            return plan::add(self, &function, &inner);
        }
        self.editable(&function, select)?;
        if let Some((imported, request)) = super::imports::follow(files, self, &function, request)
            && let Ok(function) = imported.chosen(Select::Only, &request.attr)
            && imported.editable(&function, Select::Only).is_ok()
            && let Ok(mut planned) = plan::add(&imported, &function, &request)
        {
            planned.warnings.push(super::imports::note(self, &imported));
            return Ok(planned);
        }
        plan::add(self, &function, request)
    }

    /// Plans to take patches out again.
    ///
    /// # Errors
    /// [`Error::NotPatched`] when an element is not there, or a refusal.
    pub fn remove_patches(
        &self,
        files: &dyn Files,
        select: Select,
        attr: &AttrPath,
        which: &[PatchElement],
    ) -> Result<Planned, Error> {
        let function = self.chosen(select, attr)?;
        let within = self.within(&function, attr);
        if &within != attr {
            return self.remove_here(&function, &within, which);
        }
        let request = PatchRequest::new(attr.clone(), which.to_vec());
        let here = self.remove_here(&function, attr, which);
        if let Err(Error::NotPatched { .. }) = &here
            && let Some((imported, request)) = super::imports::follow(files, self, &function, &request)
            && let Ok(function) = imported.chosen(Select::Only, attr)
        {
            return imported.remove_here(&function, attr, &request.elements);
        }
        here
    }

    fn remove_here(&self, function: &Function, attr: &AttrPath, which: &[PatchElement]) -> Result<Planned, Error> {
        let facts = Facts::default();
        let names = attr.names();
        let (edits, binding) = remove::edits(self, function, names, which, &facts)?;
        let at = Spot::new(&self.path, &self.text, function.place());
        let unverified = |reason: String| Error::Unverified { attr: attr.clone(), reason, at: at.clone() };
        let new = edits.apply(&self.text).map_err(|e| unverified(e.to_string()))?;
        let file = OverlayFile::parse(&self.path, new.clone())
            .map_err(|e| unverified(format!("the new text does not parse: {e}")))?;
        if body::defines_twice(&self.root(), &file.root(), &edits) {
            return Err(unverified("an attribute would be defined twice".into()));
        }
        let offset = edits.moved(function.place().start);
        if let Some(function) = file.function_at(offset) {
            let mut bindings = query::bindings_of(&function, names, &facts, file.text());
            bindings.iter_mut().for_each(|binding| binding.lists.retain(|list| !list.elsewhere));
            for element in which {
                if query::count(&bindings, element).0 != 0 {
                    return Err(unverified(format!("`{}` is still there", element.identity())));
                }
            }
        }
        let elements = which.iter().map(|e| e.identity().to_string()).collect();
        Ok(Planned {
            changes: vec![FileChange { path: self.path.clone(), old: self.text.clone(), edits, new }],
            change: Change::Removed { attr: attr.clone(), elements, binding },
            warnings: Vec::new(),
            function: *at.place,
        })
    }
}
