//! Plain models of what is shown: text with roles, tables, trees, directed graphs.
//!
//! What is [`Shown`] becomes a [`Document`], which `report` renders. Must not import anything of ours, and holds no
//! colours, only roles.

/// What people can be shown.
pub trait Shown {
    /// Returns what they see; `verbose` asks for more.
    fn document(&self, verbose: bool) -> Document;
}

/// What a piece of text means; the renderer decides how that looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Role {
    /// Ordinary text.
    #[default]
    Plain,
    Heading,
    /// A name the user knows: attribute, package, file.
    Name,
    /// It is as it should be.
    Good,
    Bad,
    /// Take note.
    Warn,
    /// Secondary.
    Dim,
    /// Something to type.
    Command,
}

impl Role {
    /// Makes a line that begins with a piece of this role.
    pub fn text(self, text: impl Into<String>) -> Text {
        Text(vec![(self, text.into())])
    }
}

/// A line of text in pieces.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Text(pub Vec<(Role, String)>);

impl Text {
    #[must_use]
    pub fn with(mut self, role: Role, text: impl Into<String>) -> Text {
        self.0.push((role, text.into()));
        self
    }

    /// Adds an ordinary piece.
    #[must_use]
    pub fn plain(self, text: impl Into<String>) -> Text {
        self.with(Role::Plain, text)
    }

    /// Returns the text without roles.
    pub fn unstyled(&self) -> String {
        self.0.iter().map(|(_, t)| t.as_str()).collect()
    }
}

impl<T: Into<String>> From<T> for Text {
    fn from(text: T) -> Text {
        Role::Plain.text(text)
    }
}

/// A table: a header and rows of the same length.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Table {
    pub header: Vec<String>,
    pub rows: Vec<Vec<Text>>,
}

impl Table {
    /// Makes one without rows.
    pub fn new<'t>(header: impl IntoIterator<Item = &'t str>) -> Table {
        Table { header: header.into_iter().map(str::to_string).collect(), rows: Vec::new() }
    }
}

/// A tree: a label and what hangs below it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Tree {
    pub label: Text,
    /// Its children, in order.
    pub children: Vec<Tree>,
}

/// A directed graph for Graphviz, Mermaid and the like.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Digraph {
    /// The nodes: a label and a role.
    pub nodes: Vec<(String, Role)>,
    /// Edges as pairs of indices into `nodes`.
    pub edges: Vec<(usize, usize)>,
}

/// One part of a document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Block {
    Line(Text),
    /// An empty line.
    Blank,
    /// A unified diff; the renderer colours it by its first characters.
    Diff(String),
    Table(Table),
    Tree(Tree),
}

/// What a command shows.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Document {
    /// The parts, in order.
    pub blocks: Vec<Block>,
}

impl Document {
    /// Makes an empty document.
    pub fn new() -> Document {
        Document::default()
    }

    pub fn line(&mut self, text: impl Into<Text>) {
        self.blocks.push(Block::Line(text.into()));
    }

    /// Adds an empty line.
    pub fn blank(&mut self) {
        self.blocks.push(Block::Blank);
    }

    pub fn heading(&mut self, text: impl Into<String>) {
        self.line(Role::Heading.text(text));
    }

    pub fn append(&mut self, other: Document) {
        self.blocks.extend(other.blocks);
    }

    pub fn push(&mut self, block: Block) {
        self.blocks.push(block);
    }
}
