//! Durable append of records, recovery, and the log's files.
