//! usermirror.
