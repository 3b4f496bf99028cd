//! JSON of the HTTP API, under `/api/v1`. Times are unix seconds unless the name says
//! otherwise.
