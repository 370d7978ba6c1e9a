//! Names that reports and log scrapers written for kola expect.

/// How kola names the pseudo test that stands for a shared machine (kola behaviour: non-exclusive grouping).
pub const BUCKET_PREFIX: &str = "non-exclusive-test-bucket-";

/// The name of the shared machine number `index`, counted from 0.
pub fn bucket_name(index: usize) -> String {
    format!("{BUCKET_PREFIX}{index}")
}

/// Whether `name` is that of a shared machine; any number of digits counts.
pub fn is_bucket_name(name: &str) -> bool {
    name.strip_prefix(BUCKET_PREFIX)
        .is_some_and(|rest| !rest.is_empty() && rest.bytes().all(|byte| byte.is_ascii_digit()))
}

/// What the names of groups begin with that make a template.
pub const TEMPLATE_PREFIX: &str = "template/";
/// What the names of groups begin with that run a test once more on a machine that boots, to verify its template.
pub const VERIFY_PREFIX: &str = "verify/";

/// Whether `name` is that of a group of the harness's own, in which no test has its verdict.
pub fn is_auxiliary_group(name: &str) -> bool {
    name.starts_with(TEMPLATE_PREFIX) || name.starts_with(VERIFY_PREFIX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bucket_names_are_recognised_whatever_their_number() {
        for index in [0, 9, 10, 123] {
            assert!(is_bucket_name(&bucket_name(index)));
        }
        assert!(!is_bucket_name("non-exclusive-test-bucket-"));
        assert!(!is_bucket_name("non-exclusive-test-bucket-1/ext.core.a"));
    }
}
