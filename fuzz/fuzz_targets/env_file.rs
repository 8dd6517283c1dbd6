//! A file of variables, whatever it holds: no panic, and what cannot be read is said with its line.

#![no_main]

use libfuzzer_sys::fuzz_target;
use server::config::read_env_file;

fuzz_target!(|bytes: &[u8]| match read_env_file(bytes, &Default::default()) {
    Ok(values) => assert!(values.keys().all(|name| !name.is_empty() && !name.contains(['=', ' ', '\n']))),
    Err(problems) => assert!(problems.iter().all(|problem| problem.to_string().contains("line "))),
});
