//! The command of a job: an argument vector with placeholders.
//!
//! | placeholder | becomes |
//! |---|---|
//! | `{}` | the item: a JSON string's characters, any other JSON value as compact JSON |
//! | `{id}` | its id |
//! | `{.a.b}`, `{.a.0}` | one field of it, by [`FieldPath`]; written as the item is |
//!
//! A number keeps every digit it came with; only its exponent is spelled anew (`1E5` as `1e+5`).
//! Whatever else stands in braces stays as it is, `{.}` too. A placeholder may stand anywhere in an
//! element, several times, and in the program's name. Substitution happens exactly once and stays inside
//! of its element: what an item holds is never split, searched for placeholders or seen by a shell. A
//! command without placeholders gets nothing appended; it finds the item in its environment.

use std::ffi::{OsStr, OsString};
use std::fmt;
use std::os::unix::ffi::{OsStrExt, OsStringExt};

use serde_json::Value;
use thiserror::Error;
use workitem_types::ItemId;

use super::field::{FieldPath, NoField, text_of};

/// A command with placeholders.
///
/// ```
/// use serde_json::json;
/// use workitem_orchestrator::Template;
///
/// let template = Template::parse(["cp", "--", "{.from}", "out/{id}.bak"].map(Into::into).into())?;
/// let argv = template.render(&"42".into(), &json!({ "from": "a b; rm -rf {}" }))?;
/// assert_eq!(argv, ["cp", "--", "a b; rm -rf {}", "out/42.bak"]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Template {
    argv: Vec<OsString>,
    elements: Vec<Vec<Piece>>,
}

/// A stretch of an element.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Piece {
    Literal(Vec<u8>),
    Item,
    Id,
    Field(FieldPath),
}

/// A command cannot be a template.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum TemplateError {
    /// There is no command.
    #[error("expected a command, found none")]
    Empty,
    /// The program's name is empty.
    #[error("the command's name is empty")]
    NoName,
    /// An element holds a NUL byte.
    #[error("element {position} of the command holds a NUL byte")]
    Nul {
        /// Which, from 1.
        position: usize,
    },
}

/// An item cannot be made into arguments.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum RenderError {
    /// What was to be an argument holds a NUL character, which no argument can.
    #[error("{what} of item `{}` cannot be an argument: it holds a NUL character", id.as_str().escape_debug())]
    Nul {
        /// The item.
        id: ItemId,
        /// Which part of it.
        what: String,
    },
    /// The item has not got the field.
    #[error("item `{id}` has {missing}")]
    Missing {
        /// The item.
        id: ItemId,
        /// The field.
        missing: NoField,
    },
}

impl Template {
    /// Reads the placeholders of a command. Bytes that are not UTF-8 are kept.
    ///
    /// # Errors
    ///
    /// [`TemplateError`] if there is no command, or nothing that a process could get as arguments.
    pub fn parse(argv: Vec<OsString>) -> Result<Self, TemplateError> {
        match argv.first() {
            None => return Err(TemplateError::Empty),
            Some(name) if name.is_empty() => return Err(TemplateError::NoName),
            Some(_) => {}
        }
        if let Some(at) = argv.iter().position(|element| element.as_bytes().contains(&0)) {
            return Err(TemplateError::Nul { position: at + 1 });
        }
        let elements = argv.iter().map(|element| pieces(element)).collect();
        Ok(Self { argv, elements })
    }

    /// Whether a placeholder stands for the item or a field of it. If not, [`render`](Self::render) does
    /// not look at the value.
    pub fn uses_item(&self) -> bool {
        self.elements.iter().flatten().any(|piece| match piece {
            Piece::Item | Piece::Field(_) => true,
            Piece::Literal(_) | Piece::Id => false,
        })
    }

    /// The argument vector for an item.
    ///
    /// # Errors
    ///
    /// [`RenderError`] if the item holds NUL where it would be an argument, or lacks a field. An id with
    /// NUL is refused even where no placeholder stands for it, because the environment could not hold it.
    pub fn render(&self, id: &ItemId, item: &Value) -> Result<Vec<OsString>, RenderError> {
        if id.as_str().contains('\0') {
            return Err(RenderError::Nul { id: id.clone(), what: Piece::Id.to_string() });
        }
        let render = |(pieces, element): (&Vec<Piece>, &OsString)| match pieces.as_slice() {
            [Piece::Literal(_)] | [] => Ok(element.clone()),
            pieces => {
                let mut bytes = Vec::new();
                pieces.iter().try_for_each(|piece| piece.render(id, item, &mut bytes))?;
                Ok(OsString::from_vec(bytes))
            }
        };
        self.elements.iter().zip(&self.argv).map(render).collect()
    }

    /// Whether an item can be rendered, to be found out before anything runs.
    ///
    /// # Errors
    ///
    /// The one that [`render`](Self::render) would give.
    pub fn check(&self, id: &ItemId, item: &Value) -> Result<(), RenderError> {
        self.render(id, item).map(drop)
    }
}

impl Piece {
    fn render(&self, id: &ItemId, item: &Value, into: &mut Vec<u8>) -> Result<(), RenderError> {
        let text = match self {
            Self::Literal(bytes) => {
                into.extend_from_slice(bytes);
                return Ok(());
            }
            Self::Item => text_of(item),
            Self::Id => id.as_str().into(),
            Self::Field(path) => match path.get(item) {
                Ok(found) => text_of(found),
                Err(missing) => return Err(RenderError::Missing { id: id.clone(), missing }),
            },
        };
        if text.contains('\0') {
            return Err(RenderError::Nul { id: id.clone(), what: self.to_string() });
        }
        into.extend_from_slice(text.as_bytes());
        Ok(())
    }
}

