-- All causes that a gap went through, as JSON, the gravest first; what the rate of the estimate was taken from, and the
-- rates of the market's sessions; for gaps of the bus (connection 0), the ticks that Redis did not take. Gaps from before
-- have one cause and one rate, which was that of the time right before.
ALTER TABLE history_gaps ADD COLUMN causes TEXT NOT NULL DEFAULT '[]';
ALTER TABLE history_gaps ADD COLUMN rate_basis TEXT NOT NULL DEFAULT '"before"';
ALTER TABLE history_gaps ADD COLUMN session_rates TEXT NOT NULL DEFAULT '[null,null,null]';
ALTER TABLE history_gaps ADD COLUMN unpublished_ticks BIGINT;
