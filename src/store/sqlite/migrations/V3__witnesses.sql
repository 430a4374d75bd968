-- What witnesses cosigned, one line each as it stands in the note. A witness is its verifier key, so that a
-- witness with another name or key is another one.
CREATE TABLE cosignatures (
    journal INTEGER NOT NULL REFERENCES journals (id),
    size    INTEGER NOT NULL,
    witness TEXT    NOT NULL,
    line    TEXT    NOT NULL,
    PRIMARY KEY (journal, size, witness),
    FOREIGN KEY (journal, size) REFERENCES checkpoints (journal, size)
) STRICT, WITHOUT ROWID;

-- Where in the holder's journal the heads of partners' journals stand. Until now only the newest size was kept
-- here, so each journal's head is recorded once more.
CREATE TABLE journal_heads (
    journal INTEGER NOT NULL REFERENCES journals (id),
    size    INTEGER NOT NULL,
    idx     INTEGER NOT NULL,
    PRIMARY KEY (journal, size)
) STRICT, WITHOUT ROWID;
DELETE FROM holder WHERE name LIKE 'head:%';