impl fmt::Display for Piece {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Literal(_) => f.write_str("a literal"),
            Self::Item => f.write_str("the value"),
            Self::Id => f.write_str("the id"),
            Self::Field(path) => write!(f, "field `{path}`"),
        }
    }
}

/// Splits an element at its placeholders.
fn pieces(element: &OsStr) -> Vec<Piece> {
    let bytes = element.as_bytes();
    let mut pieces = Vec::new();
    let (mut literal, mut at) = (0, 0);
    while at < bytes.len() {
        if let Some((piece, length)) = placeholder(&bytes[at..]) {
            if literal < at {
                pieces.push(Piece::Literal(bytes[literal..at].to_vec()));
            }
            pieces.push(piece);
            at += length;
            literal = at;
        } else {
            at += 1;
        }
    }
    if literal < at {
        pieces.push(Piece::Literal(bytes[literal..].to_vec()));
    }
    pieces
}

/// The placeholder that `bytes` start with, and its length.
fn placeholder(bytes: &[u8]) -> Option<(Piece, usize)> {
    let inside = bytes.strip_prefix(b"{")?;
    let inside = &inside[..inside.iter().position(|byte| *byte == b'}')?];
    let piece = match inside {
        b"" => Piece::Item,
        b"id" => Piece::Id,
        b"." => return None,
        path => Piece::Field(FieldPath::parse(std::str::from_utf8(path).ok()?).ok()?),
    };
    Some((piece, inside.len() + 2))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn template(argv: &[&str]) -> Template {
        Template::parse(argv.iter().map(Into::into).collect()).unwrap()
    }

    fn render(element: &str, item: &Value) -> String {
        let argv = template(&["x", element]).render(&"id-7".into(), item).unwrap();
        argv[1].clone().into_string().unwrap()
    }

    #[test]
    fn placeholders_are_replaced_within_their_element() {
        assert_eq!(render("{}", &json!("a b")), "a b");
        assert_eq!(render("<{}|{id}|{}>", &json!("x")), "<x|id-7|x>");
        assert_eq!(render("{.a.b}", &json!({ "a": { "b": "c" } })), "c");
        assert_eq!(render("{.a.0}/{.a.1}", &json!({ "a": [1, null] })), "1/null");
        assert_eq!(render("{}", &json!("")), "");
        assert_eq!(render("plain", &json!("x")), "plain");
    }

    #[test]
    fn other_values_are_compact_json() {
        assert_eq!(render("{}", &json!({ "b": 1, "a": [true, "x y"] })), r#"{"b":1,"a":[true,"x y"]}"#);
        assert_eq!(render("{}", &json!(null)), "null");
        let numbers: Value =
            serde_json::from_str("[1.0, 1E5, -0, 123456789012345678901234567890.10]").unwrap();
        assert_eq!(render("{}", &numbers), "[1.0,1e+5,-0,123456789012345678901234567890.10]");
    }

    #[test]
    fn what_an_item_holds_is_not_substituted_again() {
        assert_eq!(render("{}{id}", &json!("{id}{}{.a}")), "{id}{}{.a}id-7");
        assert_eq!(render("{{}}", &json!("id")), "{id}");
    }

    #[test]
    fn anything_else_in_braces_stays() {
        for literal in ["{", "}", "{ }", "{x}", "{.}", "{..}", "{.a.}", "{print $1}", "a{b", "${HOME}", "{."]
        {
            assert_eq!(render(literal, &json!({ "a": 1 })), literal);
        }
    }

    #[test]
    fn the_program_may_be_a_placeholder_and_bytes_are_kept() {
        let odd = OsString::from_vec(b"\xff{}\xfe".to_vec());
        let template = Template::parse(vec!["{.bin}".into(), odd]).unwrap();
        assert!(template.uses_item());
        let argv = template.render(&"1".into(), &json!({ "bin": "/bin/true" })).unwrap();
        assert_eq!(argv[0], "/bin/true");
        assert_eq!(argv[1].as_bytes(), b"\xff{\"bin\":\"/bin/true\"}\xfe");
    }

    #[test]
    fn nothing_is_appended() {
        let template = template(&["echo", "{id}"]);
        assert!(!template.uses_item());
        assert_eq!(template.render(&"1".into(), &json!("x")).unwrap(), ["echo", "1"]);
    }

    #[test]
    fn errors_name_the_item() {
        let error = |element: &str, item: Value| {
            template(&["x", element]).check(&"id-7".into(), &item).unwrap_err().to_string()
        };
        assert_eq!(
            error("{}", json!("a\0b")),
            "the value of item `id-7` cannot be an argument: it holds a NUL character"
        );
        assert_eq!(
            error("{.a}", json!({ "a": "\0" })),
            "field `.a` of item `id-7` cannot be an argument: it holds a NUL character"
        );
        assert_eq!(error("{.a}", json!("text")), "item `id-7` has no field `.a`: the item is a string");
        let id = template(&["x"]).check(&"a\0b".into(), &json!(1)).unwrap_err();
        assert_eq!(id.to_string(), r"the id of item `a\0b` cannot be an argument: it holds a NUL character");
    }

    #[test]
    fn nul_inside_json_text_is_escaped_and_harmless() {
        assert_eq!(render("{}", &json!(["a\0b"])), r#"["a\u0000b"]"#);
        template(&["x"]).check(&"1".into(), &json!("a\0b")).unwrap();
    }

    #[test]
    fn a_command_must_be_there() {
        assert_eq!(Template::parse(Vec::new()).unwrap_err(), TemplateError::Empty);
        assert_eq!(Template::parse(vec!["".into()]).unwrap_err(), TemplateError::NoName);
        let nul = Template::parse(vec!["x".into(), "a\0".into()]).unwrap_err();
        assert_eq!(nul, TemplateError::Nul { position: 2 });
    }
}
