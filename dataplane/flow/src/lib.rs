//! One intercepted connection: detect, judge, hold, record, release, edit.
