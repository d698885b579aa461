//! The list of operations and the page made from it.

use super::super::operations::{FORM, OPERATIONS, REFUSED};
use std::collections::BTreeSet;

/// Operations of the S3 API as the library knows them.
const ALL: usize = 99;

#[test]
fn every_operation_is_answered_or_refused_once() {
    let answered = OPERATIONS.iter().chain([&FORM]).map(|operation| operation.name);
    let refused = REFUSED.iter().flat_map(|refused| refused.names.iter().copied());
    let names: Vec<&str> = answered.chain(refused).collect();
    assert_eq!(names.iter().collect::<BTreeSet<_>>().len(), names.len());
    assert_eq!(names.len(), ALL);
}

#[test]
fn the_reference_page_is_up_to_date() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/reference/s3.md");
    if std::env::var_os("CESS_UPDATE_DOCS").is_some() {
        std::fs::write(path, super::super::reference_page()).unwrap();
    }
    let page = std::fs::read_to_string(path).unwrap();
    assert!(page == super::super::reference_page(), "run the test again with CESS_UPDATE_DOCS=1");
}
