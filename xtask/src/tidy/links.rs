//! Links of the pages: each leads to a file that exists, and to a heading that it has. Every page of the book is in
//! its table of contents.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Component, Path, PathBuf};

use anyhow::{Context, Result};
use pulldown_cmark::{Event, Options, Parser, Tag, TagEnd};

use super::DOCUMENTS;
use crate::Problem;

/// The folder of the book, and its table of contents.
const BOOK: &str = "docs";
const SUMMARY: &str = "docs/SUMMARY.md";

/// Below this the built book has the documentation of the crates, each under its name in Rust.
const API: &str = "docs/api";

/// Pages that are read where they stand, beside the code they are about.
const BESIDE_THE_CODE: [&str; 2] = ["crates/workitem-conformance/tests/README.md", "peers/README.md"];

/// A page: what it links to, and what can be linked to in it.
struct Page {
    /// Each link, with its line.
    links: Vec<(usize, String)>,
    anchors: BTreeSet<String>,
}

pub fn check(root: &Path) -> Result<Vec<Problem>> {
    let mut pages = BTreeMap::new();
    let beside = DOCUMENTS.iter().chain(&BESIDE_THE_CODE).filter(|path| is_page(path));
    let mut paths: Vec<String> = beside.map(|path| (*path).to_owned()).collect();
    for entry in fs::read_dir(root.join(BOOK)).with_context(|| format!("cannot list {BOOK}"))? {
        paths.push(format!("{BOOK}/{}", entry?.file_name().to_string_lossy()));
    }
    // What is missing is somebody else's to tell.
    for path in paths.into_iter().filter(|path| is_page(path) && root.join(path).is_file()) {
        let text = fs::read_to_string(root.join(&path)).with_context(|| format!("cannot read {path}"))?;
        pages.insert(path, Page::new(&text));
    }
    let mut problems = Vec::new();
    for (path, page) in &pages {
        for (line, link) in &page.links {
            if let Some(what) = problem(root, &pages, path, link) {
                problems.push(Problem::line(path, *line, format!("`{link}` {what}")));
            }
        }
    }
    problems.extend(not_in_summary(&pages));
    Ok(problems)
}

fn is_page(path: &str) -> bool {
    Path::new(path).extension().is_some_and(|extension| extension == "md")
}

/// What is wrong with a link of the page at `path`.
fn problem(root: &Path, pages: &BTreeMap<String, Page>, path: &str, link: &str) -> Option<String> {
    if link.contains("://") || link.starts_with("mailto:") {
        return None;
    }
    let (file, anchor) = link.split_once('#').map_or((link, None), |(file, anchor)| (file, Some(anchor)));
    let target = if file.is_empty() { path.to_owned() } else { resolved(path, file) };
    if let Some(krate) = target.strip_prefix(API) {
        let krate = krate.trim_start_matches('/').split('/').next().unwrap_or_default().replace('_', "-");
        let exists = root.join("crates").join(&krate).is_dir();
        return (!exists).then(|| format!("names no crate: there is no crates/{krate}"));
    }
    if !root.join(&target).exists() {
        return Some(format!("leads nowhere: there is no {target}"));
    }
    let anchor = anchor?;
    match pages.get(&target) {
        Some(page) if page.anchors.contains(anchor) => None,
        Some(_) => Some(format!("leads nowhere: {target} has no heading `{anchor}`")),
        None => Some(format!("names a heading of {target}, which is no page")),
    }
}

/// The path below the workspace to which `link` leads from the page at `path`.
fn resolved(path: &str, link: &str) -> String {
    let mut target = PathBuf::from(path);
    target.pop();
    for part in Path::new(link).components() {
        match part {
            Component::ParentDir => {
                target.pop();
            }
            Component::CurDir => {}
            Component::Normal(_) | Component::RootDir | Component::Prefix(_) => target.push(part),
        }
    }
    target.display().to_string()
}

