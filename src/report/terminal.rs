//! Documents as styled terminal text. What they hold may come from anywhere, so nothing in it but the styles made here is left for a
//! terminal to act on.

use std::fmt::Write as _;

use anstyle::{AnsiColor, Style};
use comfy_table::{Attribute, Cell, Color, ContentArrangement, Table as Grid, presets};

use crate::base::visible;
use crate::view::{Block, Document, Role, Table, Text, Tree};

pub fn style(role: Role) -> Style {
    match role {
        Role::Plain => Style::new(),
        Role::Heading => Style::new().bold(),
        Role::Name => AnsiColor::Cyan.on_default(),
        Role::Good => AnsiColor::Green.on_default(),
        Role::Bad => AnsiColor::Red.on_default().bold(),
        Role::Warn => AnsiColor::Yellow.on_default(),
        Role::Dim => Style::new().dimmed(),
        Role::Command => Style::new().bold(),
    }
}

/// Renders a document; every line ends with a newline.
pub fn render(document: &Document) -> String {
    let mut out = String::new();
    for block in &document.blocks {
        match block {
            Block::Line(text) => {
                push_text(&mut out, text);
                out.push('\n');
            }
            Block::Blank => out.push('\n'),
            Block::Diff(diff) => push_diff(&mut out, diff),
            Block::Table(table) => push_table(&mut out, table),
            Block::Tree(tree) => push_tree(&mut out, tree, "", ""),
        }
    }
    out
}

fn push_text(out: &mut String, text: &Text) {
    for (role, piece) in &text.0 {
        push_styled(out, style(*role), &visible::line(piece));
    }
}

fn push_styled(out: &mut String, style: Style, text: &str) {
    // Writing to a String cannot fail.
    let _ = write!(out, "{style}{text}{style:#}");
}

fn push_diff(out: &mut String, diff: &str) {
    for line in diff.lines() {
        let role = match line.as_bytes().first() {
            _ if line.starts_with("+++") || line.starts_with("---") => Role::Heading,
            Some(b'+') => Role::Good,
            Some(b'-') => Role::Bad,
            Some(b'@') => Role::Name,
            _ => Role::Plain,
        };
        push_styled(out, style(role), &visible::source_line(line));
        out.push('\n');
    }
}

fn push_table(out: &mut String, table: &Table) {
    let mut grid = Grid::new();
    grid.load_style(presets::NOTHING).set_content_arrangement(ContentArrangement::Disabled);
    // A path that is broken over two lines cannot be copied; a line that is too long is the terminal's to break.
    grid.enforce_styling();
    grid.style_text_only();
    grid.set_header(table.header.iter().map(|title| Cell::new(visible::line(title)).add_attribute(Attribute::Bold)));
    for row in &table.rows {
        grid.add_row(row.iter().map(cell));
    }
    for column in grid.column_iter_mut() {
        column.set_padding((0, 2));
    }
    for line in grid.lines() {
        out.push_str(line.trim_end());
        out.push('\n');
    }
}

/// Makes a cell; it takes the role of its first piece.
fn cell(text: &Text) -> Cell {
    let cell = Cell::new(visible::line(&text.unstyled()));
    match text.0.first().map_or(Role::Plain, |(role, _)| *role) {
        Role::Plain => cell,
        Role::Heading | Role::Command => cell.add_attribute(Attribute::Bold),
        Role::Name => cell.fg(Color::DarkCyan),
        Role::Good => cell.fg(Color::DarkGreen),
        Role::Bad => cell.fg(Color::DarkRed).add_attribute(Attribute::Bold),
        Role::Warn => cell.fg(Color::DarkYellow),
        Role::Dim => cell.add_attribute(Attribute::Dim),
    }
}

fn push_tree(out: &mut String, tree: &Tree, first: &str, rest: &str) {
    push_styled(out, style(Role::Dim), first);
    push_text(out, &tree.label);
    out.push('\n');
    for (i, child) in tree.children.iter().enumerate() {
        let last = i + 1 == tree.children.len();
        let (branch, below) = if last { ("└─ ", "   ") } else { ("├─ ", "│  ") };
        push_tree(out, child, &format!("{rest}{branch}"), &format!("{rest}{below}"));
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn plain(document: &Document) -> String {
        anstream::adapter::strip_str(&render(document)).to_string()
    }

    #[test]
    fn a_tree_has_branches() {
        let leaf = |t: &str| Tree { label: t.into(), children: vec![] };
        let mut document = Document::new();
        document.push(Block::Tree(Tree {
            label: "musl".into(),
            children: vec![Tree { label: "gcc".into(), children: vec![leaf("rustc")] }, leaf("curl")],
        }));
        assert_eq!(plain(&document), "musl\n├─ gcc\n│  └─ rustc\n└─ curl\n");
    }

    fn block() -> impl Strategy<Value = Block> {
        let text = || {
            proptest::collection::vec(visible::tests::hostile(), 0..3)
                .prop_map(|pieces| pieces.into_iter().fold(Text::default(), |text, piece| text.with(Role::Name, piece)))
        };
        let tree = text().prop_map(|label| Tree { label, children: vec![] }).prop_recursive(3, 8, 3, move |inner| {
            (text(), proptest::collection::vec(inner, 0..3)).prop_map(|(label, children)| Tree { label, children })
        });
        prop_oneof![
            text().prop_map(Block::Line),
            visible::tests::hostile().prop_map(Block::Diff),
            (visible::tests::hostile(), proptest::collection::vec(text(), 0..3)).prop_map(|(title, cells)| {
                Block::Table(Table { header: vec![title], rows: cells.into_iter().map(|cell| vec![cell]).collect() })
            }),
            tree.prop_map(Block::Tree),
        ]
    }

    proptest! {
        #[test]
        fn nothing_of_a_document_is_left_for_the_terminal(block in block()) {
            let rows = match &block {
                Block::Line(_) => Some(1),
                Block::Table(table) => Some(table.rows.len() + 1),
                _ => None,
            };
            let rendered = render(&Document { blocks: vec![block] });
            visible::tests::assert_safe(&rendered);
            prop_assert!(rows.is_none_or(|rows| rendered.lines().count() == rows), "{:?}", rendered);
        }
    }

    #[test]
    fn a_table_lines_up_and_colours_cells() {
        let mut document = Document::new();
        document.push(Block::Table(Table {
            header: vec!["level".into(), "verdict".into()],
            rows: vec![vec!["source".into(), Role::Good.text("ok")]],
        }));
        assert_eq!(plain(&document), "level   verdict\nsource  ok\n");
        assert!(render(&document).contains("\u{1b}[38;5;2mok"));
    }
}
