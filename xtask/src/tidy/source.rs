//! A source file as tokens: comments and strings are gone, and tests can be told from code.

use anyhow::{Result, anyhow};
use proc_macro2::{Delimiter, Spacing, TokenStream, TokenTree};

/// A Rust file.
pub struct Source {
    /// Its path below the workspace.
    pub path: String,
    pub text: String,
    /// Its tokens, without those of `#[cfg(test)]` items.
    pub code: Vec<Token>,
}

/// A word, a literal, a bracket, or a run of punctuation such as `=>`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Token {
    pub text: String,
    pub line: usize,
}

impl Source {
    pub fn new(path: impl Into<String>, text: impl Into<String>) -> Result<Self> {
        let (path, text) = (path.into(), text.into());
        let stream: TokenStream = text.parse().map_err(|error| anyhow!("{path} is not Rust: {error}"))?;
        let mut code = Vec::new();
        flatten(stream, &mut code);
        Ok(Self { path, text, code })
    }

    /// Whether the whole file is a test, a benchmark or an example.
    pub fn is_test(&self) -> bool {
        let is_test = |part| matches!(part, "tests" | "tests.rs" | "benches" | "examples");
        self.path.split('/').any(is_test) || self.path.starts_with("crates/workitem-conformance/")
    }

    /// The places where the tokens stand one after the other.
    pub fn find(&self, sequence: &[&str]) -> impl Iterator<Item = usize> {
        let starts = self.code.windows(sequence.len()).enumerate();
        let matching = starts.filter(move |(_, tokens)| tokens.iter().map(|token| &token.text).eq(sequence));
        matching.map(|(start, _)| start)
    }

    /// The text of the token at `index`, if there is one.
    pub fn token(&self, index: usize) -> Option<&str> {
        self.code.get(index).map(|token| token.text.as_str())
    }

    /// The place after the group that opens at `open`.
    pub fn after_group(&self, open: usize) -> usize {
        self.after_enclosing(open + 1)
    }

    /// The place after the group that `inside` is in.
    pub fn after_enclosing(&self, inside: usize) -> usize {
        let mut depth = 1;
        for (index, token) in self.code.iter().enumerate().skip(inside) {
            match token.text.as_str() {
                "(" | "[" | "{" => depth += 1,
                ")" | "]" | "}" => depth -= 1,
                _ => {}
            }
            if depth == 0 {
                return index + 1;
            }
        }
        self.code.len()
    }
}

fn flatten(stream: TokenStream, out: &mut Vec<Token>) {
    let mut trees = stream.into_iter().peekable();
    let mut joint = false;
    while let Some(tree) = trees.next() {
        let line = tree.span().start().line;
        let continues = std::mem::take(&mut joint);
        match tree {
            TokenTree::Group(group) => {
                let (open, close) = match group.delimiter() {
                    Delimiter::Parenthesis => ("(", ")"),
                    Delimiter::Bracket => ("[", "]"),
                    Delimiter::Brace => ("{", "}"),
                    Delimiter::None => ("", ""),
                };
                let is_test = open == "["
                    && out.last().is_some_and(|token| token.text == "#")
                    && group.stream().to_string().replace(' ', "") == "cfg(test)";
                out.push(Token { text: open.to_owned(), line });
                flatten(group.stream(), out);
                out.push(Token { text: close.to_owned(), line: group.span_close().start().line });
                if is_test {
                    skip_item(&mut trees);
                }
            }
            TokenTree::Punct(punct) => {
                joint = punct.spacing() == Spacing::Joint;
                match out.last_mut() {
                    Some(last) if continues => last.text.push(punct.as_char()),
                    _ => out.push(Token { text: punct.as_char().to_string(), line }),
                }
            }
            TokenTree::Ident(ident) => out.push(Token { text: ident.to_string(), line }),
            TokenTree::Literal(literal) => out.push(Token { text: literal.to_string(), line }),
        }
    }
}

/// Skips the item after a `#[cfg(test)]`: to its braces, or its semicolon.
fn skip_item(trees: &mut impl Iterator<Item = TokenTree>) {
    for tree in trees {
        match tree {
            TokenTree::Group(group) if group.delimiter() == Delimiter::Brace => return,
            TokenTree::Punct(punct) if punct.as_char() == ';' => return,
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &str) -> Vec<String> {
        Source::new("a.rs", text).unwrap().code.into_iter().map(|token| token.text).collect()
    }

    #[test]
    fn comments_and_strings_are_no_code() {
        let source = Source::new("a.rs", "// todo!()\n/* todo!() */ fn a() { \"todo!()\"; }").unwrap();
        assert_eq!(source.find(&["todo", "!"]).count(), 0);
    }

    #[test]
    fn test_modules_and_test_uses_are_no_code() {
        let text = "fn a() {}\n#[cfg(test)]\n#[expect(dead_code)]\nmod tests { fn b() {} }\n\
                    #[cfg(test)]\nuse c::{d};\nfn e() {}";
        let words = words(text);
        assert!(!words.contains(&"b".to_owned()), "{words:?}");
        assert!(words.contains(&"a".to_owned()) && words.contains(&"e".to_owned()), "{words:?}");
    }

    #[test]
    fn punctuation_that_belongs_together_is_one_token() {
        assert_eq!(words("a => b::c == d"), ["a", "=>", "b", "::", "c", "==", "d"]);
    }

    #[test]
    fn lines_count_from_one() {
        let source = Source::new("a.rs", "fn a() {\n    b(\n    )\n}").unwrap();
        let lines: Vec<_> = source.code.iter().map(|token| token.line).collect();
        assert_eq!(lines, [1, 1, 1, 1, 1, 2, 2, 3, 4]);
    }

    #[test]
    fn what_is_not_rust_is_an_error() {
        assert!(Source::new("a.rs", "fn a( {").is_err());
    }
}
