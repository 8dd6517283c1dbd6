//! Ports for the programs that tests start.

use std::{fs::File, ops::Range, os::unix::fs::MetadataExt, sync::Mutex};

/// Below those that systems give to connections on their way out, or one of them could have a port before whoever it is meant for.
const PORTS: Range<u16> = 10_000..20_000;
/// So many ports are this process's alone.
const PORTS_PER_BLOCK: u16 = 50;

/// Ports that no other process with tests gives out while the file is locked.
struct Block {
    left: Range<u16>,
    _lock: File,
}

impl Block {
    /// One that nobody has.
    fn take() -> Self {
        let user = std::fs::metadata("/proc/self").unwrap().uid();
        let folder = std::env::temp_dir().join(format!("tickstock-monitor-test-ports-{user}"));
        std::fs::create_dir_all(&folder).unwrap();
        let blocks = (PORTS.end - PORTS.start) / PORTS_PER_BLOCK;
        std::iter::repeat_with(|| PORTS.start + rand::random_range(0..blocks) * PORTS_PER_BLOCK)
            .find_map(|first| {
                let lock = File::create(folder.join(first.to_string())).unwrap();
                lock.try_lock().ok()?;
                Some(Self { left: first..first + PORTS_PER_BLOCK, _lock: lock })
            })
            .unwrap()
    }
}

/// A port that nobody listens on, and that no other test is given: whoever has it may end and start again on it.
pub(crate) fn free_port() -> u16 {
    static BLOCKS: Mutex<Vec<Block>> = Mutex::new(Vec::new());
    let mut blocks = BLOCKS.lock().unwrap();
    let is_free = |port: &u16| std::net::TcpListener::bind(("127.0.0.1", *port)).is_ok();
    loop {
        if let Some(port) = blocks.last_mut().and_then(|block| block.left.find(is_free)) {
            return port;
        }
        blocks.push(Block::take());
    }
}
