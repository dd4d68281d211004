//! What a key is bound to: the override calls in it, their lists of patches, and how one more patch gets in.
//!
//! Must not choose the key or the overlay.

use rnix::SyntaxNode;
use rnix::ast::{self, BinOpKind, Expr, InterpolPart, Param};
use rowan::ast::AstNode;

use super::ast::{
    Base, Bound, bound, call, chain, function_name, mentions, path_names, peel, plain_string, span, split_select,
    unparen, uses, written_path,
};
use super::body::{Definition, definitions};
use super::layout::{self, Style, insert_entry};
use super::request::{OldPatches, Written};
use crate::base::edit::{EditError, TextEdits};
use crate::base::span::Span;
use crate::syntax::trivia;

/// Methods whose argument computes new attributes of the derivation from the old ones.
pub(super) const ATTRS_METHODS: &[&str] =
    &["overrideAttrs", "overridePythonAttrs", "overrideDerivation", "overrideAttrsOld", "overrideCabal"];

/// Functions that do the same with the derivation as their first argument.
const ATTRS_FUNCTIONS: &[&str] = &["overrideDerivation", "overrideCabal", "overrideAttrs", "overrideSrc"];

/// Functions that take a derivation and a list of patches.
const LIST_FUNCTIONS: &[&str] = &["addPatches", "appendPatches", "addPatchesTo", "withPatches"];

/// The lists that hold patches; the kernel's and cargo's have their own names.
pub(super) const LIST_KEYS: &[&str] = &["patches", "kernelPatches", "cargoPatches", "extraPatches"];

/// What an override call hands over.
#[derive(Debug, Clone)]
pub(super) enum Carrier {
    /// A function of the old attributes; the innermost lambda and its result without layers.
    Function(ast::Lambda, Expr),
    /// A plain set.
    Set(ast::AttrSet),
    /// A list of patches itself.
    List(Expr),
    /// Something computed.
    Opaque,
}

/// One override call.
#[derive(Debug, Clone)]
pub(super) struct Override {
    pub(super) method: String,
    pub(super) base: Base,
    pub(super) carrier: Carrier,
}

impl Override {
    pub(super) fn attrs(&self) -> bool {
        ATTRS_METHODS.contains(&self.method.as_str())
    }
}

/// Returns the override calls of a value, the outermost first: `(x.override a).overrideAttrs b` gives b's, then a's.
pub(super) fn overrides(value: &Expr) -> Vec<Override> {
    let mut out = Vec::new();
    let mut next = Some(value.clone());
    let mut fuel = 64usize;
    while let Some(expr) = next.take() {
        fuel -= 1;
        if fuel == 0 {
            break;
        }
        let expr = peel(expr);
        if let Expr::BinOp(merge) = &expr
            && merge.operator() == Some(BinOpKind::Update)
        {
            next = merge.lhs();
            continue;
        }
        let Some((head, args)) = call(&expr) else { break };
        match (&head, args.as_slice()) {
            (Expr::Select(select), [argument]) => {
                let Some((base, method)) = split_select(select) else { break };
                if !ATTRS_METHODS.contains(&method.as_str()) && method != "override" {
                    break;
                }
                next = base.expr.clone();
                out.push(Override { method, base, carrier: carrier(argument) });
            }
            (Expr::Select(_) | Expr::Ident(_), [derivation, argument]) => {
                let Some(name) = function_name(&head) else { break };
                let carrier = if LIST_FUNCTIONS.contains(&name.as_str()) {
                    Carrier::List(argument.clone())
                } else if ATTRS_FUNCTIONS.contains(&name.as_str()) {
                    carrier(argument)
                } else {
                    break;
                };
                let base = Base { span: span(derivation), expr: Some(derivation.clone()) };
                next = base.expr.clone();
                out.push(Override { method: name, base, carrier });
            }
            _ => break,
        }
    }
    out
}

fn carrier(argument: &Expr) -> Carrier {
    let mut inner = peel(argument.clone());
    let mut lambda = None;
    while let Expr::Lambda(next) = &inner {
        lambda = Some(next.clone());
        match next.body() {
            Some(body) => inner = peel(body),
            None => return Carrier::Opaque,
        }
    }
    match (lambda, inner) {
        (Some(lambda), core) => Carrier::Function(lambda, core),
        (None, Expr::AttrSet(set)) => Carrier::Set(set),
        _ => Carrier::Opaque,
    }
}

