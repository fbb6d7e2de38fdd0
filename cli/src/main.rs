//! sagwan
fn main() {}
