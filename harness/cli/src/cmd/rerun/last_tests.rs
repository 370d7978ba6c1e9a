use super::*;

fn failed_in(report: &str) -> Vec<String> {
    failed(&serde_json::from_str(report).unwrap())
        .into_iter()
        .collect()
}

/// A report as kola writes it: members are entries of their own, and their bucket fails with them.
#[test]
fn members_go_by_their_own_names() {
    let report = r#"{"tests": [
        {"name": "basic", "subtests": null, "result": "PASS", "duration": 1, "output": ""},
        {"name": "ext.x", "subtests": [], "result": "FAIL", "duration": 1, "output": ""},
        {"name": "coreos.locksmith", "subtests": ["coreos.locksmith/part"], "result": "FAIL"},
        {"name": "coreos.locksmith/part", "subtests": null, "result": "FAIL"},
        {"name": "ext.warned", "subtests": null, "result": "WARN"},
        {"name": "ext.skipped", "subtests": null, "result": "SKIP"},
        {"name": "non-exclusive-test-bucket-0/ext.a", "subtests": null, "result": "PASS"},
        {"name": "non-exclusive-test-bucket-0/ext.b", "subtests": null, "result": "FAIL"},
        {"name": "non-exclusive-test-bucket-0",
         "subtests": ["non-exclusive-test-bucket-0/ext.a", "non-exclusive-test-bucket-0/ext.b"], "result": "FAIL"},
        {"name": "template/default", "subtests": null, "result": "FAIL"}
    ], "result": "FAIL", "platform": "qemu", "version": ""}"#;
    assert_eq!(failed_in(report), ["coreos.locksmith", "ext.b", "ext.x"]);
}

#[test]
fn a_bucket_that_failed_by_itself_is_all_of_its_members() {
    let report = r#"{"tests": [
        {"name": "non-exclusive-test-bucket-12/ext.a", "subtests": null, "result": "PASS"},
        {"name": "non-exclusive-test-bucket-12",
         "subtests": ["non-exclusive-test-bucket-12/ext.a"], "result": "FAIL"},
        {"name": "non-exclusive-test-bucket-13",
         "subtests": ["non-exclusive-test-bucket-13/ext.never-started"], "result": "FAIL"}
    ]}"#;
    assert_eq!(failed_in(report), ["ext.a", "ext.never-started"]);
}