/// A list of patches found in a value.
#[derive(Debug, Clone)]
pub(super) struct PatchList {
    /// The key it stands under.
    pub(super) key: String,
    pub(super) list: ast::List,
    /// It counts only when something holds.
    pub(super) conditional: bool,
}

/// Returns the sets among the operands of a result, and whether each counts always.
fn result_sets(core: &Expr, conditional: bool, out: &mut Vec<(ast::AttrSet, bool)>) {
    for part in chain(core, BinOpKind::Update) {
        match peel(part) {
            Expr::AttrSet(set) => out.push((set, conditional)),
            Expr::IfElse(branch) => {
                for side in [branch.body(), branch.else_body()].into_iter().flatten() {
                    result_sets(&side, true, out);
                }
            }
            other => {
                if let Some((head, args)) = call(&other)
                    && function_name(&head).is_some_and(|n| n == "optionalAttrs")
                    && let Some(set) = args.get(1)
                {
                    result_sets(set, true, out);
                }
            }
        }
    }
}

/// Returns the literal lists that an expression of patches is put together from.
fn lists_in(expr: &Expr, conditional: bool, fuel: usize, out: &mut Vec<(ast::List, bool)>) {
    if fuel == 0 {
        return;
    }
    for part in chain(expr, BinOpKind::Concat) {
        match peel(part) {
            Expr::List(list) => out.push((list, conditional)),
            Expr::IfElse(branch) => {
                for side in [branch.body(), branch.else_body()].into_iter().flatten() {
                    lists_in(&side, true, fuel - 1, out);
                }
            }
            Expr::Ident(ident) => {
                if let Some(Bound::Value(value)) = bound(&ident) {
                    lists_in(&value, conditional, fuel - 1, out);
                }
            }
            other => {
                if let Some((head, args)) = call(&other)
                    && function_name(&head).is_some_and(|n| n == "optionals" || n == "optional")
                    && let Some(list) = args.get(1)
                {
                    lists_in(list, true, fuel - 1, out);
                }
            }
        }
    }
}

/// Returns every literal list of patches that a value's overrides set, branches of an `if` included.
pub(super) fn patch_lists(value: &Expr) -> Vec<PatchList> {
    let mut out = Vec::new();
    collect_lists(value, false, 8, &mut out);
    out
}

fn collect_lists(value: &Expr, conditional: bool, fuel: usize, out: &mut Vec<PatchList>) {
    if fuel == 0 {
        return;
    }
    let mut innermost = peel(value.clone());
    for found in overrides(value) {
        if let Some(base) = &found.base.expr {
            innermost = peel(base.clone());
        }
        let core = match &found.carrier {
            Carrier::Function(_, core) => core.clone(),
            Carrier::Set(set) => Expr::AttrSet(set.clone()),
            Carrier::List(list) => {
                let mut lists = Vec::new();
                lists_in(list, conditional, 8, &mut lists);
                out.extend(lists.into_iter().map(|(list, conditional)| PatchList {
                    key: "patches".into(),
                    list,
                    conditional,
                }));
                continue;
            }
            Carrier::Opaque => continue,
        };
        let mut sets = Vec::new();
        result_sets(&core, conditional, &mut sets);
        for (set, conditional) in sets {
            for key in LIST_KEYS {
                for definition in definitions(&set, key) {
                    if let Definition::Value(_, expr) = definition {
                        let mut lists = Vec::new();
                        lists_in(&expr, conditional, 8, &mut lists);
                        out.extend(lists.into_iter().map(|(list, conditional)| PatchList {
                            key: (*key).into(),
                            list,
                            conditional,
                        }));
                    }
                }
            }
        }
    }
    if let Expr::BinOp(merge) = &innermost
        && merge.operator() == Some(BinOpKind::Update)
        && let Some(left) = merge.lhs()
        && overrides(&left).is_empty()
    {
        innermost = peel(left);
    }
    match innermost {
        Expr::IfElse(branch) => {
            for side in [branch.body(), branch.else_body()].into_iter().flatten() {
                collect_lists(&side, true, fuel - 1, out);
            }
        }
        Expr::Ident(ident) => {
            if let Some(Bound::Value(bound)) = bound(&ident) {
                collect_lists(&bound, conditional, fuel - 1, out);
            }
        }
        _ => {}
    }
}

