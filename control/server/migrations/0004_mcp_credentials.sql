-- The header field that an MCP server's credential is put into as it is; NULL for any other.
ALTER TABLE credentials ADD COLUMN header TEXT;
