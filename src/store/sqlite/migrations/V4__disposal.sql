-- Disposals: what was disposed of, and whether its keys and bytes are gone. They are kept: a reader learns from
-- them that an opening which is not there was disposed of, and is not damaged.
CREATE TABLE disposals (
    change      BLOB    PRIMARY KEY CHECK (length(change) = 16),
    class       INTEGER NOT NULL,
    before_day  INTEGER NOT NULL,
    entries     INTEGER NOT NULL,
    disposed_ms INTEGER NOT NULL,
    state       TEXT    NOT NULL CHECK (state IN ('due', 'done'))
) STRICT, WITHOUT ROWID;
CREATE INDEX disposals_by_class ON disposals (class, before_day);

-- Entries of a class from the oldest on, as far as they can still be opened.
CREATE INDEX entries_kept ON entries (class, at_ms) WHERE holder_opening IS NOT NULL;
