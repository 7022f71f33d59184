//! The `housewright` binary.

fn main() {}