/// Returns what identifies an element: the path it names, the URL it fetches, or its text.
pub(super) fn element_key(element: &Expr) -> (Option<String>, Option<String>) {
    let path = written_path(element);
    let url = element.syntax().descendants().filter_map(ast::AttrpathValue::cast).find_map(|e| {
        let names = e.attrpath().map(|p| path_names(&p))?;
        if names != [Some("url".to_string())] {
            return None;
        }
        match peel(e.value()?) {
            Expr::Str(s) => plain_string(&s),
            _ => None,
        }
    });
    (path, url)
}

/// What the edits of a value need to know.
pub(super) struct Writing<'a> {
    pub(super) text: &'a str,
    pub(super) style: Style,
    /// The elements as text.
    pub(super) elements: &'a [Written],
    pub(super) position: Option<usize>,
    pub(super) old: OldPatches,
    /// The parameter name that new overrides use.
    pub(super) param: String,
    /// The method that new overrides use.
    pub(super) method: &'static str,
    /// The key that holds the list.
    pub(super) list_key: &'static str,
}

impl Writing<'_> {
    /// The list of what was there, given the text that selects it.
    fn old_list(&self, selected: &str, style: &Style) -> String {
        match self.old {
            OldPatches::List => format!("({selected} or {})", style.empty_list()),
            OldPatches::Null => format!("(if {selected} or null == null then {} else {selected})", style.empty_list()),
            OldPatches::NotList => {
                format!("(let p = {selected} or {}; in if builtins.isList p then p else [ p ])", style.empty_list())
            }
        }
    }

    /// `[ ... ]` with the elements.
    pub(super) fn list(&self, indent: &str, one_line: bool, style: &Style) -> String {
        if one_line {
            let elements: Vec<&str> = self.elements.iter().map(|e| e.one_line.as_str()).collect();
            let space = if style.tight { "" } else { " " };
            return format!("[{space}{}{space}]", elements.join(" "));
        }
        let nl = style.newline;
        let mut out = String::from("[");
        for element in self.elements {
            out.push_str(&format!(
                "{nl}{indent}{}{}",
                style.unit,
                element.at(&format!("{indent}{}", style.unit), style)
            ));
        }
        out.push_str(&format!("{nl}{indent}]"));
        out
    }

    /// The value of the `patches` key, built on `selected`.
    fn value(&self, selected: &str, indent: &str, one_line: bool, style: &Style) -> String {
        format!("{} ++ {}", self.old_list(selected, style), self.list(indent, one_line, style))
    }

    /// `BASE.overrideAttrs (old: { patches = ...; })`.
    pub(super) fn overridden(&self, base: &str, indent: &str, one_line: bool, style: &Style) -> String {
        let (nl, unit, param, method, key) = (style.newline, &style.unit, &self.param, self.method, self.list_key);
        let selected = format!("{param}.{key}");
        if one_line {
            return format!("{base}.{method} ({param}: {{ {key} = {}; }})", self.value(&selected, "", true, style));
        }
        let inside = format!("{indent}{unit}");
        format!(
            "{base}.{method} ({param}: {{{nl}{inside}{key} = {};{nl}{indent}}})",
            self.value(&selected, &inside, false, style)
        )
    }
}

/// An edit of a value.
pub(super) struct ValueEdit {
    pub(super) edits: TextEdits,
    /// What it is, for the change's record.
    pub(super) how: &'static str,
}

/// Returns the ways to get the elements into a value, the best first.
pub(super) fn value_edits(value: &Expr, self_alias: bool, writing: &Writing<'_>) -> Vec<ValueEdit> {
    let mut out = Vec::new();
    if let Some(edit) = in_place(value, writing) {
        out.push(edit);
    }
    // What stands left of `//` is the derivation: an override around the whole would lose what is merged in.
    let target = match peel(value.clone()) {
        Expr::BinOp(merge) if merge.operator() == Some(BinOpKind::Update) => {
            let parts = chain(value, BinOpKind::Update);
            parts.first().cloned().unwrap_or_else(|| value.clone())
        }
        _ => value.clone(),
    };
    if let Ok(edits) = wrap(&target, self_alias, writing) {
        out.push(ValueEdit { edits, how: "wrapped" });
    }
    out
}

