//! Runs one test of this binary in a process of its own.
//!
//! A run is a function of its seed only if the process is: counters of tokio, rayon and the actor library live as long as the
//! process, and addresses must not be shuffled. Owns the child's environment and what it prints.

use std::{
    os::unix::process::CommandExt,
    process::{Command, Stdio},
};

/// Real seconds after which a child is ended.
const CHILD_MAX_SECS: u32 = 600;
/// Set in a child to what it is to do.
const ORDER: &str = "CESS_SIM_CHILD";
/// What a child's results begin with, so that they are told from anything else it prints.
const RESULT: &str = "sim| ";

/// What the calling process is to do, if it is a child.
pub fn order() -> Option<String> {
    std::env::var(ORDER).ok()
}

/// Prints results for the parent.
pub fn report(text: &str) {
    let lines: String = text.lines().map(|line| format!("{RESULT}{line}\n")).collect();
    // The test harness has left its own line unfinished.
    print!("\n{lines}");
}

/// Runs `test` in a child with `order`. Returns its report, or what it printed when it failed.
pub fn run(test: &str, order: &str) -> Result<String, String> {
    let program = std::env::current_exe().map_err(|e| format!("this program cannot be found: {e}"))?;
    let mut command = Command::new(program);
    command.args([test, "--exact", "--nocapture", "--test-threads=1"]).env(ORDER, order);
    command.stdin(Stdio::null());
    // SAFETY: between fork and exec the hook makes two system calls and allocates nothing.
    unsafe { command.pre_exec(fixed_addresses) };
    let output = command.output().map_err(|e| format!("the child cannot be started: {e}"))?;
    let printed = String::from_utf8_lossy(&output.stdout);
    let report: String =
        printed.lines().filter_map(|line| line.strip_prefix(RESULT)).map(|l| format!("{l}\n")).collect();
    if output.status.success() && !report.is_empty() {
        return Ok(report);
    }
    let errors = String::from_utf8_lossy(&output.stderr);
    Err(format!("the child ended with {}\n{report}{errors}", output.status))
}

/// Gives every run of this program the same addresses, as far as the machine allows it, and ends one that hangs.
fn fixed_addresses() -> std::io::Result<()> {
    // SAFETY: both change settings of the calling process, which outlast the change of its program.
    unsafe {
        libc::personality(libc::c_ulong::try_from(libc::ADDR_NO_RANDOMIZE).unwrap_or_default());
        libc::alarm(CHILD_MAX_SECS);
    }
    Ok(())
}
