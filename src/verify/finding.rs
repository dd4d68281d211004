//! What a level says about a target: verdict, evidence, cause.

use serde::Serialize;

use crate::overlay::AttrPath;

/// How closely it was looked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    /// The derivations name the patch.
    Derivation,
    /// The patch applies to the source.
    Source,
    /// The build said that it applied the patch.
    Log,
    /// Nothing unpatched is left in the closures.
    Closure,
    /// The programs are for the right machine and find what they need.
    Program,
    /// What the patch changes is in what was built.
    Contents,
    /// The program prints what it should.
    Run,
}

impl Level {
    /// All levels, in their order.
    pub const ALL: [Level; 7] =
        [Level::Derivation, Level::Source, Level::Log, Level::Closure, Level::Program, Level::Contents, Level::Run];

    pub fn name(self) -> &'static str {
        match self {
            Level::Derivation => "derivation",
            Level::Source => "source",
            Level::Log => "log",
            Level::Closure => "closure",
            Level::Program => "program",
            Level::Contents => "contents",
            Level::Run => "run",
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// The level has nothing to say about this target.
    NotApplicable,
    /// It is as it should be.
    Ok,
    /// It cannot be told; never taken for good.
    Unknown,
    /// It is not as it should be.
    Failed,
}

/// Why a level failed, by name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Cause {
    /// The patched attribute is not the C library of the target's toolchain; another one is.
    WrongLibcAttribute,
    /// The attribute does not exist without the overlay: a typo.
    NoSuchAttribute,
    /// The native package set has the patch, the cross package set has not.
    NotInCross,
    /// The overlay is not among those that are applied.
    NotWiredIn,
    /// The patch is in a derivation more than once.
    AppliedTwice,
    /// No target depends on the package.
    NotADependency,
    /// The program is linked with another copy of the library, for example the C library that rustc carries.
    AnotherCopyLinked,
    /// Another derivation of the same package is used beside the patched one, without the patch.
    PrivateCopy,
    /// The overlay is applied, but the package does not have the patch: a condition is false, or a later overlay took it out.
    NotInEffect,
    /// The build did not apply the patch.
    NotApplied,
    /// Nothing that the package installs is different with the patch.
    NoEffect,
    /// Something refers to the unpatched package.
    UnpatchedInClosure,
    /// A program is not what its platform wants.
    WrongProgram,
    /// The patch does not apply to the source as it is.
    DoesNotFit,
    /// The program did not print what was expected.
    WrongOutput,
}

impl Cause {
    /// Returns the code under which `--explain` has more.
    pub fn code(self) -> &'static str {
        match self {
            Cause::WrongLibcAttribute => "OV1020",
            Cause::NoSuchAttribute => "OV1021",
            Cause::NotInCross => "OV1022",
            Cause::NotWiredIn => "OV1023",
            Cause::AppliedTwice => "OV1024",
            Cause::NotADependency => "OV1025",
            Cause::AnotherCopyLinked => "OV1026",
            Cause::PrivateCopy => "OV1027",
            Cause::NotInEffect => "OV1028",
            Cause::NotApplied => "OV1029",
            Cause::UnpatchedInClosure => "OV1030",
            Cause::WrongProgram => "OV1031",
            Cause::DoesNotFit => "OV1032",
            Cause::WrongOutput => "OV1033",
            Cause::NoEffect => "OV1067",
        }
    }
}

/// What one level says about one package of one target.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Finding {
    /// The target's whole attribute path.
    pub target: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub board: Option<String>,
    /// The patched package; absent where the level looks at the target as a whole.
    pub package: Option<AttrPath>,
    pub level: Level,
    pub verdict: Verdict,
    pub why: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cause: Option<Cause>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub code: Option<&'static str>,
    pub evidence: Vec<String>,
    /// A command that shows it by hand.
    pub command: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
}

/// What a level finds, before it is put under its target.
#[derive(Debug, Clone)]
pub(super) struct Answer {
    pub verdict: Verdict,
    pub why: String,
    pub cause: Option<Cause>,
    pub evidence: Vec<String>,
    pub command: Option<String>,
    pub hint: Option<String>,
}

impl Answer {
    fn new(verdict: Verdict, why: impl Into<String>) -> Answer {
        Answer { verdict, why: why.into(), cause: None, evidence: Vec::new(), command: None, hint: None }
    }

    pub(super) fn ok(why: impl Into<String>) -> Answer {
        Answer::new(Verdict::Ok, why)
    }

    pub(super) fn unknown(why: impl Into<String>) -> Answer {
        Answer::new(Verdict::Unknown, why)
    }

    pub(super) fn not_applicable(why: impl Into<String>) -> Answer {
        Answer::new(Verdict::NotApplicable, why)
    }

    pub(super) fn failed(cause: Cause, why: impl Into<String>) -> Answer {
        Answer { cause: Some(cause), ..Answer::new(Verdict::Failed, why) }
    }

    /// The target is not built, so this level cannot look.
    pub(super) fn not_built(what: &str) -> Answer {
        Answer::unknown(format!("{what} is not built")).hint("`overlayctl build` builds it")
    }

    pub(super) fn hint(mut self, hint: impl Into<String>) -> Answer {
        self.hint = Some(hint.into());
        self
    }

    pub(super) fn command(mut self, command: impl Into<String>) -> Answer {
        self.command = Some(command.into());
        self
    }

    pub(super) fn maybe_command(mut self, command: Option<String>) -> Answer {
        self.command = command.or(self.command);
        self
    }

    pub(super) fn maybe(mut self, hint: Option<String>, command: Option<String>) -> Answer {
        (self.hint, self.command) = (hint, command);
        self
    }

    pub(super) fn evidence(mut self, evidence: impl IntoIterator<Item = String>) -> Answer {
        self.evidence.extend(evidence);
        self
    }
}
