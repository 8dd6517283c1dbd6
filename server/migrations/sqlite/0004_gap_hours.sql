-- Whose hours count for the ticks that a gap missed. Gaps from before were estimated over their whole length.
ALTER TABLE history_gaps ADD COLUMN calendar TEXT NOT NULL DEFAULT 'always_open';
