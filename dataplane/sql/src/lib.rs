//! SQL statements to accesses and column lineage, by PostgreSQL's own grammar.
