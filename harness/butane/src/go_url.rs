//! What Go's `net/url` takes for a URL: Ignition refuses every other.

/// The parts that Ignition looks into.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Url<'a> {
    /// In lower case; empty if there is none.
    pub scheme: String,
    /// What follows the scheme if it does not begin with a slash, without the query.
    pub opaque: &'a str,
    /// Without its `?`.
    pub query: &'a str,
}

/// Takes a URL apart; none if it is none.
pub(crate) fn parse(text: &str) -> Option<Url<'_>> {
    let (url, fragment) = text.split_once('#').unwrap_or((text, ""));
    if url.bytes().any(|byte| byte.is_ascii_control()) || !is_escaped(fragment) {
        return None;
    }
    let (scheme, rest) = split_scheme(url)?;
    let (rest, query) = rest.split_once('?').unwrap_or((rest, ""));
    let mut parsed = Url {
        scheme: scheme.to_ascii_lowercase(),
        opaque: "",
        query,
    };
    if !rest.starts_with('/') {
        if !scheme.is_empty() {
            parsed.opaque = rest;
            return Some(parsed);
        }
        if rest
            .split('/')
            .next()
            .is_some_and(|part| part.contains(':'))
        {
            return None;
        }
    }
    let mut path = rest;
    if let Some(rest) = rest.strip_prefix("//")
        && (!scheme.is_empty() || !rest.starts_with('/'))
    {
        let end = rest.find('/').unwrap_or(rest.len());
        let (authority, after) = rest.split_at(end);
        if !is_authority(authority) {
            return None;
        }
        path = after;
    }
    is_escaped(path).then_some(parsed)
}

/// The scheme, which is empty if there is none, and what follows its colon; none if the scheme is empty before a colon.
fn split_scheme(url: &str) -> Option<(&str, &str)> {
    for (at, byte) in url.bytes().enumerate() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' => {}
            b'0'..=b'9' | b'+' | b'-' | b'.' if at > 0 => {}
            b':' if at == 0 => return None,
            b':' => return Some((&url[..at], &url[at + 1..])),
            _ => break,
        }
    }
    Some(("", url))
}

/// Whether every `%` has two hexadecimal digits after it.
pub(crate) fn is_escaped(text: &str) -> bool {
    text.split('%')
        .skip(1)
        .all(|after| after.len() >= 2 && after.bytes().take(2).all(|byte| byte.is_ascii_hexdigit()))
}

fn is_authority(authority: &str) -> bool {
    match authority.rsplit_once('@') {
        Some((user, host)) => {
            let allowed =
                |byte: u8| byte.is_ascii_alphanumeric() || b"-._:~!$&'()*+,;=%@".contains(&byte);
            user.bytes().all(allowed) && is_escaped(user) && is_host(host)
        }
        None => is_host(authority),
    }
}

/// A host with or without a port.
fn is_host(host: &str) -> bool {
    let port = if host.starts_with('[') {
        match host.rfind(']') {
            Some(end) => &host[end + 1..],
            None => return false,
        }
    } else {
        host.rfind(':').map_or("", |at| &host[at..])
    };
    let is_port = port.is_empty()
        || port
            .strip_prefix(':')
            .is_some_and(|port| port.bytes().all(|byte| byte.is_ascii_digit()));
    // only what is not ASCII can be escaped, and the `%` before the zone of an IPv6 address
    let escapes = |after: &str| after.starts_with("25") || after.as_bytes()[0] >= b'8';
    let allowed = |byte: u8| {
        !byte.is_ascii()
            || byte.is_ascii_alphanumeric()
            || b"-_.~!$&'()*+,;=:[]<>\"%".contains(&byte)
    };
    is_port && host.bytes().all(allowed) && is_escaped(host) && host.split('%').skip(1).all(escapes)
}
#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn urls_are_taken_apart_as_go_does() {
        let parts = |scheme: &str, opaque, query| {
            Some(Url {
                scheme: scheme.to_owned(),
                opaque,
                query,
            })
        };
        for (url, expected) in [
            ("HTTP://a/b?c=d#e", parts("http", "", "c=d")),
            ("arn:aws:s3:::b/k?v", parts("arn", "aws:s3:::b/k", "v")),
            ("data:,%zz", parts("data", ",%zz", "")),
            ("no url", parts("", "", "")),
            ("///x%20y", parts("", "", "")),
            ("http://[::1%25eth0]:80/", parts("http", "", "")),
            ("http://u:p@\u{e9}:/", parts("http", "", "")),
        ] {
            assert_eq!(parse(url), expected, "{url}");
        }
        for url in [
            "http://x y/",
            "http://x/%zz",
            "http://x/#%",
            "http://x\u{7f}",
            "http://x%41/",
            "http://x:8a/",
            "http://[::1/",
            "http://[::1]x/",
            "http://u^@x/",
            ":a",
            "1:b",
        ] {
            assert_eq!(parse(url), None, "{url}");
        }
    }

    proptest! {
        #[test]
        fn no_text_makes_it_panic(text in "\\PC*") {
            let _ = parse(&text);
        }

        #[test]
        fn no_url_like_text_makes_it_panic(text in "(http:)?(//)?[a\u{e9}:/?#%@\\[\\]25 ]{0,20}") {
            let _ = parse(&text);
        }
    }
}
