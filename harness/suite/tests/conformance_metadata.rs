//! The table `conformance/metadata.toml`.

use std::path::Path;

use serde::Deserialize;
use serde_json::Value;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Table {
    case: Vec<Case>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Case {
    name: String,
    head: String,
    #[serde(default)]
    test: Option<String>,
    #[serde(default)]
    problems: Vec<String>,
    #[serde(default)]
    differs: Option<String>,
}

/// Whether `actual` is all that `expected` names.
fn has(actual: &Value, expected: &Value) -> bool {
    match (actual, expected) {
        (Value::Object(actual), Value::Object(expected)) => expected
            .iter()
            .all(|(key, value)| actual.get(key).is_some_and(|actual| has(actual, value))),
        _ => actual == expected,
    }
}

#[test]
fn metadata_is_read_as_the_table_says() {
    let table: Table = toml::from_str(include_str!("conformance/metadata.toml")).unwrap();
    assert!(table.case.len() >= 50, "{}", table.case.len());
    let mut wrong = Vec::new();
    for case in &table.case {
        assert!(
            case.test.is_some() || !case.problems.is_empty(),
            "{}",
            case.name
        );
        assert!(
            case.differs
                .as_ref()
                .is_none_or(|differs| !differs.is_empty())
        );
        let path = Path::new("x");
        let (test, problems) = kolea_suite::parse_header("ext.x", path, case.head.as_bytes());
        let told: Vec<String> = problems.iter().map(ToString::to_string).collect();
        let as_expected = told.len() == case.problems.len()
            && told
                .iter()
                .zip(&case.problems)
                .all(|(told, start)| told.starts_with(&format!("x:{start}")));
        if !as_expected {
            wrong.push(format!(
                "{}: {told:#?} instead of {:#?}",
                case.name, case.problems
            ));
        }
        if let Some(expected) = &case.test {
            let expected: Value = serde_json::from_str(expected).unwrap();
            let actual = serde_json::to_value(&test).unwrap();
            if !has(&actual, &expected) {
                wrong.push(format!("{}: {actual:#} instead of {expected:#}", case.name));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
