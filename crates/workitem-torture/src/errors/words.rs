//! What an error must say: what happened, where, and what to do next.

use serde_json::Value;

use crate::place::{Ended, tail};

/// What is wrong with the words of a run that ended because of an error; nothing if it ended otherwise. Unless it was
/// only interrupted, they must name one of `places`.
pub fn unclear(ended: &Ended, places: &[&str]) -> Option<String> {
    let Ended { code: code @ (4 | 5), stderr, .. } = ended else { return None };
    let Some((error, next)) = said(stderr) else {
        return Some(format!("it ended with an error and says nothing of it: {}", tail(stderr)));
    };
    if *code == 5 && !places.iter().any(|place| error.contains(place)) {
        return Some(format!("its error names none of {places:?}: {error}"));
    }
    next.is_empty().then(|| format!("its error does not say what to do next: {error}"))
}

/// The error, and what to do next.
pub fn said(stderr: &str) -> Option<(String, String)> {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let mut events = stderr.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    if let Some(event) = events.find(|event| event["event"] == "error") {
        return Some((text(&event["error"]), text(&event["next"])));
    }
    let (_, told) = stderr.split_once("workitem: ")?;
    let (error, next) = told.split_once('\n').unwrap_or((told, ""));
    Some((error.to_owned(), next.strip_prefix("  ").unwrap_or_default().trim().to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ended(code: i32, stderr: &str) -> Ended {
        Ended { what: "map".to_owned(), code, stdout: Vec::new(), stderr: stderr.to_owned() }
    }

    #[test]
    fn an_error_says_what_happened_where_and_what_to_do() {
        let json = r#"{"event":"error","exit":5,"error":"store a.db: it is full","next":"make room"}"#;
        assert_eq!(unclear(&ended(5, json), &["a.db"]), None);
        assert_eq!(unclear(&ended(5, "workitem: store a.db: it is full\n  make room\n"), &["a.db"]), None);
        assert_eq!(unclear(&ended(0, ""), &["a.db"]), None);
        for (said, wrong) in [
            ("", "says nothing"),
            ("workitem: it is full\n  make room\n", "names none"),
            ("workitem: store a.db: it is full\n", "what to do next"),
            (&json.replace(r#""make room""#, "null"), "what to do next"),
        ] {
            let told = unclear(&ended(5, said), &["a.db"]);
            assert!(told.as_ref().is_some_and(|told| told.contains(wrong)), "{said}: {told:?}");
        }
    }
}
