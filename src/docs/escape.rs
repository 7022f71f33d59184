//! Text that somebody else wrote, as it is safe in HTML, SVG, Markdown and Mermaid. Pure.
//!
//! Comments, names, values and SQL are never trusted: whatever stands in them is shown, and nothing of it is obeyed.

use std::fmt::Write as _;

/// For HTML and SVG, in elements and in attributes in double quotes. A control character that XML does not know becomes U+FFFD; those that
/// turn the direction of what follows are shown by their number.
pub(crate) fn html(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            '\n' | '\t' => out.push(c),
            c if turns(c) => {
                let _ = write!(out, "[U+{:04X}]", u32::from(c));
            }
            c if c.is_control() || matches!(c, '\u{fffe}' | '\u{ffff}') => out.push('\u{fffd}'),
            c => out.push(c),
        }
    }
    out
}

/// A text for people: what stands between two backquotes is code.
pub(crate) fn prose(text: &str) -> String {
    let parts: Vec<&str> = text.split('`').collect();
    // One without a partner is a backquote.
    if parts.len().is_multiple_of(2) {
        return html(text);
    }
    let mut out = String::new();
    for (index, part) in parts.iter().enumerate() {
        let _ = if index % 2 == 1 {
            write!(out, "<code>{}</code>", html(part))
        } else {
            write!(out, "{}", html(part))
        };
    }
    out
}

/// Marks of direction, which can make a text look like another.
fn turns(c: char) -> bool {
    matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// One line of Markdown, in a table too: readable as it stands, and shown as it was written.
pub(crate) fn markdown(text: &str) -> String {
    let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
    let mut out = String::with_capacity(text.len());
    let mut before = ' ';
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        // Within a word an underscore is one.
        let within =
            before.is_alphanumeric() && chars.peek().is_some_and(|next| next.is_alphanumeric());
        match c {
            '_' if within => out.push(c),
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '\\' | '`' | '*' | '_' | '[' | ']' | '|' | '~' | '#' | '$' => {
                out.push('\\');
                out.push(c);
            }
            c if turns(c) => {
                let _ = write!(out, "[U+{:04X}]", u32::from(c));
            }
            c if c.is_control() => out.push('\u{fffd}'),
            c => out.push(c),
        }
        before = c;
    }
    // What would begin a list or a rule where it stands first.
    if out.starts_with(['-', '+', '=']) {
        out.insert(0, '\\');
    }
    if let Some(at) = out.find(|c: char| !c.is_ascii_digit())
        && at > 0
        && out
            .get(at..)
            .is_some_and(|rest| rest.starts_with(['.', ')']))
    {
        out.insert(at, '\\');
    }
    out
}

/// Code within a line of Markdown, in a table too.
pub(crate) fn markdown_code(text: &str) -> String {
    let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
    let plain = !text.is_empty()
        && !text
            .chars()
            .any(|c| matches!(c, '`' | '|' | '\\') || c.is_control() || turns(c));
    if plain {
        return format!("`{text}`");
    }
    // An element takes entities, which a code span does not: no fence to break out of, no cell to leave.
    let mut out = String::from("<code>");
    for c in text.chars() {
        if c.is_ascii_punctuation() {
            let _ = write!(out, "&#{};", u32::from(c));
        } else {
            out.push_str(&html(&c.to_string()));
        }
    }
    out.push_str("</code>");
    out
}

/// A block of code in Markdown.
pub(crate) fn markdown_block(language: &str, text: &str) -> String {
    let mut longest = 0;
    let mut run = 0;
    for c in text.chars() {
        run = if c == '`' { run + 1 } else { 0 };
        longest = longest.max(run);
    }
    let fence = "`".repeat((longest + 1).max(3));
    let text: String = text
        .chars()
        .map(|c| {
            if c.is_control() && c != '\n' && c != '\t' || turns(c) {
                '\u{fffd}'
            } else {
                c
            }
        })
        .collect();
    format!("{fence}{language}\n{}\n{fence}\n", text.trim_end())
}

/// A label of Mermaid, which stands in double quotes.
pub(crate) fn mermaid(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text
        .split_whitespace()
        .collect::<Vec<_>>()
        .join(" ")
        .chars()
    {
        if c.is_alphanumeric() || matches!(c, ' ' | '_' | '-' | '.' | ',' | '(' | ')' | ':' | '/') {
            out.push(c);
        } else {
            let _ = write!(out, "#{};", u32::from(c));
        }
    }
    out
}

/// A name as an anchor: letters, digits and `_` stay, all else becomes `-hex.`-like, so that no two names share one.
pub(crate) fn anchor(name: &str) -> String {
    let mut out = String::with_capacity(name.len());
    for c in name.chars() {
        if c.is_ascii_alphanumeric() || c == '_' {
            out.push(c);
        } else {
            let _ = write!(out, "-{:x}-", u32::from(c));
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    const NASTY: &str = "</script><b onclick=\"x\" title='y'>&amp;\u{0}\u{202e}";

    #[test]
    fn nothing_is_left_that_a_browser_obeys() {
        assert_eq!(
            html(NASTY),
            "&lt;/script&gt;&lt;b onclick=&quot;x&quot; title=&#39;y&#39;&gt;&amp;amp;\u{fffd}[U+202E]"
        );
        assert_eq!(
            prose("by `<b>` and ``"),
            "by <code>&lt;b&gt;</code> and <code></code>"
        );
        assert_eq!(prose("a ` b"), "a ` b");
        assert_eq!(anchor("a.b \"c"), "a-2e-b-20--22-c");
    }

    #[test]
    fn markdown_stays_in_its_cell() {
        assert_eq!(
            markdown("a|b_c _d_\n\n# c **d** [e](f) `g` <i>"),
            "a\\|b_c \\_d\\_ \\# c \\*\\*d\\*\\* \\[e\\](f) \\`g\\` &lt;i&gt;"
        );
        assert_eq!(markdown("- a"), "\\- a");
        assert_eq!(markdown("1. a"), "1\\. a");
        assert_eq!(markdown_code("a_b('<x>')"), "`a_b('<x>')`");
        assert_eq!(markdown_code("a`|`b"), "<code>a&#96;&#124;&#96;b</code>");
        assert_eq!(
            markdown_block("sql", "SELECT '```'"),
            "````sql\nSELECT '```'\n````\n"
        );
        assert_eq!(mermaid("a\"]; click b"), "a#34;#93;#59; click b");
    }

    #[test]
    fn markdown_says_what_was_written() {
        for text in [
            NASTY,
            "a|b **c** [d](e) `f` # ~~g~~ <!-- -->",
            "1) x",
            "+ y",
            "= z",
            "https://x_y_z",
            "a\\|b",
        ] {
            let shown: String = pulldown_cmark::Parser::new(&markdown(text))
                .filter_map(|event| match event {
                    pulldown_cmark::Event::Text(text) => Some(text.into_string()),
                    pulldown_cmark::Event::Start(pulldown_cmark::Tag::Paragraph)
                    | pulldown_cmark::Event::End(pulldown_cmark::TagEnd::Paragraph) => None,
                    other => panic!("{text}: {other:?}"),
                })
                .collect();
            let plain = text
                .replace('\u{0}', "\u{fffd}")
                .replace('\u{202e}', "[U+202E]");
            assert_eq!(shown, plain);
        }
    }
}
