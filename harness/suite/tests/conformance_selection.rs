//! The cases of `conformance/selection.toml`.

#[path = "conformance/selecting.rs"]
mod selecting;

#[test]
fn every_case_comes_out_as_it_is_written() {
    selecting::check(&selecting::table("selection.toml"), 30);
}
