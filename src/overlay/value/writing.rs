//! The text of an override: the list that was there, the new elements, the call around them.
//!
//! Must not look at what is there already.

use crate::overlay::layout::Style;
use crate::overlay::request::{OldPatches, Written};
use crate::syntax::make;

/// The arguments of `buildRustPackage` that `cargoPatches` is one of.
#[derive(Debug, Clone)]
pub(in crate::overlay) struct CargoArguments {
    /// The attribute beside `cargoPatches` that holds the hash of the dependencies, when it is written.
    pub(in crate::overlay) hash: Option<String>,
    /// Whether they are a function of the final attributes.
    pub(in crate::overlay) of_final: bool,
}

impl CargoArguments {
    /// `cargoHash = "...";` with a hash that is certainly false, so that the build tells the right one.
    fn binding(&self) -> Option<String> {
        let attr = self.hash.as_deref()?;
        let hash = match attr {
            "cargoHash" => "sha256-AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=",
            _ => "0000000000000000000000000000000000000000000000000000",
        };
        Some(format!("{} = {};", make::attr_name(attr), make::string(hash)))
    }
}

/// The parameter of an override around `prev.musl` where that was the value before: without it the binding goes.
pub(in crate::overlay) const ALIAS_PARAM: &str = "oldAttrs";

/// The parameter of an override in a set that was empty with its braces on two lines.
pub(in crate::overlay) const OPENED_PARAM: &str = "attrs";

/// The parameter of an override in a set that was there and empty: what is around that set stays.
pub(in crate::overlay) const KEPT_PARAM: &str = "prevAttrs";

/// What the edits of a value need to know.
#[derive(Clone)]
pub(in crate::overlay) struct Writing<'a> {
    pub(in crate::overlay) text: &'a str,
    pub(in crate::overlay) style: Style,
    pub(in crate::overlay) elements: &'a [Written],
    pub(in crate::overlay) position: Option<usize>,
    pub(in crate::overlay) old: OldPatches,
    /// Nix was asked what the list is, so what the text does not tell is known.
    pub(in crate::overlay) asked: bool,
    /// The parameter name that new overrides use.
    pub(in crate::overlay) param: String,
    /// [`ALIAS_PARAM`], where it can be used.
    pub(in crate::overlay) alias_param: Option<String>,
    /// The method that new overrides use.
    pub(in crate::overlay) method: &'static str,
    pub(in crate::overlay) list_key: &'static str,
    /// Set where `list_key` is `cargoPatches`.
    pub(in crate::overlay) cargo: Option<CargoArguments>,
}

impl Writing<'_> {
    /// The list of what was there, given the text that selects it.
    fn old_list(&self, selected: &str, style: &Style) -> String {
        match self.old {
            OldPatches::List => format!("({selected} or {})", style.empty_list()),
            OldPatches::Null => format!("(if {selected} or null == null then {} else {selected})", style.empty_list()),
            OldPatches::NotList => {
                let empty = style.empty_list();
                format!(
                    "(let p = {selected} or {empty}; in if p == null then {empty} else if builtins.isList p then p else [ p ])"
                )
            }
        }
    }

    /// `[ ... ]` with the elements.
    pub(in crate::overlay) fn list(&self, indent: &str, one_line: bool, style: &Style) -> String {
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
    pub(in crate::overlay) fn value(&self, selected: &str, indent: &str, one_line: bool, style: &Style) -> String {
        format!("{} ++ {}", self.old_list(selected, style), self.list(indent, one_line, style))
    }

    /// `BASE.overrideAttrs (old: { patches = ...; })`.
    pub(in crate::overlay) fn overridden(&self, base: &str, indent: &str, one_line: bool, style: &Style) -> String {
        if let Some(arguments) = &self.cargo {
            return self.rust_overridden(base, arguments, indent, one_line, style);
        }
        let param = style.param.unwrap_or(self.param.as_str());
        let (nl, unit, method, key) = (style.newline, &style.unit, self.method, self.list_key);
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

    /// `BASE.override (old: { rustPlatform = ...; })`: the arguments of `buildRustPackage` can only be changed on their
    /// way to it, for the fetcher of the dependencies has them before the derivation is made.
    fn rust_overridden(
        &self,
        base: &str,
        arguments: &CargoArguments,
        indent: &str,
        one_line: bool,
        style: &Style,
    ) -> String {
        let param = style.param.unwrap_or(self.param.as_str());
        let args = if param == "args" { "args'" } else { "args" };
        let (head, given) = match arguments.of_final {
            true => ("finalAttrs: ", format!("{args} finalAttrs")),
            false => ("", args.to_string()),
        };
        let own = if arguments.of_final { format!("({given})") } else { given.clone() };
        let list = |indent: &str, one_line: bool| {
            let old = format!("({own}.cargoPatches or {})", style.empty_list());
            format!("cargoPatches = {old} ++ {};", self.list(indent, one_line, style))
        };
        let open = [
            format!("{base}.override ({param}: {{"),
            format!("rustPlatform = {param}.rustPlatform // {{"),
            format!("buildRustPackage = {args}: {param}.rustPlatform.buildRustPackage ({head}{given} // {{"),
        ];
        let close = ["});", "};", "})"];
        if one_line {
            let hash = arguments.binding().map(|b| format!(" {b}")).unwrap_or_default();
            return format!("{} {}{hash} {}", open.join(" "), list("", true), close.join(" "));
        }
        let nl = style.newline;
        let at = |depth: usize| format!("{indent}{}", style.unit.repeat(depth));
        let [first, second, third] = open;
        let mut out = format!("{first}{nl}{}{second}{nl}{}{third}", at(1), at(2));
        out.push_str(&format!("{nl}{}{}", at(3), list(&at(3), false)));
        if let Some(binding) = arguments.binding() {
            out.push_str(&format!("{nl}{}{binding}", at(3)));
        }
        for (depth, line) in [2, 1, 0].into_iter().zip(close) {
            out.push_str(&format!("{nl}{}{line}", at(depth)));
        }
        out
    }
}
