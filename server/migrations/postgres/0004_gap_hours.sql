-- Whose hours count for the ticks that a gap missed.
ALTER TABLE history_gaps ADD COLUMN calendar TEXT NOT NULL DEFAULT 'always_open';
