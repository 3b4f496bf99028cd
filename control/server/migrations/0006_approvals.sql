-- The definition of the tool that is called, as a SHA-256; NULL where there is none.
ALTER TABLE approvals ADD COLUMN definition BLOB;

-- Whoever asks again after a request has expired is told so once.
ALTER TABLE approvals ADD COLUMN told INTEGER NOT NULL DEFAULT 0;
