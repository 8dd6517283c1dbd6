-- What was said of a gap after it was acknowledged, as JSON, oldest first: who, when, what. The first note stays as it is.
ALTER TABLE history_gaps ADD COLUMN notes TEXT NOT NULL DEFAULT '[]';
