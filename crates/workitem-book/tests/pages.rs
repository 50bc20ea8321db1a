//! A page with Rust code that is not among the doc tests would turn nothing red.
#![cfg(test)]

use std::fs;
use std::path::Path;

#[test]
fn every_page_with_rust_code_is_a_doc_test() {
    let krate = Path::new(env!("CARGO_MANIFEST_DIR"));
    let listed = fs::read_to_string(krate.join("src/lib.rs")).unwrap();
    let mut pages = 0;
    for entry in fs::read_dir(krate.join("../../docs")).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_none_or(|extension| extension != "md") {
            continue;
        }
        let name = path.file_name().unwrap().to_string_lossy();
        let has_code = fs::read_to_string(&path).unwrap().lines().any(|line| line.starts_with("```rust"));
        let is_listed = listed.contains(&format!("/docs/{name}\""));
        assert!(
            is_listed || !has_code,
            "docs/{name} has Rust code: list it in crates/workitem-book/src/lib.rs"
        );
        pages += usize::from(has_code);
    }
    assert!(pages > 0, "there is no page with Rust code");
}
