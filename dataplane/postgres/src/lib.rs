//! PostgreSQL protocol 3: frames, session state of both sides, row edits, refusals.
