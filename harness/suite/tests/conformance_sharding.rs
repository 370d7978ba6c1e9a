//! The cases of `conformance/sharding.toml`.

#[path = "conformance/selecting.rs"]
mod selecting;

use kolea_suite::Shard;

#[test]
fn every_case_comes_out_as_it_is_written() {
    selecting::check(&selecting::table("sharding.toml"), 12);
}

#[test]
fn every_name_is_in_the_part_that_go_says() {
    let table = selecting::table("sharding.toml");
    assert!(table.parts.len() >= 7);
    for part in &table.parts {
        assert!(!part.of.is_empty());
        for (count, index) in &part.of {
            let count = count.parse().unwrap();
            let shard = Shard {
                index: *index,
                count,
            };
            assert_eq!(shard.of(&part.name), *index, "{} of {count}", part.name);
            assert!(shard.contains(&part.name));
        }
    }
}
