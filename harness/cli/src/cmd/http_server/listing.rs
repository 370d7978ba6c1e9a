//! What a directory without `index.html` is shown as.

use std::fmt::Write as _;
use std::path::{Component, Path, PathBuf};

use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, Uri};
use axum::response::{Html, IntoResponse, Response};
use axum::routing::get;

/// Answers what no file answers: a listing for a directory below `root`, and 404 for anything else.
pub fn service(root: PathBuf) -> Router {
    Router::new().fallback(get(list)).with_state(root)
}

async fn list(State(root): State<PathBuf>, uri: Uri) -> Response {
    let entries = match below(&root, uri.path()) {
        Some(dir) => entries(&dir).await,
        None => None,
    };
    match entries {
        Some(entries) => Html(page(&entries)).into_response(),
        None => (StatusCode::NOT_FOUND, "404 page not found\n").into_response(),
    }
}

/// The path that a URL names; none if it leads out of the root.
fn below(root: &Path, url: &str) -> Option<PathBuf> {
    let path = String::from_utf8(decode(url)).ok()?;
    let path = PathBuf::from(path.trim_start_matches('/'));
    let inside = path
        .components()
        .all(|part| matches!(part, Component::Normal(_) | Component::CurDir));
    (inside && !path.as_os_str().as_encoded_bytes().contains(&0)).then(|| root.join(path))
}

/// The names in a directory, sorted; a directory's ends with a slash.
async fn entries(dir: &Path) -> Option<Vec<String>> {
    let mut reader = tokio::fs::read_dir(dir).await.ok()?;
    let mut names = Vec::new();
    while let Ok(Some(entry)) = reader.next_entry().await {
        let mut name = entry.file_name().to_string_lossy().into_owned();
        let metadata = tokio::fs::metadata(entry.path()).await;
        if metadata.is_ok_and(|metadata| metadata.is_dir()) {
            name.push('/');
        }
        names.push(name);
    }
    names.sort();
    Some(names)
}

fn page(names: &[String]) -> String {
    let mut page = String::from("<!doctype html>\n<meta charset=\"utf-8\">\n<pre>\n");
    for name in names {
        let _infallible = writeln!(page, "<a href=\"{}\">{}</a>", encode(name), escape(name));
    }
    page.push_str("</pre>\n");
    page
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('"', "&quot;")
}

/// A relative reference: `./` keeps a name with a colon from being taken for a URL of its own.
fn encode(name: &str) -> String {
    let mut url = String::from("./");
    for byte in name.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~/".contains(&byte) {
            url.push(char::from(byte));
        } else {
            let _infallible = write!(url, "%{byte:02X}");
        }
    }
    url
}

fn decode(url: &str) -> Vec<u8> {
    let bytes = url.as_bytes();
    let mut decoded = Vec::with_capacity(bytes.len());
    let mut index = 0;
    while let Some(byte) = bytes.get(index) {
        let hex = bytes
            .get(index + 1..index + 3)
            .filter(|_| *byte == b'%')
            .and_then(|digits| std::str::from_utf8(digits).ok())
            .and_then(|digits| u8::from_str_radix(digits, 16).ok());
        decoded.push(hex.unwrap_or(*byte));
        index += if hex.is_some() { 3 } else { 1 };
    }
    decoded
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_outside_the_root_is_listed() {
        let root = Path::new("/srv");
        assert_eq!(below(root, "/"), Some(PathBuf::from("/srv/")));
        assert_eq!(below(root, "/a%20b/"), Some(PathBuf::from("/srv/a b/")));
        for outside in ["/..", "/a/../..", "/%2e%2e/", "/a/%2e%2e/b", "/%00", "/%ff"] {
            assert_eq!(below(root, outside), None, "{outside}");
        }
        assert_eq!(below(root, "//etc"), Some(PathBuf::from("/srv/etc")));
    }

    #[test]
    fn names_survive_html_and_urls() {
        let page = page(&["a<b>&\"c\".txt".to_owned(), "x:y/".to_owned()]);
        assert!(
            page.contains(
                "<a href=\"./a%3Cb%3E%26%22c%22.txt\">a&lt;b&gt;&amp;&quot;c&quot;.txt</a>"
            )
        );
        assert!(page.contains("<a href=\"./x%3Ay/\">x:y/</a>"));
    }
}
