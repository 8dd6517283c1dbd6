//! How many files and sockets the process may have open.

/// Raises the limit of open descriptors (`ulimit -n`) as far as the system lets us, and answers what it is then. Most
/// systems start a program with 1,024 for the sake of programs from the eighties, and allow it many more.
pub fn raise_descriptor_limit() -> u64 {
    rlimit::increase_nofile_limit(u64::MAX)
        .or_else(|_| rlimit::getrlimit(rlimit::Resource::NOFILE).map(|(soft, _)| soft))
        .unwrap_or(
            // What systems give at least.
            256,
        )
}
