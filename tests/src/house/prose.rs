//! What the Markdown files claim: links that lead somewhere, promises that a test keeps.

use super::Source;

/// A numbered promise of SPEC.md, and the tests that it names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Promise {
    /// The n of `P<n>`.
    pub number: u32,
    /// The line of SPEC.md, from 1.
    pub line: usize,
    /// (path of the file, name of the function), as in `` `tests/tests/a.rs::b` ``.
    pub tests: Vec<(String, String)>,
}

/// The promises: list items that begin `- **P<n>**` and name tests behind the word "Test".
pub fn promises(spec: &str) -> Vec<Promise> {
    let mut promises: Vec<Promise> = Vec::new();
    let mut item = String::new();
    let mut open = false;
    for (line, text) in spec.lines().enumerate() {
        if let Some(number) = promise_number(text) {
            promises.push(Promise { number, line: line + 1, tests: Vec::new() });
            item.clear();
            open = true;
        } else if text.starts_with(['-', '#']) {
            open = false;
        }
        if let (true, Some(promise)) = (open, promises.last_mut()) {
            item.push_str(text);
            item.push(' ');
            promise.tests = tests_named(&item);
        }
    }
    promises
}

fn promise_number(line: &str) -> Option<u32> {
    line.strip_prefix("- **P")?.split_once("**")?.0.trim_end_matches('.').parse().ok()
}

/// The `` `path.rs::name` `` behind the word "Test"; a path of modules in between is left out.
fn tests_named(item: &str) -> Vec<(String, String)> {
    let Some((_, names)) = item.split_once("Test") else { return Vec::new() };
    let quoted = names.split('`').skip(1).step_by(2);
    let pairs = quoted.filter_map(|quoted| {
        let (path, rest) = quoted.split_once(".rs::")?;
        let name = rest.rsplit("::").next()?;
        Some((format!("{path}.rs"), name.to_owned()))
    });
    pairs.collect()
}

/// Why `source` does not have the test `name`; `None` when it has.
pub fn lacks_test(source: &Source, name: &str) -> Option<String> {
    let opening = format!("fn {name}(");
    let lines: Vec<&str> = source.text.lines().collect();
    let Some(at) = lines.iter().position(|line| line.trim_start().starts_with(&opening)) else {
        return Some(format!("{} has no `{opening})`", source.path));
    };
    // Attributes and documentation stand between `#[test]` and the function.
    let above = lines[..at].iter().rev().map(|line| line.trim());
    let mut attributes = above.take_while(|line| line.starts_with("#[") || line.starts_with("//"));
    let is_test = attributes.any(|line| line == "#[test]");
    (!is_test).then(|| source.at(at, "this function is no `#[test]`"))
}

/// The relative links of a Markdown text: (line from 0, target without its anchor).
pub fn relative_links(text: &str) -> Vec<(usize, String)> {
    let mut links = Vec::new();
    let mut in_fence = false;
    for (number, line) in text.lines().enumerate() {
        if line.trim_start().starts_with("```") {
            in_fence = !in_fence;
        }
        if in_fence {
            continue;
        }
        let prose: String = line.split('`').step_by(2).collect::<Vec<_>>().join("`");
        for piece in prose.split("](").skip(1) {
            let target = piece.split([')', ' ']).next().unwrap_or_default();
            let path = target.split('#').next().unwrap_or_default();
            if !path.is_empty() && !target.contains(':') {
                links.push((number, path.to_owned()));
            }
        }
    }
    links
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn promises_name_their_tests() {
        let spec = "# Promises\n\n- **P1** The account adds up.\n  Test: `tests/tests/a.rs::b`\n\
            - **P2** Two. Tests: `x/y.rs::tests::c`, `x/z.rs::d`.\n\n- **P3** Alone.\n- Other: Test \
            `a.rs::b`\n## More\n- **P10.** Dot. Test: `a.rs::e`\n";
        let found = promises(spec);
        let pair = |path: &str, name: &str| (path.to_owned(), name.to_owned());
        let expected = [
            (1, 3, vec![pair("tests/tests/a.rs", "b")]),
            (2, 5, vec![pair("x/y.rs", "c"), pair("x/z.rs", "d")]),
            (3, 7, vec![]),
            (10, 10, vec![pair("a.rs", "e")]),
        ];
        let found: Vec<_> = found.into_iter().map(|p| (p.number, p.line, p.tests)).collect();
        assert_eq!(found, expected);
    }

    #[test]
    fn a_test_is_a_function_with_its_attribute() {
        let text = "#[test]\nfn a() {}\nfn b() {}\nmod m {\n    #[test]\n    /// Why.\n    \
            #[cfg(unix)]\n    fn c(x in 0..9u8) {}\n}\n";
        let source = Source { path: "x.rs".to_owned(), text: text.to_owned() };
        assert_eq!(lacks_test(&source, "a"), None);
        assert_eq!(lacks_test(&source, "c"), None);
        assert_eq!(lacks_test(&source, "b").unwrap(), "x.rs:3: this function is no `#[test]`");
        assert_eq!(lacks_test(&source, "d").unwrap(), "x.rs has no `fn d()`");
    }

    #[test]
    fn relative_links_are_seen_and_others_not() {
        let text = "[a](b.md) `[c](d.md)` [e](f/g.md#h \"title\")\n```\n[i](j)\n```\n\
            [k](https://l.org/m.md) [n](#o) ![p](q.svg)\n";
        let found = relative_links(text);
        let expected = [(0, "b.md"), (0, "f/g.md"), (4, "q.svg")];
        assert_eq!(found, expected.map(|(line, path)| (line, path.to_owned())));
    }
}
