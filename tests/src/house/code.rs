//! Rust source with its comments and literals blanked out, so that a search finds code only.

/// `text` with every comment, string and character literal replaced by spaces; lines stay lines, and
/// everything else stays where it was.
///
/// It follows the lexer's rules for nested comments, raw strings and lifetimes, and expects code that
/// compiles.
pub fn code_of(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    let mut before = ' ';
    while let Some(first) = rest.chars().next() {
        let len = literal_or_comment(rest, before);
        let end = if len == 0 { first.len_utf8() } else { len };
        let (piece, after) = rest.split_at(end);
        if len == 0 {
            out.push_str(piece);
        } else {
            out.extend(piece.chars().map(|c| if c == '\n' { '\n' } else { ' ' }));
        }
        before = piece.chars().next_back().unwrap_or(' ');
        rest = after;
    }
    out
}

/// How many bytes of a comment or literal `rest` begins with; 0 when it begins with code. `before` is
/// the character in front of it.
fn literal_or_comment(rest: &str, before: char) -> usize {
    let in_word = before.is_alphanumeric() || before == '_';
    match rest.as_bytes() {
        [b'/', b'/', ..] => rest.find('\n').unwrap_or(rest.len()),
        [b'/', b'*', ..] => block_comment(rest),
        [b'"', ..] => string(rest, 1),
        [b'\'', ..] => character(rest),
        [b'r', ..] | [b'b' | b'c', b'r', ..] if !in_word => raw_string(rest),
        _ => 0,
    }
}

fn block_comment(rest: &str) -> usize {
    let (mut depth, mut at) = (0, 0);
    loop {
        match &rest.as_bytes()[at..] {
            [] => return rest.len(),
            [b'/', b'*', ..] => (depth, at) = (depth + 1, at + 2),
            [b'*', b'/', ..] if depth == 1 => return at + 2,
            [b'*', b'/', ..] => (depth, at) = (depth - 1, at + 2),
            _ => at += 1,
        }
    }
}

/// A literal from its opening quote to the next one that no backslash escapes; `at` is behind the
/// opening quote.
fn string(rest: &str, mut at: usize) -> usize {
    let bytes = rest.as_bytes();
    while at < bytes.len() {
        match bytes[at] {
            b'\\' => at += 2,
            quote if quote == bytes[0] => return at + 1,
            _ => at += 1,
        }
    }
    rest.len()
}

/// `'x'`, but not the lifetime `'x`.
fn character(rest: &str) -> usize {
    let mut inside = rest[1..].chars();
    match (inside.next(), inside.next()) {
        (Some('\\'), _) => string(rest, 1),
        (Some(c), Some('\'')) => 2 + c.len_utf8(),
        _ => 0,
    }
}

/// `r"..."`, `r#"..."#`, with a `b` or `c` in front or without; but not the identifier `r#name`.
fn raw_string(rest: &str) -> usize {
    let Some((prefix, body)) = rest.split_once('"') else { return 0 };
    let hashes = prefix.trim_start_matches(['b', 'c']).strip_prefix('r').unwrap_or("x");
    if prefix.len() > hashes.len() + 2 || !hashes.bytes().all(|b| b == b'#') {
        return 0;
    }
    let close = format!("\"{hashes}");
    let inside = body.find(&close).map_or(body.len(), |at| at + close.len());
    prefix.len() + 1 + inside
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comments_and_literals_go_and_code_stays() {
        for (text, expected) in [
            ("a // b\nc", "a c"),
            ("a /* b /* c */ d\n */ e", "a e"),
            ("f(\"a\\\"b\", x)", "f( , x)"),
            ("f(r\"a\\\", x)", "f( , x)"),
            ("f(r#\"a\"b\"#, x)", "f( , x)"),
            ("f(br##\"a\"#\"##, b\"c\")", "f( , b )"),
            ("g('\"', '\\'', '\u{fc}') 'a: b\"c\"", "g( , , ) 'a: b"),
            ("fn f<'a>(x: &'a str) {}", "fn f<'a>(x: &'a str) {}"),
            ("for r in var {\"x\"}", "for r in var { }"),
            ("r#type + \"x\"", "r#type +"),
            ("bar\"x\"", "bar"),
        ] {
            let code = code_of(text);
            assert_eq!(code.split_whitespace().collect::<Vec<_>>().join(" "), expected, "{text}");
            let shape = |text: &str| text.lines().map(|l| l.chars().count()).collect::<Vec<_>>();
            assert_eq!(shape(&code), shape(text), "{text}");
        }
    }

    #[test]
    fn an_end_without_a_close_is_an_end() {
        for text in ["/* a", "\"a", "\"a\\", "r#\"a\"", "'", "r", "'\\"] {
            assert!(code_of(text).len() <= text.len());
        }
    }
}