/// `(VALUE).overrideAttrs (...)`.
fn wrap(value: &Expr, self_alias: bool, writing: &Writing<'_>) -> Result<TextEdits, EditError> {
    let mut edits = TextEdits::new();
    let place = span(value);
    let indent = trivia::line_indent(writing.text, place.start).to_string();
    let one_line = on_one_line_set(value, writing.text);
    let bare = layout::selectable(value) && !self_alias;
    let (open, close) = if bare { ("", "") } else { ("(", ")") };
    if !bare {
        edits.insert(place.start, open)?;
    }
    edits.insert(place.end, format!("{close}{}", writing.overridden("", &indent, one_line, &writing.style)))?;
    Ok(edits)
}

/// Says whether the binding of a value stands in a set that is on one line.
fn on_one_line_set(value: &Expr, text: &str) -> bool {
    value
        .syntax()
        .ancestors()
        .find_map(ast::AttrSet::cast)
        .is_some_and(|set| layout::one_line(&set) && !text[span(&set).range()].contains('\n'))
}

fn in_place(value: &Expr, writing: &Writing<'_>) -> Option<ValueEdit> {
    let calls = overrides(value);
    // The outermost call that sets the list decides; below it an addition would be overwritten or doubled.
    for found in &calls {
        match &found.carrier {
            Carrier::List(list) => {
                let Expr::List(list) = unparen(list.clone()) else { return None };
                return append(&list, writing).ok().map(|edits| ValueEdit { edits, how: "appended" });
            }
            Carrier::Function(_, core) => {
                let Expr::AttrSet(set) = core else { if found.attrs() { return None } else { continue } };
                if let Some(edit) = existing_entry(set, writing) {
                    return edit;
                }
            }
            Carrier::Set(set) => {
                if let Some(edit) = existing_entry(set, writing) {
                    return edit;
                }
            }
            Carrier::Opaque => {
                if found.attrs() {
                    return None;
                }
            }
        }
    }
    let wanted = |o: &&Override| if writing.list_key == "kernelPatches" { o.method == "override" } else { o.attrs() };
    let found = calls.iter().find(wanted)?;
    match &found.carrier {
        Carrier::Function(lambda, Expr::AttrSet(set)) => {
            add_entry(lambda, set, writing).map(|edits| ValueEdit { edits, how: "added-list" })
        }
        _ => None,
    }
}

/// When the set has the key already: `Some(None)` says that this cannot be edited in place.
fn existing_entry(set: &ast::AttrSet, writing: &Writing<'_>) -> Option<Option<ValueEdit>> {
    let found = definitions(set, writing.list_key);
    let first = found.first()?;
    let Definition::Value(_, expr) = first else { return Some(None) };
    if found.len() > 1 {
        return Some(None);
    }
    let mut literal = None;
    for part in chain(expr, BinOpKind::Concat) {
        if let Expr::List(list) = unparen(part) {
            literal = Some(list);
        }
    }
    if let Some(list) = literal {
        return Some(append(&list, writing).ok().map(|edits| ValueEdit { edits, how: "appended" }));
    }
    if is_null(expr)
        || matches!(unparen(expr.clone()), Expr::Str(_) | Expr::PathRel(_) | Expr::PathAbs(_) | Expr::AttrSet(_))
    {
        return Some(None);
    }
    Some(concat(expr, writing).ok().map(|edits| ValueEdit { edits, how: "concatenated" }))
}

/// `EXPR ++ [ ... ]`, with parentheses where `++` would bind tighter.
fn concat(expr: &Expr, writing: &Writing<'_>) -> Result<TextEdits, EditError> {
    let mut edits = TextEdits::new();
    let place = span(expr);
    let indent = trivia::line_indent(writing.text, place.start).to_string();
    let one_line = !writing.text[place.range()].contains('\n');
    let bare = layout::operand_like(expr, BinOpKind::Concat);
    if !bare {
        edits.insert(place.start, "(")?;
    }
    let close = if bare { "" } else { ")" };
    edits.insert(place.end, format!("{close} ++ {}", writing.list(&indent, one_line, &writing.style)))?;
    Ok(edits)
}