fn not_in_summary(pages: &BTreeMap<String, Page>) -> Vec<Problem> {
    let listed = pages.get(SUMMARY).map_or(&[][..], |summary| &summary.links);
    let listed: BTreeSet<String> = listed.iter().map(|(_, link)| resolved(SUMMARY, link)).collect();
    let in_book = |path: &&String| path.starts_with("docs/") && *path != SUMMARY;
    let missing = pages.keys().filter(in_book).filter(|path| !listed.contains(*path));
    missing.map(|path| Problem::file(path, format!("is not in the book: list it in {SUMMARY}"))).collect()
}

impl Page {
    fn new(text: &str) -> Self {
        let mut page = Self { links: Vec::new(), anchors: BTreeSet::new() };
        let mut heading = None;
        for (event, place) in Parser::new_ext(text, Options::ENABLE_TABLES).into_offset_iter() {
            match event {
                Event::Start(Tag::Link { dest_url, .. } | Tag::Image { dest_url, .. }) => {
                    let line = text[..place.start].matches('\n').count() + 1;
                    page.links.push((line, dest_url.into_string()));
                }
                Event::Start(Tag::Heading { .. }) => heading = Some(String::new()),
                Event::End(TagEnd::Heading(_)) => page.add_anchor(&heading.take().unwrap_or_default()),
                Event::Text(words) | Event::Code(words) => {
                    if let Some(heading) = &mut heading {
                        heading.push_str(&words);
                    }
                }
                _ => {}
            }
        }
        page
    }

    /// As GitHub and mdBook call a heading: in small letters, blanks as dashes, without punctuation; the second
    /// of a name has a number.
    fn add_anchor(&mut self, heading: &str) {
        let kept = heading.chars().filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'));
        let name: String = kept.collect::<String>().to_lowercase().replace(' ', "-");
        let mut names = std::iter::once(name.clone()).chain((1..).map(|n| format!("{name}-{n}")));
        self.anchors.extend(names.find(|name| !self.anchors.contains(name)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is found in a workspace of these files.
    fn found(files: &[(&str, &str)]) -> Vec<String> {
        let root = tempfile::tempdir().unwrap();
        for (path, text) in
            [("docs/SUMMARY.md", "[a](a.md)"), ("crates/workitem-x/a.rs", "")].iter().chain(files)
        {
            let path = root.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        check(root.path()).unwrap().iter().map(Problem::to_string).collect()
    }

    #[test]
    fn links_that_lead_somewhere_are_fine() {
        let page = "# A heading, `code` & more\n\n## Twice\n\n## Twice\n\n[1](#a-heading-code--more) [2](#twice-1) \
                    [3](../README.md) [4](https://x.y/z) [5](api/workitem_x/index.html) [6](../crates/workitem-x)";
        assert_eq!(found(&[("docs/a.md", page), ("README.md", "[a](docs/a.md#twice)")]), [""; 0]);
    }

    #[test]
    fn a_link_that_leads_nowhere_is_named_with_its_line() {
        let readme =
            "one\n\n[a](docs/gone.md) and ![b](docs/a.md#gone)\n\n[c]: docs/a.md#here\n\n[c] [d](LICENSE#e)";
        let found = found(&[("docs/a.md", "# Here\n[x](api/workitem_y/index.html)"), ("README.md", readme)]);
        assert_eq!(
            found,
            [
                "README.md:3: `docs/gone.md` leads nowhere: there is no docs/gone.md",
                "README.md:3: `docs/a.md#gone` leads nowhere: docs/a.md has no heading `gone`",
                "README.md:7: `LICENSE#e` leads nowhere: there is no LICENSE",
                "docs/a.md:2: `api/workitem_y/index.html` names no crate: there is no crates/workitem-y",
            ]
        );
    }

    #[test]
    fn a_page_that_the_book_does_not_list_is_found() {
        let found = found(&[("docs/a.md", ""), ("docs/b.md", "")]);
        assert_eq!(found, ["docs/b.md:1: is not in the book: list it in docs/SUMMARY.md"]);
    }

    #[test]
    fn links_in_code_are_none() {
        assert_eq!(found(&[("docs/a.md", "`[a](gone.md)`\n\n```\n[a](gone.md)\n```\n")]), [""; 0]);
    }
}
