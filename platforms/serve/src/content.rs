//! What a site has at a path.

use std::path::PathBuf;

use axum::body::Bytes;
use kolea_model::Served;

/// What is served at a path.
#[derive(Clone, Debug)]
pub enum Content {
    /// These bytes.
    Bytes(Bytes),
    /// A file of this host, read while it is sent; parts of it can be asked for (`Range`).
    File(PathBuf),
    /// What is in a directory of this host, at the paths below.
    Directory(PathBuf),
}

impl From<&'static str> for Content {
    fn from(text: &'static str) -> Content {
        Content::Bytes(Bytes::from_static(text.as_bytes()))
    }
}

impl From<String> for Content {
    fn from(text: String) -> Content {
        Content::Bytes(text.into())
    }
}

impl From<Vec<u8>> for Content {
    fn from(bytes: Vec<u8>) -> Content {
        Content::Bytes(bytes.into())
    }
}

impl From<Served> for Content {
    fn from(served: Served) -> Content {
        match served {
            Served::Text(text) => text.into(),
            Served::File(path) => Content::File(path),
            Served::Directory(path) => Content::Directory(path),
        }
    }
}