/// The element as the list's last one is written: `"${self}/..."`, or with a variable that holds the directory.
fn in_style(last: Option<&Expr>, element: &Written) -> Option<Written> {
    let last = last?;
    let Expr::Str(text) = unparen(last.clone()) else { return None };
    let mut parts = text.normalized_parts().into_iter();
    let (Some(InterpolPart::Interpolation(directory)), Some(InterpolPart::Literal(_)), None) =
        (parts.next(), parts.next(), parts.next())
    else {
        return None;
    };
    let directory = directory.expr()?;
    let rest = if super::query::self_path(last).is_some() {
        super::ast::normal_path(element.from_root.as_ref()?)
    } else {
        let folder = super::ast::normal_path(&written_path(&directory)?);
        let path = super::ast::normal_path(element.relative.as_ref()?);
        path.strip_prefix(folder.as_str())?.strip_prefix('/')?.to_string()
    };
    let escaped = crate::syntax::make::string(&format!("/{rest}"));
    Some(Written::text(format!("\"${{{}}}{}", directory.syntax().text(), escaped.strip_prefix('"')?)))
}

/// Puts the elements into a literal list.
pub(super) fn append(list: &ast::List, writing: &Writing<'_>) -> Result<TextEdits, EditError> {
    let text = writing.text;
    let nl = writing.style.newline;
    let mut edits = TextEdits::new();
    let last_item = list.items().last();
    let elements: Vec<Written> =
        writing.elements.iter().map(|e| in_style(last_item.as_ref(), e).unwrap_or_else(|| e.clone())).collect();
    let items: Vec<Span> = list.items().map(|i| span(&i)).collect();
    let (Some(open), Some(close)) = (list.l_brack_token(), list.r_brack_token()) else {
        return Err(EditError::OutOfBounds(span(list)));
    };
    let (open, close) = (trivia::token_span(&open), trivia::token_span(&close));
    let Some(last) = items.last() else {
        let outside = trivia::line_indent(text, open.start).to_string();
        let inside = format!("{outside}{}", writing.style.unit);
        let comment = trivia::comments(list.syntax()).last().map(|c| trivia::token_span(&c));
        if let Some(comment) = comment {
            let indent = if trivia::starts_line(text, comment.start) {
                trivia::line_indent(text, comment.start).to_string()
            } else {
                inside
            };
            for element in &elements {
                edits.insert(comment.end, format!("{nl}{indent}{}", element.at(&indent, &writing.style)))?;
            }
            return Ok(edits);
        }
        let interior = Span::new(open.end, close.start);
        let elements: Vec<&str> = elements.iter().map(|e| e.one_line.as_str()).collect();
        let space = if interior.is_empty() { "" } else { " " };
        edits.replace(interior, format!("{space}{}{space}", elements.join(" ")))?;
        return Ok(edits);
    };
    let at = writing.position.unwrap_or(items.len()).min(items.len());
    if at == items.len() {
        let broken = trivia::starts_line(text, last.start);
        let indent = trivia::line_indent(text, last.start).to_string();
        for element in &elements {
            if broken {
                let after = trivia::after_inline_comment(text, last.end);
                // A bracket on the same line keeps its place behind the new element.
                let after =
                    if text[after..].split('\n').next().unwrap_or("").trim().is_empty() { after } else { last.end };
                edits.insert(after, format!("{nl}{indent}{}", element.at(&indent, &writing.style)))?;
            } else {
                edits.insert(last.end, format!(" {}", element.one_line))?;
            }
        }
        return Ok(edits);
    }
    if let Some(next) = items.get(at) {
        let broken = trivia::starts_line(text, next.start);
        let indent = trivia::line_indent(text, next.start).to_string();
        for element in &elements {
            let separator = if broken { format!("{nl}{indent}") } else { " ".into() };
            let element = if broken { element.at(&indent, &writing.style) } else { element.one_line.clone() };
            edits.insert(next.start, format!("{element}{separator}"))?;
        }
    }
    Ok(edits)
}

