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
