//! The `cess` binary: parses the command line and exits with its code.

fn main() -> std::process::ExitCode {
    cess::cli::main()
}
