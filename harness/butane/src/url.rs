//! URLs as far as Ignition looks into them.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

/// The scheme of a URL in lower case; none if it has none, or if it is no URL.
pub(crate) fn scheme(url: &str) -> Option<String> {
    if url.bytes().any(|byte| byte.is_ascii_control()) {
        return None;
    }
    let (scheme, _) = url.split_once(':')?;
    let mut bytes = scheme.bytes();
    let fits = bytes.next()?.is_ascii_alphabetic()
        && bytes.all(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte));
    fits.then(|| scheme.to_ascii_lowercase())
}

/// Whether Ignition 3.`minor`.0 fetches from this URL. Nothing at all is an empty file.
pub(crate) fn check(url: &str, minor: u8) -> Result<(), String> {
    if url.is_empty() {
        return Ok(());
    }
    let scheme = scheme(url);
    match scheme.as_deref() {
        Some("http" | "https" | "tftp") => Ok(()),
        Some("gs") if minor >= 2 => Ok(()),
        Some("s3") => {
            let query = url.split_once('?').map_or("", |(_, query)| query);
            if query
                .split('&')
                .any(|pair| pair == "versionId" || pair == "versionId=")
            {
                Err("the `versionId` of this S3 URL is empty".to_owned())
            } else {
                Ok(())
            }
        }
        Some("arn") if minor >= 4 => {
            // arn:partition:s3:region:account:resource
            let parts: Vec<_> = url.splitn(6, ':').collect();
            if parts.len() == 6 && parts[2] == "s3" {
                Ok(())
            } else {
                Err("an `arn` URL must name an S3 object".to_owned())
            }
        }
        Some("data") => data(url),
        Some(other) => Err(format!(
            "Ignition 3.{minor}.0 does not fetch `{other}` URLs"
        )),
        None => Err("this is not a URL".to_owned()),
    }
}

/// Whether a `data:` URL can be read.
fn data(url: &str) -> Result<(), String> {
    let Some((kind, data)) = url
        .get("data:".len()..)
        .and_then(|rest| rest.split_once(','))
    else {
        return Err("a `data:` URL needs a comma before the data".to_owned());
    };
    if !url.is_ascii() {
        return Err("a `data:` URL must be ASCII: escape the rest".to_owned());
    }
    let mut rest = data.split('%');
    rest.next();
    let escaped = rest.all(|after| {
        after.len() >= 2 && after.bytes().take(2).all(|byte| byte.is_ascii_hexdigit())
    });
    if !escaped {
        return Err("a `%` in a `data:` URL needs two hexadecimal digits after it".to_owned());
    }
    if kind.ends_with(";base64") && !data.contains('%') && STANDARD.decode(data).is_err() {
        return Err("the base64 of this `data:` URL is malformed".to_owned());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn schemes_come_with_versions() {
        for (url, minor, fits) in [
            ("", 0, true),
            ("http://example.com", 0, true),
            ("HTTPS://example.com", 0, true),
            ("tftp://example.com:69/foobar.txt", 0, true),
            ("data:,example%20file%0A", 0, true),
            ("data:;base64,eA==", 0, true),
            ("data:;base64,e=A", 0, false),
            ("data:x", 0, false),
            ("data:,%2", 0, false),
            ("bad://", 6, false),
            ("no url", 6, false),
            ("s3://bucket/key", 0, true),
            ("s3://bucket/key?versionId=", 6, false),
            ("gs://bucket/object", 1, false),
            ("gs://bucket/object", 2, true),
            ("arn:aws:s3:::bucket/key", 3, false),
            ("arn:aws:s3:::bucket/key", 4, true),
            ("arn:aws:ec2:::x/key", 4, false),
        ] {
            assert_eq!(check(url, minor).is_ok(), fits, "{url} {minor}");
        }
    }
}
