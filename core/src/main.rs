//! `sandboxed-sh`: the daemon and the command line in one program.

fn main() -> std::process::ExitCode {
    sandboxed_core::cli::main()
}
