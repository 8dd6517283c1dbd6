//! The task with a real database and a real receiver.
