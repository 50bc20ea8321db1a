//! `cargo xtask docs`: the documentation of every crate, and the book, one linked from the other.
//!
//! Pages link to files beside the book, such as ../README.md. These are no pages of it, so in the book such a link
//! leads to the repository; the pages are built from a copy for that. What is built is looked through: a link that
//! leads nowhere is an error.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};

use crate::test::cargo;
use crate::tools::{from_registry, target};
use crate::{Problem, report, succeed};

/// Where files beside the book are read.
const REPOSITORY: &str = concat!(env!("CARGO_PKG_REPOSITORY"), "/blob/main/");

/// Builds everything, and says where it is.
pub fn run(root: &Path) -> Result<()> {
    api(root)?;
    let book = book(root)?;
    copy(&target(root).join("doc"), &book.join("api"))?;
    let mut problems = Vec::new();
    for page in files(&book)?.iter().filter(|file| is_page(file, &book)) {
        let text = fs::read_to_string(page)?;
        dead_links(page, &text, &mut problems);
    }
    report("docs", &problems)?;
    println!("the book: {}", book.join("index.html").display());
    println!("the crates: {}", book.join("crates.html").display());
    Ok(())
}

/// The documentation of every crate of the workspace, without a warning.
pub fn api(root: &Path) -> Result<()> {
    let mut doc = cargo(root, &["doc", "--workspace", "--no-deps"]);
    succeed(doc.env("RUSTDOCFLAGS", "-D warnings"))
}

fn book(root: &Path) -> Result<PathBuf> {
    let (source, book) = (target(root).join("book-source"), target(root).join("book"));
    if source.exists() {
        fs::remove_dir_all(&source)?;
    }
    copy(&root.join("docs"), &source)?;
    for page in files(&source)?.iter().filter(|file| has_extension(file, "md")) {
        fs::write(page, outward(&fs::read_to_string(page)?))?;
    }
    let mdbook = from_registry(root, "mdbook", "0.5.4")?;
    succeed(Command::new(mdbook).arg("build").arg(&source).arg("--dest-dir").arg(&book))?;
    Ok(book)
}

/// A page whose links to files beside the book lead to the repository.
fn outward(page: &str) -> String {
    page.replace("](../", &format!("]({REPOSITORY}"))
}

/// Whether the file is a page of the book. Of the crates, rustdoc has checked the links itself; and the page for
/// what was not found is shown in any folder.
fn is_page(file: &Path, book: &Path) -> bool {
    has_extension(file, "html") && !file.starts_with(book.join("api")) && !file.ends_with("404.html")
}

fn has_extension(file: &Path, extension: &str) -> bool {
    file.extension().is_some_and(|found| found == extension)
}

/// Links of a built page to files that do not exist.
fn dead_links(page: &Path, text: &str, problems: &mut Vec<Problem>) {
    let folder = page.parent().unwrap_or(page);
    for (number, line) in text.lines().enumerate() {
        for link in [" href=\"", " src=\""].iter().flat_map(|attribute| line.split(attribute).skip(1)) {
            let link = link.split('"').next().unwrap_or_default();
            let path = link.split(['#', '?']).next().unwrap_or_default();
            let is_local = !path.is_empty() && !path.contains(':') && !path.starts_with("//");
            if is_local && !folder.join(path).exists() {
                let what = format!("`{link}` leads nowhere: mend the page it was built from");
                problems.push(Problem::line(page.display().to_string(), number + 1, what));
            }
        }
    }
}

/// Every file below the folder.
fn files(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    let mut ahead = vec![folder.to_path_buf()];
    while let Some(folder) = ahead.pop() {
        for entry in fs::read_dir(&folder).with_context(|| format!("cannot list {}", folder.display()))? {
            let path = entry?.path();
            if path.is_dir() { ahead.push(path) } else { files.push(path) }
        }
    }
    Ok(files)
}

/// Copies a folder and what is in it.
fn copy(from: &Path, to: &Path) -> Result<()> {
    for file in files(from)? {
        let copy = to.join(file.strip_prefix(from)?);
        fs::create_dir_all(copy.parent().context("it is in a folder")?)?;
        fs::copy(&file, &copy).with_context(|| format!("cannot copy {}", file.display()))?;
    }
    ensure!(to.is_dir(), "{} is empty", from.display());
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_out_of_the_book_lead_to_the_repository() {
        let page = outward("[a](../README.md) [b](cli.md) [c](../crates/x.rs)");
        assert_eq!(page, format!("[a]({REPOSITORY}README.md) [b](cli.md) [c]({REPOSITORY}crates/x.rs)"));
        assert!(REPOSITORY.starts_with("https://"));
    }

    #[test]
    fn a_link_that_leads_nowhere_is_found() {
        let book = tempfile::tempdir().unwrap();
        fs::write(book.path().join("there.html"), "").unwrap();
        let page =
            "<a href=\"there.html#part\">\n<img src=\"gone.svg\"> <a href=\"https://x.y\"> <a href=\"#z\">";
        let mut problems = Vec::new();
        dead_links(&book.path().join("page.html"), page, &mut problems);
        let [problem] = &problems[..] else { panic!("{problems:?}") };
        assert!(problem.line == 2 && problem.what.starts_with("`gone.svg`"), "{problem}");
    }

    #[test]
    fn a_folder_is_copied_with_what_is_in_it() {
        let (from, to) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        fs::create_dir(from.path().join("deep")).unwrap();
        fs::write(from.path().join("deep/er.md"), "text").unwrap();
        copy(from.path(), to.path()).unwrap();
        assert_eq!(fs::read_to_string(to.path().join("deep/er.md")).unwrap(), "text");
    }
}
