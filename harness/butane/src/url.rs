//! URLs as far as Ignition looks into them.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use crate::go_url;

/// The scheme of a URL in lower case; none if it has none, or if it is no URL.
pub(crate) fn scheme(url: &str) -> Option<String> {
    let scheme = go_url::parse(url)?.scheme;
    (!scheme.is_empty()).then_some(scheme)
}

/// Whether Ignition 3.`minor`.0 fetches from this URL. Nothing at all is an empty file.
pub(crate) fn check(url: &str, minor: u8) -> Result<(), String> {
    if url.is_empty() {
        return Ok(());
    }
    let Some(parsed) = go_url::parse(url) else {
        return Err("this is not a URL".to_owned());
    };
    match &parsed.scheme[..] {
        "http" | "https" | "tftp" => Ok(()),
        "gs" if minor >= 2 => Ok(()),
        "s3" => version_id(parsed.query),
        "arn" if minor >= 4 => {
            s3_object(parsed.opaque)?;
            version_id(parsed.query)
        }
        "data" => data(url),
        "" => Err("this is not a URL".to_owned()),
        other => Err(format!(
            "Ignition 3.{minor}.0 does not fetch `{other}` URLs"
        )),
    }
}

/// Whether the version of an S3 object is there if it is asked for.
fn version_id(query: &str) -> Result<(), String> {
    let mut values = query.split('&').filter_map(|pair| {
        let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
        (key == "versionId").then_some(value)
    });
    if values.next() == Some("") {
        Err("the `versionId` of this S3 URL is empty".to_owned())
    } else {
        Ok(())
    }
}

/// Whether an ARN, without its `arn:`, names an S3 object: `partition:s3:region:account:bucket/key` or
/// `…:accesspoint/name/key`.
fn s3_object(arn: &str) -> Result<(), String> {
    let parts: Vec<_> = arn.splitn(5, ':').collect();
    let names_object = match parts[..] {
        [_, "s3", _, _, resource] => {
            let slashes = arn.matches('/').count();
            slashes >= 1 && (slashes >= 2 || !resource.starts_with("accesspoint/"))
        }
        _ => false,
    };
    if names_object {
        Ok(())
    } else {
        Err("an `arn` URL must name an S3 object, such as arn:aws:s3:::bucket/key".to_owned())
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
    if !go_url::is_escaped(data) {
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
            ("arn:aws:s3:::bucket", 4, false),
            ("arn:aws:s3:::bucket/key?versionId=", 4, false),
            ("arn:aws:s3:::bucket/key?versionId=a", 4, true),
            ("arn:aws:s3:eu:1:accesspoint/name", 4, false),
            ("arn:aws:s3:eu:1:accesspoint/name/key", 4, true),
            ("Arn:", 6, false),
            ("arn:/aws:s3:::bucket/key", 6, false),
            ("s3://bucket/key?versionId=a&versionId=", 6, true),
            ("http://x y/%zz", 6, false),
            ("http://x/%zz", 6, false),
        ] {
            assert_eq!(check(url, minor).is_ok(), fits, "{url} {minor}");
        }
    }
}