/// Adds the key to the set that an override's function gives.
fn add_entry(lambda: &ast::Lambda, set: &ast::AttrSet, writing: &Writing<'_>) -> Option<TextEdits> {
    let text = writing.text;
    let key = writing.list_key;
    if !super::body::keys_known(set) {
        return None;
    }
    let recursive = set.rec_token().is_some();
    // In `rec`, a bare `patches` that meant something else would now mean this.
    if recursive && !uses(set.syntax(), key).is_empty() {
        return None;
    }
    let mut edits = TextEdits::new();
    let selected = match lambda.param()? {
        Param::IdentParam(param) => {
            let token = param.ident()?.ident_token()?;
            let name = token.text().to_string();
            if name.chars().all(|c| c == '_') {
                // `old_` says that it was `_`, so that the inverse can give `_` back.
                let fresh = crate::syntax::make::fresh("old_", |n| mentions(lambda.syntax(), n));
                edits.replace(trivia::token_span(&token), fresh.clone()).ok()?;
                if !uses(lambda.syntax(), &name).is_empty() {
                    return None;
                }
                format!("{fresh}.{key}")
            } else {
                if hidden(set.syntax(), lambda, &name) {
                    return None;
                }
                format!("{name}.{key}")
            }
        }
        Param::Pattern(pattern) => {
            let bind = pattern.pat_bind().and_then(|b| b.ident()).map(|i| i.syntax().text().to_string());
            if let Some(name) = bind {
                if hidden(set.syntax(), lambda, &name) {
                    return None;
                }
                format!("{name}.{key}")
            } else {
                // `patches = patches ++ ...` within rec would be its own value.
                if recursive || hidden_by_let(set.syntax(), lambda, key) {
                    return None;
                }
                let there = pattern.pat_entries().find(|e| e.ident().is_some_and(|i| i.syntax().text() == key));
                match there {
                    Some(_) => {}
                    None => {
                        let ellipsis = pattern.ellipsis_token()?;
                        let place = trivia::token_span(&ellipsis);
                        let separator = if trivia::starts_line(text, place.start) {
                            format!("{}{}", writing.style.newline, trivia::line_indent(text, place.start))
                        } else {
                            " ".into()
                        };
                        // A leading-comma layout (`, ...`) needs the comma in front.
                        let before = text[..place.start].trim_end();
                        let leading = before.ends_with(',') && trivia::starts_line(text, before.len() - 1);
                        if leading {
                            return None;
                        }
                        edits
                            .insert(place.start, format!("{key} ? {},{separator}", writing.style.empty_list()))
                            .ok()?;
                    }
                }
                let style = &writing.style;
                let value = |indent: &str, one_line: bool, style: &Style| {
                    format!("{key} ++ {}", writing.list(indent, one_line, style))
                };
                insert_entry(text, set, key, &value, style, &mut edits).ok()?;
                return Some(edits);
            }
        }
    };
    let value = |indent: &str, one_line: bool, style: &Style| writing.value(&selected, indent, one_line, style);
    insert_entry(text, set, key, &value, &writing.style, &mut edits).ok()?;
    Some(edits)
}

/// Says whether, inside `set`, `name` means something else than the lambda's parameter.
fn hidden(set: &SyntaxNode, lambda: &ast::Lambda, name: &str) -> bool {
    // From inside the set, so that a `rec` set's own keys count.
    let inside = set.first_child().unwrap_or_else(|| set.clone());
    !matches!(super::ast::lookup(&inside, name), Some(Bound::Parameter(found)) if found.syntax() == lambda.syntax())
}

fn hidden_by_let(set: &SyntaxNode, lambda: &ast::Lambda, name: &str) -> bool {
    match super::ast::lookup(set, name) {
        None => false,
        Some(Bound::Parameter(found)) => {
            found.syntax() != lambda.syntax()
                && lambda.syntax().text_range().contains_range(found.syntax().text_range())
        }
        Some(Bound::Value(value)) => lambda.syntax().text_range().contains_range(value.syntax().text_range()),
        Some(Bound::Inherited) => true,
    }
}

fn is_null(expr: &Expr) -> bool {
    matches!(unparen(expr.clone()), Expr::Ident(i) if i.syntax().text() == "null")
}
