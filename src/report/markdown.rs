//! Documents as Markdown, for a pull request or a wiki. What they hold may come from anywhere, so everything that Markdown or HTML would
//! act on is escaped.

use crate::base::visible;
use crate::view::{Block, Document, Role, Text, Tree};

/// Renders a document.
pub fn render(document: &Document) -> String {
    let mut out = String::new();
    for block in &document.blocks {
        match block {
            // Each line is a paragraph of its own: Markdown would make one of several.
            Block::Line(text) => match text.0.as_slice() {
                [(Role::Heading, heading)] => out.push_str(&format!("## {}\n\n", escaped(heading))),
                _ => out.push_str(&format!("{}\n\n", styled(text))),
            },
            Block::Blank => {}
            Block::Diff(diff) => {
                let text: String = diff.lines().map(|line| format!("    {}\n", visible::source_line(line))).collect();
                out.push_str(&format!("{text}\n"));
            }
            Block::Table(table) => {
                let row = |cells: Vec<String>| format!("| {} |\n", cells.join(" | "));
                out.push_str(&row(table.header.iter().map(|title| escaped(title)).collect()));
                out.push_str(&row(table.header.iter().map(|_| "---".to_owned()).collect()));
                table.rows.iter().for_each(|cells| out.push_str(&row(cells.iter().map(styled).collect())));
                out.push('\n');
            }
            Block::Tree(tree) => {
                push_tree(&mut out, tree, 0);
                out.push('\n');
            }
        }
    }
    out.truncate(out.trim_end().len());
    out.push('\n');
    out
}

fn push_tree(out: &mut String, tree: &Tree, depth: usize) {
    out.push_str(&format!("{}- {}\n", "  ".repeat(depth), styled(&tree.label)));
    tree.children.iter().for_each(|child| push_tree(out, child, depth + 1));
}

fn styled(text: &Text) -> String {
    let piece = |(role, piece): &(Role, String)| {
        let inner = escaped(piece.trim());
        let (before, after) = (&piece[..piece.len() - piece.trim_start().len()], &piece[piece.trim_end().len()..]);
        match role {
            _ if inner.is_empty() => piece.clone(),
            Role::Bad | Role::Heading => format!("{before}**{inner}**{after}"),
            _ => format!("{before}{inner}{after}"),
        }
    };
    text.0.iter().map(piece).collect()
}

/// Escapes all that Markdown may act on, and what no line may hold.
fn escaped(text: &str) -> String {
    let mut out = String::new();
    for c in visible::line(text).chars() {
        match c {
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '&' => out.push_str("&amp;"),
            // An address or a mention would become a link, a number an issue.
            '@' => out.push_str("&#64;"),
            '\\' | '`' | '*' | '_' | '[' | ']' | '(' | ')' | '#' | '|' | '~' | '!' | '$' => out.extend(['\\', c]),
            c => out.push(c),
        }
    }
    // What begins a line could make a list or a rule of it.
    if out.starts_with(['-', '+', '='])
        || out.chars().take_while(char::is_ascii_digit).count() > 0 && out.contains(". ")
    {
        out.insert_str(0, "&#8203;");
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::view::Table;

    #[test]
    fn what_comes_from_outside_is_text() {
        let mut document = Document::new();
        document.heading("A *bump*");
        document.line(Role::Bad.text("<script>").plain(" | x @me #1"));
        let mut table = Table::new(["package", "a|b"]);
        table.rows.push(vec![Role::Name.text("[x](y)"), "`z`\n| c".into()]);
        document.push(Block::Table(table));
        let text = render(&document);
        assert!(text.starts_with("## A \\*bump\\*\n\n**&lt;script&gt;** \\| x &#64;me \\#1\n\n"), "{text}");
        assert!(text.contains("| package | a\\|b |\n| --- | --- |\n| \\[x\\]\\(y\\) | \\`z\\`"), "{text}");
        assert!(!text.contains('<') && text.lines().filter(|line| line.starts_with('|')).count() == 3, "{text}");
    }
}
