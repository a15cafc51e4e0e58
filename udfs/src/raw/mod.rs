//! Table functions that read raw files.
